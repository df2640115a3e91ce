"""Files written in one step, and work that one process does at a time.

A file is written beside its place, flushed to disk and renamed over it: a kill leaves the old file
or the new one, never half of one.
"""

import fcntl
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vqa_helpers.errors import InputError

log = logging.getLogger(__name__)


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path` in one step; parent folders are made."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Named by process: two that write the same file at once must not share a partial one.
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 `text` to `path` in one step."""
    write_bytes(path, text.encode("utf-8"))


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file `path`; a second process waits for the first.

    The lock goes with the process that held it, however that ended.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            log.info("%s: another process is at work here; waiting for it", path.parent)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def require_space(folder: Path, needed: int, purpose: str) -> None:
    """Refuse work that the disk has no room for.

    Args:
        folder: where the bytes will go; it may not exist yet.
        needed: bytes.
        purpose: what they are, for the message.

    Raises:
        InputError: when fewer bytes are free.
    """
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    free = shutil.disk_usage(there).free
    if free < needed:
        raise InputError(
            f"{folder}: {purpose} needs {needed / 1e9:.2f} GB and {free / 1e9:.2f} GB are free; "
            "free some space, or choose a folder on another disk"
        )
