"""A web server, asked patiently: what to ask again, what to give up, what not to believe.

Knows addresses, answers and bytes; nothing of files, sums or datasets. Only http and https are
spoken; the environment's proxies are used.
"""

import email.utils
import logging
import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urljoin

from vqa_helpers.data.public.sources import is_web_address
from vqa_helpers.errors import InputError

if TYPE_CHECKING:
    import requests

log = logging.getLogger(__name__)
Got = TypeVar("Got")

MIRROR_VARIABLE = "VQA_MIRROR"

_CHUNK_BYTES = 1 << 18
_MOST_REDIRECTS = 10
_MOST_LIES = 2
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_ASK_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524})


@dataclass(frozen=True)
class Patience:
    """How long a server is put up with.

    Attributes:
        attempts: failures in a row after which an address is given up.
        first_pause_s: before the second attempt; each further pause is twice as long.
        longest_pause_s: also the most that a server's Retry-After is granted.
        timeout_s: for the connection, and for the next byte.
        slowest_bytes_s: below this rate, over timeout_s, a server counts as silent.
        sleep: waits so many seconds.
    """

    attempts: int = 5
    first_pause_s: float = 1.0
    longest_pause_s: float = 60.0
    timeout_s: float = 30.0
    slowest_bytes_s: int = 1024
    sleep: Callable[[float], None] = time.sleep

    def pause_s(self, failures: int, asked_s: float | None) -> float:
        """The pause after so many failures; with jitter, since many clients fail at once."""
        doubled = min(self.longest_pause_s, self.first_pause_s * 2 ** (failures - 1))
        pause = doubled * random.uniform(0.5, 1.0)
        return pause if asked_s is None else min(self.longest_pause_s, max(pause, asked_s))


class Refusal(Exception):
    """This address does not serve what is wanted; another one may."""


class Silence(Refusal):
    """This address was given up after failures that need not last."""


class Passing(Exception):
    """A failure that need not last: asking again may help.

    Attributes:
        retry_after_s: the pause the server asked for.
        gained: whether the attempt brought enough to start counting anew.
    """

    def __init__(self, reason: str, retry_after_s: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s
        self.gained = False


class Lie(Exception):
    """An answer that contradicts itself, an earlier one, or what is known of the file."""


class Unavailable(Exception):
    """No address serves what is wanted; says why of each.

    Attributes:
        silent: no address gave an answer that would last.
    """

    def __init__(self, refusals: dict[str, Refusal]) -> None:
        super().__init__("; ".join(f"{url} {error}" for url, error in refusals.items()))
        self.silent = all(isinstance(error, Silence) for error in refusals.values())


def mirror_base(mirror: str | None) -> str | None:
    """The base address that is tried first, without a slash at its end: the one given, else the
    environment's VQA_MIRROR.

    Raises:
        InputError: it is no http or https address.
    """
    mirror = mirror or os.environ.get(MIRROR_VARIABLE) or None
    if mirror is not None and not is_web_address(mirror):
        raise InputError(
            f"mirror {mirror!r}: is no http(s) address; give one, or put files from elsewhere "
            "into the data folder by hand"
        )
    return mirror and mirror.rstrip("/")


def from_any(urls: list[str], attempt: Callable[[str], Got], patience: Patience) -> Got:
    """What the first address gives that can; each is asked until it refuses or patience ends.

    Args:
        attempt: asks one address once; raises Refusal, Passing or Lie.

    Raises:
        Unavailable: none gave it.
    """
    refusals: dict[str, Refusal] = {}
    for url in dict.fromkeys(urls):
        try:
            return _insist(url, attempt, patience)
        except Refusal as error:
            log.info("%s %s", url, error)
            refusals[url] = error
    raise Unavailable(refusals)


def _insist(url: str, attempt: Callable[[str], Got], patience: Patience) -> Got:
    failures = lies = 0
    while True:
        asked_s = None
        try:
            return attempt(url)
        except Lie as error:
            lies += 1
            if lies == _MOST_LIES:
                raise Refusal(str(error)) from error
            reason = error
        except Passing as error:
            failures = 1 if error.gained else failures + 1
            if failures >= patience.attempts:
                raise Silence(f"{error}, {failures} times") from error
            reason, asked_s = error, error.retry_after_s
        pause = patience.pause_s(max(failures, 1), asked_s)
        log.info("%s %s; asking again in %.0f s", url, reason, pause)
        patience.sleep(pause)


class Web:
    """Connections that are kept between requests, by up to `parallel` threads."""

    def __init__(self, patience: Patience, parallel: int = 1) -> None:
        try:
            import requests
            from requests.adapters import HTTPAdapter
        except ModuleNotFoundError as error:
            raise InputError(
                "downloads need requests, which is not installed; `pip install requests`"
            ) from error
        self._patience = patience
        self._session = requests.Session()
        # Bytes as they are: an encoding on the way would change lengths and sums.
        self._session.headers.update({"User-Agent": "vqa-helpers", "Accept-Encoding": "identity"})
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        # requests reads the body of a redirect into memory, however long: `_follow` does not.
        self._session.get_redirect_target = lambda response: None
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(pool_maxsize=parallel))

    def __enter__(self) -> "Web":
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    @contextmanager
    def get(self, url: str, headers: dict[str, str] | None = None) -> Iterator["requests.Response"]:
        """The answer, its body not read yet: status 200, 206 or 416.

        Raises:
            Refusal: any other answer that will not change.
            Passing: no answer, or one that may change.
        """
        response = self._follow(url, headers or {})
        try:
            status = response.status_code
            if status in _ASK_AGAIN:
                raise Passing(f"answers {status}", _retry_after_s(response.headers))
            if status not in (200, 206, 416):
                raise Refusal(f"answers {status}")
            yield response
        finally:
            response.close()

    def _follow(self, url: str, headers: dict[str, str]) -> "requests.Response":
        for _ in range(_MOST_REDIRECTS):
            response = self._ask(url, headers)
            if response.status_code not in _REDIRECTS:
                return response
            response.close()
            place = response.headers.get("Location", "")
            try:
                url = urljoin(url, place)
            except ValueError:
                url = place
            if not is_web_address(url):
                raise Refusal(f"redirects to {place!r}, which is no http(s) address")
        raise Refusal(f"redirects more than {_MOST_REDIRECTS} times")

    def _ask(self, url: str, headers: dict[str, str]) -> "requests.Response":
        import requests

        timeout_s = self._patience.timeout_s
        try:
            return self._session.get(url, headers=headers, stream=True, timeout=timeout_s)
        except requests.Timeout:
            raise Passing(f"does not answer within {timeout_s:g} s") from None
        except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema) as error:
            raise Refusal(f"cannot be asked ({_one_line(error)})") from error
        except (requests.RequestException, OSError, ValueError) as error:
            raise Passing(f"cannot be reached ({_one_line(error)})") from error

    def chunks(self, response: "requests.Response") -> Iterator[bytes]:
        """The body as it comes, never decoded.

        Raises:
            Passing: it is cut off, stops, or crawls.
        """
        from http.client import HTTPException

        from urllib3.exceptions import HTTPError

        patience = self._patience
        began, came = time.monotonic(), 0
        while True:
            try:
                # One read of the socket: whatever came before a cut is handed on.
                chunk = response.raw.read1(_CHUNK_BYTES, decode_content=False)
            except (HTTPError, HTTPException, OSError, ValueError) as error:
                raise Passing(f"breaks off ({_one_line(error)})") from error
            if not chunk:
                return
            yield chunk
            came += len(chunk)
            waited_s = time.monotonic() - began
            if waited_s >= patience.timeout_s:
                if came < waited_s * patience.slowest_bytes_s:
                    raise Passing(f"sends {came} bytes in {waited_s:.0f} s")
                began, came = time.monotonic(), 0


def length_of(response: "requests.Response") -> int | None:
    """The body's length as the answer declares it."""
    text = response.headers.get("Content-Length", "")
    chunked = "Transfer-Encoding" in response.headers
    return int(text) if text.isascii() and text.isdigit() and not chunked else None


def _retry_after_s(headers: object) -> float | None:
    """Retry-After, in seconds or as a date."""
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        moment = email.utils.parsedate_to_datetime(text)
        return max(0.0, moment.timestamp() - time.time())
    except (TypeError, ValueError, OverflowError):
        return None


def _one_line(error: BaseException) -> str:
    """What is at the bottom of an error of urllib3, which wraps several."""
    while error.__context__ is not None:
        error = error.__context__
    return " ".join(str(error).split())[:200] or type(error).__name__
