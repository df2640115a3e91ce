"""One public file from the first address that serves it whole: resumed, and checked by its sum.

What has come so far lies in a `.part` file beside the place, with a hidden note of the version it
is a part of. Knows nothing of archives or of what the file is for; the caller sees to it that one
process at a time fetches a file.
"""

import json
import logging
import os
import re
from pathlib import Path
from urllib.parse import quote

from vqa_helpers.data.public.sources import File
from vqa_helpers.data.public.web import (
    Lie,
    Passing,
    Patience,
    Refusal,
    Unavailable,
    Web,
    from_any,
    length_of,
    mirror_base,
)
from vqa_helpers.errors import InputError
from vqa_helpers.files import remedy, require_space, sha256_of, write_text
from vqa_helpers.progress import meter

log = logging.getLogger(__name__)

MOST_BYTES = 4 << 30  # of a file whose length is not published
GAIN_BYTES = 1 << 20  # that renew a server's patience; a trickle of cuts does not

_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


def fetch(
    file: File,
    path: Path,
    *,
    mirror: str | None = None,
    offline: bool = False,
    patience: Patience | None = None,
    most_bytes: int = MOST_BYTES,
) -> str:
    """Fetch one file to `path`, which appears whole and checked, or not at all.

    A call that was cut short, by a kill even, is continued by the next one.

    Args:
        mirror: a base address that is tried first, by file name; else the environment's VQA_MIRROR.
        offline: do not try the network.
        most_bytes: a longer body is refused where the file's length is not published.

    Returns:
        The sha256 of what came, which is the file's where that is published.

    Raises:
        InputError: no address serves it, or the disk is full; says which file to put where.
    """
    base = mirror_base(mirror)
    urls = [file.url, *file.mirrors]
    if base is not None:
        urls.insert(0, f"{base}/{quote(file.name)}")
    by_hand = f"put {file.name} into {path.parent}/ by hand and run again"
    if offline:
        raise InputError(f"{path}: is not here, and the network is not to be used; {by_hand}")
    patience = patience or Patience()
    path.parent.mkdir(parents=True, exist_ok=True)
    with Web(patience) as web:
        transfer = _Transfer(web, file, path, most_bytes)
        try:
            return from_any(urls, transfer.attempt, patience)
        except Unavailable as error:
            raise InputError(f"{file.name} cannot be had: {error}; {by_hand}") from error
        except KeyboardInterrupt:
            log.warning("%s: stopped; what came is kept, the next call goes on", file.name)
            raise
        except OSError as error:
            raise InputError(
                f"{path.parent}: {file.name} cannot be written ({error.strerror or error}); "
                f"{remedy(error)}; what came is kept"
            ) from error


def part_bytes(path: Path) -> int:
    """How much of the file that will be `path` has come."""
    part = _part_of(path)
    return part.stat().st_size if part.exists() else 0


def _part_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


class _Part:
    """What has come of a file, and of which version of it."""

    def __init__(self, path: Path) -> None:
        self.path = _part_of(path)
        self._note = path.with_name(f".{path.name}.part.json")
        self.furthest = self.size

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def begin(self, url: str, headers: dict, total: int | None) -> None:
        """Start anew with the version that these headers tell of."""
        self.drop()
        note = {
            "url": url,
            "etag": headers.get("ETag"),
            "modified": headers.get("Last-Modified"),
            "total": total,
        }
        write_text(self._note, json.dumps(note))

    def version(self) -> dict:
        """url, etag, modified and total; empty where they are not known."""
        try:
            note = json.loads(self._note.read_bytes())
            return {key: note[key] for key in ("url", "etag", "modified", "total")}
        except (OSError, ValueError, KeyError, TypeError):
            return {}

    def drop(self) -> None:
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)

    def finish(self, path: Path) -> None:
        with self.path.open("rb") as stream:
            os.fsync(stream.fileno())
        os.replace(self.path, path)
        self._note.unlink(missing_ok=True)


class _Transfer:
    """A file on its way to its place."""

    def __init__(self, web: Web, file: File, path: Path, most_bytes: int) -> None:
        self._web = web
        self._file = file
        self._path = path
        self._part = _Part(path)
        self._most = file.bytes or most_bytes

    def attempt(self, url: str) -> str:
        """Ask one address for what is missing; the sum, once nothing is."""
        part = self._part
        resumed = part.size > 0
        try:
            if not self._is_whole():
                self._receive(url)
        except Passing as error:
            error.gained = part.size >= part.furthest + GAIN_BYTES
            part.furthest = max(part.furthest, part.size)
            raise
        except Lie:
            part.drop()
            raise
        log.info("%s: %d bytes came; checking them", self._file.name, part.size)
        found = sha256_of(part.path)
        if self._file.sha256 not in (None, found):
            part.drop()
            wrong = f"serves sha256 {found} where {self._file.sha256} is expected"
            # A resumed file may be sewn together from two versions: it is fetched anew, once.
            raise Lie(wrong) if resumed else Refusal(wrong)
        if self._file.sha256 is None:
            log.warning("%s: no sum is published; sha256 %s unverified", self._file.name, found)
        part.finish(self._path)
        return found

    def _is_whole(self) -> bool:
        size = self._part.size
        return size > 0 and size == (self._file.bytes or self._part.version().get("total"))

    def _receive(self, url: str) -> None:
        """Add to the part what one answer brings, up to the end of the file."""
        part = self._part
        with self._web.get(url, self._resumption(url)) as response:
            offset = part.size
            if response.status_code == 416:
                raise Lie(f"has nothing after byte {offset}")
            if response.status_code == 206:
                total = self._continued(url, response.headers, offset)
            else:
                offset, total = 0, length_of(response)
                self._accept_total(total)
                part.begin(url, response.headers, total)
            total = total or self._file.bytes
            most = total or self._most
            require_space(
                self._path.parent, (total or 0) - offset, f"to download {self._path.name}"
            )
            with (
                meter(self._file.name, total, offset) as advance,
                part.path.open("ab") as out,
            ):
                for chunk in self._web.chunks(response):
                    if out.tell() + len(chunk) > most:
                        raise Lie(f"sends more than {most} bytes")
                    out.write(chunk)
                    out.flush()  # a kill loses nothing that came
                    advance(len(chunk))
        if total is not None and part.size < total:
            raise Passing(f"ends after {part.size} of {total} bytes")

    def _resumption(self, url: str) -> dict[str, str]:
        """The headers that ask for the rest; a part that nothing vouches for is dropped."""
        part, version = self._part, self._part.version()
        size = part.size
        if size == 0:
            return {}
        headers = {"Range": f"bytes={size}-"}
        if version.get("url") == url:
            etag, modified = version["etag"], version["modified"]
            strong = etag if etag and not etag.startswith("W/") else None
            if strong or modified:
                headers["If-Range"] = strong or modified
        # Without a validator only the sum can tell whether the rest belongs to the beginning.
        if size >= self._most or not ("If-Range" in headers or self._file.sha256):
            part.drop()
            return {}
        return headers

    def _continued(self, url: str, headers: dict, offset: int) -> int:
        """The total length told by an answer 206, once it fits what is there."""
        said = headers.get("Content-Range", "")
        match = _CONTENT_RANGE.fullmatch(said.strip())
        if match is None or int(match[1]) != offset or offset == 0 or match[3] == "*":
            raise Lie(f"sends range {said!r} where {offset}- was asked for")
        total = int(match[3])
        self._accept_total(total)
        version = self._part.version()
        if version.get("total") not in (None, total):
            raise Lie(f"has {total} bytes now and had {version['total']} before")
        for key, header in (("etag", "ETag"), ("modified", "Last-Modified")):
            known = version.get(key) if version.get("url") == url else None
            if known and headers.get(header, known) != known:
                raise Lie("sends the rest of another version")
        return total

    def _accept_total(self, total: int | None) -> None:
        if total is None:
            return
        if self._file.bytes is not None and total != self._file.bytes:
            raise Lie(f"says {total} bytes where {self._file.bytes} are expected")
        if total > self._most:
            raise Lie(f"says {total} bytes, more than {self._most}")
