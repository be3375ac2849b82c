"""Virtual environments for programs that this project is compared with, made once and used again."""

import shutil
import subprocess
import venv
from pathlib import Path

from tfbert.common.errors import UserError


def python_in(folder, *packages):
    """The Python of the environment in `folder`, made with these packages (pip's arguments) where it is missing."""
    folder = Path(folder)
    python = folder / "bin" / "python"
    if not python.exists():
        print(f"Making {folder} with {' '.join(map(str, packages))} ...", flush=True)
        venv.create(folder, with_pip=True)
        if subprocess.run([python, "-m", "pip", "install", "--quiet", *packages]).returncode:
            shutil.rmtree(folder)
            raise UserError(f"cannot install {' '.join(map(str, packages))}: see above")
    return str(python.absolute())
