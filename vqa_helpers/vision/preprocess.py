"""A photograph file becomes the square of pixels that a network sees.

Knows files and pixels; nothing of networks.
"""

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

MOST_PIXELS = 80_000_000  # a 48 KB file can claim 400 megapixels
DESCRIPTION = "EXIF orientation, RGB, centre square, bilinear to {size} px"


class BadImage(ValueError):
    """An image file that cannot be used; the message gives the reason, not the file."""


def load_square(path: Path, size_px: int) -> np.ndarray:
    """The centre square of an image file, (size_px, size_px, 3) uint8 RGB.

    The same as resizing the short side to `size_px` and cropping the centre (reference study,
    512 px). Grey, palette and transparent images become RGB. JPEGs far larger than the target are
    decoded at a fraction of their size, never below twice the target.

    Raises:
        BadImage: for a file that is missing, truncated, no image, or too large to be one.
    """
    try:
        with Image.open(path) as image:
            if image.width * image.height > MOST_PIXELS:
                raise BadImage(f"{image.width} x {image.height} pixels are too many")
            image.draft("RGB", (2 * size_px, 2 * size_px))
            return _square(ImageOps.exif_transpose(image), size_px)
    except FileNotFoundError:
        raise BadImage("the file is missing") from None
    except UnidentifiedImageError:
        raise BadImage("is not an image") from None
    except Image.DecompressionBombError as error:
        raise BadImage(str(error)) from None
    except (OSError, SyntaxError, ValueError) as error:
        # Pillow raises all three for damaged files.
        raise BadImage(str(error) or type(error).__name__) from None


def _square(image: Image.Image, size_px: int) -> np.ndarray:
    if image.mode in ("P", "LA", "RGBA"):
        image = image.convert("RGBA")
        ground = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(ground, image)
    image = image.convert("RGB")
    side = min(image.size)
    left, top = (image.width - side) / 2, (image.height - side) / 2
    box = (left, top, left + side, top + side)
    square = image.resize((size_px, size_px), Image.Resampling.BILINEAR, box=box)
    return np.asarray(square)
