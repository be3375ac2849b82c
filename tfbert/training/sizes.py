"""How large a job is: what the command line leaves open, and how long it will take."""

from tfbert.common.errors import UserError

FOR_FINE_TUNING = ("learning_rate", "num_train_epochs", "per_device_train_batch_size", "hidden_dropout", "head",
                   "adversarial")  # fmt: skip
UPDATES = 400  # of own data, about; between so many epochs:
FEWEST_EPOCHS, MOST_EPOCHS = 4, 20  # of batches of 32; half as many where the head comes from regression
FEW = 1280  # texts, for which UPDATES are reached with half the epochs in batches of 16, from such a head
LONG = 15 * 60  # seconds, from which on --minutes is offered
MOST_UPDATES = 2500  # of large sets, in 2 epochs at least
MOVED = 0.2  # in adversarial training, from a head that comes from regression,
MANY = 20_000  # unless there are more texts than that


def fill_in(settings, chosen, max_length):
    """As filled. Raises UserError where max_seq_length is then more than the encoder's max_length."""
    chosen = filled(settings, chosen)
    if settings.max_seq_length > max_length:
        raise UserError(f"--max_seq_length {settings.max_seq_length}: this encoder reads at most {max_length} tokens")
    return chosen


def filled(settings, chosen):
    """Gives `chosen` to what the command line left open, and returns what it gave."""
    chosen = {name: value for name, value in chosen.items() if getattr(settings, name) is None}
    for name, value in chosen.items():
        setattr(settings, name, value)
    return chosen


def choose_size(settings, task, device, config, pooling):
    """Fills in what the command line left open, by task, device and the encoder's width; returns what it gave.

    pooling: that for which the encoder was trained, or None. transformers' classes know the pooler only, so the tasks
    that come with the project keep it. How the user's own texts are passed over is left to choose_for_texts.
    """
    small = config.hidden_size <= 512
    chosen = {
        "learning_rate": 1e-4 if small else 2e-5,
        **({} if task.is_own else {"num_train_epochs": task.epochs}),
        **sizes_of_batches(device, config),
        "pooling": "first" if settings.method == "features" else "pooler",
    }
    if task.is_own:
        del chosen["per_device_train_batch_size"]
        chosen["pooling"] = pooling or chosen["pooling"]
    knows_texts = task.is_own and pooling and settings.pooling in (None, pooling) and device.team.size == 1
    chosen["head"] = "regression" if knows_texts else "random"
    if settings.from_scratch:
        chosen |= {"learning_rate": 3e-4, "num_train_epochs": 20.0}
    if task.is_long and not device.is_gpu:
        if not settings.minutes:
            chosen |= {"num_train_epochs": 1.0, "max_train_samples": 8000 if small else 2000}
        chosen |= {"max_eval_samples": 2000 if small else 1000}
        if is_read_once(settings, task, device, chosen["num_train_epochs"]):
            chosen["hidden_dropout"] = 0.0
    if settings.method == "features":
        chosen = {name: value for name, value in chosen.items() if name not in FOR_FINE_TUNING}
    return fill_in(settings, chosen, config.max_length)


def is_read_once(settings, task, device, by_default=None):
    """Whether a CPU reads long texts once only: that needs no dropout, whose random numbers take a tenth of the time.

    by_default: epochs, where the settings leave them open.
    """
    return task.is_long and not device.is_gpu and (settings.num_train_epochs or by_default) <= 1.0


def choose_for_texts(settings, texts):
    """Fills in how often so many texts are passed over, by how many at once, and whether moved too, where that is open
    still; returns what it gave.

    Few texts need many passes: three would be too few updates to learn from (Mosbach et al. 2021, arXiv:2006.04884).
    """
    import keras

    if settings.method == "features":
        return {}
    fitted = settings.head == "regression"
    chosen = {"per_device_train_batch_size": 16 if fitted and texts <= FEW else 32}
    if fitted and texts <= MANY and keras.backend.backend() == "tensorflow":
        chosen["adversarial"] = MOVED
    batch = settings.per_device_train_batch_size or chosen["per_device_train_batch_size"]
    steps = max(1, texts / batch)  # of an epoch
    fewest = min(FEWEST_EPOCHS, max(2, round(MOST_UPDATES / steps)))
    most = max(fewest, (MOST_EPOCHS // 2 if fitted else MOST_EPOCHS) * batch // 32)
    chosen["num_train_epochs"] = float(min(max(round(UPDATES / steps), fewest), most))
    return filled(settings, chosen)


def in_words(chosen):
    """What was filled in, as flags, for the Job line."""
    flags = " ".join(f"--{name} {value}" for name, value in chosen.items() if value != "random")
    if "max_train_samples" in chosen:
        return f"quick, as there is no GPU: {flags}"
    return f"by default {flags}" if flags else "as the command says"


def sizes_of_batches(device, config):
    return {
        "per_device_train_batch_size": 32 if device.is_gpu else 16,
        "max_seq_length": min(config.max_length, 512 if device.is_gpu else 256),
    }


def choose_pretraining_size(settings, device, config):
    """Fills in what the command line of pretrain.py left open."""
    chosen = {
        "learning_rate": 5e-4 if config.hidden_size <= 512 else 5e-5,
        "num_train_epochs": 3.0 if device.is_gpu else 1.0,
        **sizes_of_batches(device, config),
        "hidden_dropout": 0.0 if not device.is_gpu else None,
    }
    fill_in(settings, chosen, config.max_length)


def share_of_forward(settings):
    """Of the work of a training step: backward takes twice as long, and texts that are moved are learnt twice."""
    return 1 / 6 if settings.adversarial else 1 / 3


def expected_duration(job, seconds):
    """How long all runs of a job take, validation and test included, in words. seconds: of a token in training."""
    batches = job.batches(job.settings.seed)
    trained = batches.padded_tokens(0, batches.steps_per_epoch) * job.total_steps / batches.steps_per_epoch
    read = int(job.test.lengths.sum()) + 5 * int(job.validation.lengths.sum())
    expected = seconds * (trained + read * share_of_forward(job.settings)) * (job.settings.seeds + bool(job.teacher))
    rounded = f"{expected / 60:.0f} min" if expected > 90 else f"{max(10, round(expected, -1)):.0f} s"
    settings = job.settings
    decided = settings.minutes or settings.teacher or settings.from_scratch or settings.resume_from_checkpoint
    shorter = "" if decided or expected < LONG else "; --minutes 10 fits it into ten"
    return f"about {rounded} of training and evaluation{shorter}"
