"""A saved model put to work: text -> probabilities, by ONNX Runtime or Keras.

With an ONNX model this imports neither TensorFlow nor transformers: a review takes a fifth of a second, start included.
"""

import numpy as np

from tfbert.common.errors import UserError
from tfbert.common.files import read_whole
from tfbert.data.batches import by_length, pad, padded_length
from tfbert.data.tasks import MULTI_LABEL
from tfbert.data.tokenizing import highest_id
from tfbert.data.windows import combined
from tfbert.inference.runtimes import keras_model, onnx_model
from tfbert.model.config_files import must_hold_model
from tfbert.model.configs import model_config, read_config
from tfbert.model.text_settings import encoder_as_trained, reading_config
from tfbert.report.calibration import sigmoid, softmax


class Predictor:
    """The classifier in a folder that train.py wrote.

    quantize: multiply in int8, faster and a little less exact; brief: for a text or two, it opens sooner but reads
    slower. labels: its label names; encoder: its TextEncoder; pair: whether it labels pairs of texts; thresholds: of
    its labels, where several may hold, float (L,); example: a text such as those of its task; in_threads: whether
    several may call it at once. Raises UserError where the folder cannot be used.
    """

    def __init__(self, folder, quantize=False, brief=False):
        self.folder = folder
        read_whole(folder, lambda: self.load(folder, quantize, brief))

    def load(self, folder, quantize, brief):
        must_hold_model(folder)
        config_json = read_config(folder)
        config = model_config(config_json, folder)
        self.labels = list(config.id2label.values())
        self.multi_label = config.problem_type == MULTI_LABEL
        reading = reading_config(config_json, folder)
        self.encoder = encoder_as_trained(folder, config, reading)
        if (highest := highest_id(self.encoder.tokenizer, folder)) >= config.vocab_size:
            raise UserError(
                f"{folder}: the tokenizer has a token {highest}, but config.json a vocab_size of {config.vocab_size}: "
                "take both from the same model"
            )
        self.temperature, self.pair, self.example = reading["temperature"], reading["pair"], reading["example"]
        self.thresholds = np.array(reading.get("thresholds", [0.5] * len(self.labels)))
        onnx = onnx_model(folder, quantize, len(self.labels), brief)
        self.in_threads = onnx is not None
        self.logits_of_batch = onnx or keras_model(folder)

    def logits(self, token_ids, batch_size=32, starts=None):
        """token_ids, starts: as the encoder gives them. Returns float32 (N, L). Raises UserError for NaN."""
        windows, owners = self.encoder.in_windows(token_ids)
        return combined(self.logits_of_windows(windows, batch_size, starts), owners)

    def logits_of_windows(self, windows, batch_size=32, starts=None):
        """As logits, of lists of ids that the model reads at a time: float32 (W, L)."""
        logits = np.zeros((len(windows), len(self.labels)), np.float32)
        for rows in by_length([len(ids) for ids in windows], batch_size):
            batch = [windows[row] for row in rows]
            length = padded_length(max(map(len, batch)), self.encoder.max_seq_length)
            logits[rows] = self.logits_of_batch(pad(batch, length, starts and [starts[row] for row in rows]))
        if not np.isfinite(logits).all():
            raise UserError(
                f"the model in {self.folder} answers NaN: its weights are damaged; copy it again, or train anew"
            )
        return logits

    def label(self, token_ids, batch_size=32, starts=None):
        """token_ids, starts: as the encoder gives them. Returns a dict for each: label, probability, probabilities.

        Where several labels may hold, "label" joins those above their thresholds with a comma, the likeliest first.
        """
        results = []
        for row in self.probabilities(self.logits(token_ids, batch_size, starts)):
            by_name = {name: float(value) for name, value in zip(self.labels, row)}
            best = max(by_name, key=by_name.get)
            chosen = [best]
            if self.multi_label:
                above = [name for name, limit in zip(self.labels, self.thresholds) if by_name[name] > limit]
                chosen = sorted(above, key=by_name.get, reverse=True)
            results.append({"label": ", ".join(chosen), "probability": by_name[best], "probabilities": by_name})
        return results

    def trouble_with(self, texts, ids):
        """Why there is nothing to label, in words, or None. texts: one, or two of a pair; ids: as the encoder gives."""
        if not all(text.strip() for text in texts):
            return "is empty"
        encoder = self.encoder
        if set(ids) <= {*encoder.prefix, *encoder.middle, *encoder.suffix, encoder.unknown}:
            return "has no word or sign that this model knows"
        return None

    def probabilities(self, logits):
        """Softmax, or a sigmoid for each label where several may hold, at the model's temperature; float64 (N, L)."""
        return (sigmoid if self.multi_label else softmax)(logits / self.temperature)

    def __call__(self, texts, others=None, *, batch_size=32):
        """texts, and for a model of pairs others: lists of str. Returns what `label` returns.

        Raises UserError where that is not what is given.
        """
        if isinstance(texts, str) or isinstance(others, str):
            raise UserError("texts come in a list, also where there is one")
        if self.pair != (others is not None) or self.pair and len(texts) != len(others):
            wanted = "two lists of as many texts" if self.pair else "one list of texts"
            raise UserError(f"this model takes {wanted}")
        token_ids, _, starts = self.encoder(texts, others)
        return self.label(token_ids, batch_size, starts)
