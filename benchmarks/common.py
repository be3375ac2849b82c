"""What the benchmarks share: the contestants' environments, and where results go."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from tfbert.files import write_json, write_text
from tools.environments import python_in

RESULTS = HERE / "results"


def python_of(name, folder):
    """The interpreter of the contestants' environment `name` in `folder`; "ours" is the one that runs this."""
    if name == "ours":
        return sys.executable
    return python_in(Path(folder, name), "-r", HERE / "contestants" / f"requirements-{name}.txt")


def save(output, text, figures):
    """Prints `text`, and writes it to `output`.md and `figures` to `output`.json."""
    output = Path(output)
    write_text(output.with_suffix(".md"), text)
    write_json(output.with_suffix(".json"), figures)
    print(text)
