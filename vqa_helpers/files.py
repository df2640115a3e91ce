"""Atomic file writes, checksums, and locks.

A file is written beside its place, flushed to disk and renamed over it: a kill leaves the old file
or the new one, never half of one. A list of sums has the form that `sha256sum --check` reads.
"""

import errno
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

from vqa_helpers.errors import InputError

try:
    import fcntl
except ModuleNotFoundError:  # on Windows
    fcntl = None

log = logging.getLogger(__name__)


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path` in one step; parent folders are made.

    Raises:
        OSError: with the file's name; what stood there before stands there still.
    """
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
    except BaseException as error:
        partial.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno and not error.filename:  # of a full disk
            error.filename = str(path)
        raise


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 `text` to `path` in one step."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, obj: Mapping[str, Any]) -> None:
    """Write `obj` as indented JSON in its own key order; floats come back bit for bit.

    Raises:
        ValueError: a number is not finite, which JSON cannot say; write None for "not defined".
    """
    write_text(path, to_json(path, obj, indent=2) + "\n")


def to_json(path: Path, obj: Any, indent: int | None = None) -> str:
    """`obj` as JSON, for `path`; arrays become lists, paths texts.

    Raises:
        ValueError: a number is not finite.
    """
    try:
        return json.dumps(obj, ensure_ascii=False, allow_nan=False, indent=indent, default=_plain)
    except ValueError as error:
        raise ValueError(f"{path}: {error}; write None where a number is not defined") from error


def _plain(value: Any) -> Any:
    """Turn what json does not know into what it does."""
    if hasattr(value, "tolist"):  # of numpy
        return value.tolist()
    if isinstance(value, Path):
        return value.as_posix()
    raise TypeError(f"{type(value).__name__} {value!r} has no JSON form")


def remove_partials(folder: Path, name: str = "*") -> None:
    """Remove what killed processes left of a half-written file, of all files by default; only for
    the holder of the lock."""
    for leftover in folder.glob(f".{name}.*.partial"):
        leftover.unlink()


def read_json(path: Path) -> dict:
    """A JSON object, empty where there is none that can be read."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


@contextmanager
def folder_in_one_step(folder: Path) -> Iterator[Path]:
    """Yield a hidden folder to write into, which becomes `folder` at the end; after an error it is
    removed. For one process at a time: what a killed one left goes first."""
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        yield partial
        os.replace(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


# ---------------------------------------------------------------- sums


def sha256_of(path: Path) -> str:
    """The sha256 of a file, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_sums(path: Path, files: Iterable[Path]) -> None:
    """Write a list of the sums of files that lie beside it."""
    write_text(path, "".join(f"{sha256_of(file)}  {file.name}\n" for file in files))


def read_sums(path: Path) -> dict[str, str]:
    """File name to sum; empty where there is no list, or none that can be read."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return {}
    return {name: sha256 for sha256, _, name in (line.partition("  ") for line in lines) if name}


def seal(path: Path) -> None:
    """Keep the sum of a file in a hidden list beside it, so that damage is noticed."""
    write_sums(_seal_of(path), [path])


def is_sealed(path: Path) -> bool:
    """Whether a file is there and is as it was when it was sealed."""
    known = read_sums(_seal_of(path)).get(path.name)
    return known is not None and path.is_file() and sha256_of(path) == known


def _seal_of(path: Path) -> Path:
    return path.with_name(f".{path.name}.sha256")


# ---------------------------------------------------------------- one at a time, and free space


@contextmanager
def locked(path: Path, place: Path | None = None, refusal: str | None = None) -> Iterator[int]:
    """Hold the lock file `path`, and yield its descriptor; a second process waits for the first.

    The lock goes with the process that held it, and those it handed the descriptor to, however they
    ended. A file system without locks (Lustre, SMB, Google Drive), or Windows, gets a warning, and
    none is held; nor is one of a folder that cannot be written to, as there is nothing to guard.

    Args:
        place: what is worked on, for the message; the lock's folder if None.
        refusal: said instead of waiting.

    Raises:
        InputError: `refusal`, when another process holds the lock.
    """
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
    writable = os.access(path.parent, os.W_OK)
    with path.open("w") if writable else open(os.devnull) as file:
        try:
            if fcntl is None:
                raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
            if writable:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if refusal:
                raise InputError(refusal) from None
            log.info("%s: another process is at work here; waiting for it", place or path.parent)
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError as error:
            _warn_of_no_locks(error.strerror)
        yield file.fileno()


@cache  # once is enough
def _warn_of_no_locks(reason: str) -> None:
    log.warning("no locks on this file system (%s): let one process at a time work there", reason)


def remedy(error: OSError) -> str:
    """What to do about a file that could not be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "free some space and run the same command again"
    return "correct that and run the same command again"


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
