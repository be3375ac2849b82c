import gc
import os
import random
import shutil
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
FIXTURES = Path(__file__).parent / "fixtures"
ENCODERS = ["tiny_bert", "tiny_distilbert", "tiny_roberta", "tiny_electra", "tiny_mpnet", "tiny_albert",
            "tiny_xlm_roberta", "tiny_camembert", "tiny_deberta_v2", "tiny_modernbert",
            "tiny_data2vec_text", "tiny_nomic_bert", "tiny_gte"]  # fmt: skip
sys.path.insert(0, str(ROOT))
for variable in ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS"):
    os.environ[variable] = "1"  # tiny models gain nothing from threads, and another process uses the other cores
os.environ["HF_HUB_OFFLINE"] = "1"  # no test needs the Hub; those of the Hub's failures start their own processes
os.environ["HF_HOME"] = tempfile.mkdtemp(prefix="tfbert-tests-")

import pytest
from filelock import FileLock

from tfbert.model.backend import load_keras
from tfbert.model.weight_names import CLASSES, WITHOUT_TENSORFLOW
from tfbert.training.device import available_cores
from tfbert.training.team import Team

TYPES = {name: kind for name in ENCODERS for kind in CLASSES if name == f"tiny_{kind.replace('-', '_')}"}
H5 = [f"{name}_h5" for name, kind in TYPES.items() if kind not in WITHOUT_TENSORFLOW]


def pytest_sessionstart(session):
    """Imports Keras where tests run: not in the process that hands them to others."""
    if session.config.getoption("dist", "no") != "no" and not hasattr(session.config, "workerinput"):
        return
    load_keras()
    import datasets  # noqa: F401
    import keras
    import transformers  # noqa: F401

    gc.freeze()  # what they made stays: no collection looks at it again
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        cpu = tf.config.list_physical_devices("CPU")[0]  # as two devices, for test_distribution.py
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)


def pytest_xdist_auto_num_workers(config):
    """All tests run on all cores; those that are named run in this process, where a debugger can look."""
    if config.args_source is config.ArgsSource.ARGS:
        return 0
    return min(available_cores(), 8)


def made_once(tmp_path_factory, name, make):
    """The folder that make(folder) fills, the same for all processes of pytest-xdist."""
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = base / name
    with FileLock(base / f"{name}.lock"):
        if not folder.exists():
            making = base / f"{name}.making"
            make(making)
            making.rename(folder)
    return folder


GOOD = "good great wonderful lovely brilliant moving funny charming perfect superb".split()
BAD = "bad awful terrible boring dull clumsy weak annoying empty dreadful".split()
THINGS = "film movie story plot ending music cast script".split()


def reviews(count, seed):
    """Sentences from templates, with their labels: half praise, half blame, lengths from 6 to about 60 tokens."""
    rng = random.Random(seed)
    texts, labels = [], []
    for number in range(count):
        words = GOOD if number % 2 else BAD
        parts = []
        for _ in range(rng.randint(1, 8)):
            thing, word = rng.choice(THINGS), rng.choice(words)
            parts.append(
                rng.choice([f"a {word} {thing}.", f"the {thing} was {rng.choice(['very', 'really'])} {word}."])
            )
        texts.append(" ".join(parts) + f" {number}")
        labels.append(number % 2)
    return texts, labels


@pytest.fixture(scope="session")
def dataset_folder(tmp_path_factory):
    """A data set as --dataset_name takes it: train.parquet with 320 reviews and test.parquet with 100."""
    from datasets import ClassLabel, Dataset, Features, Value

    def make(folder):
        folder.mkdir()
        features = Features({"text": Value("string"), "label": ClassLabel(names=["neg", "pos"])})
        for split, count, seed in (("train", 320, 1), ("test", 100, 2)):
            texts, labels = reviews(count, seed)
            Dataset.from_dict({"text": texts, "label": labels}, features).to_parquet(folder / f"{split}.parquet")

    return made_once(tmp_path_factory, "reviews", make)


@pytest.fixture
def tiny_bert(tmp_path):
    """A copy of the tiny BERT, to be damaged at will."""
    return shutil.copytree(FIXTURES / "tiny_bert", tmp_path / "tiny_bert")


@pytest.fixture(scope="session")
def two_devices():
    """The CPU as two. One for all tests: in one process, the sums over the devices of a second would mix with its."""
    import keras
    import tensorflow as tf

    if keras.backend.backend() != "tensorflow":
        pytest.skip("tf.distribute is TensorFlow's")
    return Team(tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]))


@pytest.fixture
def no_pictures(monkeypatch):
    """train.py draws nothing: for tests of other things, as seven pictures take as long as the training."""
    monkeypatch.setattr("tfbert.report.record.write_plots", lambda folder, record: None)


@pytest.fixture(scope="session")
def untrained():
    """A tiny BERT with fresh weights, which learns fast; the other fixtures' weights are drawn too wide for that."""
    return FIXTURES / "untrained"


@pytest.fixture(scope="session")
def trained(untrained, dataset_folder, tmp_path_factory):
    """The folder of one run of train.py over the tiny BERT."""
    import train

    def make(folder):
        arguments = [
            "--model_name_or_path", untrained, "--dataset_name", dataset_folder, "--output_dir", folder,
            "--max_seq_length", 64, "--num_train_epochs", 6, "--learning_rate", 0.005, "--hidden_dropout", 0, "--validation_samples", 40,
            "--per_device_train_batch_size", 16, "--precision", "float32", "--max_train_samples", 280,
            "--max_eval_samples", 100,
        ]  # fmt: skip
        assert train.main([str(argument) for argument in arguments]) is None

    return made_once(tmp_path_factory, "trained", make)
