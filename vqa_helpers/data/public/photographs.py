"""Single COCO photographs, for datasets too small to be worth an archive of 6 to 13 GB.

Each is decoded before it gets its name, so what lies in the folder can be read. Knows addresses
and JPEGs; nothing of questions.
"""

import io
import logging
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from PIL import Image

from vqa_helpers.data.public.sources import PHOTOGRAPH, Sources
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
from vqa_helpers.files import locked, remedy, remove_partials, require_space, write_bytes
from vqa_helpers.progress import track

log = logging.getLogger(__name__)

FOLDER = Path("raw", "coco")  # below the data folder, where the archives unpack to
MOST_BYTES = 16 << 20
MOST_PIXELS = 50_000_000
_TYPICAL_BYTES = 200_000


def fetch_images(
    image_ids: Iterable[int],
    subset: str,
    root: Path,
    sources: Sources,
    *,
    mirror: str | None = None,
    offline: bool = False,
    parallel: int = 8,
    patience: Patience | None = None,
) -> dict[int, str]:
    """Fetch the photographs that are not there yet into `<root>/raw/coco/<subset>/`.

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
    folder = root / FOLDER / subset
    base = mirror_base(mirror)
    stop = threading.Event()
    patience = patience or Patience(sleep=stop.wait)
    with locked(root / FOLDER / f".{subset}.lock"):
        remove_partials(folder)
        lacking = [
            image_id
            for image_id in sorted(set(image_ids))
            if not _path(folder, subset, image_id).exists()
        ]
        if offline:
            reason = f"is not in {folder}/, and the network is not to be used"
            return dict.fromkeys(lacking, reason)
        if not lacking:
            return {}
        require_space(folder, len(lacking) * _TYPICAL_BYTES, f"{len(lacking)} photographs")
        with Web(patience, parallel) as web:
            album = _Album(web, patience, folder, subset, sources, base, most_silences=2 * parallel)
            return _fetch_all(album, lacking, parallel, stop)


def _path(folder: Path, subset: str, image_id: int) -> Path:
    return folder / PHOTOGRAPH.format(subset=subset, image_id=image_id)


class _Album:
    """The photographs of one subset, and whether the servers still answer."""

    def __init__(
        self,
        web: Web,
        patience: Patience,
        folder: Path,
        subset: str,
        sources: Sources,
        base: str | None,
        most_silences: int,
    ) -> None:
        self._web = web
        self._patience = patience
        self.folder = folder
        self._subset = subset
        self._sources = sources
        self._base = base
        self._most_silences = most_silences
        self._silences = 0  # in a row
        self._lock = threading.Lock()

    def fetch(self, image_id: int) -> str | None:
        """Fetch one photograph; the reason if it cannot be had."""
        if self._silences >= self._most_silences:
            return f"not tried, after {self._silences} others got no answer"
        path = _path(self.folder, self._subset, image_id)
        urls = [self._sources.photograph(self._subset, image_id)]
        if self._base is not None:
            urls.insert(0, f"{self._base}/{self._subset}/{path.name}")
        silent = False
        try:
            write_bytes(path, from_any(urls, self._read, self._patience))
            return None
        except Unavailable as error:
            silent = error.silent
            return str(error)
        finally:
            with self._lock:
                self._silences = self._silences + 1 if silent else 0

    def _read(self, url: str) -> bytes:
        """A whole, readable JPEG from one address."""
        content = bytearray()
        with self._web.get(url) as response:
            if response.status_code != 200:
                raise Refusal(f"answers {response.status_code}")
            for chunk in self._web.chunks(response):
                content += chunk
                if len(content) > MOST_BYTES:
                    raise Refusal(f"sends more than {MOST_BYTES} bytes")
            length = length_of(response)
        if length is not None and len(content) < length:
            raise Passing(f"ends after {len(content)} of {length} bytes")
        _require_jpeg(bytes(content))
        return bytes(content)


def _require_jpeg(content: bytes) -> None:
    """Decode every byte of a JPEG; a Lie says what is wrong with it."""
    try:
        with Image.open(io.BytesIO(content), formats=["JPEG"]) as image:
            if image.width * image.height > MOST_PIXELS:
                raise Lie(f"serves {image.width} x {image.height} pixels")
            image.draft("L", (1, 1))  # an eighth of the size: all of the data, less of the work
            image.load()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise Lie(f"serves no readable JPEG ({error})") from error


def _fetch_all(
    album: _Album, image_ids: list[int], parallel: int, stop: threading.Event
) -> dict[int, str]:
    failed: dict[int, str] = {}
    with ThreadPoolExecutor(parallel) as threads:
        waiting = {threads.submit(album.fetch, image_id): image_id for image_id in image_ids}
        try:
            done = as_completed(waiting)
            for future in track(done, "photographs", len(waiting), "images"):
                reason = future.result()
                if reason is not None:
                    failed[waiting[future]] = reason
        except OSError as error:
            raise InputError(
                f"{album.folder}: photographs cannot be written ({error.strerror or error}); "
                f"{remedy(error)}; those that came are kept"
            ) from error
        finally:  # after Ctrl-C above all: what is under way ends soon, the rest never begins
            stop.set()
            threads.shutdown(cancel_futures=True)
    return dict(sorted(failed.items()))
