"""Public files made ready on this machine: fetched, checked, unpacked, and remembered as done.

A hidden record per file, written last, says what it brought; a record whose files are gone is not
believed. A file put there by hand is checked and used like one that was fetched.
Single photographs are fetched one by one where an archive of 6 to 13 GB would not be worth it.
"""

import json
import logging
import os
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import partial
from glob import escape
from pathlib import Path

from vqa_helpers.data.public.archives import BadArchive, unpack
from vqa_helpers.data.public.sources import PHOTOGRAPH, File, Source, Sources
from vqa_helpers.errors import InputError
from vqa_helpers.files import locked, remove_partials, require_space, sha256_of, write_text
from vqa_helpers.pictures import why_unreadable
from vqa_helpers.progress import track

log = logging.getLogger(__name__)

HERE = "here"
NOT_HERE = "not here"
PHOTOGRAPHS = Path("raw", "coco")  # below the data folder, where the archives unpack to
MOST_PHOTOGRAPH_BYTES = 16 << 20
_TYPICAL_BYTES = 200_000


def download(
    source: Source, root: Path = Path("data"), *, mirror: str | None = None, offline: bool = False
) -> Path:
    """Everything a source has, in its folder below `root`; nothing is done for what is there.

    A call that was cut short, by a kill even, is continued by the next one.

    Args:
        mirror: a base address that is tried first, by file name; else the environment's VQA_MIRROR.
        offline: do not try the network; files put there by hand are still used.

    Raises:
        InputError: a file cannot be had, is not what it should be, or the disk has no room; says
            which file to put where.
    """
    folder = root / source.folder
    lacking = [file for file in source.files if not _record(file, folder)]
    absent = [file for file in lacking if not (folder / file.name).exists()]
    if offline and absent:
        put = ", ".join(f"{file.name} (from {file.url})" for file in absent)
        line = (
            f"is not on this machine, and the network is not to be used; put {put} into {folder}/"
        )
        raise InputError(f"{source.name} {line} and run again")
    times = 1 + source.expands * source.unpack
    needed = sum((file.bytes or 0) * times - _bytes_here(file, folder) for file in lacking)
    require_space(folder, needed, f"to download {source.name}")
    for file in lacking:
        with locked(folder / f".{file.name}.lock"):
            if not _record(file, folder):  # no other process was faster
                remove_partials(folder, f".{escape(file.name)}.json")
                _obtain(file, folder, source.unpack, mirror)
    return folder


def state(source: Source, root: Path = Path("data")) -> str:
    """`HERE`, `NOT_HERE`, or "partly here (x of y MB)": in downloaded bytes, no network."""
    folder = root / source.folder
    records = {file: _record(file, folder) for file in source.files}
    if all(records.values()):
        return HERE
    came = sum(r["bytes"] if r else _bytes_here(file, folder) for file, r in records.items())
    total = "" if source.bytes is None else f" of {source.bytes / 1e6:,.0f}"
    return f"partly here ({came / 1e6:,.0f}{total} MB)" if came else NOT_HERE


def _bytes_here(file: File, folder: Path) -> int:
    """How many bytes of a file are there."""
    paths = (folder / file.name, folder / f"{file.name}.part")
    return next((path.stat().st_size for path in paths if path.exists()), 0)


def _obtain(file: File, folder: Path, unpacks: bool, mirror: str | None) -> None:
    """Fetch, check, unpack and record one file."""
    from vqa_helpers.data.public.web import Part, Refused, Web, addresses

    path = folder / file.name
    by_hand = path.exists()
    if by_hand:
        log.info("%s: is here already; checking it", path)
        size, sha256 = path.stat().st_size, sha256_of(path)
        if file.bytes not in (None, size) or file.sha256 not in (None, sha256):
            wrong = f"has {size} bytes and sha256 {sha256} where {file.bytes} and {file.sha256} are expected"
            raise InputError(f"{path}: {wrong}; remove it, or put the file of {file.url} there")
    else:
        try:
            with Web() as web:
                urls = addresses(mirror, file.name, file.url, *file.mirrors)
                sha256 = web.fetch(urls, Part(file, path))
        except Refused as error:
            remedy = f"put it into {folder}/ by hand and run again"
            raise InputError(f"{file.name} cannot be had: {error}; {remedy}") from error
    if file.sha256 is None:
        log.warning("%s: no sum is published; sha256 %s unverified", path, sha256)
    record = {"url": file.url, "bytes": path.stat().st_size, "sha256": sha256}
    try:
        names = unpack(path, folder) if unpacks else [file.name]
    except BadArchive:
        if not by_hand:
            path.unlink()
        raise
    record["ends"] = {name: (folder / name).stat().st_size for name in (names[0], names[-1])}
    record["folders"] = Counter(os.path.dirname(name) for name in names)
    write_text(folder / f".{file.name}.json", json.dumps(record, indent=1))
    if unpacks:
        path.unlink()


def _record(file: File, folder: Path) -> dict | None:
    """What a file brought; None where there is no record, or none to believe.

    It is believed while the first and the last of what came are there, and in every folder at
    least as many files as it got.
    """
    try:
        record = json.loads((folder / f".{file.name}.json").read_bytes())
        ends, folders = record["ends"].items(), record["folders"].items()
        there = all((folder / name).stat().st_size == size for name, size in ends)
        there = there and all(len(os.listdir(folder / name)) >= count for name, count in folders)
        return record if there and file.sha256 in (None, record["sha256"]) else None
    except (OSError, ValueError, TypeError, LookupError, AttributeError):
        return None


def fetch_images(
    image_ids: Iterable[int], subset: str, root: Path, sources: Sources, *,
    mirror: str | None = None, offline: bool = False, parallel: int = 8,
) -> dict[int, str]:  # fmt: skip
    """Fetch the COCO photographs that are not there yet into `<root>/raw/coco/<subset>/`.

    Each is decoded before it gets its name, so what lies in the folder can be read.

    Args:
        subset: "train2014" or "val2014".
        mirror: a base address that is tried first, by `<subset>/<name>`; else the environment's
            VQA_MIRROR.
        offline: do not try the network: whatever is not there has failed.
        parallel: how many are asked for at once.

    Returns:
        Image id to reason, for those that could not be had.

    Raises:
        InputError: the disk has no room, or the mirror is no address.
    """
    from vqa_helpers.data.public.web import NoAnswer, Part, Refused, Web, addresses

    folder = root / PHOTOGRAPHS / subset
    unusable = partial(why_unreadable, formats=["JPEG"])
    unanswered = 0  # in a row

    def fetch(image_id: int) -> str | None:
        nonlocal unanswered
        if unanswered >= 2 * parallel:
            return f"not tried, after {unanswered} others got no answer"
        path, file = paths[image_id], File(sources.photograph(subset, image_id), None, None)
        urls = addresses(mirror, f"{subset}/{path.name}", file.url)
        try:
            web.fetch(urls, Part(file, path, MOST_PHOTOGRAPH_BYTES, unusable))
        except Refused as error:
            unanswered = unanswered + 1 if isinstance(error, NoAnswer) else 0
            return str(error)
        unanswered = 0
        return None

    with locked(root / PHOTOGRAPHS / f".{subset}.lock"):
        paths = {i: folder / PHOTOGRAPH.format(subset=subset, image_id=i) for i in image_ids}
        lacking = sorted(image_id for image_id, path in paths.items() if not path.exists())
        if offline:
            reason = f"is not in {folder}/, and the network is not to be used"
            return dict.fromkeys(lacking, reason)
        require_space(folder, len(lacking) * _TYPICAL_BYTES, f"{len(lacking)} photographs")
        # The web is closed first: after Ctrl-C what is under way ends soon, the rest never begins.
        with ThreadPoolExecutor(parallel) as threads, Web(parallel) as web:
            waiting = {threads.submit(fetch, image_id): image_id for image_id in lacking}
            done = track(as_completed(waiting), "photographs", len(waiting), "images")
            failed = {waiting[future]: future.result() for future in done}
    return {image_id: failed[image_id] for image_id in lacking if failed[image_id]}
