"""What can be set in train.py and pretrain.py, in four groups: what to learn, how, on what, and what to write."""

from dataclasses import dataclass
from functools import partial

from tfbert.common.settings import option
from tfbert.data.delimited import QUOTINGS
from tfbert.data.tokenizing import TRUNCATIONS
from tfbert.data.windows import LONG_TEXTS
from tfbert.model.scratch import SCRATCH
from tfbert.model.text_settings import POOLINGS
from tfbert.report.metrics import OF_ONE_LABEL, OF_SEVERAL_LABELS

what = partial(option, group="what to learn")
how = partial(option, group="how it learns")
machine = partial(option, group="how it runs")
written = partial(option, group="what is written")
FIGURES = tuple(dict.fromkeys(("loss", "metric", *OF_ONE_LABEL, *OF_SEVERAL_LABELS)))


@dataclass
class RunSettings:
    """What train.py and pretrain.py have in common; None is filled in by the job's size and the encoder's width."""

    LASTING = ("max_seq_length", "num_train_epochs", "learning_rate", "warmup_ratio", "weight_decay", "max_grad_norm",
               "hidden_dropout", "attention_dropout", "layerwise_lr_decay", "gradient_accumulation_steps",
               "load_best_model_at_end", "metric_for_best_model",
               "early_stopping_patience")  # fmt: skip  # the same when a run is resumed

    task_name: str = what("imdb", "the task: imdb, sst2, sst2_tutorial, cola or emotions")
    model_name_or_path: str | None = what(
        None,
        "a folder or a Hub id; default google-bert/bert-base-uncased, of your own data "
        "sentence-transformers/all-MiniLM-L6-v2",
    )
    do_lower_case: str | None = what(
        None, "of an encoder with vocab.txt alone: whether it is uncased", choices=("true", "false")
    )
    dataset_name: str | None = what(None, "a folder or a Hub id; default: the task's data set on the Hub")
    data_dir: str | None = what(None, "a folder with the task's files as their authors publish them")
    train_file: str | None = what(None, "your own data: a .csv, .tsv, .jsonl, .json or .parquet file, also .gz")
    validation_file: str | None = what(None, "for the curves, in place of a part held out of train")
    test_file: str | None = what(None, "in place of a fifth of --train_file")
    unlabelled_file: str | None = what(
        None,
        "texts without labels, with the columns of --train_file: pretrain.py, and train.py --teacher, learn from it",
    )
    unsupervised: bool = what(False, "the same, of the data set's own unsupervised split")
    text_column: str | None = what(None, "of your own data; default text")
    text_pair_column: str | None = what(None, "of your own data, where a label is that of two texts")
    label_column: str | None = what(
        None, "of your own data; default label; several columns of zeros and ones with commas between them"
    )
    label_separator: str | None = what(None, "of your own data: what stands between the labels of one cell", blank=True)
    group_column: str | None = what(
        None, "of your own data: rows with the same value, as of one customer, stay on one side of every split"
    )
    label_names: str | None = what(
        None, "of your own data: the names, with commas, of labels that are 0, 1, 2 ..., or zeros and ones by place"
    )
    quoting: str = what(
        "auto",
        "of your own .csv or .tsv: quotation marks hold a field together, or are signs like others and each line is "
        "a row; auto decides from the whole file, and says so",
        choices=QUOTINGS,
    )
    max_train_samples: int | None = what(None, "train on this many texts, drawn by --seed", at_least=8)
    validation_samples: int | None = what(
        None, "held out of train for the curves; default: 1 in 25, of few texts up to a fifth", at_least=2
    )
    max_seq_length: int | None = what(None, "tokens per text; default 512 on a GPU, else 256", at_least=8)

    num_train_epochs: float | None = how(
        None,
        "passes over the texts; default: as the Job line says; the fewer texts of your own, the more passes",
        above=0,
        at_most=100_000,
    )
    per_device_train_batch_size: int | None = how(
        None, "texts in a step; default 32 on a GPU and of your own data, else 16", at_least=1, at_most=65536
    )
    learning_rate: float | None = how(
        None, "peak of the schedule; default 2e-5, narrow encoders 1e-4, new ones 3e-4", above=0, at_most=0.1
    )
    warmup_ratio: float = how(
        0.1, "share of the steps in which the rate rises (Devlin et al. 2018)", at_least=0, below=1
    )
    weight_decay: float = how(0.01, "AdamW's decay (Devlin et al. 2018); none on bias and LayerNorm", at_least=0)
    max_grad_norm: float = how(1.0, "gradients are scaled down to this global norm", above=0)
    hidden_dropout: float | None = how(
        None, "default: the encoder's; 0 on a CPU in one pass over IMDb", at_least=0, below=1
    )
    attention_dropout: float = how(0.0, "dropout on attention weights; slow on a CPU", at_least=0, below=1)
    layerwise_lr_decay: float = how(
        1.0,
        "factor of the rate from a layer to the one below; 0.95 in Sun et al. 2019, 0.8 in ELECTRA",
        above=0,
        at_most=1,
    )
    gradient_accumulation_steps: int = how(1, "steps whose gradients make one update", at_least=1, at_most=65536)
    load_best_model_at_end: bool = how(False, "keep the weights of the best validation, not the last ones")
    metric_for_best_model: str = how(
        "loss",
        "what the best validation has: the lowest loss, or the best of the report's figures; metric: the task's own",
        choices=FIGURES,
    )
    early_stopping_patience: int | None = how(
        None, "end after this many validations without a better one, and keep the best weights", at_least=1
    )
    seed: int = how(42, "of samples, order, dropout and new weights", at_least=0, at_most=2**32 - 1)

    precision: str = machine("auto", "arithmetic", choices=("auto", "float32", "bfloat16", "float16"))
    xla: str = machine("auto", "compile whole steps with XLA: on for one GPU, else off", choices=("auto", "on", "off"))
    logging_steps: int | None = machine(
        None, "steps between progress lines; default: a hundred lines in a run, 10 at least", at_least=1
    )
    eval_steps: int | None = machine(None, "steps between validations; default: five in a run", at_least=1)
    save_steps: int | None = machine(
        None, "steps between checkpoints; default: at validations and ends of epochs, a minute apart", at_least=1
    )
    resume_from_checkpoint: str | None = machine(None, "'last', or a checkpoint folder")

    output_dir: str = written("output", "model, tokenizer, metrics and checkpoints")
    overwrite_output_dir: bool = written(False, "replace the model that stands in output_dir")

    @property
    def keeps_best(self):
        """Whether a run ends with the weights of its best validation."""
        return self.load_best_model_at_end or bool(self.early_stopping_patience)


@dataclass
class TrainSettings(RunSettings):
    """Fine-tune a BERT-family encoder on a text classification task."""

    LASTING = (*RunSettings.LASTING, "long_texts", "truncation", "head_share", "pooling", "label_smoothing",
               "class_weights", "adversarial", "average_seeds", "head", "teacher", "unsupervised",
               "unlabelled_file")  # fmt: skip

    EXAMPLES = (
        "python train.py",
        "python train.py --train_file mine.csv --text_column review --label_column stars --output_dir mine",
        "python train.py --task_name emotions --minutes 10 --overwrite_output_dir",
    )

    from_scratch: str | None = what(
        None,
        "a new BERT and its vocabulary, from the task's texts alone: small (the default: 4 layers of width 256) or as "
        "large as in the tutorial of CoLA (document)",
        SCRATCH,
        const="small",
    )
    max_eval_samples: int | None = what(None, "test on this many texts, drawn by --seed", at_least=2)
    long_texts: str = what(
        "windows",
        "a text that is longer than what the model reads is read whole, in windows whose logits are averaged, or cut; "
        "training cuts, and pairs are always cut",
        choices=LONG_TEXTS,
    )
    truncation: str = what("head+tail", "what a cut text keeps", choices=TRUNCATIONS)
    head_share: float = what(0.25, "what the head gets of head+tail; Sun et al. 2019: a quarter", at_least=0, at_most=1)

    method: str = how(
        "finetune",
        "features: the encoder stays as it is, and logistic regression learns from its vectors",
        choices=("finetune", "features"),
    )
    pooling: str | None = how(
        None,
        "what is classified: the first token through the encoder's pooler; it as it is; the mean of all; "
        "default pooler, with --method features first, and of your own data what the encoder was trained for",
        choices=POOLINGS,
    )
    head: str | None = how(
        None,
        "where the last layer starts: from logistic regression on the encoder's vectors (Kumar et al. 2022), or at "
        "random; default random, regression for your own data where the encoder was trained for its vectors",
        choices=("regression", "random"),
    )
    label_smoothing: float = how(
        0.0, "share of the target that all labels get alike; 0.1 in Szegedy et al. 2016", at_least=0, below=1
    )
    adversarial: float | None = how(
        None,
        "learn every text also with its words' vectors moved to where the loss rises fastest, by this share of a "
        "vector's norm (Miyato et al. 2017), in twice the time; default 0, of your own data 0.2 from a head that comes "
        "from regression",
        at_least=0,
        below=1,
    )
    teacher: str | None = how(
        None,
        "a folder that train.py wrote, of a larger model: what it says of each text is learnt beside the label "
        "(Hinton et al. 2015)",
    )
    class_weights: str = how("none", "balanced: every label weighs the same in the loss", choices=("none", "balanced"))
    minutes: float | None = how(
        None,
        "about how long the run may take: timed steps on this machine choose epochs, then texts, and, where there is "
        "time to spare, --seeds to average",
        above=0,
    )
    seeds: int = how(
        1, "train this many times, with seeds from --seed on; the median run is saved", at_least=1, at_most=100
    )
    average_seeds: bool = how(
        False, "with --seeds: the average of the runs' weights is saved, a model soup (Wortsman et al. 2022)"
    )

    per_device_eval_batch_size: int = machine(64, "texts in one evaluation batch", at_least=1, at_most=65536)

    example_file: str | None = written(
        None, "a table with the columns text and label: the report shows these texts, and no test texts, as examples"
    )
    excerpt_words: int = written(25, "words of each mistake in the report; 0 for confidential texts", at_least=0)


@dataclass
class PretrainSettings(RunSettings):
    """Go on with an encoder's masked language modelling on a task's own texts, without their labels."""

    LASTING = (*RunSettings.LASTING, "mlm_probability")

    num_train_epochs: float | None = how(
        None, "passes over the texts; default 3 on a GPU, 1 on a CPU", above=0, at_most=100_000
    )
    per_device_train_batch_size: int | None = how(
        None, "pieces in a step; default 32 on a GPU, 16 on a CPU", at_least=1, at_most=65536
    )
    hidden_dropout: float | None = how(None, "default: the encoder's on a GPU, 0 on a CPU", at_least=0, below=1)
    learning_rate: float | None = how(
        None, "peak of the schedule; default 5e-5, narrow encoders 5e-4", above=0, at_most=0.1
    )
    mlm_probability: float = how(
        0.3,
        "share of the tokens that are to be guessed; 0.15 in Devlin et al. 2018, 0.4 in Wettig et al. 2022",
        above=0,
        below=1,
    )
    metric_for_best_model: str = how(
        "loss",
        "what the best validation has: the lowest loss, or the most gaps guessed right",
        choices=("loss", "metric", "accuracy"),
    )
    output_dir: str = written("pretrained", "the encoder and its tokenizer, and checkpoints")
