"""The Hugging Face Hub: whether it can be reached, and the files of a repository on it."""

import contextlib
import hashlib
import queue
import re
import threading
import time
from functools import cache
from pathlib import Path

from tfbert.common.console import is_watched
from tfbert.common.errors import SilentServer, one_line

PROBE_SECONDS = 5
PATIENCE = 25  # seconds without a byte, after the probe


class NothingThere(FileNotFoundError):
    """A repository of the Hub holds none of the files that are needed."""


@cache
def hub_trouble():
    """Why the Hub cannot be used, in words, or None. Asks once, and knows within PROBE_SECONDS.

    It asks as downloads do, with the certificates of the Hub's client: Python's own, on macOS, may have none.
    """
    from huggingface_hub import constants
    from huggingface_hub.utils import get_session

    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    answer = []

    def ask():
        try:
            code = get_session().head(constants.ENDPOINT, timeout=PROBE_SECONDS).status_code
            answer.append(f"the Hub answers with error {code}" if code >= 500 else None)
        except Exception as error:  # the client has a class for each way to fail
            answer.append(f"the Hub cannot be reached ({one_line(error)})")

    probe = threading.Thread(target=ask, daemon=True)  # a name look-up obeys no time limit but this join's
    probe.start()
    probe.join(PROBE_SECONDS)
    return answer[0] if answer else f"the Hub does not answer within {PROBE_SECONDS} s"


def snapshot(repo, patterns, **kwargs):
    """A folder with the files of `repo` that match, as the Hub has them.

    Raises NothingThere where none does, SilentServer where the Hub stops answering, OSError where a file came damaged.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.utils import disable_progress_bars

    if not is_watched():
        disable_progress_bars()
    begun = time.time()
    folder = watched(lambda: snapshot_download(repo, allow_patterns=patterns, **kwargs), repo)
    check_hashes(folder, begun)
    if not any(path for pattern in patterns[::-1] for path in Path(folder).rglob(Path(pattern).name)):
        raise NothingThere(f"holds none of {', '.join(patterns)}")
    return folder


def watched(ask, repo):
    """ask(), which asks the Hub. Raises SilentServer once nothing has come from there for PATIENCE seconds."""
    answers = queue.Queue()

    def work():
        try:
            answers.put((ask(), None))
        except BaseException as error:
            answers.put((None, error))

    threading.Thread(target=work, daemon=True).start()
    begun = received(repo)
    before, since = begun, time.monotonic()
    while True:
        with contextlib.suppress(queue.Empty):
            answer, error = answers.get(timeout=0.5)
            if error:
                raise error
            return answer
        now = received(repo)
        if now != before:
            before, since = now, time.monotonic()
        elif time.monotonic() - since > PATIENCE:
            came = f"after {(now - begun) / 1e6:.1f} MB of its files" if now > begun else "asked for its files"
            raise SilentServer(f"nothing more came for {PATIENCE} s, {came}")


def received(repo):
    """Bytes of a repository that are in the cache, those of unfinished files included."""
    from huggingface_hub import constants

    kept = [Path(constants.HF_HUB_CACHE, f"{kind}--{repo.replace('/', '--')}") for kind in ("models", "datasets")]
    total = 0
    for path in (path for folder in [*kept, Path(constants.HF_HOME, "xet")] for path in folder.rglob("*")):
        with contextlib.suppress(OSError):  # renamed or removed in between
            total += path.lstat().st_size
    return total


def check_hashes(folder, since):
    """Removes what came since then and is not what the Hub says that it is, and raises OSError.

    Files in the Hub's cache bear their hashes as names: sha256, or git's of a blob (sha1 of a head and the bytes).
    """
    for path in Path(folder).rglob("*"):
        blob = path.resolve()
        if not (path.is_symlink() and blob.is_file()) or blob.stat().st_mtime < since - 1:
            continue
        with open(blob, "rb") as file:
            if len(blob.name) == 64:
                found = hashlib.file_digest(file, "sha256").hexdigest()
            else:
                head = hashlib.sha1(f"blob {blob.stat().st_size}\0".encode())
                found = hashlib.file_digest(file, lambda head=head: head).hexdigest()
        if re.fullmatch("[0-9a-f]{40}|[0-9a-f]{64}", blob.name) and found != blob.name:
            path.unlink()
            blob.unlink()
            raise OSError(f"{path.name} came damaged: try again")


@contextlib.contextmanager
def no_leftovers(repo):
    """Removes the half-written files of a download that failed."""
    try:
        yield
    except BaseException:
        from huggingface_hub import constants

        for kind in ("models", "datasets"):
            for leftover in Path(constants.HF_HUB_CACHE, f"{kind}--{repo.replace('/', '--')}").rglob("*.incomplete"):
                with contextlib.suppress(OSError):  # Windows keeps what a thread has open
                    leftover.unlink(missing_ok=True)
        raise


def status(error):
    """The HTTP status behind an error of the Hub's client, or None."""
    return getattr(getattr(error, "response", None), "status_code", None)
