"""Read a photograph file as the square of pixels that a network sees.

`load_square` is the only loader: features, networks inside the training loop and sample cards all
see what it returns.
"""

import hashlib
import os
import sys
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from vqa_helpers.pictures import open_picture

# Part of a store's identity: whatever changes the pixels of ordinary photographs must change it.
DESCRIPTION = (
    "JPEG decoded at a fraction that leaves twice the target, EXIF orientation, RGB, centre square, "
    "bilinear to {size} px"
)
THREADS = os.cpu_count() or 1
_SAMPLE_BYTES = 4096
_GREY_SCALES = (1, 2**8, 2**10, 2**12, 2**14, 2**16)  # floats up to 1; 8 to 16 bits
_REASONS = {
    FileNotFoundError: "the file is missing",
    IsADirectoryError: "is a folder",
    UnidentifiedImageError: "is not an image",
}
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # by EXIF orientation


class BadImage(ValueError):
    """An image file that cannot be used; the message gives the reason, not the file."""


def load_square(image: Path | BinaryIO | Image.Image, size_px: int) -> np.ndarray:
    """The centre square of an image or its file, (size_px, size_px, 3) uint8 RGB.

    The same as resizing the short side to `size_px` and cropping the centre (reference study,
    512 px). Grey and palette images become RGB, transparent ones lie on white, and grey of more
    than 8 bits keeps its contrast. JPEGs far larger than the target are decoded at a fraction of
    their size, never below twice the target: from 640 x 480 to 64 px that saves a third of the
    time and moves features (ResNet18, random weights) by 1.6 % of their length; down to the target
    itself would save a half and move them by 4 %.

    Raises:
        BadImage: for a file that is missing, truncated, no image, or too large to be one.
    """
    try:
        if isinstance(image, Image.Image):
            return _square(_upright(image), size_px)
        with open_picture(image, 2 * size_px) as opened:
            return _square(_upright(opened), size_px)
    except Exception as error:
        # Pillow raises OSError, SyntaxError, ValueError, struct.error and more for damaged files; one
        # of them must not end the work on all the others.
        reason = _REASONS.get(type(error)) or str(error) or type(error).__name__
        raise BadImage(reason) from None


def file_mark(path: Path | Image.Image) -> int:
    """A hash of a file's size and of samples of its bytes; -1 for a file that cannot be read, and for
    an image that is no file.

    Reading every byte would cost minutes on a large dataset, and an edit of a compressed image
    changes all bytes after it.
    """
    if isinstance(path, Image.Image):
        return -1
    try:
        with path.open("rb", buffering=0) as file:
            size = file.seek(0, os.SEEK_END)
            digest = hashlib.blake2b(size.to_bytes(8, "little"), digest_size=7)
            for place in (0, size // 3, 2 * size // 3, max(0, size - _SAMPLE_BYTES)):
                file.seek(place)
                digest.update(file.read(_SAMPLE_BYTES))
    except (OSError, ValueError):  # a name with a zero byte
        return -1
    return int.from_bytes(digest.digest(), "little")


def decoding_threads(*, yielding: bool) -> ThreadPoolExecutor:
    """Threads for `load_square`, one per core.

    Args:
        yielding: whether they run at low priority, for a network on the same cores: its threads
            wait for each other at every layer, so one that is interrupted for a photograph delays
            them all. Linux only; elsewhere a thread has no priority of its own.
    """

    def lower_priority() -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)

    begin = lower_priority if yielding and sys.platform == "linux" else None
    return ThreadPoolExecutor(THREADS, "decode", initializer=begin)


def decode(path: Path | Image.Image, size_px: int) -> tuple[int, np.ndarray | BadImage]:
    """The mark of a file, and its square or the reason that there is none."""
    mark = file_mark(path)
    try:
        return mark, load_square(path, size_px)
    except BadImage as error:
        return mark, error


def decode_ahead(
    paths: Iterable[Path], size_px: int, ahead: int, *, yielding: bool
) -> Iterator[tuple[int, np.ndarray | BadImage]]:
    """`decode` each file in order, in threads; at most `ahead` more, or two a core, are begun."""
    begun = deque()
    with decoding_threads(yielding=yielding) as threads:
        for path in paths:
            begun.append(threads.submit(decode, path, size_px))
            if len(begun) > max(ahead, 2 * THREADS):
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()


def _upright(image: Image.Image) -> Image.Image:
    # Not `ImageOps.exif_transpose`: it rewrites the camera's data, and fails where they are odd.
    image.load()  # turns some formats by itself, and then says so
    turn = _TURNS.get(image.getexif().get(ExifTags.Base.Orientation))
    return image if turn is None else image.transpose(turn)


def _square(image: Image.Image, size_px: int) -> np.ndarray:
    if image.mode[0] in "IF":
        image = _eight_bits(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        ground = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(ground, image)
    image = image.convert("RGB")
    side = min(image.size)
    left, top = (image.width - side) / 2, (image.height - side) / 2
    box = (left, top, left + side, top + side)
    square = image.resize((size_px, size_px), Image.Resampling.BILINEAR, box=box)
    return np.asarray(square)


def _eight_bits(image: Image.Image) -> Image.Image:
    """Grey of 16 or 32 bits or floats, which Pillow would clip to 0 to 255, as 8 bits.

    The file does not say how many of its bits are used, so white is the smallest usual scale that
    holds the values. Values below zero, or too close to each other to be told apart on that scale,
    are stretched from the lowest to the highest.
    """
    values = np.asarray(image, dtype=np.float64)
    finite = values[np.isfinite(values)]
    if not finite.size:
        raise BadImage("holds no finite number")
    low, high = finite.min(), finite.max()
    black, white = 0.0, next((scale for scale in _GREY_SCALES if high <= scale), high)
    if low < 0 or 0 < high - low < white / 8:
        black, white = low, high
    values = np.nan_to_num(values, nan=low, posinf=high, neginf=low)
    shades = (values - black) * (256 / ((white - black) or 1))
    return Image.fromarray(shades.clip(0, 255).astype(np.uint8))
