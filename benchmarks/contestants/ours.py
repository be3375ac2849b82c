"""This project's training loop, on the backend of KERAS_BACKEND. Arguments: as pytorch.py; options: below."""

import json
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[2])]
from stopwatch import StepTimes, matmul_rate

from tfbert.data.batches import Examples, TrainBatches
from tfbert.data.tokenizing import TextEncoder
from tfbert.training.device import find_device
from tfbert.training.settings import TrainSettings


def main():
    encoder, reviews, options = sys.argv[2], sys.argv[3], json.loads(sys.argv[6])
    batch_size, length = int(sys.argv[4]), int(sys.argv[5])
    device = find_device(options["precision"])
    from datasets import load_dataset

    dataset = load_dataset("parquet", data_files=reviews, split="train")
    examples = Examples.tokenized(dataset, TextEncoder.from_folder(encoder, length), "tokenizing", device.xla)
    batches = TrainBatches(examples, batch_size, length, seed=0)

    import keras

    from tfbert.data.tasks import SINGLE_LABEL
    from tfbert.model.configs import classifier_config, read_config
    from tfbert.model.folders import load_classifier
    from tfbert.training.feeding import feed
    from tfbert.training.step import compile_classifier

    keras.utils.set_random_seed(0)
    settings = TrainSettings(
        max_seq_length=length, learning_rate=1e-4, hidden_dropout=options["hidden_dropout"], pooling="pooler"
    )
    config = classifier_config(read_config(encoder), ["negative", "positive"], SINGLE_LABEL, settings)
    model, _ = load_classifier(encoder, config, device.policy)
    compile_classifier(model, settings, batches.steps_per_epoch, device.xla)
    times = StepTimes(float(sys.argv[1]))

    class Timer(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 0 or batch == batches.steps_per_epoch - 1:
                float(logs["loss"])  # waits until the device is done
                times.step()

    model.fit(feed(batches, 0), steps_per_epoch=batches.steps_per_epoch, callbacks=[Timer()],
              shuffle=False, verbose=0)  # fmt: skip
    width, inner, layers = model.config.hidden_size, model.config.intermediate_size, model.config.num_hidden_layers
    size = (8192, 8192, 8192) if device.is_gpu else (4096, 384, 1536)
    times.report(
        len(examples),
        batch_size,
        int(examples.lengths.sum()),
        matmul_rate=max(matmul_rate("bfloat16", *size), matmul_rate("float32", *size)),
        flops_per_token=3 * 2 * layers * (4 * width * width + 2 * width * inner),
        device=device.description,
        device_memory_gb=device_memory() / 1e9,
    )


def device_memory():
    """Peak bytes on a GPU, 0 without one."""
    import keras

    if keras.backend.backend() == "jax":
        import jax

        return (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use", 0)
    import tensorflow as tf

    return tf.config.experimental.get_memory_info("GPU:0")["peak"] if tf.config.list_physical_devices("GPU") else 0


main()
