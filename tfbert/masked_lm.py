"""Masked language modelling: an encoder learns to fill gaps in texts, which need no labels.

Devlin et al. 2018 (arXiv:1810.04805), section 3.1, task 1; with new gaps in every epoch, as RoBERTa's (Liu et al.
2019, arXiv:1907.11692, section 4.1). On a task's own texts, before fine-tuning: Sun et al. 2019 (arXiv:1905.05583,
section 5.4), Gururangan et al. 2020 (arXiv:2004.10964).
"""

import keras
import numpy as np
from keras import ops

from tfbert.batches import TrainBatches
from tfbert.calibration import cross_entropies
from tfbert.checkpoints import fill, new_model
from tfbert.configs import read_encoder_config
from tfbert.errors import UserError
from tfbert.modeling import ACTIVATIONS, Encoder, dense

HELD_OUT_SHARE = 0.15  # of the tokens of held-out texts are to be guessed, as in BERT's training
NO_PLACE = -1  # the label where a text has fewer gaps than the longest of its batch


class MaskedLanguageModel(keras.Model):
    """Encoder and the head of its pre-training: logits for each gap, float32 (B, K, V).

    The last product is with the embedding table itself, to which the head is tied.
    """

    def __init__(self, config, **kwargs):
        super().__init__(**kwargs)
        self.config = config
        self.encoder = Encoder(config, name="encoder")
        self.width = config.embedding_size or config.hidden_size
        self.transform = dense(config, self.width, "transform", ACTIVATIONS[config.hidden_act])
        self.norm = keras.layers.LayerNormalization(epsilon=config.layer_norm_eps, name="norm")

    def build(self, input_shape=None):
        self.encoder.build()
        self.transform.build((None, self.config.hidden_size))
        self.norm.build((None, self.width))
        self.bias = self.add_weight(name="bias", shape=(self.config.vocab_size,), initializer="zeros")
        self.built = True

    def call(self, inputs, training=False):
        """inputs: input_ids and attention_mask, int (B, S), and gaps, int (B, K), their places in the text."""
        hidden = self.encoder(inputs["input_ids"], inputs["attention_mask"], training=training)
        hidden = ops.take_along_axis(hidden, inputs["gaps"][:, :, None], axis=1)
        table = ops.cast(self.encoder.embeddings.word, self.compute_dtype)
        logits = ops.matmul(self.norm(self.transform(hidden)), ops.transpose(table))
        return ops.cast(logits, "float32") + ops.cast(self.bias, "float32")


def load_masked_lm(folder, config=None, policy="float32"):
    """A MaskedLanguageModel with the weights in `folder`; else as checkpoints.load_classifier."""
    model = new_model(MaskedLanguageModel, config or read_encoder_config(folder), policy, folder)
    return model, fill(model, folder)


class MaskedBatches(TrainBatches):
    """Shuffled batches with gaps, the same for the same seed; labels are the tokens that stood there, int32 (B, K).

    share: of a text's tokens, the gaps.
    """

    def __init__(self, examples, batch_size, max_seq_length, seed, tokenizer, share=HELD_OUT_SHARE):
        super().__init__(examples, batch_size, max_seq_length, seed)
        self.share = share
        self.special = np.array(tokenizer.all_special_ids)
        self.mask_id, self.vocab_size = tokenizer.mask_token_id, len(tokenizer)

    def stream(self, first_step=0):
        for step, rows in enumerate(self.rows(first_step), first_step):
            inputs = self.examples.batch(rows, self.max_seq_length)
            yield self.masked(inputs, np.random.default_rng([self.seed, step]))

    def masked(self, inputs, rng):
        """Of the gaps, 80% become the mask token, 10% another token, 10% stay as they are.

        K depends on S alone, lest XLA compile anew for every batch.
        """
        ids = inputs["input_ids"].copy()
        order = rng.random(ids.shape)
        order[(inputs["attention_mask"] == 0) | np.isin(ids, self.special)] = 2.0  # never a gap
        candidates = (order < 2.0).sum(axis=1, keepdims=True)
        counts = np.minimum(candidates, np.maximum(1, np.round(self.share * candidates)))
        width = max(1, round(self.share * ids.shape[1]))
        gaps = np.argsort(order, axis=1)[:, :width]
        is_gap = np.arange(width) < counts
        rows = np.arange(len(ids))[:, None]
        labels = np.where(is_gap, ids[rows, gaps], NO_PLACE).astype(np.int32)
        draw = rng.random(gaps.shape)
        filler = np.where(draw < 0.8, self.mask_id, rng.integers(0, self.vocab_size, gaps.shape))
        ids[rows, gaps] = np.where(is_gap & (draw < 0.9), filler, ids[rows, gaps])
        return inputs | {"input_ids": ids, "gaps": gaps.astype(np.int32)}, labels


def compile_model(model, optimizer, xla):
    """Loss and accuracy of the gaps."""

    def accuracy(labels, logits):
        right = ops.equal(ops.cast(labels, "int32"), ops.cast(ops.argmax(logits, axis=-1), "int32"))
        is_gap = ops.not_equal(ops.cast(labels, "int32"), NO_PLACE)
        return ops.sum(ops.cast(right, "float32")) / ops.maximum(ops.sum(ops.cast(is_gap, "float32")), 1.0)

    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=NO_PLACE)
    metric = keras.metrics.MeanMetricWrapper(accuracy, name="accuracy")
    model.compile(optimizer, loss, metrics=[metric], jit_compile=xla)


def evaluate(forward, batches):
    """Mean cross-entropy of the gaps and the share guessed right, a dict, over one epoch with always the same gaps."""
    losses, right = [], []
    for _, (inputs, labels) in zip(range(batches.steps_per_epoch), batches.stream()):
        logits, is_gap = np.asarray(forward(inputs)), labels != NO_PLACE
        logits, labels = logits[is_gap], labels[is_gap]
        losses.append(cross_entropies(logits, labels))
        right.append(logits.argmax(axis=1) == labels)
    losses, right = np.concatenate(losses), np.concatenate(right)
    if not len(losses):
        raise UserError("the held-out texts have no word that the tokenizer knows: no gap can be made")
    return {"loss": float(losses.mean()), "accuracy": float(right.mean())}
