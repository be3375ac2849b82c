"""What is learnt: data set, columns, labels, metric."""

from dataclasses import dataclass, field
from pathlib import Path

from tfbert.common.errors import UserError, nearest

# the problem types of a config.json: one label a text, or several that may hold
SINGLE_LABEL = "single_label_classification"
MULTI_LABEL = "multi_label_classification"


@dataclass(frozen=True)
class Task:
    """One row of the table below, or what --train_file and the columns' flags describe."""

    name: str
    title: str
    unit: str = "texts"  # what the texts are
    encoder: str = "google-bert/bert-base-uncased"  # on the Hub, where the user names none
    dataset_name: str | None = None  # on the Hub
    subset: str = ""  # the folder of that data set
    revision: str | None = None  # the branch of that data set
    files: dict = field(default_factory=dict)  # split -> the file that --data_dir holds, as its authors call it
    unsupervised: str = ""  # the folder of --data_dir with texts that have no labels, where there is one
    header: tuple = ()  # the columns of those files, where they do not name them
    first_rows: int | None = None  # of those files; None: all
    text_columns: tuple = ("text",)  # one, or two for pairs of texts
    label_columns: tuple = ("label",)  # several, of zeros and ones, where several labels may hold
    label_separator: str | None = None  # between the labels of one cell, where several may hold
    group_column: str | None = None  # rows with the same value stay on one side of every split
    label_names: dict = field(default_factory=dict)  # the data's names, in their order -> the names that users read
    place_names: tuple = ()  # of labels that are numbers, or zeros and ones by place
    metric: str = "accuracy"  # of report.metrics.METRICS; where several labels may hold, it is f1_micro
    test_split: str = "test"  # "validation" where that of test has no labels
    test_share: float = 0.2  # of the texts, where there is no test split
    epochs: float = 3.0  # by default
    is_long: bool = False  # too much for a CPU, which gets a quick job by default
    example: str = "One of your texts."
    published: tuple = ()  # what others reached: (model and recipe, the metric, source)
    disputed: str = ""  # a sentence on what is known to be wrong with the labels that it is tested on
    published_on: str = ""  # the texts of these figures, where they are not those that --data_dir or the Hub gives

    @property
    def columns(self):
        """Those that are read, a list of names."""
        return [*self.text_columns, *self.label_columns, *([self.group_column] if self.group_column else [])]

    @property
    def is_own(self):
        """Whether it is the user's, of the settings' columns."""
        return self.name == "own"

    @property
    def tested(self):
        """What it is tested on, in words."""
        return f"{'development' if self.test_split == 'validation' else 'test'} {self.unit}"


OWN_ENCODER = "sentence-transformers/all-MiniLM-L6-v2"  # what own data are learnt by without flags was measured with it
SENTIMENT = {"neg": "negative", "pos": "positive"}
EMOTIONS = ("anger", "anticipation", "disgust", "fear", "joy", "love", "optimism", "pessimism", "sadness", "surprise",
            "trust")  # fmt: skip

TASKS = {
    "imdb": Task(
        name="imdb",
        title="sentiment of movie reviews",
        unit="reviews",
        dataset_name="stanfordnlp/imdb",
        files={"train": "train", "test": "test"},
        unsupervised="train/unsup",
        label_names=SENTIMENT,
        is_long=True,
        example="This movie is absolutely wonderful and inspiring.",
        published=(
            ("bert-base-uncased, 512 tokens, head+tail", 0.9458, "Sun et al. 2019, arXiv:1905.05583, table 2"),
            ("the same after masked language modelling on IMDb", 0.9563, "Sun et al. 2019, BERT-ITPT-FiT"),
            ("distilbert-base-uncased", 0.9282, "Sanh et al. 2019, arXiv:1910.01108, table 2"),
        ),
        disputed="The labels themselves set a limit: people who read 1,310 suspicious ones of the 25,000 test reviews "
        "again did not agree with the label of 725, 2.9% of all (Northcutt et al. 2021, arXiv:2103.14749).",
    ),
    "sst2": Task(
        name="sst2",
        title="sentiment of sentences from movie reviews (GLUE SST-2)",
        unit="sentences",
        dataset_name="nyu-mll/glue",
        subset="sst2",
        files={"train": "train.tsv", "validation": "dev.tsv"},
        epochs=2.0,
        example="a warm , funny and clever film",
        text_columns=("sentence",),
        label_names=SENTIMENT,
        test_split="validation",
        published=(
            ("bert-base-uncased", 0.927, "Sanh et al. 2019, arXiv:1910.01108, table 1"),
            ("distilbert-base-uncased", 0.913, "Sanh et al. 2019, arXiv:1910.01108, table 1"),
        ),
    ),
    "sst2_tutorial": Task(
        name="sst2_tutorial",
        title="sentiment of the 2,000 sentences of the Visual Guide to Using BERT",
        unit="sentences",
        files={"train": "train.tsv"},
        header=("sentence", "label"),
        first_rows=2000,
        text_columns=("sentence",),
        label_names=SENTIMENT,
        test_share=0.25,
        example="a warm , funny and clever film",
        published=(
            ("DistilBERT's first token, logistic regression", 0.81, "Alammar 2019, A Visual Guide to Using BERT"),
        ),
        published_on="another random quarter of the same sentences",
    ),
    "cola": Task(
        name="cola",
        title="linguistic acceptability of sentences (CoLA)",
        unit="sentences",
        dataset_name="nyu-mll/glue",
        subset="cola",
        files={"train": "in_domain_train.tsv", "validation": "in_domain_dev.tsv"},
        header=("source", "label", "mark", "sentence"),
        epochs=5.0,
        example="The book was read by the whole class.",
        text_columns=("sentence",),
        label_names={"unacceptable": "unacceptable", "acceptable": "acceptable"},
        metric="matthews_correlation",
        test_split="validation",
        published=(
            ("bert-base-uncased", 0.563, "Sanh et al. 2019, arXiv:1910.01108, table 1"),
            ("distilbert-base-uncased", 0.513, "Sanh et al. 2019, arXiv:1910.01108, table 1"),
        ),
        published_on="GLUE's 1,043 development sentences; the authors' in-domain file has 527 of them",
    ),
    "emotions": Task(
        name="emotions",
        title="emotions in tweets (SemEval-2018 task 1, E-c)",
        unit="tweets",
        dataset_name="SemEvalWorkshop/sem_eval_2018_task_1",
        subset="subtask5.english",
        revision="refs/convert/parquet",  # the main branch holds a script, which `datasets` no longer runs
        files={"train": "2018-E-c-En-train.txt", "validation": "2018-E-c-En-dev.txt"},
        epochs=5.0,
        example="I'm happy, the bert model is so good",
        text_columns=("Tweet",),
        label_columns=EMOTIONS,
        metric="f1_micro",
        test_split="validation",
    ),
}


def find_task(name):
    """The Task of that name. Raises UserError with the nearest name where there is none."""
    if name not in TASKS:
        raise UserError(f"--task_name {name}: must be one of {', '.join(TASKS)}{nearest(name, TASKS)}")
    return TASKS[name]


def chosen_task(settings):
    """The Task that the settings name, or the user's own where they name a file or columns."""
    own = ("train_file", "text_column", "text_pair_column", "label_column", "label_separator", "group_column")
    if not any(getattr(settings, name) for name in own):
        for name in ("validation_file", "test_file"):
            if getattr(settings, name):
                raise UserError(f"--{name} goes with --train_file, which is missing")
        if settings.label_names or settings.quoting != "auto":
            raise UserError("--label_names and --quoting are for your own data: name a --train_file or columns")
        return find_task(settings.task_name)
    if settings.task_name != "imdb":
        raise UserError(f"--task_name {settings.task_name} brings its own data: leave out --train_file and columns")
    if settings.train_file and (settings.dataset_name or settings.data_dir):
        raise UserError("--train_file and --dataset_name or --data_dir: give one of them")
    if not (settings.train_file or settings.dataset_name):
        raise UserError("columns are given, but no data: name --train_file or --dataset_name")
    if settings.dataset_name and (settings.validation_file or settings.test_file):
        raise UserError("--validation_file and --test_file go with --train_file; --dataset_name has splits of its own")
    pair = (settings.text_pair_column,) if settings.text_pair_column else ()
    labels = [name.strip() for name in (settings.label_column or "label").split(",")]
    labels = tuple(name for name in labels if name)
    group = (settings.group_column,) if settings.group_column else ()
    columns = (settings.text_column or "text", *pair, *labels, *group)
    if not labels or len(set(columns)) < len(columns):
        flags = "--text_column, --text_pair_column, --label_column and --group_column"
        raise UserError(f"{flags} must differ: {', '.join(columns)}")
    if len(labels) > 1 and settings.label_separator:
        raise UserError("--label_separator goes with one --label_column")
    names = tuple(name.strip() for name in (settings.label_names or "").split(",") if name.strip())
    if settings.label_names and (len(labels) > 1 or len(set(names)) < max(len(names), 2)):
        raise UserError("--label_names needs two or more different names, with commas, and one --label_column")
    return Task(
        name="own",
        title=f"the texts of {Path(settings.train_file or settings.dataset_name).name}",
        encoder=OWN_ENCODER,
        dataset_name=settings.dataset_name,
        text_columns=(settings.text_column or "text", *pair),
        label_columns=labels,
        label_separator=settings.label_separator,
        group_column=settings.group_column,
        place_names=names,
    )
