"""A source made ready on this machine: fetched, checked, unpacked, and remembered as done.

A hidden record per file, written last, says what it brought; a record whose files are gone is not
believed. A file that somebody put there by hand is checked and used like one that was fetched.
Knows nothing of what the files hold.
"""

import json
import logging
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from vqa_helpers.data.public.archives import BadArchive, Unpacked, unpack
from vqa_helpers.data.public.fetch import fetch, part_bytes
from vqa_helpers.data.public.sources import File, Source
from vqa_helpers.data.public.web import Patience
from vqa_helpers.errors import InputError
from vqa_helpers.files import locked, require_space, sha256_of, write_text

log = logging.getLogger(__name__)

HERE = "here"
NOT_HERE = "not here"


def download(
    source: Source,
    root: Path = Path("data"),
    *,
    mirror: str | None = None,
    offline: bool = False,
    patience: Patience | None = None,
) -> Path:
    """Everything a source has, in its folder below `root`; nothing is done for what is there.

    Args:
        mirror: a base address that is tried first, by file name; else the environment's VQA_MIRROR.
        offline: do not try the network; files put there by hand are still used.

    Raises:
        InputError: a file cannot be had, is not what it should be, or the disk has no room; says
            which file to put where.
    """
    folder = root / source.folder
    lacking = [file for file in source.files if _record(source, file, folder) is None]
    if not lacking:
        return folder
    absent = [file for file in lacking if not (folder / file.name).exists()]
    if offline and absent:
        raise InputError(
            f"{source.name} is not on this machine, and the network is not to be used; "
            f"put {', '.join(f'{file.name} (from {file.url})' for file in absent)} into "
            f"{folder}/ and run again"
        )
    require_space(folder, _needed(source, lacking, folder), f"to download {source.name}")
    for file in lacking:
        with locked(folder / f".{file.name}.lock"):
            if _record(source, file, folder) is None:  # no other process was faster
                _obtain(source, file, folder, mirror, offline, patience)
    return folder


def state(source: Source, root: Path = Path("data")) -> str:
    """`HERE`, `NOT_HERE`, or "partly here (x of y MB)": in downloaded bytes, no network."""
    folder = root / source.folder
    records = [_record(source, file, folder) for file in source.files]
    if all(records):
        return HERE
    came = sum(
        record.bytes if record else _came(folder / file.name)
        for file, record in zip(source.files, records, strict=True)
    )
    if came == 0:
        return NOT_HERE
    total = "" if source.bytes is None else f" of {source.bytes / 1e6:,.0f}"
    return f"partly here ({came / 1e6:,.0f}{total} MB)"


def _came(path: Path) -> int:
    return path.stat().st_size if path.exists() else part_bytes(path)


def _needed(source: Source, lacking: list[File], folder: Path) -> int:
    """Bytes that the lacking files will take, as far as their lengths are published."""
    needed = 0
    for file in lacking:
        if file.bytes is not None:
            needed += max(0, file.bytes - _came(folder / file.name))
            needed += source.expands * file.bytes if source.unpack else 0
    return needed


def _obtain(
    source: Source,
    file: File,
    folder: Path,
    mirror: str | None,
    offline: bool,
    patience: Patience | None,
) -> None:
    """Fetch, check, unpack and record one file."""
    path = folder / file.name
    by_hand = path.exists()
    if by_hand:
        sha256 = _check_present(file, path)
    else:
        sha256 = fetch(file, path, mirror=mirror, offline=offline, patience=patience)
    try:
        unpacked = unpack(path, folder) if source.unpack else None
    except BadArchive:
        if not by_hand:
            path.unlink()
        raise
    record = _Record(
        url=file.url,
        bytes=path.stat().st_size,
        sha256=sha256,
        verified=file.sha256 is not None,
        unpacked=unpacked,
    )
    write_text(_record_path(folder, file), json.dumps(asdict(record), indent=1))
    if source.unpack:
        path.unlink()


def _check_present(file: File, path: Path) -> str:
    """The sha256 of a file that was found in its place."""
    remedy = f"remove it to have it downloaded, or put the file of {file.url} there"
    size = path.stat().st_size
    if file.bytes not in (None, size):
        raise InputError(f"{path}: has {size} bytes where {file.bytes} are expected; {remedy}")
    log.info("%s: is here already; checking it", path)
    found = sha256_of(path)
    if file.sha256 not in (None, found):
        raise InputError(f"{path}: has sha256 {found} where {file.sha256} is expected; {remedy}")
    if file.sha256 is None:
        log.warning("%s: no sum is published; sha256 %s unverified", path, found)
    return found


# ---------------------------------------------------------------- what is done


@dataclass(frozen=True)
class _Record:
    """What a file brought.

    Attributes:
        url: where the catalogue has it.
        bytes: of the file as downloaded.
        verified: whether the catalogue knew the sum.
        unpacked: what its archive held; None where it stays as it is.
    """

    url: str
    bytes: int
    sha256: str
    verified: bool
    unpacked: Unpacked | None


def _record_path(folder: Path, file: File) -> Path:
    return folder / f".{file.name}.json"


def _record(source: Source, file: File, folder: Path) -> _Record | None:
    """The record of a file that is done; None where there is none to believe."""
    try:
        content = json.loads(_record_path(folder, file).read_bytes())
        unpacked = content.pop("unpacked")
        record = _Record(**content, unpacked=Unpacked(**unpacked) if unpacked else None)
        if file.sha256 not in (None, record.sha256):
            return None
        if not source.unpack:
            there = (folder / file.name).stat().st_size == record.bytes
        else:
            there = unpacked is not None and _is_there(record.unpacked, folder)
        return record if there else None
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _is_there(unpacked: Unpacked, folder: Path) -> bool:
    """Whether what was unpacked is still there: the ends, and at least as many files as it had."""
    ends = (unpacked.first, unpacked.last)
    return all((folder / name).is_file() for name in ends) and all(
        sum(entry.is_file() for entry in os.scandir(folder / inside)) >= count
        for inside, count in unpacked.folders.items()
    )
