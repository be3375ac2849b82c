"""Goes on with an encoder's masked language modelling on a task's own texts, before it is fine-tuned.

usage: python pretrain.py
       python train.py --model_name_or_path pretrained

Leaves an encoder in pretrained/. Labels are not read; the test split neither, but to leave its texts out of the
unsupervised split.
"""

import shlex
import sys

from tfbert import checkpoints, configs
from tfbert.batches import Examples, TextEncoder
from tfbert.console import say
from tfbert.device import find_device
from tfbert.errors import UserError, run
from tfbert.files import replaced_folder, write_csv, write_json
from tfbert.outputs import begin, check_output_dir, remove_checkpoints
from tfbert.settings import PretrainSettings, command_of, fill_in, parse
from tfbert.sources import find_dataset, find_encoder
from tfbert.splits import load_texts
from tfbert.tasks import chosen_task
from tfbert.timing import clock
from tfbert.weights import LAYOUTS, get_weights, read_weights

OUTPUT_FILES = {"config.json", "model.safetensors", "vocab.txt", "tokenizer.json", "tokenizer_config.json",
                "special_tokens_map.json", "added_tokens.json", "pretraining.json", "history.json",
                "history.csv"}  # fmt: skip


def main(argv=None):
    settings = parse(PretrainSettings, argv)
    task = chosen_task(settings)
    check_output_dir(settings, OUTPUT_FILES, "pretraining.json", "pretraining.json")
    encoder = find_encoder(settings.model_name_or_path)
    config = configs.read_encoder_config(encoder.folder)
    data = find_dataset(task, settings)
    device = find_device(settings.precision, settings.xla)
    if device.team.size > 1:
        raise UserError("pretrain.py uses one GPU: set CUDA_VISIBLE_DEVICES=0")
    choose_size(settings, device, configs.model_config(config, encoder.folder))
    say("Task", f"masked language modelling on the texts of {task.name}")
    say("Device", device.in_words)
    say("Encoder", encoder.description)
    say("Data", data.description + (", with its unsupervised split" if settings.unsupervised else ""))

    tokenizer = checkpoints.load_tokenizer(encoder.folder, settings.max_seq_length, config)
    if tokenizer.mask_token_id is None:
        raise UserError(f"the tokenizer in {encoder.folder} has no mask token: masked language modelling needs one")
    texts, held_out = load_texts(task, data, settings)
    batches, gaps = batches_of(texts, held_out, tokenizer, settings, device.xla)
    say("Texts", f"{len(texts):,} in {len(batches.examples):,} pieces; {len(held_out):,} held out of train")

    from tfbert.training import run_facts  # heavy imports wait until they are needed

    facts = run_facts(settings, settings.seed, encoder, data, batches)
    model, progress = learn(encoder, config, batches, gaps, settings, device, facts)
    if progress.interrupted:
        say("Stopped", f"after step {progress.step} of {progress.total_steps}")
        say("", "To go on: the same command with --resume_from_checkpoint last")
        return 130
    last = progress.last_validation()
    done = facts | {
        "command": command_of("pretrain.py", sys.argv[1:] if argv is None else argv),
        "model_source": encoder.description,
        "dataset_source": data.description,
        "texts": len(texts),
        "train_seconds": progress.train_seconds,
        "validation_loss": last["validation_loss"],
        "validation_accuracy": last["validation_accuracy"],
    }
    with replaced_folder(settings.output_dir, owned=OUTPUT_FILES) as staged:
        weights = pooler_weights(config["model_type"], encoder.folder) | get_weights(model)
        checkpoints.save_encoder(staged, weights, configs.masked_lm_config(config), tokenizer)
        write_json(staged / "history.json", progress.history)
        write_csv(staged / "history.csv", progress.history)
        write_json(staged / "pretraining.json", done)
    remove_checkpoints(settings.output_dir)
    say("Gaps", f"{last['validation_accuracy']:.1%} guessed right, cross-entropy {last['validation_loss']:.3f}")
    say("Time", f"{clock(progress.train_seconds)} of training")
    say("Next", f"python train.py --model_name_or_path {shlex.quote(settings.output_dir)}")


def batches_of(texts, held_out, tokenizer, settings, xla):
    """What is learnt from, and gaps in held-out texts, which stay the same: two MaskedBatches."""
    from tfbert.masked_lm import MaskedBatches

    encoder = TextEncoder(tokenizer.backend_tokenizer, settings.max_seq_length)
    train = Examples.chunked(texts, encoder, "tokenizing train", xla)
    validation = Examples.chunked(held_out, encoder, "tokenizing validation", xla)
    sizes = settings.per_device_train_batch_size, settings.max_seq_length, settings.seed, tokenizer
    return MaskedBatches(train, *sizes, settings.mlm_probability), MaskedBatches(validation, *sizes)


def learn(encoder, config, batches, gaps, settings, device, facts):
    """Trains the encoder and its head: the model, and the Progress."""
    import keras

    from tfbert import masked_lm, training

    keras.utils.set_random_seed(settings.seed)
    dropping = configs.with_dropout(config, settings)
    model, weights_line = masked_lm.load_masked_lm(encoder.folder, dropping, device.policy)
    begin(settings, model)
    total_steps = batches.steps(settings.num_train_epochs, settings.gradient_accumulation_steps)
    masked_lm.compile_model(model, training.new_optimizer(model, settings, total_steps), device.xla)
    say("Weights", weights_line)
    say("Steps", f"{total_steps:,} of {batches.batch_size} pieces")
    return model, training.fit(
        model, batches, lambda forward: masked_lm.evaluate(forward, gaps), settings, total_steps, facts
    )


def pooler_weights(kind, folder):
    """The pooler of the encoder in `folder`, where it has one; masked language modelling does not change it."""
    weights, prefix = read_weights(folder)[0], LAYOUTS[kind].prefix
    named = {prefix + name.removeprefix(prefix): value for name, value in weights.items()}
    return {name: value for name, value in named.items() if name.startswith(prefix + "pooler")}


def choose_size(settings, device, config):
    """Fills in what the command line left open."""
    chosen = {
        "learning_rate": 5e-4 if config.hidden_size <= 512 else 5e-5,
        "max_seq_length": min(config.max_length, 512 if device.is_gpu else 256),
        "num_train_epochs": 3.0 if device.is_gpu else 1.0,
        "per_device_train_batch_size": 32 if device.is_gpu else 16,
        "hidden_dropout": 0.0 if not device.is_gpu else None,
    }
    fill_in(settings, chosen, config.max_length)


if __name__ == "__main__":
    sys.exit(run(main))
