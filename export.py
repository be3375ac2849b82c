"""Writes the model that train.py saved in a form that other programs run.

usage: python export.py --to saved_model
       python export.py --to litert --model_dir mine --length 128
"""

import sys
from dataclasses import dataclass
from pathlib import Path

from tfbert.common.console import say
from tfbert.common.errors import UserError, run
from tfbert.common.files import replaced_folder
from tfbert.common.settings import option, parse
from tfbert.inference.exporting import KINDS, export
from tfbert.model.config_files import must_hold_model


@dataclass
class ExportSettings:
    """Write the model that train.py saved in a form that other programs run."""

    EXAMPLES = ("python export.py --to saved_model", "python export.py --to litert --model_dir mine --length 128")

    to: str = option(
        "saved_model",
        "saved_model for TensorFlow and TensorFlow Serving, litert for phones, onnx for ONNX Runtime, pytorch for "
        "transformers 5",
        choices=KINDS,
    )
    model_dir: str = option("output", "the folder that train.py wrote")
    export_dir: str = option("exported", "where a folder of the form's name is written")
    length: int | None = option(
        None, "with litert: tokens of a text, which others are padded to; default: all that the model reads", at_least=8
    )
    overwrite: bool = option(False, "replace what was exported there before")


def main(argv=None):
    settings = parse(ExportSettings, argv)
    must_hold_model(settings.model_dir)
    if settings.length and settings.to != "litert":
        raise UserError(f"--length is for --to litert: {settings.to} takes texts of any length")
    folder = Path(settings.export_dir, settings.to)
    if Path(settings.export_dir).exists() and not Path(settings.export_dir).is_dir():
        raise UserError(f"--export_dir {settings.export_dir} is a file: name a folder")
    if folder.exists() and not settings.overwrite:
        raise UserError(f"{folder} is there already: add --overwrite, or another --export_dir")
    if folder.exists() and not any(folder.rglob("reading.json")):
        raise UserError(f"{folder} was not written by export.py: name another --export_dir")
    with replaced_folder(folder) as staged:
        lines = export(settings.to, settings.model_dir, staged, settings.length)
    for line in lines:
        say("Exported", line.replace(str(staged), str(folder)))


if __name__ == "__main__":
    sys.exit(run(main))
