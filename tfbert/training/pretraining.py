"""A job of masked language modelling: what pretrain.py's settings lead to, and what is known of one that was done."""

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path

from tfbert.common.console import say
from tfbert.common.errors import UserError
from tfbert.common.locks import sole_run
from tfbert.common.settings import command_of
from tfbert.data.batches import Examples
from tfbert.data.masking import MaskedBatches
from tfbert.data.sketch import sketch_of
from tfbert.data.sources import find_dataset, find_encoder
from tfbert.data.splits import load_texts
from tfbert.data.tasks import chosen_task
from tfbert.data.tokenizing import TextEncoder
from tfbert.data.vocabulary import known_in_words, unknown_share
from tfbert.model import configs
from tfbert.model.folders import ENCODER_FILES
from tfbert.model.vocabulary import fitted_config, load_tokenizer
from tfbert.training.checks import check_memory, check_steps
from tfbert.training.device import find_device
from tfbert.training.outputs import check_output_dir
from tfbert.training.settings import PretrainSettings
from tfbert.training.sizes import choose_pretraining_size


@dataclass
class PretrainJob:
    """What is to be done, with what: the settings and all that they led to."""

    settings: PretrainSettings
    command: str
    encoder: object  # sources.Source, as data
    data: object
    device: object
    tokenizer: object
    config: dict  # config.json of the encoder
    texts: int  # how many are learnt from
    learnt: str  # a sketch of these
    batches: MaskedBatches  # of these
    gaps: MaskedBatches  # in held-out texts, always the same
    run_facts: dict  # as fitting.run_facts


@contextlib.contextmanager
def prepare(settings, argv=None):
    """The PretrainJob: finds encoder, data and device, says so, and tokenizes.

    No other run has the output folder until the block ends. argv: the words that gave the settings; None: the command
    line's.
    """
    with sole_run(settings.output_dir, lambda line: say("Note", line)):
        yield new_job(settings, argv)


def new_job(settings, argv):
    """As prepare."""
    task = chosen_task(settings)
    check_output_dir(settings, ENCODER_FILES, "pretraining.json", "pretraining.json")
    encoder = find_encoder(settings.model_name_or_path, task.encoder)
    config = configs.read_encoder_config(encoder.folder)
    data = find_dataset(task, settings)
    device = find_device(settings.precision, settings.xla)
    if device.team.size > 1:
        raise UserError("pretrain.py uses one GPU: set CUDA_VISIBLE_DEVICES=0")
    shape = configs.model_config(config, encoder.folder)
    choose_pretraining_size(settings, device, shape)
    say("Task", f"masked language modelling on the texts of {task.name}")
    say("Device", device.in_words)
    say("Encoder", encoder.description)
    say("Data", data.description + (", with its unsupervised split" if settings.unsupervised else ""))

    tokenizer = load_tokenizer(encoder.folder, settings.max_seq_length, config, settings.do_lower_case)
    config = fitted_config(config, tokenizer, encoder.folder)
    if tokenizer.mask_token_id is None:
        raise UserError(f"the tokenizer in {encoder.folder} has no mask token: masked language modelling needs one")
    notes = []
    texts, held_out = load_texts(task, data, settings, notes)
    for note in dict.fromkeys(notes):
        say("Note", note)
    text_encoder = TextEncoder(tokenizer.backend_tokenizer, settings.max_seq_length)
    batches, gaps = batches_of(texts, held_out, text_encoder, tokenizer, settings, device.xla)
    if (share := unknown_share(batches.examples, text_encoder)) is not None:
        say("Unknown", known_in_words(share, encoder.name))
    check_steps(settings, batches)
    check_memory(settings, shape, device, batches.examples.lengths.max(), len(gaps.examples))
    say("Texts", f"{len(texts):,} in {len(batches.examples):,} pieces; {len(held_out):,} held out of train")

    from tfbert.training.fitting import run_facts  # heavy imports wait until they are needed

    command = command_of("pretrain.py", argv)
    learnt = sketch_of(texts["text"])
    facts = run_facts(settings, settings.seed, encoder, data, batches, gaps.examples)
    return PretrainJob(
        settings, command, encoder, data, device, tokenizer, config, len(texts), learnt, batches, gaps, facts
    )


def batches_of(texts, held_out, encoder, tokenizer, settings, xla):
    """What is learnt from, and gaps in held-out texts, which stay the same: two MaskedBatches."""
    train = Examples.chunked(texts, encoder, "tokenizing train", xla)
    validation = Examples.chunked(held_out, encoder, "tokenizing validation", xla)
    sizes = settings.per_device_train_batch_size, settings.max_seq_length, settings.seed, tokenizer
    return MaskedBatches(train, *sizes, settings.mlm_probability), MaskedBatches(validation, *sizes)


def read_pretraining(folder):
    """What pretrain.py did to the encoder in `folder`, its pretraining.json as a dict, or None."""
    path = Path(folder, "pretraining.json")
    if not path.exists():
        return None
    try:
        done = json.loads(path.read_text(encoding="utf-8"))
        wanted = "command", "model", "model_source", "dataset", "dataset_source", "seed", "texts", "train_seconds"
        return {name: done[name] for name in wanted}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is damaged ({error!r}): delete it, or run pretrain.py again") from error
