"""What the benchmarks share: the contestants' environments, runs of train.py, a model, and where results go."""

import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from tfbert.common.files import write_json, write_text
from tools.environments import python_in

RESULTS = HERE / "results"


def python_of(name, folder):
    """The interpreter of the contestants' environment `name` in `folder`; "ours" is the one that runs this."""
    if name == "ours":
        return sys.executable
    return python_in(Path(folder, name), "-r", HERE / "contestants" / f"requirements-{name}.txt")


def commit(clone=HERE.parent):
    """The commit that is checked out in a clone, for rows of results."""
    git = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(git, cwd=clone, capture_output=True, text=True, check=True).stdout.strip()


def trained(output, *flags):
    """Runs train.py, to write to the folder `output`; returns its metrics.json."""
    command = [sys.executable, "train.py", "--output_dir", str(output), "--overwrite_output_dir", *flags]
    print("$", *command[1:], flush=True)
    subprocess.run(command, cwd=HERE.parent, check=True)
    return json.loads(Path(output, "metrics.json").read_text())


def random_classifier(policy, xla, longest=512, hidden_dropout=0.0, attention_dropout=0.0):
    """A compiled SequenceClassifier of MiniLM's size, 6 layers of width 384, with random weights."""
    from tfbert.model.backend import load_keras

    load_keras()
    import keras

    from tfbert.model.configs import ModelConfig
    from tfbert.model.modeling import SequenceClassifier
    from tfbert.training.settings import TrainSettings
    from tfbert.training.step import compile_classifier

    keras.config.set_dtype_policy(policy)
    keras.utils.set_random_seed(0)
    config = ModelConfig(
        hidden_size=384,
        num_hidden_layers=6,
        intermediate_size=1536,
        max_position_embeddings=longest,
        hidden_dropout_prob=hidden_dropout,
        attention_probs_dropout_prob=attention_dropout,
    )
    model = SequenceClassifier(config)
    model.build()
    compile_classifier(model, TrainSettings(learning_rate=1e-5), 100, xla)
    return model


def append(path, row):
    """Adds a line to a .jsonl file of results."""
    with open(path, "a") as file:
        file.write(json.dumps(row) + "\n")


def save(output, text, figures):
    """Prints `text`, and writes it to `output`.md and `figures` to `output`.json."""
    output = Path(output)
    write_text(output.with_suffix(".md"), text)
    write_json(output.with_suffix(".json"), figures)
    print(text)
