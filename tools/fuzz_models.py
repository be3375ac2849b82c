"""Damages a tiny model's folder in one place, loads it and asks it, again and again.

usage: python tools/fuzz_models.py [--seconds 600] [--seed 20] [--only NUMBER] [--keep FOLDER]

A finding is what ends neither in a UserError nor in finite answers, takes more than 10 s or 4 GB, or kills the process.
The corpus is tests/fixtures; mutation NUMBER of a seed is always the same, and --only makes it again.
"""

import argparse
import collections
import json
import os
import random
import select
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
FIXTURES = ROOT / "tests" / "fixtures"
SECONDS, BYTES, ROUNDS = 10, 4 << 30, 300  # for one mutation; and how many one worker gets
STRANGE = [0, -1, 1, 2**31, 2**63, 10**9, 10**30, 1e308, -0.5, None, True, "", "x" * 1000, "\u0000", [], {}, [[[]]]]
KINDS = {"onnx": 6, "safetensors": 2, "h5": 3, "shards": 1, "h5_shards": 1, "checkpoint": 1, "vocabulary": 1}


def corpus(folder):
    """{kind: a whole model folder}, made of the fixtures."""
    import h5py
    from safetensors.numpy import load_file, save_file

    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
    from test_older_models import google_release

    from tfbert.model.backend import load_keras

    load_keras()
    from tfbert.inference.onnx_export import export_onnx
    from tfbert.model.folders import load_classifier
    from tfbert.model.weight_names import tensorflow_path

    made = {kind: folder / kind for kind in KINDS}
    for kind in ("onnx", "safetensors", "h5", "shards", "h5_shards", "vocabulary"):
        shutil.copytree(FIXTURES / "tiny_bert", made[kind], ignore=shutil.ignore_patterns("golden.npz"))
    weights = load_file(FIXTURES / "tiny_bert" / "model.safetensors")
    (made["onnx"] / "onnx").mkdir()
    export_onnx(load_classifier(made["onnx"])[0], made["onnx"] / "onnx" / "model.onnx")
    by_path = {f"tf_bert/{tensorflow_path(name)}": name for name in weights}
    for kind, name in (("shards", "model.safetensors"), ("h5", "tf_model.h5"), ("h5_shards", "tf_model.h5")):
        (made[kind] / "model.safetensors").unlink()
        if kind == "shards":
            save_file(weights, made[kind] / "model-1.safetensors")
            index = dict.fromkeys(weights, "model-1.safetensors")
        else:
            file_name = "tf_model-1.h5" if kind == "h5_shards" else name
            with h5py.File(made[kind] / file_name, "w") as file:
                for path, known in by_path.items():
                    value = weights[known].T if path.endswith("/kernel:0") else weights[known]
                    file.create_dataset(f"bert/{path}" if kind == "h5" else path.split("/", 1)[1], data=value)
                    file.attrs["layer_names"] = ["bert", "classifier"]
            index = dict.fromkeys(by_path, file_name)
        if kind != "h5":
            (made[kind] / f"{name}.index.json").write_text(json.dumps({"weight_map": index}))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (made["vocabulary"] / name).unlink()
    google_release(made["checkpoint"])
    return made


def mutate(folder, dice):
    """Damages one file of `folder`; says what was done to which."""
    path = dice.choice(sorted(path for path in folder.rglob("*") if path.is_file()))
    if path.suffix == ".json" and dice.random() < 0.6:
        how = change_json(path, dice)
    else:
        how = change_bytes(path, dice)
    return f"{path.relative_to(folder)}: {how}"


def change_json(path, dice):
    """Sets one value of a JSON file to a strange one, removes it or nests it deep."""
    value = json.loads(path.read_text(encoding="utf-8"))
    place, steps = value, []
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = dice.choice(keys)
        steps.append(key)
        if isinstance(place[key], (dict, list)) and place[key] and dice.random() < 0.8:
            place = place[key]
            continue
        break
    action = dice.choice(["strange", "strange", "strange", "remove", "deep", "scaled"])
    if action == "remove":
        del place[key]
    elif action == "deep":
        place[key] = "DEEP"
    elif action == "scaled" and type(place[key]) in (int, float):
        place[key] = place[key] * dice.choice([-1, 2, 3, 1000, 10**6])
    else:
        place[key] = dice.choice(STRANGE)
    text = json.dumps(value).replace('"DEEP"', "[" * 5000 + "]" * 5000)
    path.write_text(text, encoding="utf-8")
    return f"{action} at {steps}"


def change_bytes(path, dice):
    data = bytearray(path.read_bytes())
    # the beginning, where headers stand, as often as all the rest
    place = dice.randrange(len(data)) if dice.random() < 0.5 else dice.randrange(min(len(data), 4096))
    size = dice.choice([1, 1, 2, 4, 8, 64, 1024])
    action = dice.choice(
        ["flip", "flip", "flip", "byte", "cut", "double", "zero", "ones", "drop", "swap", "empty", "big"]
    )
    if action == "flip":
        data[place] ^= 1 << dice.randrange(8)
    elif action == "byte":
        data[place] = dice.randrange(256)
    elif action == "cut":
        del data[place:]
    elif action == "double":
        data[place:place] = data[place : place + size]
    elif action in ("zero", "ones", "big"):
        filler = {"zero": b"\0", "ones": b"\xff", "big": b"\x7f"}[action]
        data[place : place + size] = filler * len(data[place : place + size])
    elif action == "drop":
        del data[place : place + size]
    elif action == "swap":
        other = dice.randrange(len(data))
        data[place], data[other] = data[other], data[place]
    else:
        data.clear()
    path.write_bytes(data)
    return f"{action} {size} at {place}"


def work():
    """A worker: for each folder named on standard input, one line that says how it went."""
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.path.insert(0, str(ROOT))
    from tfbert.model.backend import load_keras

    load_keras()
    import keras
    import numpy as np

    from tfbert.common.errors import UserError
    from tfbert.data.tokenizing import TextEncoder
    from tfbert.inference.predicting import Predictor
    from tfbert.model.configs import read_encoder_config
    from tfbert.model.folders import load_classifier, load_model
    from tfbert.model.masked_lm import MaskedLanguageModel
    from tfbert.model.vocabulary import fitted_config, load_tokenizer

    texts = ["a good film", "the story was very bad , and the ending too ! " * 9, "Ünknown 電影 \x00"]

    def labels(folder):
        for result in Predictor(folder)(texts):
            assert np.isfinite(result["probability"]) and 0 <= result["probability"] <= 1, result

    def trains(folder):
        """As far as train.py and pretrain.py go before they learn."""
        config = read_encoder_config(folder)
        tokenizer = load_tokenizer(folder, 32, config)
        config = fitted_config(config, tokenizer, folder)
        kind = MaskedLanguageModel if Path(folder).name == "checkpoint" else None
        model, _ = load_model(kind, folder, config, "float32") if kind else load_classifier(folder, config)
        ids, _, _ = TextEncoder(tokenizer.backend_tokenizer, 32)(texts)
        ids = np.array([(row + [0] * 8)[:8] for row in ids], np.int32)
        inputs = {"input_ids": ids, "attention_mask": np.ones_like(ids), "gaps": ids[:, :1] * 0}
        model(inputs if kind else {"input_ids": ids})  # training ends by itself where a loss is not finite

    for line in sys.stdin:
        folder, said = line.rstrip("\n"), []
        for function in (labels,) if Path(folder).name == "onnx" else (labels, trains):
            try:
                function(folder)
                said.append("fine")
            except UserError as error:
                said.append(f"UserError: {' '.join(str(error).split())}")
            except BaseException as error:
                import traceback

                trace = traceback.extract_tb(error.__traceback__)
                ours = [f"{Path(each.filename).name}:{each.lineno}" for each in trace if "tfbert" in each.filename]
                said.append(f"FINDING {function.__name__} {type(error).__name__}: {str(error)[:300]!r} in {ours}")
        keras.backend.clear_session()
        out.write(json.dumps(said) + "\n")


class Worker:
    def __init__(self):
        self.log = tempfile.TemporaryFile()
        command = [sys.executable, __file__, "--work"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log)
        self.rounds = 0

    def ask(self, folder, seconds=SECONDS):
        """What the worker says of a folder, a list; a finding where it hangs, grows or dies."""
        self.rounds += 1
        self.process.stdin.write(f"{folder}\n".encode())
        self.process.stdin.flush()
        start = time.time()
        while time.time() < start + seconds:
            if select.select([self.process.stdout], [], [], 0.1)[0]:
                line = self.process.stdout.readline()
                return json.loads(line) if line else [f"FINDING died with {self.process.wait()}"]
            if self.memory() > BYTES:
                return [f"FINDING takes {self.memory() / 1e9:.1f} GB"]
        return [f"FINDING takes more than {seconds} s"]

    def memory(self):
        try:
            return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except (OSError, IndexError):
            return 0

    def end(self):
        self.process.kill()
        self.process.wait()
        self.log.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--only", type=int, help="one mutation, by its number")
    parser.add_argument("--keep", help="a folder for the models that were findings")
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        return work()
    counts, findings, worker = collections.Counter(), 0, None
    with tempfile.TemporaryDirectory(prefix="fuzz-models-") as place:
        made = corpus(Path(place, "corpus"))
        end, number = time.time() + arguments.seconds, arguments.only or 0
        while time.time() < end:
            dice = random.Random(f"{arguments.seed}-{number}")
            kind = dice.choices(list(KINDS), KINDS.values())[0]
            folder = Path(place, kind)
            shutil.copytree(made[kind], folder)
            how = f"{kind}/{mutate(folder, dice)}"
            if worker is None:
                worker = Worker()
                for whole in made.values():
                    said = worker.ask(whole, 120)
                    assert not any(each.startswith("FINDING") for each in said), (whole, said)
            said = worker.ask(folder)
            counts["mutations"] += 1
            counts.update(each.split(":")[0].split(" ")[0] for each in said)
            found = [each for each in said if each.startswith("FINDING")]
            if found or arguments.only is not None:
                print(f"{number} {how}: {'; '.join(found or said)}", flush=True)
            if found:
                findings += 1
                if arguments.keep:
                    shutil.copytree(folder, Path(arguments.keep, f"{arguments.seed}-{number}"), dirs_exist_ok=True)
            if any(word in each for each in found for word in ("died", "takes")) or worker.rounds >= ROUNDS:
                worker.end()
                worker = None
            shutil.rmtree(folder)
            number += 1
            if arguments.only is not None:
                break
        if worker:
            worker.end()
    print(f"{counts['mutations']:,} mutations, {findings} findings; {dict(counts)}")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
