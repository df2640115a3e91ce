"""Which file shows which image: names end in the image id.

Knows file names only; decoding belongs to `vision`.
"""

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from vqa_helpers.data.formats import Report, refuse

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
_TESTS = {"test2014", "test2015"}
_TRAILING_ID = re.compile(r"(\d+)$")


def find_images(folder: Path, wanted: Iterable[int], report: Report = refuse) -> dict[int, Path]:
    """The file of each wanted image id that lies anywhere below `folder`.

    A name ends in its id: `COCO_val2014_000000000042.jpg` and `42.png` both show image 42. COCO's
    test2014 lies within its test2015: there one file of the two is enough.

    Raises:
        InputError: when two files end in the same wanted id.
    """
    wanted = set(wanted)
    found: dict[int, Path] = {}
    for image_id, path in _image_files(folder):
        first = found.setdefault(image_id, path) if image_id in wanted else path
        if first != path and {first.parent.name, path.parent.name} != _TESTS:
            report(
                "two files of one image",
                f"{folder}: image {image_id} could be {first.relative_to(folder)} or "
                f"{path.relative_to(folder)}; give every image an id of its own",
            )
    return found


def _image_files(folder: Path) -> Iterator[tuple[int, Path]]:
    """Every image file anywhere below `folder` with the id that its name ends in."""
    seen = {os.path.realpath(folder)}

    def is_new(path: str) -> bool:
        real = os.path.realpath(path)
        return real not in seen and not seen.add(real)

    # Links are followed, since large image folders are often linked to; each folder once.
    for parent, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [
            name
            for name in sorted(folders)
            if not name.startswith(".") and is_new(os.path.join(parent, name))
        ]
        for name in sorted(names):
            stem, suffix = os.path.splitext(name)
            trailing = _TRAILING_ID.search(stem)
            if trailing and suffix.lower() in SUFFIXES and not name.startswith("."):
                yield int(trailing[1]), Path(parent, name)
