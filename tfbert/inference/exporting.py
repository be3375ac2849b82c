"""A trained model in the forms that other programs run: SavedModel, LiteRT, ONNX, PyTorch.

Each folder has, beside the model, what turns text into its inputs and its answers into labels: tokenizer.json,
labels.txt (a name on each line), and reading.json (tokens read at most, temperature, thresholds).
"""

import shutil
import tempfile
import warnings
from pathlib import Path

import numpy as np

from tfbert.common.errors import UserError
from tfbert.common.files import write_json, write_text
from tfbert.data.tasks import MULTI_LABEL
from tfbert.inference.runtimes import onnx_model, quantized
from tfbert.model.config_files import read_config
from tfbert.model.configs import model_config
from tfbert.model.text_settings import encoder_as_trained, length_read, reading_config
from tfbert.model.weight_files import open_weights

KINDS = ("saved_model", "litert", "onnx", "pytorch")
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "vocab.txt")
CLOSE = 1e-4  # of logits, in float32


def export(kind, model_dir, folder, length=None):
    """Writes a model of train.py's as one of KINDS into an empty folder. length: of LiteRT's texts, in tokens.

    Returns sentences on what was written. Raises UserError where the model cannot be had, or answers otherwise there.
    """
    config_json = read_config(model_dir)
    config, reading = model_config(config_json, model_dir), reading_config(config_json, model_dir)
    longest = length_read(config, reading)
    if length and length > longest:
        raise UserError(f"--length {length}: the model reads at most {longest} tokens")
    if kind in ("onnx", "pytorch"):
        return copied(model_dir, folder, kind, config, reading, longest)
    from tfbert.model.backend import load_keras

    load_keras()
    import absl.logging

    absl.logging.set_verbosity("error")  # it warns of gradients, which nobody asks an exported model for
    from tfbert.model.folders import load_trained

    model = load_trained(model_dir)
    if kind == "saved_model":
        target = Path(folder, "1")  # TensorFlow Serving looks for numbered versions
        encoder = reader_of_texts(model_dir, config, reading)
        write_saved_model(model, target, reading, None, None, encoder)
        describe(model_dir, target / "assets.extra", config, reading, longest)
        signatures = signatures_of(target)
        lines = [
            f"{target}: signature serving_default, any number of texts of any length",
            checked_saved(model, signatures["serving_default"]),
        ]
        if encoder:
            return [*lines, f"signature texts: plain text, {checked_texts(encoder, model, signatures['texts'])}"]
        return [*lines, "no signature for plain text: that is for single texts and BERT's own kind of tokenizer, "
                "without tokens that were added to it"]  # fmt: skip
    length = length or longest
    describe(model_dir, folder, config, reading, length)
    return write_litert(model, Path(folder), reading, length)


def copied(model_dir, folder, kind, config, reading, longest):
    """What train.py wrote in a folder of that name; of ONNX, the int8 model too."""
    source = Path(model_dir, kind)
    if not source.is_dir():
        raise UserError(f"{model_dir} has no {kind}/: run train.py again, which writes it")
    if not Path(model_dir, "tokenizer.json").exists():
        raise UserError(f"{model_dir} has no tokenizer.json: run train.py again, which writes it")
    if kind == "onnx":
        run = onnx_model(model_dir, num_labels=config.num_labels)
        if run is None or not np.isfinite(run(some_inputs(config, 1, 8))).all():
            raise UserError(f"{source} holds no model that works: run train.py again")
        quantized(source / "model.onnx")
    else:
        with open_weights(source) as stored:
            for name in stored.shapes:
                stored.read(name)
    shutil.copytree(source, folder, dirs_exist_ok=True)
    describe(model_dir, folder, config, reading, longest)
    lines = [f"{folder}: {', '.join(sorted(path.name for path in Path(folder).iterdir()))}"]
    if kind == "pytorch" and not config.head_is_transformers:
        lines.append(f"transformers' classes have no head for --pooling {config.pooling}: they would put a new one in "
                     "its place; train with --pooling pooler for them")  # fmt: skip
    return lines


def describe(model_dir, folder, config, reading, length):
    """Writes what a program needs beside the model."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name in TOKENIZER_FILES:
        if Path(model_dir, name).exists() and not (folder / name).exists():
            shutil.copy(Path(model_dir, name), folder)
    write_text(folder / "labels.txt", "".join(" ".join(label.split()) + "\n" for label in config.id2label.values()))
    kept = {
        name: reading[name] for name in ("temperature", "thresholds", "truncation", "head_share") if name in reading
    }
    write_json(folder / "reading.json", {"max_seq_length": length, "problem_type": config.problem_type, **kept})


def write_saved_model(model, folder, reading, batch, length, encoder=None):
    """A SavedModel whose signature serving_default takes input_ids, attention_mask and, where the encoder has types,
    token_type_ids, int32 (B, S), and gives logits and probabilities, float32 (B, L). batch, length: B and S, or None.

    encoder: a TextEncoder, for a signature `texts` that takes texts, string (B,); or None.
    """
    import keras
    import tensorflow as tf
    from keras import ops

    names = ["input_ids", "attention_mask"] + ["token_type_ids"] * bool(model.config.type_vocab_size)
    signature = {name: keras.InputSpec("int32", shape=(batch, length), name=name) for name in names}
    several = model.config.problem_type == MULTI_LABEL

    def serve(inputs):
        logits = model(inputs, training=False)
        calibrated = logits / reading["temperature"]
        return {"logits": logits, "probabilities": ops.sigmoid(calibrated) if several else ops.softmax(calibrated)}

    archive = keras.export.ExportArchive()
    archive.add_endpoint("serve", serve, input_signature=[signature])
    if encoder:
        from tfbert.inference.string_tokens import StringTokenizer

        tokenizer = StringTokenizer(encoder, model.config.pad_token_id)
        archive.track(tokenizer)

        def serve_texts(texts):
            inputs = tokenizer(texts)
            return serve({name: inputs[name] for name in names})

        archive.add_endpoint("texts", serve_texts, input_signature=[tf.TensorSpec([None], tf.string, "texts")])
    archive.write_out(str(folder), verbose=False)


def some_inputs(config, texts, length):
    """Inputs of random words, with padding: a dict of int32 (B, S)."""
    rng = np.random.default_rng(0)
    ids = rng.integers(config.vocab_size // 2, config.vocab_size, (texts, length), dtype=np.int32)
    mask = np.int32(np.arange(length) < rng.integers(2, length + 1, (texts, 1)))
    inputs = {"input_ids": ids * mask, "attention_mask": mask}
    if config.type_vocab_size:
        inputs["token_type_ids"] = np.zeros_like(mask)
    return inputs


def signatures_of(folder):
    """{name: function} of a SavedModel."""
    import tensorflow as tf

    return tf.saved_model.load(str(folder)).signatures


def checked_saved(model, signature):
    """A sentence on how far the logits of a SavedModel's signature are from the model's."""
    import tensorflow as tf

    most = 0.0
    for texts, length in ((1, 7), (3, 16)):
        inputs = some_inputs(model.config, texts, length)
        said = signature(**{name: tf.constant(value) for name, value in inputs.items()})["logits"]
        most = max(most, float(np.abs(said - np.asarray(model(inputs, training=False))).max()))
    return close(most)


def reader_of_texts(model_dir, config, reading):
    """The TextEncoder of a model, where TensorFlow's own operators can do what it does, else None."""
    from tfbert.inference.string_tokens import reads_strings

    if reading["pair"] or not Path(model_dir, "tokenizer.json").exists():
        return None
    encoder = encoder_as_trained(model_dir, config, reading | {"long_texts": "cut"})
    return encoder if reads_strings(encoder) else None


def checked_texts(encoder, model, signature):
    """As checked_saved, of texts."""
    import tensorflow as tf

    texts = ["A first text, short.", "Ein zweiter: größer! " * encoder.max_seq_length, ""]
    said = signature(texts=tf.constant(texts))["logits"]
    ids, most = encoder(texts)[0], 0.0
    for row, each in zip(said.numpy(), ids):
        inputs = {"input_ids": np.array([each], np.int32), "attention_mask": np.ones((1, len(each)), np.int32)}
        most = max(most, float(np.abs(row - np.asarray(model(inputs, training=False))).max()))
    return close(most)


def close(most):
    if most > CLOSE:
        raise UserError(f"the exported model's logits are {most:.1e} away from the model's: please report it")
    return f"its logits are at most {most:.0e} away from the model's"


def write_litert(model, folder, reading, length):
    """model.tflite in float32, and model_int8.tflite, whose weights are int8: of one text of so many tokens."""
    import tensorflow as tf

    inputs, lines = some_inputs(model.config, 1, length), []
    wanted = np.asarray(model(inputs, training=False))
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as work:  # Windows: while it is mapped
        write_saved_model(model, work, reading, 1, length)
        for name, optimizations in (("model.tflite", []), ("model_int8.tflite", [tf.lite.Optimize.DEFAULT])):
            converter = tf.lite.TFLiteConverter.from_saved_model(work)
            converter.optimizations = optimizations
            (folder / name).write_bytes(converter.convert())
            said = litert_runner(folder / name)(**inputs)["logits"]
            most = float(np.abs(said - wanted).max())
            size = (folder / name).stat().st_size / 1e6
            distance = f"a logit is {most:.2f} away from the model's" if optimizations else close(most)
            lines.append(f"{folder / name}: {size:.1f} MB, one text of {length} tokens; {distance}")
    return lines


def litert_runner(path):
    """The signature of a .tflite file as a function, by ai-edge-litert where it is installed, else by TensorFlow."""
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        import tensorflow as tf

        Interpreter = tf.lite.Interpreter
    with warnings.catch_warnings(action="ignore"):  # that it will move to the package above
        return Interpreter(str(path)).get_signature_runner()
