"""The Hugging Face Hub: whether it can be reached, and the files of a repository on it."""

import contextlib
import threading
import urllib.error
import urllib.request
from functools import cache
from pathlib import Path

from tfbert.common.errors import one_line

PROBE_SECONDS = 5


class NothingThere(FileNotFoundError):
    """A repository of the Hub holds none of the files that are needed."""


@cache
def hub_trouble():
    """Why the Hub cannot be used, in words, or None. Asks once, and knows within PROBE_SECONDS."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    answer = []

    def ask():
        try:
            urllib.request.urlopen(urllib.request.Request(constants.ENDPOINT, method="HEAD"), timeout=PROBE_SECONDS)
            answer.append(None)
        except urllib.error.HTTPError as error:
            answer.append(f"the Hub answers with error {error.code}" if error.code >= 500 else None)
        except (OSError, ValueError) as error:
            answer.append(f"the Hub cannot be reached ({one_line(getattr(error, 'reason', error))})")

    probe = threading.Thread(target=ask, daemon=True)  # a name look-up obeys no time limit but this join's
    probe.start()
    probe.join(PROBE_SECONDS)
    return answer[0] if answer else f"the Hub does not answer within {PROBE_SECONDS} s"


def snapshot(repo, patterns, **kwargs):
    """A folder with the files of `repo` that match. Raises NothingThere where none does."""
    from huggingface_hub import snapshot_download

    folder = snapshot_download(repo, allow_patterns=patterns, **kwargs)
    if not any(path for pattern in patterns[::-1] for path in Path(folder).rglob(Path(pattern).name)):
        raise NothingThere(f"holds none of {', '.join(patterns)}")
    return folder


@contextlib.contextmanager
def no_leftovers(repo):
    """Removes the half-written files of a download that failed."""
    try:
        yield
    except BaseException:
        from huggingface_hub import constants

        for kind in ("models", "datasets"):
            for leftover in Path(constants.HF_HUB_CACHE, f"{kind}--{repo.replace('/', '--')}").rglob("*.incomplete"):
                leftover.unlink(missing_ok=True)
        raise


def status(error):
    """The HTTP status behind an error of the Hub's client, or None."""
    return getattr(getattr(error, "response", None), "status_code", None)
