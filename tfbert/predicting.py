"""A saved model put to work: text -> probabilities, by ONNX Runtime or Keras.

With an ONNX model this imports neither TensorFlow nor transformers: a review takes a fifth of a second, start included.
"""

import sys
from pathlib import Path

import numpy as np

from tfbert.batches import TextEncoder, by_length, pad, padded_length
from tfbert.calibration import sigmoid, softmax
from tfbert.configs import MULTI_LABEL, model_config, read_config, reading_config
from tfbert.errors import UserError


class Predictor:
    """The classifier in a folder that train.py wrote.

    quantize: multiply in int8, faster and a little less exact. labels: its label names; encoder: its TextEncoder; pair:
    whether it labels pairs of texts; thresholds: of its labels, where several may hold, float (L,); example: a text
    such as those of its task. Raises UserError where the folder cannot be used.
    """

    def __init__(self, folder, quantize=False):
        if not Path(folder, "config.json").exists():
            raise UserError(f"{folder} holds no model yet: run python train.py first, or name one with --model_dir")
        config_json = read_config(folder)
        config = model_config(config_json, folder)
        self.labels = list(config.id2label.values())
        self.multi_label = config.problem_type == MULTI_LABEL
        reading = reading_config(config_json, folder)
        length = min(reading.get("max_seq_length", config.max_length), config.max_length)
        self.encoder = TextEncoder.from_folder(folder, length, reading["truncation"], reading["head_share"])
        self.temperature, self.pair, self.example = reading["temperature"], reading["pair"], reading["example"]
        self.thresholds = np.array(reading.get("thresholds", [0.5] * len(self.labels)))
        self.logits_of_batch = onnx_model(folder, quantize, len(self.labels)) or keras_model(folder)

    def logits(self, token_ids, batch_size=32, starts=None):
        """token_ids, starts: as the encoder gives them. Returns float32 (N, L)."""
        logits = np.zeros((len(token_ids), len(self.labels)), np.float32)
        for rows in by_length([len(ids) for ids in token_ids], batch_size):
            batch = [token_ids[row] for row in rows]
            length = padded_length(max(map(len, batch)), self.encoder.max_seq_length)
            logits[rows] = self.logits_of_batch(pad(batch, length, starts and [starts[row] for row in rows]))
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


def onnx_model(folder, quantize=False, num_labels=None):
    """A function from a padded batch to logits, or None where the folder has no ONNX model.

    quantize: by onnx/model_quantized.onnx, which is made the first time. num_labels: of its config.json, to be checked.
    """
    path = Path(folder, "onnx", "model.onnx")
    if not path.exists():
        if quantize:
            raise UserError(f"--quantize needs {path}, which is not there: run train.py again")
        return None
    if quantize:
        path = quantized(path)
    import onnxruntime

    options = onnxruntime.SessionOptions()
    if not quantize:
        # the graph is written in fused operators: optimizing it again, and copying its weights into another
        # order, would take ten times as long as the rest of the start, and gain nothing
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.add_session_config_entry("session.disable_prepacking", "1")
    options.log_severity_level = 4
    remedy = "delete it, it is made anew" if quantize else "run train.py again, or delete it to use Keras"
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the library has an exception class for each of its status codes
        raise UserError(f"cannot read {path}: {error}; {remedy}") from error
    found = session.get_outputs()[0].shape[-1]
    if num_labels not in (None, found):
        raise UserError(f"{path} has {found} labels, but config.json {num_labels}; {remedy}")
    names = [each.name for each in session.get_inputs()]  # without token_type_ids where the encoder has no types

    def logits_of_batch(batch):
        given = {"token_type_ids": np.zeros_like(batch["input_ids"])} | batch
        return session.run(["logits"], {name: given[name].astype(np.int64) for name in names})[0]

    return logits_of_batch


def quantized(path):
    """The path of the int8 model beside `path`, made where it is missing or older."""
    target = path.with_name("model_quantized.onnx")
    if not target.exists() or target.stat().st_mtime < path.stat().st_mtime:
        print(f"Writing {target}, once ...", file=sys.stderr, flush=True)
        try:
            from tfbert.onnx_export import quantize

            quantize(path, target)
        except Exception as error:  # of the disk, of a broken model, of the library
            raise UserError(f"--quantize: cannot make {target}: {error}; is {path} whole? train.py makes it") from error
    return target


def keras_model(folder):
    """A function from a padded batch to logits."""
    from tfbert.device import load_keras

    load_keras()
    from tfbert.checkpoints import load_classifier

    model, line = load_classifier(folder)
    if "new:" in line:
        raise UserError(f"{folder} holds an encoder, but no classifier: python train.py --model_name_or_path {folder}")
    model.compile(jit_compile=False)
    return model.predict_on_batch
