"""Virtual environments for the programs that the benchmarks compare with, made once and used again."""

import shutil
import subprocess
import sys
import venv
from pathlib import Path

from tfbert.errors import UserError

HERE = Path(__file__).parent


def python_of(name, folder):
    """The interpreter of the environment `name` in `folder`, with contestants/requirements-NAME.txt installed.

    "ours" is the interpreter that runs this.
    """
    if name == "ours":
        return sys.executable
    place = Path(folder, name)
    python = place / "bin" / "python"
    if not python.exists():
        requirements = HERE / "contestants" / f"requirements-{name}.txt"
        print(f"Making {place} from {requirements.name} ...", flush=True)
        venv.create(place, with_pip=True)
        if subprocess.run([python, "-m", "pip", "install", "--quiet", "-r", requirements]).returncode:
            shutil.rmtree(place)
            raise UserError(f"cannot install {requirements}: see above")
    return str(python.absolute())
