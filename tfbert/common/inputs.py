"""Files that are to be read whole: regular ones, of a size that can be."""

import json
from pathlib import Path

from tfbert.common.errors import UserError, one_line

JSON_BYTES = 100_000_000


def must_be_regular(path):
    """Raises UserError for a folder, a pipe or a device, of which reading may never end; not where nothing is."""
    if Path(path).exists() and not Path(path).is_file():
        raise UserError(f"{path} is not a regular file: put the file itself there")


def read_json(path):
    """The value in a JSON file of at most JSON_BYTES. Raises FileNotFoundError, or UserError where it is broken."""
    must_be_regular(path)
    try:
        if Path(path).stat().st_size > JSON_BYTES:
            raise UserError(f"{path} has more than {JSON_BYTES:,} bytes: not a file of settings")
        return json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"cannot read {path}: {one_line(error)}") from error
