"""The house: imports run down the list of folders, never back, and in no circle; the package is what pip installs."""

import ast
import graphlib
import os
import re
import shutil
import subprocess
import sys
import zipfile

import pytest
from conftest import ROOT

PACKAGE = ROOT / "tfbert"
FOLDERS = ["inference", "training", "report", "model", "data", "common"]  # from the top floor down


def imports_of(source, known):
    """The modules of `known` that a file imports anywhere in it, also within a function, a set of dotted names."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports name the whole path"
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        found |= {name for name in names if name in known}
    return found


def arrows_of(files):
    """{module: the modules that it imports} of {dotted name: source}."""
    return {name: imports_of(source, set(files)) for name, source in files.items()}


def arrows_back(arrows):
    """Those that run against the order of FOLDERS, in words."""

    def floor(module):
        return FOLDERS.index(module.split(".")[1])

    return [f"{one} imports {other}" for one, others in arrows.items() for other in others if floor(one) > floor(other)]


def package_files():
    paths = [path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py"]
    return {".".join(path.relative_to(ROOT).with_suffix("").parts): path.read_text(encoding="utf-8") for path in paths}


def test_the_house_has_these_rooms():
    assert {path.name for path in PACKAGE.iterdir() if path.is_dir()} - {"__pycache__"} == set(FOLDERS)
    assert {path.name for path in PACKAGE.glob("*.py")} == {"__init__.py"}
    assert all((PACKAGE / folder / "__init__.py").exists() for folder in FOLDERS)


def test_no_import_runs_back_up():
    arrows = arrows_of(package_files())
    assert sum(map(len, arrows.values())) > 100  # they were found
    assert arrows_back(arrows) == []


def test_no_imports_run_in_a_circle():
    list(graphlib.TopologicalSorter(arrows_of(package_files())).static_order())


@pytest.mark.parametrize(
    "statement",
    [
        "from tfbert.model.configs import read_config",
        "import tfbert.model.configs",
        "from tfbert.model import configs as c",
        "def f():\n    from tfbert.model import configs",
    ],
)
def test_an_arrow_against_the_order_is_found(statement):
    files = {"tfbert.data.batches": statement, "tfbert.model.configs": "import tfbert.data.batches"}
    assert arrows_back(arrows_of(files)) == ["tfbert.data.batches imports tfbert.model.configs"]
    with pytest.raises(graphlib.CycleError):
        list(graphlib.TopologicalSorter(arrows_of(files)).static_order())


def test_no_file_grows_past_what_can_be_read_at_once():
    lengths = {name: source.count("\n") for name, source in package_files().items()}
    assert {name: length for name, length in lengths.items() if length > 300} == {}


def test_light_rooms_import_nothing_heavy():
    program = (
        "import sys, tfbert.common.settings, tfbert.common.console, tfbert.training.jobs, tfbert.inference.predicting\n"
        "heavy = {'tensorflow', 'keras', 'transformers', 'datasets', 'sklearn', 'matplotlib', 'onnx'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert result.stdout == "[]\n", result.stderr


def test_every_public_name_is_there():
    import tfbert

    assert set(tfbert.__all__) == set(tfbert.PUBLIC) >= {"Predictor", "TFAutoModelForSequenceClassification"}
    for name, module in tfbert.PUBLIC.items():
        assert getattr(tfbert, name).__module__ == module
    with pytest.raises(AttributeError, match="no attribute 'predictor'"):
        tfbert.predictor  # noqa: B018


def test_the_table_of_encoders_is_what_the_code_knows():
    from tools.encoder_table import table

    assert table() in (ROOT / "docs" / "encoders.md").read_text(encoding="utf-8")


def test_the_wheel_holds_the_package_and_asks_for_what_requirements_txt_says(tmp_path):
    source = tmp_path / "source"
    shutil.copytree(PACKAGE, source / "tfbert", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "requirements.txt", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    build = "from setuptools import build_meta; build_meta.build_wheel('..')"
    result = subprocess.run([sys.executable, "-c", build], cwd=source, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        metadata = next(name for name in archive.namelist() if name.endswith("METADATA"))
        asked = re.findall(r"^Requires-Dist: (.*)$", archive.read(metadata).decode(), re.MULTILINE)
    there = {str(path.relative_to(ROOT)).replace(os.sep, "/") for path in PACKAGE.rglob("*") if path.is_file()}
    assert names == {name for name in there if "__pycache__" not in name}
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    assert sorted(asked) == sorted(line for line in lines if line and not line.startswith("#"))
