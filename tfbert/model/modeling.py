"""The encoder and its classification head, in Keras 3.

BERT (Devlin et al. 2018, arXiv:1810.04805), DistilBERT (Sanh et al. 2019, arXiv:1910.01108), RoBERTa (Liu et al.
2019, arXiv:1907.11692), ELECTRA (Clark et al. 2020, arXiv:2003.10555), MPNet (Song et al. 2020, arXiv:2004.09297) and
ALBERT (Lan et al. 2019, arXiv:1909.11942) are one architecture with small differences, which `ModelConfig` names.
So are those that came after them: blocks.py says what their layers do otherwise.
Shapes in comments: B batch, S sequence, T = B S tokens, D hidden size, E embedding size, H heads, L labels,
V vocabulary.
"""

from dataclasses import asdict

import keras
from keras import ops

from tfbert.model.attention import PADDING, RelativePositionBias
from tfbert.model.blocks import Block
from tfbert.model.configs import ModelConfig
from tfbert.model.disentangled import RelativeVectors
from tfbert.model.dropout import Dropout
from tfbert.model.layers import ACTIVATIONS, dense, initial, norm
from tfbert.model.rotary import Rotations


class Embeddings(keras.layers.Layer):
    """Token ids and types, int32 (B, S) -> vectors, float (B, S, D), by way of (B, S, E) where E is another size."""

    def __init__(self, config, **kwargs):
        super().__init__(**kwargs)
        self.config = config
        self.norm = norm(config, "norm")
        self.dropout = Dropout(config.hidden_dropout_prob)
        self.project = dense(config, config.hidden_size, "project") if config.embedding_size else None

    def build(self, input_shape):
        config = self.config
        width = config.embedding_size or config.hidden_size

        def table(name, rows):
            return self.add_weight(name=name, shape=(rows, width), initializer=initial(config))

        self.word = table("word", config.vocab_size)
        if config.absolute_positions:
            self.position = table("position", config.max_position_embeddings)
        if config.type_vocab_size:
            self.token_type = table("token_type", config.type_vocab_size)
        self.norm.build((None, None, width))
        if self.project:
            self.project.build((None, None, width))
        super().build(input_shape)

    def call(self, input_ids, token_type_ids=None, shift=None, training=False):
        """shift: float (B, S, E), what is added to the tokens' vectors, or None."""
        x = ops.take(self.word, ops.cast(input_ids, "int32"), axis=0)
        x = x if shift is None else x + shift
        if self.config.absolute_positions:
            first = self.config.position_offset
            x += self.position[first : first + ops.shape(input_ids)[1]]
        if self.config.type_vocab_size:
            if token_type_ids is None:
                x += self.token_type[0]
            else:
                x += ops.take(self.token_type, token_type_ids, axis=0)
        x = ops.cast(x, self.compute_dtype)
        x = self.dropout(self.norm(x), training=training)
        return self.project(x) if self.project else x


class Encoder(keras.layers.Layer):
    """Embeddings and a stack of blocks; ALBERT's is one block, applied as often as others have blocks."""

    def __init__(self, config, **kwargs):
        super().__init__(**kwargs)
        self.config = config
        self.embeddings = Embeddings(config, name="embeddings")
        different = range(1 if config.share_layers else config.num_hidden_layers)
        self.blocks = [Block(config, i, name=f"layer_{i}") for i in different]
        self.last_norm = norm(config, "last_norm") if config.pre_norm else None
        self.relative = None  # what all blocks know of the distances between tokens
        if config.rope_theta:
            self.relative = Rotations(config, name="relative")
        elif config.disentangled:
            self.relative = RelativeVectors(config, name="relative")
        elif config.relative_attention_num_buckets:
            self.relative = RelativePositionBias(config, name="relative")

    def build(self, input_shape=None):
        self.embeddings.build((None, None))
        if self.relative:
            self.relative.build((None, None))
        for layer in (*self.blocks, self.last_norm):
            if layer:
                layer.build((None, self.config.hidden_size))
        super().build(input_shape)

    def call(self, input_ids, attention_mask, token_type_ids=None, shift=None, training=False):
        """input_ids, attention_mask, token_type_ids: int (B, S); shift: as in Embeddings. Returns float (B, S, D)."""
        *_, last = self.states(input_ids, attention_mask, token_type_ids, shift, training)
        return last

    def states(self, input_ids, attention_mask, token_type_ids=None, shift=None, training=False):
        """Yields what the embeddings make of the inputs, then each block in turn: float (B, S, D)."""
        mask = ops.where(ops.cast(attention_mask, "bool"), 0.0, PADDING)[:, None, None, :]
        mask = ops.cast(mask, self.compute_dtype)
        x = self.embeddings(input_ids, token_type_ids, shift, training=training)
        yield x
        tokens = ops.reshape(x, (-1, self.config.hidden_size))
        relative = self.relative(input_ids) if self.relative else None
        layers = self.config.num_hidden_layers
        for number in range(layers):
            block = self.blocks[number % len(self.blocks)]
            tokens = block(tokens, mask, relative, training=training)
            if self.last_norm and number == layers - 1:
                tokens = self.last_norm(tokens)
            yield ops.reshape(tokens, ops.shape(x))


class TextModel(keras.Model):
    """An encoder, to which each kind of model adds its head, and what Keras's own files ask for.

    inputs of all: a dict with input_ids and, where they say something, attention_mask, token_type_ids and shift.
    """

    def __init__(self, config, **kwargs):
        super().__init__(**kwargs)
        self.config = config
        self.encoder = Encoder(config, name="encoder")

    def get_config(self):
        """For Keras's own files: model.save, keras.models.load_model."""
        return super().get_config() | {"config": asdict(self.config)}

    @classmethod
    def from_config(cls, config):
        sizes = config.pop("config")
        names = {
            int(number): name for number, name in sizes.pop("id2label").items()
        }  # JSON has no other keys than text
        return cls(ModelConfig(**sizes, id2label=names), **config)

    def export(self, filepath, format="tf_saved_model", verbose=None, input_signature=None, **kwargs):
        """As Keras's, which knows no shapes before the first call: here for any number of texts of any length."""
        names = ["input_ids", "attention_mask"] + ["token_type_ids"] * bool(self.config.type_vocab_size)
        any_text = {name: keras.InputSpec("int32", shape=(None, None), name=name) for name in names}
        super().export(filepath, format, verbose, input_signature or [any_text], **kwargs)

    def call(self, inputs, training=False):
        return self.answer(*self.read(inputs, training), training)

    def answer(self, hidden, mask, training=False):
        """What the head makes of what `read` gives."""
        raise NotImplementedError

    def read(self, inputs, training=False):
        """The encoder's vectors, float (B, S, D), and the mask, int (B, S)."""
        inputs = self.with_mask(inputs)
        return self.encoder(*inputs, training=training), inputs[1]

    def states(self, inputs, training=False):
        """As read, but a tuple of what each layer of the encoder gives, that of the embeddings first."""
        inputs = self.with_mask(inputs)
        return tuple(self.encoder.states(*inputs, training=training)), inputs[1]

    def with_mask(self, inputs):
        """What the encoder takes, a tuple."""
        ids, mask = inputs["input_ids"], inputs.get("attention_mask")
        if mask is None:
            mask = ops.not_equal(ids, self.config.pad_token_id)
        return ids, mask, inputs.get("token_type_ids"), inputs.get("shift")


@keras.saving.register_keras_serializable("tfbert")
class SequenceClassifier(TextModel):
    """Encoder, pooling, dropout, linear layer: logits, float32 (B, L).

    The head computes in float32 under every dtype policy: it costs nothing and keeps the logits exact.
    """

    def __init__(self, config, **kwargs):
        super().__init__(config, **kwargs)
        self.pooler, self.pooler_norm = None, None
        if config.pooling == "pooler" or config.pooler_with_norm:
            activation = ACTIVATIONS[config.pooler_act]
            self.pooler = dense(config, config.hidden_size, "pooler", activation, dtype="float32")
        if config.pooler_with_norm:
            self.pooler_norm = norm(config, "pooler_norm", dtype="float32")
        self.dropout = Dropout(config.classifier_dropout, dtype="float32")
        self.classifier = dense(config, config.num_labels, "classifier", dtype="float32")

    def build(self, input_shape=None):
        self.encoder.build()
        for layer in (self.pooler, self.pooler_norm, self.classifier):
            if layer:
                layer.build((None, self.config.hidden_size))
        self.built = True

    def answer(self, hidden, mask, training=False):
        return self.classifier(self.dropout(self.pooled(hidden, mask, training), training=training))

    def pooled(self, hidden, mask, training=False):
        """What the last layer classifies, float32 (B, D)."""
        pooled = mean_of_tokens(hidden, mask) if self.config.pooling == "mean" else hidden[:, 0]
        if self.pooler:
            if self.config.dropout_before_pooler:
                pooled = self.dropout(pooled, training=training)
            pooled = self.pooler(pooled)
        if self.pooler_norm:
            pooled = self.pooler_norm(pooled)
        return ops.cast(pooled, "float32")


def mean_of_tokens(hidden, mask):
    """float (B, S, D), int (B, S) -> float32 (B, D): the mean over all that is not padding."""
    weights = ops.cast(mask, "float32")[:, :, None]
    return ops.sum(ops.cast(hidden, "float32") * weights, axis=1) / ops.sum(weights, axis=1)
