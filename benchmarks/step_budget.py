"""Where the time of a training step goes on a CPU, and what each decision in the code is worth.

usage: python benchmarks/step_budget.py [--rounds 3] [--batch_size 16] [--tokens 256]
       python benchmarks/step_budget.py --precision float32    # on a CPU without bfloat16 products

One step of a 6-layer encoder of width 384 with random weights and tokens, without padding. Variants undo one
decision each, in processes of their own, in turns. Writes results/step_budget.json and .md, or step_budget_float32.
"""

import argparse
import collections
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from common import RESULTS, random_classifier, save

from tfbert.common.errors import run

VARIANTS = {
    "as it is": "this project's quick job, no dropout",
    "float32": "float32 products in place of bfloat16",
    "TensorFlow's operators": "TensorFlow's own operators, not oneDNN's (`TF_ENABLE_ONEDNN_OPTS=0`)",
    "op by op": "GELU, softmax and LayerNorm as Keras computes them, operation by operation",
    "keras optimizer": "Keras's own AdamW",
    "xla": "the whole step compiled by XLA",
    "hidden dropout": "hidden dropout 0.1",
    "attention dropout": "attention dropout 0.1",
}
GROUPS = {  # TensorFlow's operations in a profile -> the line of the budget
    "matrix products of linear layers": (
        "_MklMatMul", "_MklNativeFusedMatMul", "_MklFusedMatMul", "MatMul", "_FusedMatMul"),
    "matrix products of attention": ("_MklBatchMatMulV2", "_MklFusedBatchMatMulV2", "BatchMatMulV2"),
    "GELU, LayerNorm, gradient of softmax (XLA)": ("ExecuteAsyncOnStream",),
    "softmax": ("_MklSoftmax", "Softmax"),
    "gradients of biases": ("BiasAddGrad",),
    "Adam": ("ResourceApplyAdam", "AssignSubVariableOp", "AssignAddVariableOp"),
    "gradient of the embedding table": ("UnsortedSegmentSum",),
    "heads in and out (transposes)": ("_MklTranspose", "Transpose", "Pack", "Unpack"),
    "elementwise products, sums, casts, clipping": (
        "Mul", "AddV2", "AddN", "_MklAddN", "Sub", "Square", "Sum", "Cast", "Sqrt", "RealDiv", "Erf", "Erfc", "Exp",
        "Mean", "SquaredDifference", "Rsqrt", "Neg", "BiasAdd", "Reciprocal", "Pow", "Tanh", "TanhGrad", "RsqrtGrad",
        "SelectV2", "Maximum", "GreaterEqual", "StatelessRandomUniformV2", "Tile", "StridedSliceGrad"),
}  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=256)
    parser.add_argument("--precision", choices=("bfloat16", "float32"), default="bfloat16")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS), help="beside as it is")
    parser.add_argument("--variant", choices=VARIANTS, help=argparse.SUPPRESS)  # one measurement, in a process
    parser.add_argument("--profile", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.variant:
        print(json.dumps(measure(arguments)))
        return
    names = [name for name in VARIANTS if name == "as it is" or name in arguments.variants]
    if arguments.precision == "float32" and "float32" in names:
        names.remove("float32")
    seconds, peaks = {name: [] for name in names}, []
    for number in range(arguments.rounds):
        for name in names:
            figures = in_a_process(arguments, "--variant", name)
            seconds[name].append(figures["seconds"])
            peaks.append(figures["peak"])
        print(f"round {number + 1} of {arguments.rounds}", flush=True)
    budgets = {
        name: in_a_process(arguments, "--profile", "--variant", name)["operations"]
        for name in ("as it is", "op by op", "float32", "TensorFlow's operators")
        if name in names
    }
    write(seconds, budgets, max(peaks), arguments)


def in_a_process(arguments, *options):
    command = [sys.executable, __file__, *options, "--batch_size", str(arguments.batch_size),
               "--tokens", str(arguments.tokens), "--precision", arguments.precision]  # fmt: skip
    # in a profile, one operation at a time: otherwise the times of operations that overlap say nothing
    environment = os.environ | ({"TF_NUM_INTEROP_THREADS": "1"} if "--profile" in options else {})
    if "TensorFlow's operators" in options:
        environment["TF_ENABLE_ONEDNN_OPTS"] = "0"
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment)
    return json.loads(done.stdout.splitlines()[-1])


def measure(arguments):
    """Seconds of a step, and the rate of a matrix product in the same precision; or milliseconds by operation."""
    from contestants.stopwatch import matmul_rate

    from tfbert.model.backend import load_keras

    load_keras()
    import keras
    import numpy as np

    from tfbert.model import fused
    from tfbert.training import optimizer

    variant = arguments.variant
    if variant == "op by op":
        fused.gelu = lambda x: keras.activations.gelu(x, approximate=False)
        fused.attend = plain_attention
        fused.add_and_normalize = plain_layer_norm
    if variant == "keras optimizer":
        optimizer.AdamW = lambda *arguments, shares, **settings: keras.optimizers.AdamW(*arguments, **settings)
    precision = "float32" if variant == "float32" else arguments.precision
    model = random_classifier(
        precision if precision == "float32" else f"mixed_{precision}",
        variant == "xla",
        hidden_dropout=0.1 if variant == "hidden dropout" else 0.0,
        attention_dropout=0.1 if variant == "attention dropout" else 0.0,
    )
    shape = arguments.batch_size, arguments.tokens
    inputs = {
        "input_ids": np.random.default_rng(0).integers(1000, 20000, shape).astype(np.int32),
        "attention_mask": np.ones(shape, np.int32),
    }
    labels = np.arange(arguments.batch_size, dtype=np.int32) % 2

    def step():
        start = time.perf_counter()
        model.train_on_batch(inputs, labels)
        return time.perf_counter() - start

    for _ in range(3):
        step()
    if arguments.profile:
        return {"operations": operations(step)}
    return {"seconds": statistics.median(step() for _ in range(10)), "peak": matmul_rate(precision)}


def plain_attention(query, key, value, mask, keep=None, bias=None, flash=False):
    from keras import ops

    scores = ops.matmul(query * query.shape[-1] ** -0.5, ops.transpose(key, (0, 1, 3, 2)))
    weights = ops.cast(ops.softmax(ops.cast(scores, "float32") + ops.cast(mask, "float32")), query.dtype)
    return ops.matmul(weights, value)


def plain_layer_norm(x, residual, gamma, beta, epsilon):
    from keras import ops

    gamma, beta = ops.cast(gamma, x.dtype), ops.cast(beta, x.dtype)
    return ops.layer_normalization(x + residual, gamma, beta, epsilon=epsilon)


def operations(step):
    """Milliseconds of each kind of operation in one step."""
    import tensorflow as tf
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder)
        step()
        tf.profiler.experimental.stop()
        space = xplane_pb2.XSpace()
        space.ParseFromString(next(Path(folder).rglob("*.xplane.pb")).read_bytes())
    sums = collections.Counter()
    for plane in space.planes:
        for line in plane.lines:
            for event in line.events:
                name = plane.event_metadata[event.metadata_id].name
                if ":" in name and not name.startswith("$"):
                    sums[name.split(":")[-1].strip()] += event.duration_ps / 1e9
    return dict(sums.most_common(60))


def write(seconds, budgets, peak, arguments):
    """results/step_budget.json with every figure, and .md with the tables."""
    middle = {name: statistics.median(each) for name, each in seconds.items()}
    tokens = arguments.batch_size * arguments.tokens
    linear = 3 * 2 * 6 * (4 * 384 * 384 + 2 * 384 * 1536) * tokens
    attention = 3 * 6 * 2 * 2 * arguments.tokens * 384 * tokens
    lines = [
        f"{arguments.batch_size} reviews of {arguments.tokens} tokens, 6 layers of width 384; "
        f"{(linear + attention) / 1e9:.0f} GFLOP in matrix products; the fastest matrix product of this machine: "
        f"{peak / 1e9:,.0f} GFLOPS; {arguments.precision}; medians of {arguments.rounds} rounds in turns; "
        f"{time.strftime('%Y-%m-%d')}; `python benchmarks/step_budget.py`",
        "",
        "| a step with | ms | as it is = 1 | share of the matrix product's speed |",
        "| --- | ---: | ---: | ---: |",
    ]
    for name in seconds:
        ratio = statistics.median(a / b for a, b in zip(seconds[name], seconds["as it is"]))
        share = (linear + attention) / middle[name] / peak
        lines.append(f"| {VARIANTS[name]} | {1e3 * middle[name]:.0f} | {ratio:.2f} | {share:.0%} |")
    lines += ["", "| ms, one operation at a time | " + " | ".join(budgets) + " |", "| --- |" + " ---: |" * len(budgets)]
    known = {operation: group for group, names in GROUPS.items() for operation in names}
    table = {name: collections.Counter() for name in budgets}
    for name, operations_ in budgets.items():
        for operation, milliseconds in operations_.items():
            if operation in known:
                table[name][known[operation]] += milliseconds
    for group in GROUPS:
        lines.append(f"| {group} | " + " | ".join(f"{table[name][group]:.0f}" for name in budgets) + " |")
    lines.append("| sum | " + " | ".join(f"{sum(table[name].values()):.0f}" for name in budgets) + " |")
    everything = {"seconds": seconds, "operations": budgets, "peak": peak}
    name = "step_budget" if arguments.precision == "bfloat16" else "step_budget_float32"
    save(RESULTS / name, "\n".join(lines) + "\n", everything)


if __name__ == "__main__":
    sys.exit(run(main))
