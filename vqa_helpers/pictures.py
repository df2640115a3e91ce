"""Picture files as Pillow opens them: which are taken for pictures, and what is too large for one."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from PIL import Image

MOST_PIXELS = 80_000_000  # decoded: a 48 KB file can claim 400 megapixels
# Telephones take up to 201 megapixels, and a JPEG of them is decoded at a fraction. Pillow warns above
# this and refuses twice as many.
Image.MAX_IMAGE_PIXELS = 202_000_000

# Pages, films and tables of numbers, which Pillow cannot decode by itself; Ghostscript would run what
# an EPS file says.
_NO_PICTURES = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "PALM", "PDF", "WMF"}
SUFFIXES = frozenset(
    suffix for suffix, kind in Image.registered_extensions().items() if kind not in _NO_PICTURES
)
FORMATS = tuple(kind for kind in Image.ID if kind not in _NO_PICTURES)


@contextmanager
def open_picture(
    path: Path | BinaryIO, side_px: int, formats: Sequence[str] = FORMATS
) -> Iterator[Image.Image]:
    """A picture file, not yet decoded; a JPEG far larger is going to be decoded at a fraction.

    Args:
        side_px: the decoded picture's sides are no shorter, where the file's are not.
        formats: those that are taken, as Pillow names them.

    Raises:
        ValueError: for more pixels than a picture has.
        Exception: whatever Pillow raises for a damaged file; almost anything.
    """
    with Image.open(path, formats=formats) as image:
        image.draft("RGB", (side_px, side_px))
        if image.width * image.height > MOST_PIXELS:
            raise ValueError(f"{image.width} x {image.height} pixels are too many")
        yield image


def why_unreadable(path: Path, formats: Sequence[str] = FORMATS) -> str | None:
    """Decode a picture file; why it cannot be used, or None.

    Args:
        formats: those that are taken, as Pillow names them.
    """
    try:
        with open_picture(path, 32, formats) as image:
            image.load()  # of a JPEG an eighth: all of the data, less of the work
            return None
    except Exception as error:
        return str(error).replace(f" {str(path)!r}", "") or type(error).__name__
