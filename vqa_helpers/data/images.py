"""Which file shows which image: names end in the image id.

Knows file names only; decoding belongs to `vision`.
"""

import os
import re
from collections.abc import Iterable
from pathlib import Path

from vqa_helpers.errors import InputError

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
_TRAILING_ID = re.compile(r"(\d+)$")


def find_images(folder: Path, wanted: Iterable[int]) -> dict[int, Path]:
    """The file of each wanted image id that lies anywhere below `folder`.

    A name ends in its id: `COCO_val2014_000000000042.jpg` and `42.png` both show image 42.

    Raises:
        InputError: when two files end in the same wanted id.
    """
    wanted = set(wanted)
    found: dict[int, Path] = {}
    seen = {os.path.realpath(folder)}
    for parent, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [name for name in sorted(folders) if _is_new(parent, name, seen)]
        for name in sorted(names):
            stem, suffix = os.path.splitext(name)
            trailing = _TRAILING_ID.search(stem)
            if trailing is None or suffix.lower() not in SUFFIXES or name.startswith("."):
                continue
            image_id = int(trailing[1])
            if image_id not in wanted:
                continue
            path = Path(parent, name)
            if image_id in found:
                raise InputError(
                    f"{folder}: image {image_id} could be {found[image_id].relative_to(folder)} or "
                    f"{path.relative_to(folder)}; give every image an id of its own"
                )
            found[image_id] = path
    return found


def _is_new(parent: str, name: str, seen: set[str]) -> bool:
    # Links are followed, since large image folders are often linked to; each folder once.
    real = os.path.realpath(os.path.join(parent, name))
    if name.startswith(".") or real in seen:
        return False
    seen.add(real)
    return True
