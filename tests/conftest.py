import os
import random
import shutil
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
FIXTURES = Path(__file__).parent / "fixtures"
ENCODERS = ["tiny_bert", "tiny_distilbert", "tiny_roberta", "tiny_electra", "tiny_mpnet", "tiny_albert"]
sys.path.insert(0, str(ROOT))
os.environ["HF_HUB_OFFLINE"] = "1"  # no test needs the Hub; those of the Hub's failures start their own processes
os.environ["HF_HOME"] = tempfile.mkdtemp(prefix="tfbert-tests-")

import pytest

from tfbert.model.backend import load_keras

load_keras()

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

    folder = tmp_path_factory.mktemp("reviews")
    features = Features({"text": Value("string"), "label": ClassLabel(names=["neg", "pos"])})
    for split, count, seed in (("train", 320, 1), ("test", 100, 2)):
        texts, labels = reviews(count, seed)
        Dataset.from_dict({"text": texts, "label": labels}, features).to_parquet(folder / f"{split}.parquet")
    return folder


@pytest.fixture
def tiny_bert(tmp_path):
    """A copy of the tiny BERT, to be damaged at will."""
    return shutil.copytree(FIXTURES / "tiny_bert", tmp_path / "tiny_bert")


@pytest.fixture(scope="session")
def untrained(tmp_path_factory):
    """A tiny BERT with fresh weights, which learns fast; the fixtures' weights are drawn too wide for that."""
    import keras

    from tfbert.model.configs import read_config
    from tfbert.model.folders import load_tokenizer, new_classifier, save_classifier
    from tfbert.model.weights import get_weights

    folder = tmp_path_factory.mktemp("untrained")
    config = read_config(FIXTURES / "tiny_bert") | {"initializer_range": 0.2}
    keras.utils.set_random_seed(3)
    save_classifier(
        folder, get_weights(new_classifier(config)), config, load_tokenizer(FIXTURES / "tiny_bert", 64, config)
    )
    return folder


@pytest.fixture(scope="session")
def trained(untrained, dataset_folder, tmp_path_factory):
    """The folder of one run of train.py over the tiny BERT."""
    import train

    output = tmp_path_factory.mktemp("trained") / "model"
    arguments = [
        "--model_name_or_path", untrained, "--dataset_name", dataset_folder, "--output_dir", output,
        "--max_seq_length", 64, "--num_train_epochs", 6, "--learning_rate", 0.005, "--hidden_dropout", 0, "--validation_samples", 40,
        "--per_device_train_batch_size", 16, "--precision", "float32", "--max_train_samples", 280,
        "--max_eval_samples", 100,
    ]  # fmt: skip
    assert train.main([str(argument) for argument in arguments]) is None
    return output
