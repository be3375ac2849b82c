import json

import numpy as np
import pytest

from tfbert.common.errors import UserError
from tfbert.data.batches import Examples
from tfbert.data.sources import find_dataset
from tfbert.data.splits import load_splits, load_texts, read_parts
from tfbert.data.tasks import TASKS, chosen_task
from tfbert.data.tokenizing import TextEncoder
from tfbert.training.settings import PretrainSettings, TrainSettings

TOPICS = ["sports", "music", "politics"]


def write(path, rows):
    """rows: lists of cells, the first of them the header."""
    if path.suffix == ".jsonl":
        lines = [json.dumps(dict(zip(rows[0], row))) for row in rows[1:]]
    else:
        separator = {".csv": ",", ".tsv": "\t"}[path.suffix]
        lines = [separator.join(map(str, row)) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


def topics(count, first=0):
    return [["text", "label"], *([f"text {n} on {TOPICS[n % 3]}", TOPICS[n % 3]] for n in range(first, first + count))]


def load(**changes):
    settings = TrainSettings(**changes)
    task = chosen_task(settings)
    return load_splits(task, read_parts(task, find_dataset(task, settings), settings), settings)


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl"])
def test_own_texts_keep_their_label_names(tmp_path, suffix):
    splits = load(train_file=write(tmp_path / f"own{suffix}", topics(100)))
    assert splits.label_names == ["music", "politics", "sports"]
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (64, 16, 20)
    for part in (splits.train, splits.validation, splits.test):
        assert all(text.endswith(splits.label_names[label]) for text, label in zip(part["text"], part["label"]))
    assert splits.notes == ["20% of the 100 texts, drawn by --seed, are kept for testing"]


def test_parquet_keeps_the_names_that_datasets_gave(tmp_path):
    from datasets import ClassLabel, Dataset, Features, Value

    features = Features({"text": Value("string"), "label": ClassLabel(names=["bad", "good"])})
    data = {"text": [f"text {n}" for n in range(60)], "label": [n % 2 for n in range(60)]}
    Dataset.from_dict(data, features).to_parquet(tmp_path / "own.parquet")
    splits = load(train_file=str(tmp_path / "own.parquet"))
    assert splits.label_names == ["bad", "good"]
    assert all(int(text.split()[1]) % 2 == label for text, label in zip(splits.test["text"], splits.test["label"]))


def test_a_secret_label_is_none_and_stale_names_are_not_believed(tmp_path):
    import pyarrow
    from datasets import ClassLabel, Dataset, Features, Value
    from pyarrow import parquet

    features = Features({"text": Value("string"), "label": ClassLabel(names=["bad", "good"])})
    path = tmp_path / "own.parquet"
    Dataset.from_dict({"text": [f"text {n}" for n in range(40)], "label": [1, -1] * 20}, features).to_parquet(path)
    with pytest.raises(UserError, match="20 of 40 rows have no text or no label, first row 2"):
        load(train_file=str(path))
    table = parquet.read_table(path)
    parquet.write_table(table.set_column(1, "label", pyarrow.array(["yes", "no"] * 20)), path)
    assert load(train_file=str(path)).label_names == ["no", "yes"]


def test_a_folder_of_a_data_set_is_read_as_files_are(tmp_path):
    texts = [f"text {n}" for n in range(60)]
    labels = [";".join(["joy"] * (n % 2) + ["fear"] * (n % 3 == 0)) for n in range(60)]
    write(tmp_path / "train.csv", [["body", "mood"], *zip(texts, labels)])
    columns = {"text_column": "body", "label_column": "mood", "label_separator": ";"}
    from_folder = load(dataset_name=str(tmp_path), **columns)
    from_file = load(train_file=str(tmp_path / "train.csv"), **columns)
    assert from_folder.label_names == from_file.label_names == ["fear", "joy"]
    assert from_folder.train["label"] == from_file.train["label"]
    write(tmp_path / "train.csv", [["body", "joy", "fear"], *([text, 1, 2] for text in texts)])
    with pytest.raises(UserError, match="train.csv, line 2: fear is '2', but with several label columns"):
        load(dataset_name=str(tmp_path), text_column="body", label_column="joy,fear")


def test_spellings_of_one_label_are_one_label(tmp_path):
    rows = [{"text": f"text {n}", "label": [True, 1.0, "true ", "1"][n % 4]} for n in range(80)]
    train, test = tmp_path / "train.jsonl", tmp_path / "test.jsonl"
    train.write_text("\n".join(json.dumps(row) for row in rows[::2]))
    with pytest.raises(UserError, match="are all true"):
        load(train_file=str(train))
    train.write_text("\n".join(json.dumps(row | {"label": n % 2 == 0}) for n, row in enumerate(rows)))
    test.write_text("\n".join(json.dumps(row | {"label": ["false", "true"][n % 2]}) for n, row in enumerate(rows)))
    assert load(train_file=str(train), test_file=str(test)).label_names == ["false", "true"]


def test_a_label_that_is_too_rare_to_test_is_no_fault_of_a_flag(tmp_path):
    rows = "".join(f"text {n},{'b' if n == 7 else 'a'}\n" for n in range(60))
    (tmp_path / "own.csv").write_text("text,label\n" + rows)
    with pytest.raises(UserError, match="the texts drawn by --seed to (test|train) on are all a"):
        load(train_file=str(tmp_path / "own.csv"))


@pytest.mark.parametrize("labels, names", [(["1", "001", "01"], ["001", "01", "1"]), (["3", "²"], ["3", "²"])])
def test_any_numerals_are_labels_in_one_order(labels, names, tmp_path):
    lines = [json.dumps({"text": f"text {n}", "label": labels[n % len(labels)]}) for n in range(60)]
    (tmp_path / "own.jsonl").write_text("\n".join(lines))
    assert load(train_file=str(tmp_path / "own.jsonl")).label_names == names


def test_parquet_with_strange_metadata_or_columns_is_no_traceback(tmp_path):
    import pyarrow
    from pyarrow import parquet

    columns = {"text": [f"text {n}" for n in range(60)], "label": [n % 2 for n in range(60)]}
    table = pyarrow.table(columns).replace_schema_metadata({"huggingface": '{"info": null}'})
    parquet.write_table(table, tmp_path / "own.parquet")
    assert load(train_file=str(tmp_path / "own.parquet")).label_names == ["0", "1"]
    far = pyarrow.array([2**60] * 60, pyarrow.timestamp("us"))
    parquet.write_table(table.append_column("when", far), tmp_path / "own.parquet")
    with pytest.raises(UserError, match="cannot read"):
        load(train_file=str(tmp_path / "own.parquet"))


def test_class_numbers_are_sorted_as_numbers(tmp_path):
    rows = [["text", "label"], *([f"text {n}", n % 12] for n in range(120))]
    assert load(train_file=write(tmp_path / "own.csv", rows)).label_names == [str(n) for n in range(12)]


def test_texts_kept_for_testing_are_not_pretrained_on(tmp_path):
    rows = [["one", "two", "label"], *([f"the film {n}", f"was good {n}", n % 2] for n in range(60))]
    flags = {"train_file": write(tmp_path / "own.csv", rows), "text_column": "one", "text_pair_column": "two"}
    splits = load(**flags)
    for found, part in zip(texts_of(**flags), (splits.train, splits.validation)):
        assert set(found) == {*part["text"], *part["text_pair"]}


def test_texts_whose_labels_are_not_found_are_not_pretrained_on_unsaid(tmp_path):
    """Which texts are kept for testing depends on their labels."""
    rows = [["text", "topic"], *([f"text {n}", f"topic {n % 20}"] for n in range(400))]
    file = write(tmp_path / "own.csv", rows)
    said, quiet = [], []
    texts_of(said, train_file=file)
    texts, held_out = texts_of(quiet, train_file=file, label_column="topic")
    assert not quiet and said[0].startswith("no labels in label: if these texts have some, give --label_column")
    splits = load(train_file=file, label_column="topic")
    assert set(texts) == set(splits.train["text"]) and set(held_out) == set(splits.validation["text"])
    texts_of(quiet, train_file=file, test_file=write(tmp_path / "test.csv", rows[:9]))
    assert not quiet


def texts_of(notes=None, **flags):
    """What masked language modelling learns from, and what is held out, two lists."""
    settings = PretrainSettings(**flags)
    task = chosen_task(settings)
    return [
        part["text"][:]
        for part in load_texts(task, find_dataset(task, settings), settings, [] if notes is None else notes)
    ]


def test_masked_language_modelling_reads_texts_without_labels_and_no_test_text(folders_of_reviews, tmp_path):
    few, held_out = texts_of(data_dir=str(folders_of_reviews))
    many, the_same = texts_of(data_dir=str(folders_of_reviews), unsupervised=True)
    assert len(few) + len(held_out) == 40 and the_same == held_out
    assert len(many) == len(few) + 20 and set(few) < set(many) and not any("test" in text for text in many)
    some, _ = texts_of(data_dir=str(folders_of_reviews), unsupervised=True, max_train_samples=len(few) + 5)
    assert len(some) == len(few) + 5 and set(few) < set(some) < set(many)
    with pytest.raises(UserError, match="--max_train_samples 9 leaves no room for the unsupervised split beside 9"):
        texts_of(data_dir=str(folders_of_reviews), unsupervised=True, max_train_samples=9)
    folder = tmp_path / "rows"
    folder.mkdir()
    more, test = [f"more {n}" for n in range(9)], ["seen at the end"] * 2
    rows = {"train": few + held_out, "test": test, "unsupervised": [*more, test[0], held_out[0]]}
    for split, texts in rows.items():
        (folder / f"{split}.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    from_rows, _ = texts_of(dataset_name=str(folder), unsupervised=True)
    assert sorted(from_rows) == sorted([*few, *more])


def test_files_for_validation_and_test_are_used_whole(tmp_path):
    files = {f"{name}_file": write(tmp_path / f"{name}.csv", topics(30, start))
             for name, start in (("train", 0), ("validation", 30), ("test", 60))}  # fmt: skip
    splits = load(**files)
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (30, 30, 30)
    assert "text 31 on music" in splits.validation["text"] and not splits.notes


@pytest.mark.parametrize(
    "rows, flags",
    [
        ([["text", "joy", "fear"], *([f"text {n}", n % 2, int(n % 3 == 0)] for n in range(90))],
         {"label_column": "joy,fear"}),
        ([["text", "label"], *([f"text {n}", ";".join(["joy"] * (n % 2) + ["fear"] * (n % 3 == 0))]
                              for n in range(90))], {"label_separator": ";"}),
        ([["text", "label"], *([f"text {n}", " ".join(["joy"] * (n % 2) + ["fear"] * (n % 3 == 0))]
                              for n in range(90))], {"label_separator": " "}),
    ],
)  # fmt: skip
def test_several_labels_a_text(tmp_path, rows, flags):
    splits = load(train_file=write(tmp_path / "own.csv", rows), **flags)
    joy = splits.label_names.index("joy")
    assert sorted(splits.label_names) == ["fear", "joy"] and splits.problem_type == "multi_label_classification"
    for text, labels in zip(splits.train["text"], splits.train["label"]):
        number = int(text.split()[1])
        assert (labels[joy], labels[1 - joy]) == (number % 2, number % 3 == 0)


def test_lists_of_labels_in_json_lines(tmp_path):
    rows = [["text", "label"], *([f"text {n}", ["joy"] * (n % 2) + ["fear"] * (n % 3 == 0)] for n in range(90))]
    splits = load(train_file=write(tmp_path / "own.jsonl", rows))
    assert splits.label_names == ["fear", "joy"]
    assert np.asarray(splits.train["label"]).shape == (72 - len(splits.validation), 2)


def test_pairs_of_texts(tmp_path):
    rows = [["one", "two", "label"], *([f"the film {n}", f"was good {n}", n % 2] for n in range(60))]
    splits = load(train_file=write(tmp_path / "own.csv", rows), text_column="one", text_pair_column="two")
    assert all(row["text"].split()[2] == row["text_pair"].split()[2] for row in splits.train)
    from conftest import FIXTURES

    encoder = TextEncoder.from_folder(FIXTURES / "tiny_bert", 64)
    examples = Examples.tokenized(splits.test, encoder, "tokenizing")
    batch = examples.batch(range(4), 64)
    for row in range(4):
        whole = encoder.tokenizer.encode(splits.test[row]["text"], splits.test[row]["text_pair"])
        assert batch["input_ids"][row, : len(whole.ids)].tolist() == whole.ids
        assert batch["token_type_ids"][row, : len(whole.ids)].tolist() == whole.type_ids


def test_a_long_pair_is_cut_where_it_is_long():
    from conftest import FIXTURES

    encoder = TextEncoder.from_folder(FIXTURES / "tiny_bert", 16, "head")
    for one, other, kept in ((40, 3, (10, 3)), (3, 40, (3, 10)), (40, 40, (6, 7))):
        ids, lengths, starts = encoder(["film " * one], ["good " * other])
        film, good = encoder.tokenizer.encode("film good", add_special_tokens=False).ids
        assert (ids[0].count(film), ids[0].count(good)) == kept
        assert len(ids[0]) == 16 and lengths == [one + other + 3] and starts == [kept[0] + 2]


@pytest.mark.parametrize(
    "name, content, flags, message",
    [
        ("own.csv", "text,label\n" + "good,a\nbad,b\n" * 4 + "fine,\n", {}, "1 of 9 rows have no text or no label, first line 10: drop or fill"),
        ("own.csv", "text,label\n" + "good,a\n" * 40, {}, "are all a: nothing to learn"),
        ("own.csv", "text,label\n" + "".join(f"good,{n}\n" for n in range(40)), {}, "40 different labels in 40 texts"),
        ("own.csv", "body,label\ngood,a\n", {}, "no column 'text', but body, label; see --text_column"),
        ("own.csv", "text,class\ngood,a\n", {}, "no column 'label', but text, class; see --label_column"),
        ("own.csv", "text,joy,fear\ngood,1,2\n", {"label_column": "joy,fear"}, "fear is '2', but with several"),
        ("own.csv", 'text,label\n"good, fine",a\n"bad,b\n', {}, "is a quotation mark not closed"),
        ("own.csv", "text,label\ngood,film,a\n", {}, "line 2: 3 fields, more than the 2 columns"),
        ("own.csv", "text,label\n", {}, "has no rows"),
        ("own.csv", "", {}, "is empty"),
        ("own.csv", "text,text,label\ngood,fine,a\n", {}, "no column 'text', but text \\(1\\), text \\(2\\), label"),
        ("own.csv", "\ntext,label\ngood,a\n", {}, "line 1: empty, not the columns' names"),
        ("own.csv", "text,label\n" + "good,a\nbad, \n" * 20, {}, "20 of 40 rows have no text or no label, first line 3; line 5; line 7"),
        ("own.csv", "text,label\n", {"label_column": "text"}, "must differ: text, text"),
        ("own.csv", "text,label\n", {"label_column": ","}, "must differ: text"),
        ("own.csv", "text,a,b\n", {"label_column": "a,b", "label_separator": ";"}, "goes with one --label_column"),
        ("own.csv", "text,label\n", {"task_name": "cola"}, "cola brings its own data"),
        ("own.jsonl", '{"text": "good", "label": {"a": 1}}\n', {}, "line 1: label is .*, not a label"),
        ("own.jsonl", '{"text": "\\ud83d", "label": "a"}\n', {}, "line 1: text holds half of a character"),
        ("own.jsonl", '{"text": "good", "a": [1], "b": [0]}\n', {"label_column": "a,b"}, "a is .*, not a label"),
        ("own.jsonl", '{"text": "good", "label": ["a"]}\n' * 40, {}, "no label but \\['a'\\]"),
        ("own.jsonl", '{"text": "good", "label": ["a", "b"]}\n' * 40, {}, "all have the same labels"),
        ("own.jsonl", '{"text": "good", "label": ["a"]}\n' * 40, {"test_file": "test.csv"}, "labels are lists, in the other not"),
        ("own.csv", "text,label\n" + "good,a\nbad,b\n" * 20, {"test_file": "test.csv"}, "2 of the test texts of .*test.csv have the label 'c', which no training"),
        ("own.csv", "text,label\n" + "good,a\nbad,b\n" * 2, {}, "2 texts are there to train on: at least 10"),
        ("own.json", "[]", {}, "has no rows"),
        ("own.xml", "<a/>", {}, "must end in .csv, .tsv, .jsonl, .json or .parquet"),
        ("own.parquet", "no parquet", {}, "cannot read"),
        ("own.jsonl", '{"text": "good", "label": 1}\n[\n', {}, "line 2: not JSON"),
    ],
)  # fmt: skip
def test_bad_files_are_one_clear_line(tmp_path, name, content, flags, message):
    (tmp_path / name).write_text(content)
    (tmp_path / "test.csv").write_text("text,label\ngood,a\nbad,c\nfine,c\n")
    flags = {key: str(tmp_path / value) if key.endswith("file") else value for key, value in flags.items()}
    with pytest.raises(UserError, match=message):
        load(train_file=str(tmp_path / name), **flags)


def test_another_encoding_is_named_with_its_line(tmp_path):
    (tmp_path / "own.csv").write_bytes("text,label\ngood,a\nlästig,b\n".encode("latin-1"))
    with pytest.raises(UserError, match="own.csv, line 3: not UTF-8 text"):
        load(train_file=str(tmp_path / "own.csv"))


def test_how_many_texts_are_left_aside_is_counted(tmp_path):
    file = write(tmp_path / "own.csv", topics(100))
    assert load(train_file=file).undrawn == 0
    some = load(train_file=file, max_train_samples=30)
    assert some.undrawn == 100 - sum(map(len, (some.train, some.validation, some.test))) > 0
    held = write(tmp_path / "held.csv", topics(20, 200))
    assert load(train_file=file, test_file=held, validation_file=held, max_train_samples=30).undrawn == 70
    assert load(train_file=file, max_train_samples=1000).undrawn == 0


def test_texts_in_train_and_in_test_are_said(tmp_path):
    files = {
        f"{name}_file": write(tmp_path / f"{name}.csv", topics(30, start))
        for name, start in (("train", 0), ("test", 9))
    }
    assert load(**files, validation_samples=2).notes[0].endswith("texts stand both in train and in test")


@pytest.mark.parametrize(
    "flags, message",
    [
        ({"test_file": "x.csv"}, "--test_file goes with --train_file"),
        ({"train_file": "x.csv", "data_dir": "y"}, "give one of them"),
        ({"text_column": "body"}, "columns are given, but no data"),
        ({"text_column": "a", "dataset_name": "x", "test_file": "y"}, "--dataset_name has splits of its own"),
        ({"task_name": "emotions", "data_dir": "/nowhere"}, "no 2018-E-c-En-train.txt in it; emotions needs"),
        ({"task_name": "sst2_tutorial"}, "not on the Hub: name a folder with its train.tsv as --data_dir"),
        ({"task_name": "cola"}, "HF_HUB_OFFLINE is set: connect to it; or name a folder with its in_domain_train.tsv"),
    ],
)
def test_sources_that_cannot_be_are_one_clear_line(flags, message):
    with pytest.raises(UserError, match=message):
        load(**flags)


def test_the_files_of_the_tasks_are_read_as_published(tmp_path):
    columns = ["ID", "Tweet", *TASKS["emotions"].label_columns]
    tweets = ["\t".join(columns), *("\t".join([f"id{n}", f'say "{n}', str(n % 2), *"0000000001"]) for n in range(30))]
    cola = [f'gj04\t{n % 2}\t{"*" * (n % 2 == 0)}\tSentence {n}, it is "so' for n in range(30)]
    for name in TASKS["emotions"].files.values():
        (tmp_path / name).write_text("\n".join(tweets) + "\n")
    for name in TASKS["cola"].files.values():
        (tmp_path / name).write_text("\n".join(cola) + "\n")
    emotions, cola = (load(task_name=name, data_dir=str(tmp_path)) for name in ("emotions", "cola"))
    assert emotions.train[0]["text"].startswith('say "') and emotions.train[0]["label"][1:] == [0.0] * 9 + [1.0]
    assert all(int(row["text"][5:]) % 2 == row["label"][0] for row in emotions.train)
    assert cola.label_names == ["unacceptable", "acceptable"] and len(cola.test) == 30
    assert all(int(row["text"].split()[1][:-1]) % 2 == row["label"] for row in cola.test)


@pytest.fixture
def folders_of_reviews(tmp_path):
    """IMDb as its authors publish it."""
    for folder in ("train/neg", "train/pos", "train/unsup", "test/neg", "test/pos"):
        (tmp_path / folder).mkdir(parents=True)
        for number in range(20):
            (tmp_path / folder / f"{number}_1.txt").write_text(f"{folder[-3:]} review {number} of {folder}")
    return tmp_path


def test_the_folders_of_the_movie_reviews_are_read(folders_of_reviews):
    splits = load(data_dir=str(folders_of_reviews))
    assert splits.label_names == ["negative", "positive"] and len(splits.test) == 40
    assert all(text.startswith(["neg", "pos"][label]) for text, label in zip(splits.test["text"], splits.test["label"]))


def test_lists_of_class_numbers_keep_their_names(tmp_path):
    from datasets import ClassLabel, Dataset, Features, List, Value

    features = Features({"text": Value("string"), "label": List(ClassLabel(names=["joy", "fear", "trust"]))})
    labels = [[0] * (n % 2) + [2] * (n % 3 == 0) for n in range(60)]
    data = Dataset.from_dict({"text": [f"text {n}" for n in range(60)], "label": labels}, features)
    data.to_parquet(tmp_path / "train.parquet")
    from_file = load(train_file=str(tmp_path / "train.parquet"))
    from_folder = load(dataset_name=str(tmp_path), text_column="text")
    for splits in (from_file, from_folder):
        assert splits.label_names == ["joy", "trust"]
        for text, label in zip(splits.test["text"], splits.test["label"]):
            assert label == [int(text.split()[1]) % 2, int(text.split()[1]) % 3 == 0]


def test_rows_of_a_large_parquet_file_are_counted_through(tmp_path):
    from datasets import Dataset

    texts = [f"text {n}" for n in range(2500)]
    texts[2100:2400] = [None] * 300
    Dataset.from_dict({"text": texts, "label": ["a", "b"] * 1250}).to_parquet(tmp_path / "own.parquet")
    with pytest.raises(UserError, match="300 of 2,500 rows have no text or no label, first row 2101; row 2102"):
        load(train_file=str(tmp_path / "own.parquet"))


def test_what_becomes_of_a_validation_split_is_said(tmp_path):
    for split, first in (("train", 0), ("validation", 100)):
        write(tmp_path / f"{split}.csv", topics(60, first))
    splits = load(dataset_name=str(tmp_path), text_column="text")
    assert len(splits.test) == 60 and "tested on the validation split" in splits.notes[0]
    write(tmp_path / "test.csv", topics(30, 200))
    splits = load(dataset_name=str(tmp_path), text_column="text")
    assert len(splits.test) == 30 and "the validation split is left aside" in splits.notes[0]


def test_labels_that_are_rare_are_all_learnt_from(tmp_path):
    rows = [[f"text {n}", "rare" if n % 25 == 0 else TOPICS[n % 3]] for n in range(150)]
    files = {"train_file": write(tmp_path / "own.csv", [["text", "label"], *rows]),
             "test_file": write(tmp_path / "test.csv", topics(20))}  # fmt: skip
    splits = load(**files)
    rare = splits.label_names.index("rare")
    assert splits.train["label"][:].count(rare) == 6 and rare not in splits.validation["label"][:]
    assert (len(splits.train), len(splits.validation)) == (120, 30)
    assert sorted([*splits.train["text"], *splits.validation["text"]]) == sorted(text for text, _ in rows)


def test_every_label_has_its_share_of_what_is_tested_and_held_out(tmp_path):
    rows = [
        ["text", "label"],
        *([f"{name} {n}", name] for name, many in zip(TOPICS, (50, 30, 20)) for n in range(many)),
    ]
    for seed in (1, 2, 3):
        splits = load(train_file=write(tmp_path / "own.csv", rows), seed=seed)
        counts = [np.bincount(part["label"]).tolist() for part in (splits.test, splits.validation)]
        order = [splits.label_names.index(name) for name in TOPICS]
        assert [[count[label] for label in order] for count in counts] == [[10, 6, 4], [8, 5, 3]]


def test_a_label_with_two_texts_is_learnt_rather_than_tested(tmp_path):
    rows = [["text", "label"], *([f"text {n}", "rare" if n < 2 else f"often {n % 2}"] for n in range(100))]
    for seed in range(5):
        splits = load(train_file=write(tmp_path / "own.csv", rows), seed=seed)
        rare = splits.label_names.index("rare")
        assert splits.train["label"][:].count(rare) == 2
