"""Measures this project on a GPU, beside PyTorch, from the parts that pack.py made, with a Python that has PyTorch, JAX
and transformers. Every figure is a line of JSON, written as soon as it is there.

usage: python measure.py join                       puts together what has arrived so far in the kit's folder
       python measure.py run NAME ... [--budget S]  runs these of STAGES, each a process of its own with a time limit,
                                                    once what it needs has arrived
       python measure.py wait S [NAME]              shows what is new for S seconds, or until the stage NAME or the
                                                    whole run has ended, and copies out/ to $OUT
The kit's folder is that of this file. TINY=1 rehearses every stage on a CPU.
"""

import argparse
import gzip
import hashlib
import io
import json
import lzma
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
import zlib
from pathlib import Path

KIT = Path(__file__).resolve().parent
OUT = KIT / "out"
RESULTS, LOG = OUT / "results.jsonl", OUT / "log.txt"
BASE, SMALL = {"layers": 12, "width": 768}, {"layers": 6, "width": 384}
MPNET = {"encoder": "mpnet", "rate": 2e-5, "pooling": "mean", "epochs": 2, "batch": 32, "tokens": 512}
MINILM = MPNET | {"encoder": "minilm", "rate": 7e-5}
LONG = BASE | {"tokens": [512], "batches": [32]}
NO_TRITON = "--xla_gpu_enable_triton_gemm=false"
STAGES = {  # name: (seconds allowed, function, its arguments)
    "peak": (60, "peak", {}),
    "keras-base": (170, "keras_speed", LONG),
    "keras-base-flash": (170, "keras_speed", LONG | {"flash": True}),
    "torch-base": (60, "torch_speed", LONG),
    "torch-base-compiled": (90, "torch_speed", LONG | {"compile": True}),
    "torch-small": (60, "torch_speed", SMALL | {"tokens": [512, 256], "batches": [32]}),
    "torch-small-compiled": (90, "torch_speed", SMALL | {"tokens": [512, 256], "batches": [32], "compile": True}),
    "mpnet": (300, "tune", MPNET | {"seeds": [42]}),
    "mpnet-more": (400, "tune", MPNET | {"seeds": [43, 44]}),
    "minilm": (200, "tune", MINILM | {"seeds": [42]}),
    # on JAX: its dropout with XLA's generator in place of threefry
    "keras-base-flash-rbg": (90, "keras_speed", LONG | {"flash": True, "rbg": True}),
    # on TensorFlow
    "flash-check": (80, "flash_check", {"tokens": 512, "bias": False}),
    "flash-check-short": (80, "flash_check", {"tokens": 96, "bias": False}),
    "flash-check-bias": (80, "flash_check", {"tokens": 512, "bias": True}),
    "keras-base-no-xla": (80, "keras_speed", LONG | {"xla": False}),
    "flash-no-triton": (170, "keras_speed", LONG | {"flash": True, "flags": NO_TRITON, "profile": True}),
    "flash-no-graphs": (
        120,
        "keras_speed",
        LONG | {"flash": True, "flags": f"{NO_TRITON} --xla_gpu_enable_command_buffer="},
    ),
    "flash-float16": (120, "keras_speed", LONG | {"flash": True, "flags": NO_TRITON, "policy": "mixed_float16"}),
    "flash-batches": (120, "keras_speed", LONG | {"batches": [8, 128], "flash": True, "flags": NO_TRITON}),
    "small": (150, "keras_speed", SMALL | {"tokens": [512, 256], "batches": [32], "flash": True, "flags": NO_TRITON}),
    "base-256": (100, "keras_speed", BASE | {"tokens": [256], "batches": [32], "flash": True, "flags": NO_TRITON}),
    "mpnet-no-triton": (300, "tune", MPNET | {"seeds": [42], "flags": NO_TRITON}),
    "train-minilm": (200, "train", {"encoder": "minilm", "words": "--dataset_name ./imdb"}),
    "train-mpnet": (300, "train", {"encoder": "mpnet", "words": "--dataset_name ./imdb"}),
    "train-own": (200, "train", {"encoder": "minilm", "words": "--train_file own/train.csv --test_file own/test.csv"}),
    "profile": (170, "keras_speed", LONG | {"flash": True, "rbg": True, "profile": True}),
}
TINY = os.environ.get("TINY")  # few steps, few reviews, a small model


# What arrives in parts


def join():
    """Puts together every file whose pieces are all there, checks it, and lays it where it is used."""
    missing = []
    for manifest in sorted(KIT.glob("manifest*.json")):
        files = json.loads(manifest.read_text())
        for name, facts in files.items():
            pieces = [KIT / "pieces" / piece for piece in facts["pieces"]]
            if (KIT / name).exists():
                continue
            if not all(piece.exists() for piece in pieces):
                missing.append(name)
                continue
            content = b"".join(piece.read_bytes() for piece in pieces)
            found = hashlib.sha256(content).hexdigest()
            if found != facts["sha256"]:
                sys.exit(f"{name}: sha256 {found}, expected {facts['sha256']}: carry its parts again")
            appear(KIT / name, content)
            for piece in pieces:
                piece.unlink()
            if name.endswith(".whl"):
                zipfile.ZipFile(KIT / name).extractall(KIT / ("tf" if "tf" in manifest.name else "site"))
            elif name == "texts.zip":
                zipfile.ZipFile(KIT / name).extractall(KIT)
            elif name == "project.zip":
                zipfile.ZipFile(KIT / name).extractall(KIT / "project")
            elif name.endswith(".half"):
                expand(content, KIT / name.removesuffix(".half"))
            print(f"{name}: {len(content):,} bytes")
        chunks = [KIT / name for name in files if name.startswith("tensorflow.tar.")]
        if chunks and all(chunk.exists() for chunk in chunks) and not (KIT / "tf/tensorflow").exists():
            with multiprocessing.Pool() as pool:
                whole = io.BytesIO(b"".join(pool.map(unpacked, chunks)))
            with tarfile.open(fileobj=whole) as archive:
                archive.extractall(KIT / "tf", filter="fully_trusted")
            print(f"tensorflow: {whole.getbuffer().nbytes:,} bytes")
    if missing:
        print(f"not yet here: {len(missing)} files, the first {missing[0]}")


def appear(path, content):
    """Writes a file that is there whole or not at all: `run` may be waiting for it."""
    (KIT / "unfinished").write_bytes(content)
    (KIT / "unfinished").rename(path)


def unpacked(path):
    return lzma.decompress(path.read_bytes())


def expand(content, folder):
    """An encoder's folder out of what pack.shrink made: config.json and model.safetensors in float16."""
    import numpy as np

    head, high, low = unstrung(content)
    head = json.loads(head)
    halves = np.empty((head["count"], 2), np.uint8)
    halves[:, 0], halves[:, 1] = (np.frombuffer(zlib.decompress(plane), np.uint8) for plane in (low, high))
    tensors = json.dumps(head["tensors"]).encode()
    tensors += b" " * (-len(tensors) % 8)
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(head["config"]))
    appear(folder / "model.safetensors", len(tensors).to_bytes(8, "little") + tensors + halves.tobytes())


def strung(*parts):
    return b"".join(len(part).to_bytes(8, "little") + part for part in parts)


def unstrung(content):
    start = 0
    while start < len(content):
        size = int.from_bytes(content[start : start + 8], "little")
        yield content[start + 8 : start + 8 + size]
        start += 8 + size


# Stages, each in a process of its own


def run(names, budget):
    """Runs stages within `budget` seconds in all. A stage that fails or takes too long leaves what it wrote."""
    OUT.mkdir(exist_ok=True)
    end = time.time() + budget
    places = [str(KIT / "site"), str(KIT / "project"), os.environ.get("PYTHONPATH", "")]
    environment = {"KERAS_BACKEND": "jax"} | os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, places)),
        "PYTHONUNBUFFERED": "1",
        "JAX_COMPILATION_CACHE_DIR": str(KIT / "cache"),  # a second run with the same shapes compiles nothing
        "HF_HUB_OFFLINE": "1",
    }  # fmt: skip
    emit({"stage": "start", "engine": environment["KERAS_BACKEND"], "device": gpu_name(), "budget": budget})
    names = list(names)
    while names and (left := end - time.time()) > 20:
        name = next((each for each in names if arrived(each)), None)
        if not name:
            time.sleep(1)
            continue
        names.remove(name)
        seconds, function, arguments = STAGES[name]
        seconds, begun = min(seconds, left), time.time()
        job = json.dumps(arguments | {"stage": name, "function": function, "deadline": begun + seconds})
        with open(LOG, "a") as log:
            print(f"\n== {name}", file=log, flush=True)
            flags = " ".join(filter(None, [environment.get("XLA_FLAGS"), arguments.get("flags")]))
            process = subprocess.Popen([sys.executable, __file__, "stage", job], stdout=log, stderr=log,
                                       env=environment | {"XLA_FLAGS": flags}, start_new_session=True)  # fmt: skip
            try:
                status = "failed" if process.wait(seconds) else "done"
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                status = "stopped at its limit"
        said = {} if status == "done" else {"log": LOG.read_text(errors="replace")[-1500:]}
        emit({"stage": name, "status": status, "seconds": round(time.time() - begun, 1)} | said)
    emit({"stage": "end", "not run": names})


def arrived(name):
    _, function, arguments = STAGES[name]
    needed = [] if function in ("peak", "flash_check") else [KIT / "imdb.npz"]
    needed += [KIT / "texts.zip"] if function == "train" else []
    if "encoder" in arguments:
        needed.append(KIT / arguments["encoder"] / "model.safetensors")
    return all(path.exists() for path in needed)


def emit(figures):
    with open(RESULTS, "a") as file:
        print(json.dumps(figures), file=file)


def wait(seconds, until):
    """Shows the lines that are new since the last time; the figures are in $OUT even if this is cut off."""
    OUT.mkdir(exist_ok=True)
    RESULTS.touch()
    shown, end, ended = KIT / "shown", time.time() + seconds, False
    while not ended:
        ended = time.time() > end or not list(KIT.glob("running-*"))
        lines = RESULTS.read_text().splitlines()
        new = lines[int(shown.read_text()) if shown.exists() else 0 :]
        print(*new, sep="\n", end="\n" if new else "", flush=True)
        shown.write_text(str(len(lines)))
        ended = ended or any(f'"stage": "{until}", "status"' in line for line in lines)
        if (new or ended) and os.environ.get("OUT"):
            shutil.copytree(OUT, os.environ["OUT"], dirs_exist_ok=True)
        time.sleep(0.5)


def gpu_name():
    try:
        query = ["nvidia-smi", "--query-gpu=name,driver_version,clocks.sm,clocks.max.sm", "--format=csv,noheader"]
        return subprocess.run(query, check=False, capture_output=True, text=True, timeout=20).stdout.strip() or "no GPU"
    except (OSError, subprocess.TimeoutExpired):
        return "no GPU"


def peak_rate():
    """What a large bfloat16 product reached in the stage `peak`, in operations a second."""
    try:
        return json.loads((KIT / "peak.json").read_text())["rate"]
    except OSError:
        return 8e14


def operations(size, tokens, length):
    """Of forward and backward, for `tokens` tokens in rows of `length`: the blocks' products, and attention's."""
    layers, width = size["layers"], size["width"]
    return 3 * tokens * layers * (2 * 12 * width * width + 4 * length * width)


def reviews(split, encoder="minilm"):
    """tfbert.data.batches.Examples of a split of IMDb, as pack.py tokenized it at 512 tokens, head+tail."""
    import numpy as np

    from tfbert.data.batches import Examples

    with np.load(KIT / "imdb.npz") as stored:
        ids, lengths, labels = (stored[f"{split}_{name}"] for name in ("ids", "lengths", "labels"))
        if encoder == "mpnet":
            ids = stored["mpnet"][ids]
    examples = Examples.__new__(Examples)
    examples.starts, examples.longest = None, int(lengths.max())
    examples.lengths, examples.labels = lengths.astype(np.int32), labels.astype(np.int32)
    examples.parts = [(ids.astype(np.int32), np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]))]
    examples.firsts = np.array([0, len(lengths)])
    return examples


def part_of(examples, rows, longest=None):
    """Some rows, cut at `longest` tokens."""
    import numpy as np

    ids = [examples.ids(row)[:longest] for row in rows]
    part = type(examples).__new__(type(examples))
    part.starts, part.labels = None, examples.labels[rows]
    part.lengths = np.array([len(each) for each in ids], np.int32)
    part.longest = int(part.lengths.max())
    part.parts = [(np.concatenate(ids), np.concatenate([[0], np.cumsum(part.lengths, dtype=np.int64)]))]
    part.firsts = np.array([0, len(ids)])
    return part


def speed_batches(tokens, batch):
    """The batches of a speed stage, of reviews that fill all tokens: one shape, no padding."""
    import numpy as np

    from tfbert.data import batches

    train = reviews("train")
    train = part_of(train, np.flatnonzero(train.lengths >= tokens)[:2000], tokens)
    return batches.TrainBatches(train, batch, tokens, seed=42)


def cases(job):
    """(tokens, batch, size) of every model that a speed stage times."""
    size = {"layers": 2, "width": 64} if TINY else {"layers": job["layers"], "width": job["width"]}
    for tokens in [64] if TINY else job["tokens"]:
        for batch in [4] if TINY else job["batches"]:
            yield tokens, batch, size


class Pace:
    """Counts steps and their tokens, and says how fast they were, without those that compiled something.

    Times are taken where the device has been waited for: after `warm_up` steps, every `every` steps, and after the
    first step of each length, whose seconds `first_seconds` has.
    """

    def __init__(self, data, steps, every, warm_up=1):
        self.every, self.warm_up = every, warm_up
        rows = [rows for rows, _ in zip(data.rows(), range(steps))]
        from tfbert.data.batches import padded_length

        examples, most = data.examples, data.max_seq_length
        self.padded = [padded_length(examples.lengths[each].max(), most, examples.longest) for each in rows]
        self.tokens = [int(data.examples.lengths[each].sum()) for each in rows]
        self.batch, self.done, self.compiled = data.batch_size, 0, {}
        self.steady, self.window, self.last = [], [], time.perf_counter()

    def step(self, wait):
        """Call after every step; wait: a function that waits for the device."""
        number, self.done = self.done, self.done + 1
        self.window.append(number)
        new = self.padded[number] not in self.compiled
        if not (new or self.done == self.warm_up or len(self.window) == self.every or self.done == len(self.padded)):
            return
        wait()
        seconds = time.perf_counter() - self.last
        if new:
            self.compiled[self.padded[number]] = round(seconds, 2)
        elif self.done > self.warm_up:
            self.steady.append((seconds, self.window))
        self.last, self.window = time.perf_counter(), []

    def figures(self, size):
        """Of the windows in which nothing was compiled."""
        seconds = sum(took for took, _ in self.steady)
        steps = [number for _, window in self.steady for number in window]
        if not steps:
            return {"first_seconds": self.compiled}
        real = sum(self.tokens[number] for number in steps)
        padded = sum(self.padded[number] * self.batch for number in steps)
        done = sum(operations(size, self.padded[number] * self.batch, self.padded[number]) for number in steps)
        return {
            "first_seconds": self.compiled,
            "steady_steps": len(steps),
            "ms_per_step": round(1000 * seconds / len(steps), 2),
            "reviews_per_second": round(len(steps) * self.batch / seconds, 1),
            "tokens_per_second": round(real / seconds),
            "padded_tokens_per_second": round(padded / seconds),
            "tflops": round(done / seconds / 1e12, 1),
            "share_of_matmul_peak": round(done / seconds / peak_rate(), 3),
        }


# Keras: this project, on JAX or TensorFlow


def keras_device(job):
    """tfbert.training.device's choice of arithmetic."""
    from tfbert.training.device import find_device

    device = find_device()
    import keras

    print(device.in_words, keras.__version__, keras.backend.backend(), flush=True)
    xla = job.get("xla", device.xla or keras.backend.backend() == "jax")
    return job.get("policy", "mixed_bfloat16" if not TINY else device.policy), xla


def keras_memory():
    """Peak bytes on the GPU so far, in GB."""
    import keras

    if keras.backend.backend() == "jax":
        import jax

        return round((jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use", 0) / 1e9, 2)
    import tensorflow as tf

    gpu = tf.config.list_physical_devices("GPU")
    return round(tf.config.experimental.get_memory_info("GPU:0")["peak"] / 1e9, 2) if gpu else 0


def learn(model, data, steps, step_done, waits=False):
    """Trains as this project does: on TensorFlow in its loop, on JAX in Keras's, which waits for the device after every
    step or not. step_done: called with each step's logs.
    """
    import keras

    from tfbert.training.feeding import feed, signature
    from tfbert.training.step import graph_of_step

    if keras.backend.backend() == "tensorflow":
        model.optimizer.build(model.trainable_variables)
        step = model.__dict__.setdefault("graph", graph_of_step(model, signature(data)))
        for _, batch in zip(range(steps), feed(data, 0)):
            step_done(step(batch))
        return

    class Steps(keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.async_safe = not waits

        def on_train_batch_end(self, batch, logs=None):
            step_done(logs)

    model.fit(feed(data, 0), steps_per_epoch=steps, callbacks=[Steps()], shuffle=False, verbose=0)


def keras_speed(job):
    """Steps a second of this project's model, optimizer, loss, batches and loop."""
    policy, xla = keras_device(job)
    import keras

    from tfbert.model import modeling
    from tfbert.model.configs import ModelConfig
    from tfbert.training.settings import TrainSettings
    from tfbert.training.step import compile_classifier

    engine = keras.backend.backend()
    if job.get("flash") and engine == "jax":
        modeling.attend = jax_flash
    if job.get("rbg") and engine == "jax":
        hardware_dropout()
    for tokens, batch, size in cases(job):
        keras.utils.set_random_seed(0)
        keras.config.set_dtype_policy(policy)
        model = modeling.SequenceClassifier(ModelConfig(
            hidden_size=size["width"], num_hidden_layers=size["layers"], intermediate_size=4 * size["width"],
            num_attention_heads=12 if not TINY else 2, hidden_dropout_prob=0.1,
            attention_probs_dropout_prob=0.0,
        ))  # fmt: skip
        model.build()
        steps = 45 if not TINY else 9
        compile_classifier(model, TrainSettings(learning_rate=2e-5, weight_decay=0.01), 1000, xla)
        if engine == "tensorflow":
            for block in model.encoder.blocks:
                block.attention.flash &= job.get("flash", False)
            flash = model.encoder.blocks[0].attention.flash
        else:
            flash = job.get("flash", False)
        data = speed_batches(tokens, batch)
        for waits in (False,) if engine == "tensorflow" else (True, False):
            pace = Pace(data, steps, every=40 if not TINY else 2, warm_up=5 if not TINY else 2)
            losses = []

            def step_done(logs, pace=pace, losses=losses):
                pace.step(lambda: losses.append(round(float(logs["loss"]), 4)))

            learn(model, data, steps, step_done, waits)
            emit({"stage": job["stage"], "engine": engine, "waits": waits, "tokens": tokens, "batch": batch, **size,
                  "xla": xla, "flash": flash, "rbg": bool(job.get("rbg")), "policy": policy, **pace.figures(size),
                  "memory_gb": keras_memory(), "losses": losses})  # fmt: skip
        if job.get("profile"):
            profile(f"{job['stage']}-{engine}", model, data)
        del model


def profile(name, model, data):
    """Leaves what the device did in four steps in OUT, for kernels.py."""
    import keras

    folder = KIT / f"profile-{name}"
    if keras.backend.backend() == "jax":
        from jax.profiler import start_trace as start
        from jax.profiler import stop_trace as stop
    else:
        from tensorflow.profiler.experimental import start, stop
    start(str(folder))
    learn(model, data, 4, lambda logs: float(logs["loss"]))
    stop()
    for path in folder.rglob("*.xplane.pb"):
        (OUT / f"{name}.pb.gz").write_bytes(gzip.compress(path.read_bytes()))


def jax_flash(query, key, value, mask, keep=None, bias=None, flash=False):
    """In place of tfbert.model.fused.attend, on JAX: cuDNN's attention, which writes no scores to memory."""
    import jax
    from jax import numpy as jnp

    lengths = jnp.sum(mask[:, 0, 0, :] > -1, axis=-1).astype("int32")
    query, key, value = (x.transpose(0, 2, 1, 3) for x in (query, key, value))
    found = jax.nn.dot_product_attention(
        query, key, value, bias, query_seq_lengths=lengths, key_value_seq_lengths=lengths,
        implementation="xla" if TINY else "cudnn",
    )  # fmt: skip
    return found.transpose(0, 2, 1, 3)


def hardware_dropout():
    """Lets Keras's dropout on JAX draw its bits by XLA's own generator in place of threefry."""
    import jax
    import keras
    from jax import numpy as jnp

    def dropout(inputs, rate, noise_shape=None, seed=None):
        key = keras.src.backend.jax.random.jax_draw_seed(seed).astype("uint32")
        _, bits = jax.lax.rng_bit_generator(jnp.concatenate([key, key]), inputs.shape, dtype="uint8")
        kept = bits >= round(256 * rate)
        return jnp.where(kept, inputs / (1 - round(256 * rate) / 256), 0).astype(inputs.dtype)

    keras.src.backend.jax.random.dropout = dropout


def flash_check(job):
    """TensorFlow's way to cuDNN's attention beside plain attention in float32: largest relative errors of output and
    gradients on random numbers with padding, and milliseconds of both, forwards and backwards.
    """
    import numpy as np
    import tensorflow as tf

    keras_device(job)
    from tfbert.model.flash import flash_attend
    from tfbert.model.fused import attend

    batch, heads, length, size = 16, 12, job["tokens"], 64
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=(batch, heads, length, size)).astype("float32") for _ in range(4)]
    bias = rng.normal(size=(1, heads, length, length)).astype("float32")
    lengths = rng.integers(length // 4, length + 1, batch).astype("int32")
    lengths[0] = length
    inside = (np.arange(length) < lengths[:, None]).astype("float32")
    arrays[3] *= inside[:, None, :, None]  # padding gets no gradient

    def graph(attention, dtype):
        @tf.function(jit_compile=True, autograph=False)
        def both(query, key, value, upstream, bias):
            inputs = [tf.cast(each, dtype) for each in (query, key, value, bias)]
            inputs = inputs if job["bias"] else inputs[:3]
            with tf.GradientTape() as tape:
                tape.watch(inputs)
                output = attention(*inputs)
            return [output, *tape.gradient(output, inputs, tf.cast(upstream, dtype))]

        return both

    def plain(dtype):
        mask = tf.cast((1 - inside) * -65504.0, dtype)[:, None, None, :]
        return lambda query, key, value, *bias: attend(query, key, value, mask, None, *bias)

    def flash(query, key, value, *bias):
        return flash_attend(query, key, value, tf.constant(lengths), *bias)

    inputs = [tf.constant(each) for each in (*arrays, bias)]
    expected = [np.asarray(each) for each in graph(plain("float32"), "float32")(*inputs)]
    names = ["output", "query", "key", "value"] + ["bias"] * job["bias"]
    for dtype in ("bfloat16", "float16"):
        for name, attention in (("flash", flash), ("plain", plain(dtype))):
            function = graph(attention, dtype)
            found = [np.asarray(tf.cast(each, tf.float32)) for each in function(*inputs)]
            errors = {}
            for one, wanted, tensor in zip(names, expected, found):
                rows = inside[:, None, :, None] if one != "bias" else 1
                errors[one] = float(np.linalg.norm((tensor - wanted) * rows) / np.linalg.norm(wanted * rows))

            def wait(function=function):
                np.asarray(tf.cast(function(*inputs)[1][0, 0, 0], tf.float32))

            seconds = median_seconds(lambda function=function: function(*inputs), wait, 1)
            emit({"stage": job["stage"], "attention": name, "dtype": dtype, "bias": job["bias"], "tokens": length,
                  "errors": errors, "ms": round(1000 * seconds, 3)})  # fmt: skip


def tune(job):
    """Fine-tunes an encoder on 24,000 reviews and reads the 25,000 of the test split, once for each seed; then with
    the average of the seeds' weights.
    """
    policy, xla = keras_device(job)
    import keras
    import numpy as np

    from tfbert.data import batches
    from tfbert.model import configs
    from tfbert.model.folders import load_classifier
    from tfbert.training.settings import TrainSettings
    from tfbert.training.step import compile_classifier

    train, validation, test = (reviews(split, job["encoder"]) for split in ("train", "validation", "test"))
    if TINY:
        train, validation, test = (part_of(each, range(80), 64) for each in (train, validation, test))
        job |= {"tokens": 64, "batch": 8, "rate": job["rate"] * 3}
    folder = KIT / job["encoder"]
    settings = TrainSettings(learning_rate=job["rate"], num_train_epochs=job["epochs"], max_seq_length=job["tokens"],
                             pooling=job["pooling"], per_device_eval_batch_size=250 if not TINY else 40)  # fmt: skip
    config = configs.classifier_config(
        configs.read_encoder_config(folder), ["negative", "positive"], configs.SINGLE_LABEL, settings
    )
    weights, start = [], time.time()
    for seed in job["seeds"]:
        keras.utils.set_random_seed(job["seeds"][0])  # the same new head for all, so that they can be averaged
        model, line = load_classifier(folder, config, policy)
        print(line, f"{time.time() - start:.0f} s", flush=True)
        data = batches.TrainBatches(train, job["batch"], job["tokens"], seed)
        steps = data.steps(job["epochs"])
        compile_classifier(model, settings, steps, xla)
        size = {"layers": model.config.num_hidden_layers, "width": model.config.hidden_size}
        head = {"stage": job["stage"], "engine": keras.backend.backend(), "seed": seed}
        pace, begun = Pace(data, steps, every=25 if not TINY else 2), time.perf_counter()

        def step_done(logs, model=model, head=head, steps=steps, begun=begun, pace=pace):
            pace.step(lambda: float(logs["loss"]))
            if pace.done % (100 if not TINY else 10) == 0 or pace.done == steps:
                emit(head | {"step": pace.done, "of": steps, "loss": round(float(logs["loss"]), 4),
                             "accuracy": round(float(logs["accuracy"]), 4),
                             "seconds": round(time.perf_counter() - begun, 1)})  # fmt: skip
                if keras.backend.backend() == "jax":
                    model.jax_state_sync()  # else the next line has no effect
                model.reset_metrics()

        learn(model, data, steps, step_done)
        emit(head | {"train_seconds": round(time.perf_counter() - begun, 1), "padding": data.padding_share(), **job,
                     "policy": policy, "xla": xla, **pace.figures(size), "memory_gb": keras_memory()})  # fmt: skip
        judge(job, model, head, settings, validation, test)
        weights.append([np.asarray(weight) for weight in model.get_weights()])
        if seed != job["seeds"][-1] and time.time() + (time.perf_counter() - begun) > job["deadline"]:
            emit(head | {"note": "no time for another seed"})
            break
    if len(weights) > 1:
        model.set_weights([np.mean(each, axis=0) for each in zip(*weights)])
        judge(job, model, head | {"seed": "average"}, settings, validation, test)


def judge(job, model, head, settings, validation, test):
    """Accuracy on what was held out and on the test split; the logits are kept."""
    import numpy as np

    from tfbert.report.calibration import cross_entropies
    from tfbert.report.metrics import wilson_interval
    from tfbert.training.evaluating import predict

    begun = time.perf_counter()
    logits = {name: predict(model.predict_on_batch, part, settings)
              for name, part in (("validation", validation), ("test", test))}  # fmt: skip
    right = int((logits["test"].argmax(1) == test.labels).sum())
    low, high = wilson_interval(right, len(test))
    emit(head | {"accuracy": right / len(test), "low": round(low, 5), "high": round(high, 5),
                 "validation_accuracy": float((logits["validation"].argmax(1) == validation.labels).mean()),
                 "log_loss": float(cross_entropies(logits["test"], test.labels).mean()), "n_test": len(test),
                 "seconds": round(time.perf_counter() - begun, 1)})  # fmt: skip
    kept = {name: each.astype(np.float16) for name, each in logits.items()}
    np.savez_compressed(OUT / f"logits_{job['encoder']}_{head['seed']}.npz", **kept)


def train(job):
    """train.py itself, all by default, with IMDb or a file of one's own: what it says, finds, and takes."""
    output, begun = KIT / job["stage"], time.perf_counter()
    command = [sys.executable, "project/train.py", "--model_name_or_path", f"./{job['encoder']}", *job["words"].split(),
               "--output_dir", str(output)]  # fmt: skip
    command += "--max_train_samples 64 --max_eval_samples 32".split() if TINY else []
    subprocess.run(command, cwd=KIT, check=True)
    metrics = json.loads((output / "metrics.json").read_text())
    emit({"stage": job["stage"], "words": job["words"], "seconds": round(time.perf_counter() - begun, 1),
          "metrics": metrics})  # fmt: skip


# Ceilings, and PyTorch


def peak(job):
    """A large bfloat16 product of random numbers on PyTorch and on JAX, and a copy in the GPU's memory."""
    os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
    import jax
    import torch
    from jax import numpy as jnp

    device, n = ("cuda", 8192) if torch.cuda.is_available() else ("cpu", 512)
    rate = torch_peak(device, n)
    (KIT / "peak.json").write_text(json.dumps({"rate": rate}))
    left, right = (jax.random.normal(jax.random.key(number), (n, n), jnp.bfloat16) for number in range(2))
    multiply = jax.jit(jnp.matmul)

    def wait():
        multiply(left, right).block_until_ready()

    rate = 2 * n**3 / median_seconds(lambda: multiply(left, right), wait, 1)
    emit({"stage": "peak", "engine": "jax", "jax": jax.__version__, "device": str(jax.devices()[0]),
          "tflops": round(rate / 1e12, 1)})  # fmt: skip


def torch_peak(device, n):
    import torch

    left, right = (torch.randn(n, n, device=device).to(torch.bfloat16) for _ in range(2))
    rate = 2 * n**3 / median_seconds(lambda: left @ right, torch_wait(device))
    many = torch.empty(2**30 if device == "cuda" else 2**22, dtype=torch.uint8, device=device)
    other = torch.empty_like(many)
    copied = 2 * many.numel() / median_seconds(lambda: other.copy_(many), torch_wait(device))
    emit({"stage": "peak", "engine": "torch", "torch": torch.__version__, "tflops": round(rate / 1e12, 1),
          "copy_gb_per_second": round(copied / 1e9)})  # fmt: skip
    return rate


def torch_wait(device):
    import torch

    return torch.cuda.synchronize if device == "cuda" else (lambda: None)


def median_seconds(function, wait, extra=0):
    """Of a call, over seven times ten calls. extra: calls that `wait` makes itself."""
    for _ in range(3):
        function()
    wait()
    times = []
    for _ in range(7):
        start = time.perf_counter()
        for _ in range(10 - extra):
            function()
        wait()
        times.append((time.perf_counter() - start) / 10)
    return sorted(times)[3]


def torch_speed(job):
    """The same model, batches, optimizer and arithmetic in PyTorch: transformers' class, SDPA, fused AdamW."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.set_float32_matmul_precision("high")
    for tokens, batch, size in cases(job):
        torch.manual_seed(0)
        config = BertConfig(
            hidden_size=size["width"], num_hidden_layers=size["layers"], intermediate_size=4 * size["width"],
            num_attention_heads=12 if not TINY else 2, hidden_dropout_prob=0.1,
            attention_probs_dropout_prob=0.0, num_labels=2, attn_implementation="sdpa",
        )  # fmt: skip
        model = BertForSequenceClassification(config).to(device).train()
        named = [(name, weight) for name, weight in model.named_parameters() if weight.requires_grad]
        plain = [weight for name, weight in named if "bias" in name or "LayerNorm" in name]
        others = [weight for name, weight in named if not ("bias" in name or "LayerNorm" in name)]
        groups = [{"params": others, "weight_decay": 0.01}, {"params": plain, "weight_decay": 0.0}]
        optimizer = torch.optim.AdamW(groups, lr=2e-5, eps=1e-6, fused=device == "cuda")
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / 100))
        steps = 45 if not TINY else 9
        data = speed_batches(tokens, batch)
        pace = Pace(data, steps, every=40 if not TINY else 2, warm_up=5 if not TINY else 2)
        if device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        forward = torch.compile(model) if job.get("compile") else model
        for _, (inputs, labels) in zip(range(steps), data.stream()):
            tensors = {name: torch.from_numpy(array).pin_memory() if device == "cuda" else torch.from_numpy(array)
                       for name, array in (inputs | {"labels": labels.astype("int64")}).items()}  # fmt: skip
            tensors = {name: tensor.to(device, non_blocking=True) for name, tensor in tensors.items()}
            with torch.autocast(device, torch.bfloat16):
                loss = forward(**tensors).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad(set_to_none=True)
            pace.step(loss.item)
        memory = torch.cuda.max_memory_allocated() / 1e9 if device == "cuda" else 0
        emit({"stage": job["stage"], "engine": "torch", "tokens": tokens, "batch": batch, **size,
              "compile": bool(job.get("compile")),
              **pace.figures(size), "memory_gb": round(memory, 2)})  # fmt: skip
        del model, forward, optimizer


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=["join", "run", "wait", "stage"])
    parser.add_argument("names", nargs="*")
    parser.add_argument("--budget", type=float, default=480)
    arguments = parser.parse_args()
    names = arguments.names
    if arguments.verb == "join":
        join()
    elif arguments.verb == "run":
        if unknown := set(names) - set(STAGES):
            sys.exit(f"unknown: {', '.join(unknown)}; known: {', '.join(STAGES)}")
        running = KIT / f"running-{os.getpid()}"
        running.touch()
        try:
            run(names, arguments.budget)
        finally:
            running.unlink()
    elif arguments.verb == "wait":
        wait(float(names[0]), names[1] if len(names) > 1 else None)
    else:
        job = json.loads(names[0])
        globals()[job["function"]](job)


if __name__ == "__main__":
    main()
