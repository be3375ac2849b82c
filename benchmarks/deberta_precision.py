"""What float16 and int8 change in a DeBERTa, whose scores are sums of three, beside a BERT.

usage: python benchmarks/recipes.py --name quick -- ; python benchmarks/deberta_precision.py FOLDER [--reviews 200]

FOLDER is the model that recipes.py leaves. No weights of a real DeBERTa are at hand, and random ones have no extreme
numbers. So MiniLM's own weights are put into a DeBERTa of its size, all but those of places; the vectors of distances
begin at random. train.py then fine-tunes it on 1,000 reviews of IMDb's train split, and once more on 80 in
float16; all are judged on reviews of other films. Writes results/deberta_precision.md.
"""

import shutil
from pathlib import Path

import numpy as np
from common import RESULTS, commit, trained
from evaluation import keras_forward
from long_texts import logits_of, parser_of, some_reviews
from recipes import split_of_train

from tfbert.common.files import write_json, write_text
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


def main():
    arguments = parser_of(__doc__, 200).parse_args()
    work = Path(arguments.work)
    deberta = deberta_of_minilm(work / "deberta")
    texts, labels = some_reviews(work, arguments.reviews)
    fixed = f"--dataset_name {split_of_train(work, None)} --model_name_or_path {deberta} --max_eval_samples 100"
    models = {"BERT": Path(arguments.model)}
    for precision, samples in (("auto", 1000), ("float16", 80)):
        name = "DeBERTa" if precision == "auto" else "DeBERTa, learnt in float16"
        models[name] = work / f"deberta-{precision}"
        trained(models[name], *fixed.split(), "--max_train_samples", str(samples), "--precision", precision)
    rows = []
    for name, folder in models.items():
        rows += rows_of(name, folder, texts, labels)
        print("\n".join(rows[-len(WAYS) - 2 :]), flush=True)
    head = [
        "# DeBERTa in float16 and int8\n",
        f"`python benchmarks/deberta_precision.py FOLDER`, commit {commit()}: {len(texts):,} reviews of films that no "
        "model has read, at most 256 tokens of each. MiniLM as BERT after 8,000 reviews; its weights in a DeBERTa of "
        "its size after 1,000, and after 5 steps in float16.\n",
        "| model | computed in | right | labels that change | largest change of a logit |",
        "| --- | --- | ---: | ---: | ---: |",
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


def rows_of(name, folder, texts, labels):
    """A row of the table for each way to compute."""
    predictor = Predictor(folder)
    ids = predictor.encoder(texts)[0]
    cut = [each[: predictor.encoder.max_seq_length] for each in ids]
    forwards = {way: keras_forward(folder, policy) for way, policy in WAYS.items()}
    forwards["ONNX Runtime, float32"] = predictor.logits_of_batch
    forwards["ONNX Runtime, int8"] = Predictor(folder, quantize=True).logits_of_batch
    answers = {}
    for way, forward in forwards.items():
        predictor.logits_of_batch = forward
        answers[way] = logits_of(predictor, cut)
    exact = answers["Keras, float32"]
    return [
        f"| {name} | {way} | {(logits.argmax(1) == labels).mean():.1%} | "
        f"{(logits.argmax(1) != exact.argmax(1)).sum()} | {np.abs(logits - exact).max():.4f} |"
        for way, logits in answers.items()
    ]


if __name__ == "__main__":
    main()
