"""The encoder and its classification head, in Keras 3.

BERT (Devlin et al. 2018, arXiv:1810.04805), DistilBERT (Sanh et al. 2019, arXiv:1910.01108), RoBERTa (Liu et al.
2019, arXiv:1907.11692), ELECTRA (Clark et al. 2020, arXiv:2003.10555), MPNet (Song et al. 2020, arXiv:2004.09297) and
ALBERT (Lan et al. 2019, arXiv:1909.11942) are one architecture with small differences; `ModelConfig` names them all.
Shapes in comments: B batch, S sequence, T = B S tokens, D hidden size, E embedding size, H heads, L labels,
V vocabulary.
"""

from dataclasses import asdict

import keras
import numpy as np
from keras import ops

from tfbert.model.configs import ModelConfig
from tfbert.model.dropout import Dropout, keep_factors
from tfbert.model.fused import add_and_normalize, attend, gelu

ACTIVATIONS = {
    "gelu": gelu,
    "gelu_new": lambda x: keras.activations.gelu(x, approximate=True),
    "gelu_pytorch_tanh": lambda x: keras.activations.gelu(x, approximate=True),
    "relu": keras.activations.relu,
    "silu": keras.activations.silu,
    "swish": keras.activations.silu,
    "tanh": keras.activations.tanh,
}


def dense(config, units, name, activation=None, dtype=None):
    """A linear layer with BERT's initialisation."""
    initializer = keras.initializers.TruncatedNormal(stddev=config.initializer_range)
    return keras.layers.Dense(units, activation, kernel_initializer=initializer, name=name, dtype=dtype)


class Embeddings(keras.layers.Layer):
    """Token ids and types, int32 (B, S) -> vectors, float (B, S, D), by way of (B, S, E) where E is another size."""

    def __init__(self, config, **kwargs):
        super().__init__(**kwargs)
        self.config = config
        self.norm = keras.layers.LayerNormalization(epsilon=config.layer_norm_eps, name="norm")
        self.dropout = Dropout(config.hidden_dropout_prob)
        self.project = dense(config, config.hidden_size, "project") if config.embedding_size else None

    def build(self, input_shape):
        config = self.config
        width = config.embedding_size or config.hidden_size

        def table(name, rows):
            initializer = keras.initializers.TruncatedNormal(stddev=config.initializer_range)
            return self.add_weight(name=name, shape=(rows, width), initializer=initializer)

        self.word = table("word", config.vocab_size)
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


class RelativePositionBias(keras.layers.Layer):
    """What MPNet adds to the attention scores: a learnt number for each head and distance between tokens.

    Distances share a number where they fall into one bucket (Raffel et al. 2020, arXiv:1910.10683, section 2.1).
    """

    BUCKETS, FARTHEST = 32, 128

    def __init__(self, config, **kwargs):
        super().__init__(**kwargs)
        self.config = config
        place = np.arange(config.max_length)
        self.bucket = self.bucket_of(place[None, :] - place[:, None])  # int64 (S, S) of query and key

    def bucket_of(self, distance):
        """Half of the buckets look back, half ahead; in each half, one a distance at first, then ever wider ones."""
        half = self.BUCKETS // 2
        near, steps = half // 2, np.maximum(np.abs(distance), 1)
        share = np.log(np.float32(steps / near)) / np.log(self.FARTHEST / near)
        far = np.minimum(near + (share * (half - near)).astype(np.int32), half - 1)
        return np.where(distance > 0, half, 0) + np.where(np.abs(distance) < near, np.abs(distance), far)

    def build(self, input_shape=None):
        initializer = keras.initializers.TruncatedNormal(stddev=self.config.initializer_range)
        shape = (self.config.relative_attention_num_buckets, self.config.num_attention_heads)
        self.table = self.add_weight(name="table", shape=shape, initializer=initializer)
        super().build(input_shape)

    def call(self, input_ids):
        """int (B, S) -> float (1, H, S, S)."""
        length = ops.shape(input_ids)[1]
        bucket = ops.convert_to_tensor(self.bucket, "int32")[:length, :length]
        # a product, as its gradient is one too; that of `take` would add S x S numbers to 32, one after the other
        one_hot = ops.one_hot(bucket, self.config.relative_attention_num_buckets, dtype=self.compute_dtype)
        bias = ops.matmul(one_hot, ops.cast(self.table, self.compute_dtype))
        return ops.transpose(bias, (2, 0, 1))[None]


class AddAndNormalize(keras.layers.Layer):
    """LayerNorm of a sum: dropout(x) + residual, float (T, D)."""

    def __init__(self, config, **kwargs):
        super().__init__(**kwargs)
        self.epsilon = config.layer_norm_eps
        self.dropout = Dropout(config.hidden_dropout_prob)

    def build(self, input_shape):
        self.gamma = self.add_weight(name="gamma", shape=input_shape[-1:], initializer="ones", autocast=False)
        self.beta = self.add_weight(name="beta", shape=input_shape[-1:], initializer="zeros", autocast=False)
        super().build(input_shape)

    def call(self, x, residual, training=False):
        return add_and_normalize(x, residual, self.gamma, self.beta, self.epsilon, *self.dropout.drawn(training))


class SelfAttention(keras.layers.Layer):
    """Multi-head self-attention (Vaswani et al. 2017, arXiv:1706.03762, section 3.2)."""

    def __init__(self, config, **kwargs):
        super().__init__(**kwargs)
        self.heads = config.num_attention_heads
        self.head_size = config.hidden_size // config.num_attention_heads
        self.qkv = dense(config, 3 * config.hidden_size, "qkv")  # query, key and value in one product
        self.output_dense = dense(config, config.hidden_size, "output")
        self.dropout = Dropout(config.attention_probs_dropout_prob)
        self.flash = False  # whether training may use cuDNN's attention (flash.py); step.py says so

    def build(self, input_shape):
        self.qkv.build(input_shape)
        self.output_dense.build(input_shape)
        super().build(input_shape)

    def call(self, x, mask, bias=None, training=False):
        """x: (T, D); mask: (B, 1, 1, S), 0, or very negative where there is padding; bias: (1, H, S, S) or None.

        Returns (T, D).
        """
        batch, _, _, length = ops.shape(mask)
        qkv = ops.reshape(self.qkv(x), (batch, length, 3, self.heads, self.head_size))
        query, key, value = ops.unstack(ops.transpose(qkv, (2, 0, 3, 1, 4)), 3)  # (B, H, S, D/H)
        drawn, scores = self.dropout.drawn(training), (batch, self.heads, length, length)
        keep = keep_factors(scores, self.compute_dtype, *drawn) if drawn else None
        context = attend(query, key, value, mask, keep, bias, self.flash)
        context = ops.transpose(context, (0, 2, 1, 3))
        return self.output_dense(ops.reshape(context, ops.shape(x)))


class Block(keras.layers.Layer):
    """One encoder layer: attention, then feed-forward, each with dropout, residual and LayerNorm."""

    def __init__(self, config, **kwargs):
        super().__init__(**kwargs)
        self.config = config
        self.attention = SelfAttention(config, name="attention")
        self.attention_norm = AddAndNormalize(config, name="attention_norm")
        self.intermediate = dense(config, config.intermediate_size, "intermediate", ACTIVATIONS[config.hidden_act])
        self.output_dense = dense(config, config.hidden_size, "output")
        self.output_norm = AddAndNormalize(config, name="output_norm")

    def build(self, input_shape):
        for layer in (self.attention, self.attention_norm, self.intermediate, self.output_norm):
            layer.build(input_shape)
        self.output_dense.build((*input_shape[:-1], self.config.intermediate_size))
        super().build(input_shape)

    def call(self, x, mask, bias=None, training=False):
        attended = self.attention(x, mask, bias, training=training)
        x = self.attention_norm(attended, x, training=training)
        transformed = self.output_dense(self.intermediate(x))
        return self.output_norm(transformed, x, training=training)


class Encoder(keras.layers.Layer):
    """Embeddings and a stack of blocks; ALBERT's is one block, applied as often as others have blocks."""

    def __init__(self, config, **kwargs):
        super().__init__(**kwargs)
        self.config = config
        self.embeddings = Embeddings(config, name="embeddings")
        different = 1 if config.share_layers else config.num_hidden_layers
        self.blocks = [Block(config, name=f"layer_{i}") for i in range(different)]
        self.position_bias = None
        if config.relative_attention_num_buckets:
            self.position_bias = RelativePositionBias(config, name="position_bias")

    def build(self, input_shape=None):
        self.embeddings.build((None, None))
        if self.position_bias:
            self.position_bias.build()
        for block in self.blocks:
            block.build((None, self.config.hidden_size))
        super().build(input_shape)

    def call(self, input_ids, attention_mask, token_type_ids=None, shift=None, training=False):
        """input_ids, attention_mask, token_type_ids: int (B, S); shift: as in Embeddings. Returns float (B, S, D)."""
        padding = -65504.0  # the lowest float16
        mask = ops.where(ops.cast(attention_mask, "bool"), 0.0, padding)[:, None, None, :]
        mask = ops.cast(mask, self.compute_dtype)
        x = self.embeddings(input_ids, token_type_ids, shift, training=training)
        tokens = ops.reshape(x, (-1, self.config.hidden_size))
        bias = self.position_bias(input_ids) if self.position_bias else None
        for number in range(self.config.num_hidden_layers):
            block = self.blocks[number % len(self.blocks)]
            tokens = block(tokens, mask, bias, training=training)
        return ops.reshape(tokens, ops.shape(x))


@keras.saving.register_keras_serializable("tfbert")
class SequenceClassifier(keras.Model):
    """Encoder, pooling, dropout, linear layer: logits, float32 (B, L).

    The head computes in float32 under every dtype policy: it costs nothing and keeps the logits exact.
    """

    def __init__(self, config, **kwargs):
        super().__init__(**kwargs)
        self.config = config
        self.encoder = Encoder(config, name="encoder")
        self.pooler = None
        if config.pooling == "pooler":
            activation = ACTIVATIONS[config.pooler_act]
            self.pooler = dense(config, config.hidden_size, "pooler", activation, dtype="float32")
        self.dropout = Dropout(config.classifier_dropout, dtype="float32")
        self.classifier = dense(config, config.num_labels, "classifier", dtype="float32")

    def build(self, input_shape=None):
        self.encoder.build()
        if self.pooler:
            self.pooler.build((None, self.config.hidden_size))
        self.classifier.build((None, self.config.hidden_size))
        self.built = True

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
        """inputs: a dict with input_ids and, where they say something, attention_mask, token_type_ids and shift."""
        return self.classifier(self.dropout(self.pooled(inputs, training), training=training))

    def pooled(self, inputs, training=False):
        """What the last layer classifies, float32 (B, D)."""
        hidden, mask = self.read(inputs, training)
        pooled = mean_of_tokens(hidden, mask) if self.config.pooling == "mean" else hidden[:, 0]
        if self.pooler:
            if self.config.dropout_before_pooler:
                pooled = self.dropout(pooled, training=training)
            pooled = self.pooler(pooled)
        return ops.cast(pooled, "float32")

    def read(self, inputs, training=False):
        """The encoder's vectors, float (B, S, D), and the mask, int (B, S)."""
        ids, mask = inputs["input_ids"], inputs.get("attention_mask")
        if mask is None:
            mask = ops.not_equal(ids, self.config.pad_token_id)
        return self.encoder(ids, mask, inputs.get("token_type_ids"), inputs.get("shift"), training=training), mask


def mean_of_tokens(hidden, mask):
    """float (B, S, D), int (B, S) -> float32 (B, D): the mean over all that is not padding."""
    weights = ops.cast(mask, "float32")[:, :, None]
    return ops.sum(ops.cast(hidden, "float32") * weights, axis=1) / ops.sum(weights, axis=1)
