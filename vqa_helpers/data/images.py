"""Which file shows which image: names end in the image id.

Knows file names only; decoding belongs to `vision`.
"""

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from vqa_helpers.errors import InputError

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
_TESTS = {"test2014", "test2015"}
_TRAILING_ID = re.compile(r"(\d+)$")


def find_images(folder: Path, wanted: Iterable[int]) -> dict[int, Path]:
    """The file of each wanted image id that lies anywhere below `folder`.

    A name ends in its id: `COCO_val2014_000000000042.jpg` and `42.png` both show image 42. COCO's
    test2014 lies within its test2015: there one file of the two is enough.

    Raises:
        InputError: when two files end in the same wanted id.
    """
    wanted = set(wanted)
    found: dict[int, Path] = {}
    for image_id, path in image_files(folder):
        if image_id not in wanted:
            continue
        if image_id in found and not same_test_image(found[image_id], path):
            raise InputError(
                f"{folder}: image {image_id} could be {found[image_id].relative_to(folder)} or "
                f"{path.relative_to(folder)}; give every image an id of its own"
            )
        found.setdefault(image_id, path)
    return found


def image_files(folder: Path) -> Iterator[tuple[int, Path]]:
    """Every image file anywhere below `folder` with the id that its name ends in."""
    seen = {os.path.realpath(folder)}
    for parent, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [name for name in sorted(folders) if _is_new(parent, name, seen)]
        for name in sorted(names):
            stem, suffix = os.path.splitext(name)
            trailing = _TRAILING_ID.search(stem)
            if trailing and suffix.lower() in SUFFIXES and not name.startswith("."):
                yield int(trailing[1]), Path(parent, name)


def same_test_image(first: Path, second: Path) -> bool:
    """Whether two files of one id lie in COCO's test2014 and test2015."""
    return {first.parent.name, second.parent.name} == _TESTS


def _is_new(parent: str, name: str, seen: set[str]) -> bool:
    # Links are followed, since large image folders are often linked to; each folder once.
    real = os.path.realpath(os.path.join(parent, name))
    if name.startswith(".") or real in seen:
        return False
    seen.add(real)
    return True
