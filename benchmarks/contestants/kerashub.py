"""KerasHub's BertTextClassifier.fit. Arguments: as pytorch.py; options: dtype."""

import json
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parent))
import keras
import keras_hub
import pyarrow.parquet
from stopwatch import StepTimes


def main():
    encoder, reviews, options = sys.argv[2], sys.argv[3], json.loads(sys.argv[6])
    batch_size, length = int(sys.argv[4]), int(sys.argv[5])
    table = pyarrow.parquet.read_table(reviews)
    texts, labels = table["text"].to_pylist(), table["label"].to_numpy()
    tokenizer = keras_hub.models.BertTokenizer(vocabulary=f"{encoder}/vocab.txt", lowercase=True)
    preprocessor = keras_hub.models.BertTextClassifierPreprocessor(tokenizer, sequence_length=length)
    backbone = keras_hub.models.BertBackbone.from_preset(encoder, dtype=options["dtype"])
    model = keras_hub.models.BertTextClassifier(backbone, num_classes=2, preprocessor=preprocessor)
    model.compile(
        optimizer=keras.optimizers.AdamW(1e-4, weight_decay=0.01, global_clipnorm=1.0),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    times = StepTimes(float(sys.argv[1]))
    steps = -(-len(texts) // batch_size)

    class Timer(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 0 or batch == steps - 1:
                float(logs["loss"])
                times.step()

    model.fit(texts, labels, batch_size=batch_size, epochs=1, callbacks=[Timer()], verbose=0)
    tokens = int((preprocessor(texts)["padding_mask"].numpy() > 0).sum())
    times.report(len(texts), batch_size, tokens)


main()
