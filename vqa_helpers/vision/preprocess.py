"""A photograph file becomes the square of pixels that a network sees.

Knows files and pixels; nothing of networks.
"""

import hashlib
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

MOST_PIXELS = 80_000_000  # a 48 KB file can claim 400 megapixels
# Part of a store's identity: whatever changes pixels must change it.
DESCRIPTION = (
    "JPEG decoded at a fraction that leaves twice the target, EXIF orientation, RGB, centre square, "
    "bilinear to {size} px"
)
THREADS = os.cpu_count() or 1
_SAMPLE_BYTES = 4096
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


def load_square(path: Path, size_px: int) -> np.ndarray:
    """The centre square of an image file, (size_px, size_px, 3) uint8 RGB.

    The same as resizing the short side to `size_px` and cropping the centre (reference study,
    512 px). Grey, palette and transparent images become RGB. JPEGs far larger than the target are
    decoded at a fraction of their size, never below twice the target: from 640 x 480 to 64 px that
    saves a third of the time and moves features (ResNet18, random weights) by 1.6 % of their
    length; down to the target itself would save a half and move them by 4 %.

    Raises:
        BadImage: for a file that is missing, truncated, no image, or too large to be one.
    """
    try:
        with Image.open(path) as image:
            if image.width * image.height > MOST_PIXELS:
                raise BadImage(f"{image.width} x {image.height} pixels are too many")
            image.draft("RGB", (2 * size_px, 2 * size_px))
            return _square(_upright(image), size_px)
    except FileNotFoundError:
        raise BadImage("the file is missing") from None
    except UnidentifiedImageError:
        raise BadImage("is not an image") from None
    except Exception as error:
        # Damaged files raise OSError, SyntaxError, ValueError, struct.error and more in Pillow; one
        # of them must not end the work on all the others.
        raise BadImage(str(error) or type(error).__name__) from None


def decoding_threads(*, yielding: bool) -> ThreadPoolExecutor:
    """Threads for `load_square`, one a core.

    Args:
        yielding: to a network on the same cores. Its threads wait for each other at every layer, so
            one that is interrupted for a photograph delays them all. On Linux; elsewhere a thread
            has no priority of its own.
    """

    def yield_the_core() -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)

    begin = yield_the_core if yielding and sys.platform == "linux" else None
    return ThreadPoolExecutor(THREADS, "decode", initializer=begin)


def file_mark(path: Path) -> int:
    """What tells a file from another: its size and samples of its bytes, hashed; -1 if not there.

    Reading every byte would cost minutes on a large set; any change of a compressed image moves
    all that follows it.
    """
    try:
        with path.open("rb", buffering=0) as file:
            size = file.seek(0, os.SEEK_END)
            digest = hashlib.blake2b(size.to_bytes(8, "little"), digest_size=7)
            for place in (0, size // 3, 2 * size // 3, max(0, size - _SAMPLE_BYTES)):
                file.seek(place)
                digest.update(file.read(_SAMPLE_BYTES))
    except OSError:
        return -1
    return int.from_bytes(digest.digest(), "little")


def _upright(image: Image.Image) -> Image.Image:
    # Not `ImageOps.exif_transpose`: it writes the camera's data anew, and fails where they are odd.
    image.load()  # turns some formats by itself, and then says so
    turn = _TURNS.get(image.getexif().get(ExifTags.Base.Orientation))
    return image if turn is None else image.transpose(turn)


def _square(image: Image.Image, size_px: int) -> np.ndarray:
    if image.mode.startswith("I"):  # 16 bits of grey, which Pillow would cut off at 255
        image = Image.fromarray((np.asarray(image).clip(0, 65535) // 256).astype(np.uint8))
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
