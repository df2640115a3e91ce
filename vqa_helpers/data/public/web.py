"""Files over http: attempts are repeated with growing pauses, downloads resume, sums are checked.

What has come of a file lies in a `.part` file beside its place; the file appears complete and
checked, or not at all. Only http and https are spoken; the environment's proxies are used. One
process at a time may fetch a file.
"""

import logging
import os
import re
import threading
import time
from contextlib import nullcontext, suppress
from pathlib import Path
from urllib.parse import quote

import requests
from requests.adapters import HTTPAdapter
from urllib3 import Retry
from urllib3.exceptions import HTTPError

from vqa_helpers.data.public.sources import ADDRESS, File
from vqa_helpers.errors import InputError, one_line
from vqa_helpers.files import require_space, sha256_of
from vqa_helpers.progress import meter

log = logging.getLogger(__name__)

ATTEMPTS = 5  # failures in a row after which an address is given up
PAUSE_S = 0.5  # doubled after each failure
LONGEST_PAUSE_S = 60.0  # also the most that a server's Retry-After is granted
TIMEOUT_S = 30.0  # for the connection, and for the next byte
SLOWEST_BYTES_S = 1024  # a slower answer is given up after TIMEOUT_S
GAIN_BYTES = 1 << 20  # an attempt that brings so many resets the count of failures
MOST_BYTES = 4 << 30  # of a file whose length is not published

_REPEATED = frozenset({408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524})
_CONTENT_RANGE = re.compile(r"bytes (?:(\d{1,18})-\d{1,18}|\*)/(\d{1,18})")


class Refused(Exception):
    """An address does not serve what is wanted; another one may."""


class NoAnswer(Refused):
    """An address was given up after failures that may be temporary."""


class _Failed(Exception):
    """An attempt failed; another may succeed."""


def addresses(mirror: str | None, name: str, *urls: str) -> list[str]:
    """The addresses of a file: the mirror's first, or that of the environment's VQA_MIRROR.

    Raises:
        InputError: the mirror is no http or https address.
    """
    mirror = mirror or os.environ.get("VQA_MIRROR")
    if mirror and not re.search(ADDRESS, mirror):
        remedy = "give one, or put files from elsewhere into the data folder by hand"
        raise InputError(f"mirror {mirror!r}: is no http(s) address; {remedy}")
    return [f"{mirror.rstrip('/')}/{quote(name)}", *urls] if mirror else list(urls)


class Part:
    """What has come of a file, how the rest is asked for, and how it is received.

    Args:
        path: where the file will be.
        most: bytes; a longer body is refused where the file's length is not published.
        unusable: takes the path of a complete file and says why it cannot be used, if it cannot.
    """

    def __init__(self, file: File, path: Path, most: int = MOST_BYTES, unusable=None) -> None:
        self._file, self._path, self._unusable = file, path, unusable
        self._most = file.bytes or most
        self._part = path.with_name(f"{path.name}.part")
        # Where no sum will tell, the server must say that the rest is of the same version.
        self._note = path.with_name(f".{path.name}.part.version")

    @property
    def size(self) -> int:
        return self._part.stat().st_size if self._part.exists() else 0

    def headers(self) -> dict[str, str]:
        """What to ask for; a part that no sum or version can confirm is dropped."""
        version = self._note.read_text() if self._note.exists() else ""
        if self.size > self._most or not (self._file.sha256 or version):
            self._drop()
        asked = {"Range": f"bytes={self.size}-"} if self.size else {}
        return asked | ({"If-Range": version} if asked and version else {})

    def receive(self, response: requests.Response) -> str:
        """Add what an answer brings, and finish the file if that was all; its sha256."""
        total, offset = response.raw.length_remaining, 0
        etag, modified = (response.headers.get(name, "") for name in ("ETag", "Last-Modified"))
        version = etag if etag.startswith('"') else modified  # a weak ETag does not tell bytes
        if response.status_code == 200:
            self._drop()
            self._path.parent.mkdir(parents=True, exist_ok=True)
            if not self._file.sha256:
                self._note.write_text(version)
        else:  # 206, or 416: nothing is lacking
            said, offset = response.headers.get("Content-Range", ""), self.size
            match = _CONTENT_RANGE.fullmatch(said)
            if not (match and offset and int(match[1] or match[2]) == offset):
                raise self._reject(f"sends range {said!r} where {offset}- was asked for")
            if version and not self._file.sha256 and version != self._note.read_text():
                raise self._reject("sends the rest of another version")
            total = int(match[2])
        if total is not None and not (self._file.bytes or 0) <= total <= self._most:
            limit = "expected" if self._file.bytes else "the limit"
            raise self._reject(f"says {total} bytes where {self._most} are {limit}")
        if offset and offset == total:
            return self._finish(resumed=True)
        require_space(self._path.parent, (total or 0) - offset, f"to download {self._path.name}")
        most = total or self._most
        shown = meter(self._path.name, total, offset) if most > GAIN_BYTES else nullcontext()
        began, came = time.monotonic(), 0
        with self._part.open("ab") as out, shown as advance:
            # One read of the socket: whatever came before a cut is kept, as after a kill.
            while chunk := response.raw.read1(1 << 18, decode_content=False):
                came += len(chunk)
                if offset + came > most:
                    raise self._reject(f"sends more than {most} bytes")
                out.write(chunk)
                out.flush()
                if advance:
                    advance(len(chunk))
                waited_s = time.monotonic() - began
                if waited_s >= TIMEOUT_S and came < waited_s * SLOWEST_BYTES_S:
                    raise _Failed(f"sends {came} bytes in {waited_s:.0f} s")
        if self.size < (total or 0):
            raise _Failed(f"ends after {self.size} of {total} bytes")
        return self._finish(resumed=offset > 0)

    def _finish(self, resumed: bool) -> str:
        found, expected = sha256_of(self._part), self._file.sha256
        why = self._unusable and self._unusable(self._part)
        wrong = why and f"serves what cannot be used ({why})"
        if expected not in (None, found):
            wrong = f"serves sha256 {found} where {expected} is expected"
        if wrong:
            self._drop()
            # A resumed file may be made of two versions: it is fetched again.
            raise (_Failed if resumed else Refused)(wrong)
        with self._part.open("rb") as stream:
            os.fsync(stream.fileno())
        os.replace(self._part, self._path)
        self._drop()
        return found

    def _reject(self, reason: str) -> _Failed:
        """Drop what came: an answer contradicts itself, or what is known of the file."""
        self._drop()
        return _Failed(reason)

    def _drop(self) -> None:
        self._part.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)


class Web(requests.Session):
    """Connections that up to `parallel` threads share; closing them ends every pause."""

    def __init__(self, parallel: int = 1) -> None:
        super().__init__()
        self._closed = threading.Event()
        # Bytes as they are: an encoding on the way would change lengths and sums.
        self.headers.update({"User-Agent": "vqa-helpers", "Accept-Encoding": "identity"})
        self.max_redirects = 10
        for scheme in ("http://", "https://"):
            self.mount(scheme, HTTPAdapter(pool_maxsize=parallel))

    def close(self) -> None:
        self._closed.set()
        super().close()

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        if resp.is_redirect:
            resp.raw.close()  # whose body would be read into memory, however long it is
        return super().get_redirect_target(resp)

    def fetch(self, urls: list[str], part: Part) -> str:
        """Complete a file from the first address that serves it; its sha256.

        Raises:
            Refused: none does, and why; `NoAnswer` if no address said so itself.
            InputError: the disk has no room.
        """
        refusals: dict[str, Refused] = {}
        for url in dict.fromkeys(urls):
            try:
                return self._insist(url, part)
            except Refused as error:
                refusals[url] = error
        unanswered = all(isinstance(error, NoAnswer) for error in refusals.values())
        reasons = "; ".join(f"{url} {error}" for url, error in refusals.items())
        raise (NoAnswer if unanswered else Refused)(reasons)

    def _insist(self, url: str, part: Part) -> str:
        """Ask one address until it serves the file, refuses, or has failed too often."""
        failures, furthest = 0, part.size
        while not self._closed.is_set():
            retry_after = ""
            try:
                asked = self.get(url, headers=part.headers(), stream=True, timeout=TIMEOUT_S)
                with asked as response:
                    retry_after = response.headers.get("Retry-After", "")
                    if response.status_code in _REPEATED:
                        raise _Failed(f"answers {response.status_code}")
                    if response.status_code not in (200, 206, 416):
                        raise Refused(f"answers {response.status_code}")
                    return part.receive(response)
            except InputError:
                raise
            except (requests.TooManyRedirects, ValueError) as error:
                raise Refused(f"is no usable http(s) address ({_cause(error)})") from error
            except (requests.RequestException, HTTPError, _Failed) as error:
                reason = _cause(error)
            failures = 1 if part.size >= furthest + GAIN_BYTES else failures + 1
            furthest = max(furthest, part.size)
            if failures == ATTEMPTS:
                raise NoAnswer(f"fails {failures} times: {reason}")
            pause = PAUSE_S * 2**failures
            with suppress(HTTPError, ValueError, OverflowError):  # of a malformed header
                pause = max(pause, Retry().parse_retry_after(retry_after))
            log.info("%s fails: %s; asking again", url, reason)
            self._closed.wait(min(pause, LONGEST_PAUSE_S))
        raise NoAnswer("is not asked any more")


def _cause(error: BaseException) -> str:
    """The innermost cause of an error from requests, which wraps several, in one line."""
    while error.__context__ is not None:
        error = error.__context__
    return one_line(error, 200)
