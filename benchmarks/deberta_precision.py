"""What float16 and int8 change in a DeBERTa, whose scores are sums of three, beside a BERT.

usage: python benchmarks/deberta_precision.py SST2 [--reviews 100]

SST2 is a folder with the train.tsv and dev.tsv of GLUE's SST-2. No weights of a real DeBERTa are at hand, and random
ones have no extreme numbers. So MiniLM's own weights are put into a DeBERTa of its size, all but those of places; the
vectors of distances begin at random. train.py fine-tunes both on 8,000 sentences, the DeBERTa in float16 too, on
fewer; they are judged on SST-2's development sentences and on reviews of IMDb's train split, which are long. Writes
results/deberta_precision.md.
"""

import shutil
from pathlib import Path

import numpy as np
from common import RESULTS, commit, trained
from evaluation import keras_forward
from long_texts import logits_of, parser_of, some_reviews

from tfbert.common.files import write_json, write_text
from tfbert.data.reading import read_published
from tfbert.data.sources import find_encoder
from tfbert.data.tasks import OWN_ENCODER
from tfbert.inference.predicting import Predictor
from tfbert.model.config_files import read_config
from tfbert.model.weight_files import open_weights, write_safetensors

OF_DEBERTA = {
    "model_type": "deberta-v2",
    "relative_attention": True,
    "position_buckets": 256,
    "max_relative_positions": -1,
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "pos_att_type": ["p2c", "c2p"],
    "position_biased_input": False,
    "type_vocab_size": 0,
    "pooler_hidden_act": "gelu",
}
LOST = ("embeddings.position", "embeddings.token_type", "pooler.")
WAYS = {"Keras, float32": "float32", "Keras, bfloat16": "mixed_bfloat16", "Keras, float16": "mixed_float16"}
LONGEST = 256  # tokens of a text
MODELS = {  # name: encoder, --precision, training sentences
    "BERT": ("bert", "auto", 8000),
    "DeBERTa": ("deberta", "auto", 8000),
    "DeBERTa, learnt in float16": ("deberta", "float16", 1600),
}


def main():
    arguments = parser_of(__doc__, 100, "sst2", "SST2").parse_args()
    work = Path(arguments.work)
    work.mkdir(exist_ok=True)
    sentences = [row for _, row in read_published(Path(arguments.sst2, "dev.tsv"))]
    texts = {
        "sentences": ([row["sentence"] for row in sentences], np.array([int(row["label"]) for row in sentences])),
        "reviews": some_reviews(work, arguments.reviews),
    }
    encoders = {"bert": find_encoder(default=OWN_ENCODER).folder, "deberta": deberta_of_minilm(work / "deberta")}
    rows = []
    for name, (encoder, precision, samples) in MODELS.items():
        folder = work / f"precision-{encoder}-{precision}"
        trained(folder, "--task_name", "sst2", "--data_dir", arguments.sst2, "--model_name_or_path",
                str(encoders[encoder]), "--precision", precision, "--max_train_samples", str(samples),
                "--per_device_train_batch_size", "32", "--max_eval_samples", "100")  # fmt: skip
        rows += rows_of(name, folder, texts)
        print("\n".join(rows[-len(texts) * (len(WAYS) + 2) :]), flush=True)
    head = [
        "# DeBERTa in float16 and int8\n",
        f"`python benchmarks/deberta_precision.py SST2 --reviews {arguments.reviews}`, commit {commit()}. MiniLM, as "
        "BERT, and its weights in a DeBERTa of its size, two epochs of 8,000 sentences of SST-2 (1,600 in float16); "
        f"{len(sentences)} development sentences, {arguments.reviews} reviews of IMDb, {LONGEST} tokens of "
        "each at most.\n",
        "| model | texts | computed in | right | labels that change | largest change of a logit |",
        "| --- | --- | --- | ---: | ---: | ---: |",
    ]
    write_text(RESULTS / "deberta_precision.md", "\n".join([*head, *rows, ""]))


def deberta_of_minilm(folder):
    """Writes a model folder: a DeBERTa that has MiniLM's weights but for those of places, which begin at random."""
    source = Path(find_encoder(default=OWN_ENCODER).folder)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in ("vocab.txt", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        if (source / name).exists():
            shutil.copy(source / name, folder)
    config = read_config(source) | OF_DEBERTA
    config["pooler_hidden_size"] = width = config["hidden_size"]
    write_json(folder / "config.json", config)
    weights = {}
    with open_weights(source) as stored:
        for name in stored.shapes:
            bare = name.removeprefix("bert.")
            if bare.startswith(LOST):
                continue
            for kind in ("query", "key", "value"):
                bare = bare.replace(f"self.{kind}.", f"self.{kind}_proj.")
            value = stored.read(name)
            weights[f"deberta.{bare}"] = value * 3**0.5 if "query_proj" in bare else value  # DeBERTa divides by that
    random = np.random.default_rng(0)
    rows = 2 * config["position_buckets"]
    weights["deberta.encoder.rel_embeddings.weight"] = random.normal(0, 0.02, (rows, width)).astype(np.float32)
    weights["deberta.encoder.LayerNorm.weight"] = np.full(width, 0.1, np.float32)  # disturbs little at first
    weights["deberta.encoder.LayerNorm.bias"] = np.zeros(width, np.float32)
    write_safetensors(weights, folder / "model.safetensors")
    return folder


def rows_of(name, folder, texts):
    """A row of the table for each kind of texts and way to compute. texts: {kind: (texts, labels)}."""
    predictor = Predictor(folder)
    forwards = {way: keras_forward(folder, policy) for way, policy in WAYS.items()}
    forwards["ONNX Runtime, float32"] = predictor.logits_of_batch
    forwards["ONNX Runtime, int8"] = Predictor(folder, quantize=True).logits_of_batch
    rows = []
    for kind, (some, labels) in texts.items():
        cut = [each[:LONGEST] for each in predictor.encoder(list(some))[0]]
        answers = {}
        for way, forward in forwards.items():
            predictor.logits_of_batch = forward
            answers[way] = logits_of(predictor, cut)
        exact = answers["Keras, float32"]
        rows += [
            f"| {name} | {kind} | {way} | {(logits.argmax(1) == labels).mean():.1%} | "
            f"{(logits.argmax(1) != exact.argmax(1)).sum()} | {np.abs(logits - exact).max():.4f} |"
            for way, logits in answers.items()
        ]
    return rows


if __name__ == "__main__":
    main()
