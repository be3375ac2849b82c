"""transformers' Trainer. Arguments: start time, encoder folder, reviews.parquet, batch size, tokens, options.

options: pad_to_max_length, bf16, attention, hidden_dropout, attention_dropout, group_by_length, compile; the
example set-up is that of transformers' examples/pytorch/text-classification/run_classification.py.
"""

import json
import sys
import tempfile
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[2])]
import torch
from datasets import load_dataset
from stopwatch import StepTimes, calls_per_second
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    default_data_collator,
)


def main():
    encoder, reviews, options = sys.argv[2], sys.argv[3], json.loads(sys.argv[6])
    batch_size, length = int(sys.argv[4]), int(sys.argv[5])
    tokenizer = AutoTokenizer.from_pretrained(encoder)
    config = AutoConfig.from_pretrained(encoder, num_labels=2, hidden_dropout_prob=options["hidden_dropout"],
                                        attention_probs_dropout_prob=options["attention_dropout"])  # fmt: skip
    model = AutoModelForSequenceClassification.from_pretrained(
        encoder, config=config, attn_implementation=options["attention"], dtype=torch.float32
    )
    padding = "max_length" if options["pad_to_max_length"] else False
    dataset = load_dataset("parquet", data_files=reviews, split="train").map(
        lambda batch: tokenizer(batch["text"], padding=padding, max_length=length, truncation=True),
        batched=True,
        remove_columns=["text"],
        load_from_cache_file=False,
    )
    tokens = sum(map(sum, dataset["attention_mask"]))
    times = StepTimes(float(sys.argv[1]))

    class Timer(TrainerCallback):
        def on_step_end(self, arguments, state, control, **more):
            times.step()

    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            per_device_train_batch_size=batch_size,
            num_train_epochs=1,
            learning_rate=1e-4,
            weight_decay=0.01,
            warmup_steps=0.1,
            use_cpu=not torch.cuda.is_available(),
            bf16=options["bf16"],
            torch_compile=options["compile"],
            train_sampling_strategy="group_by_length" if options["group_by_length"] else "random",
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
        )
        collator = default_data_collator if options["pad_to_max_length"] else DataCollatorWithPadding(tokenizer)
        trainer = Trainer(model, arguments, train_dataset=dataset, processing_class=tokenizer, data_collator=collator,
                          callbacks=[Timer()])  # fmt: skip
        trainer.train()
    on_gpu = torch.cuda.is_available()
    size = (8192, 8192, 8192) if on_gpu else (4096, 384, 1536)
    times.report(
        len(dataset),
        batch_size,
        tokens,
        matmul_rate=max(matmul_rate(torch.bfloat16, *size), matmul_rate(torch.float32, *size)),
        device_memory_gb=torch.cuda.max_memory_allocated() / 1e9 if on_gpu else 0.0,
    )


def matmul_rate(dtype, rows, inner, columns):
    """As stopwatch.matmul_rate."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    left, right = (torch.ones(shape, dtype=dtype, device=device) for shape in ((rows, inner), (inner, columns)))

    def multiply():
        return float((left @ right)[0, 0])

    return 2 * rows * inner * columns * calls_per_second(multiply)


main()
