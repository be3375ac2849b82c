"""What computes logits: ONNX Runtime, in float32 or int8, or Keras. Each is a function from a padded batch to them."""

import sys
from pathlib import Path

import numpy as np

from tfbert.common.errors import UserError, one_line
from tfbert.common.files import sum_of, write_text
from tfbert.common.inputs import must_be_regular

INPUTS = {"input_ids", "attention_mask", "token_type_ids"}


def onnx_model(folder, quantize=False, num_labels=None, brief=False):
    """A function from a padded batch to logits, or None where the folder has no ONNX model.

    quantize: by onnx/model_quantized.onnx, which is made the first time. num_labels: of its config.json, to be checked.
    brief: for a text or two; opens sooner, but reads slower (benchmarks/packing.py).
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
    if quantize:
        # int8 products of a CPU without VNNI overflow at 16 bits: there these are computed another way
        options.add_session_config_entry("session.x64quantprecision", "1")
    else:
        # the graph is written in fused operators: optimizing it again would gain nothing
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        if brief:  # without it the weights are copied into the order in which they are multiplied
            options.add_session_config_entry("session.disable_prepacking", "1")
    options.log_severity_level = 4
    remedy = "delete it, it is made anew" if quantize else "run train.py again, or delete it to use Keras"
    try:
        must_be_regular(path)
        session = onnxruntime.InferenceSession(
            path, options, providers=["CPUExecutionProvider"], enable_fallback=0
        )  # else it tries twice, and prints to standard output
        names = [each.name for each in session.get_inputs()]  # without token_type_ids where the encoder has no types
        (output,) = session.get_outputs()
    except UserError:
        raise
    except Exception as error:  # the library has an exception class for each of its status codes
        raise UserError(f"cannot read {path}: {one_line(error)}; {remedy}") from error
    if output.name != "logits" or not {"input_ids"} <= set(names) <= INPUTS:
        raise UserError(f"{path} makes {output.name[:100]} of {', '.join(names)[:100]}: not train.py's; {remedy}")
    found = output.shape[-1] if output.shape else None
    if num_labels not in (None, found):
        raise UserError(f"{path} has {found} labels, but config.json {num_labels}; {remedy}")

    def logits_of_batch(batch):
        given = {"token_type_ids": np.zeros_like(batch["input_ids"])} | batch
        try:
            logits = session.run(["logits"], {name: given[name].astype(np.int64) for name in names})[0]
        except Exception as error:  # as above
            raise UserError(f"{path} does not compute: {one_line(error)}; {remedy}") from error
        if logits.dtype != np.float32 or logits.shape != (len(batch["input_ids"]), found):
            raise UserError(f"{path} gives {logits.dtype} {logits.shape}, not {found} logits for each text; {remedy}")
        return logits

    return logits_of_batch


def quantized(path):
    """The path of the int8 model beside `path`, made where it is missing or of another model.

    What it was made of stands beside it, as sha256sum writes it: times say nothing where a folder was copied.
    """
    target, mark = path.with_name("model_quantized.onnx"), path.with_name("model_quantized.sha256")
    sums = "".join(f"{sum_of(file)}  {file.name}\n" for file in sorted(path.parent.glob(f"{path.name}*")))
    if not (target.exists() and mark.exists() and mark.read_text() == sums):
        print(f"Writing {target}, once ...", file=sys.stderr, flush=True)
        try:
            from tfbert.inference.quantizing import quantize

            mark.unlink(missing_ok=True)
            quantize(path, target)
            write_text(mark, sums)
        except Exception as error:  # of the disk, of a broken model, of the library
            raise UserError(f"--quantize: cannot make {target}: {error}; is {path} whole? train.py makes it") from error
    return target


def keras_model(folder):
    """A function from a padded batch to logits."""
    from tfbert.model.backend import load_keras

    load_keras()
    from tfbert.model.folders import load_trained

    model = load_trained(folder)
    model.compile(jit_compile=False)
    return model.predict_on_batch
