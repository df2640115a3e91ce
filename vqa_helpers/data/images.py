"""Which file shows which image: names end in the image id.

Knows file names only; decoding belongs to `vision`.
"""

import os
import re
from collections.abc import Iterable
from pathlib import Path

from vqa_helpers.data.formats import Report, refuse

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
_TRAILING_ID = re.compile(r"(\d+)$")


def find_images(folder: Path, wanted: Iterable[int], report: Report = refuse) -> dict[int, Path]:
    """The file of each wanted image id that lies anywhere below `folder`.

    A name ends in its id: `COCO_val2014_000000000042.jpg` and `42.png` both show image 42. COCO's
    test2014 lies within its test2015: there one file of the two is enough. Links are followed,
    since large image folders are often linked to.

    Raises:
        InputError: when two files end in the same wanted id.
    """
    wanted, found, seen = set(wanted), {}, set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(parent)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            stem, suffix = os.path.splitext(name)
            trailing = _TRAILING_ID.search(stem)
            if not trailing or suffix.lower() not in SUFFIXES or name.startswith("."):
                continue
            image_id, path = int(trailing[1]), Path(parent, name)
            first = found.setdefault(image_id, path) if image_id in wanted else path
            if first != path and {first.parent.name, path.parent.name} != {"test2014", "test2015"}:
                both = f"{first.relative_to(folder)} or {path.relative_to(folder)}"
                line = f"image {image_id} could be {both}; give every image an id of its own"
                report("two files of one image", folder, line)
    return found
