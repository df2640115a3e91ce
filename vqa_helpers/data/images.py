"""The image file of each id that questions ask about, found by its name anywhere below a folder."""

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pandas as pd

from vqa_helpers.data.formats import IMAGE_NAME, SPLIT_NAMES, Report, Tables, as_id, refuse
from vqa_helpers.pictures import SUFFIXES

_LAST, _FIRST = re.compile(r"(\d+)$"), re.compile(r"^(\d+)(?![^\W_])")
_COCO = re.compile(r"(train|val|test)20\d\d")  # releases that hold the same pictures


Files = dict[int, Path]  # image id to its file


def find_images(
    folder: Path, wanted: Iterable[int], names: Mapping[int, str] | None = None
) -> Files:
    """The file of each wanted image id that lies anywhere below `folder`.

    A file is an image's by the name that the questions give it, with or without its ending; else its
    name ends in the id, as those of COCO (`COCO_val2014_000000000042.jpg`, `42.png`), or at least
    begins with it (`42_img.jpg`, `42 (1).jpg`). Links are followed, since large image folders are
    often linked to.

    Args:
        names: image ids to what the questions call them.

    Raises:
        InputError: when two files could be one wanted image.
    """
    found = _candidates(folder, wanted, names or {})
    return {image_id: _one_of(folder, image_id, found[image_id], refuse) for image_id in found}


def images_of(folder: Path, tables: Tables, report: Report = refuse) -> tuple[Tables, Files]:
    """The tables of a dataset, and the file of each image that they ask about.

    Where numbers begin again in each split, and the names of files or folders say which is whose
    (`CLEVR_train_000000.png`, `val/000000.png`), each image of a split gets an id of its own.
    """
    wanted = {image_id for table in tables.values() for image_id in table["image_id"].tolist()}
    candidates = _candidates(folder, wanted, names_of(tables.values()))
    chosen: dict[str, dict[int, list[Path]]] = {}  # by split
    whose = defaultdict(set)  # the choices of all splits
    for split, table in tables.items():
        chosen[split] = {}
        for image_id in table["image_id"].unique().tolist():
            paths = candidates.get(image_id, [])
            own = [path for path in paths if _says(path.relative_to(folder), split)]
            chosen[split][image_id] = own if len(own) == 1 else paths
            whose[image_id].add(tuple(chosen[split][image_id]))
    again = any(len(own) > 1 and {*map(len, own)} == {1} for own in whose.values())
    images, renumbered = {}, {}
    for split, table in tables.items():
        new = {i: as_id(f"{split} {i}") if again else i for i in chosen[split]}
        renumbered[split] = table.assign(image_id=table["image_id"].map(new)) if again else table
        for image_id, paths in chosen[split].items():
            if paths:
                images[new[image_id]] = _one_of(folder, image_id, paths, report)
    return renumbered, dict(sorted(images.items()))


def names_of(tables: Iterable[pd.DataFrame]) -> dict[int, str]:
    """Image ids to what questions call them, where that is a text."""
    named = [table[["image_id", IMAGE_NAME]].dropna() for table in tables if IMAGE_NAME in table]
    return {image_id: name for table in named for image_id, name in table.itertuples(index=False)}


def _candidates(
    folder: Path, wanted: Iterable[int], names: Mapping[int, str]
) -> dict[int, list[Path]]:
    """The files that could be each image: of several kinds of likeness the closest alone."""
    wanted, called = set(wanted), defaultdict(list)
    for image_id, name in names.items():
        *parents, last = re.split(r"[\\/]+", name)
        parents = [_composed(parent) for parent in parents if parent not in ("", ".", "..")]
        called[_composed(last).lower()].append((parents, last, image_id))
    found: dict[int, dict[tuple, list[Path]]] = defaultdict(lambda: defaultdict(list))
    for path in _files(folder):
        if (closest := _closest(path.relative_to(folder), called)) is not None:
            likeness, named = closest
            found[named][likeness].append(path)
            continue
        for likeness, pattern in ((1, _LAST), (2, _FIRST)):
            if (match := pattern.search(path.stem)) and (number := int(match[1])) in wanted:
                found[number][likeness,].append(path)
                break
    return {image_id: kinds[min(kinds)] for image_id, kinds in found.items()}


def _closest(
    path: Path, called: Mapping[str, list[tuple[list[str], str, int]]]
) -> tuple[tuple, int] | None:
    """How like a file's path the closest of the names is, the closest first in order, and its image;
    None where there is none, or two are as close.

    A name is a file's where all folders that both have above it are the same: questions may come
    with other folders, or with fewer, than the files now lie in.
    """
    fits = []
    for bare, last in enumerate((path.name, path.stem)):
        for parents, name, image_id in called.get(_composed(last).lower(), ()):
            above = list(zip(reversed(parents), reversed(path.parts[:-1]), strict=False))
            if all(one == _composed(other) for one, other in above):
                likeness = -len(above), bare, last != name, len(parents) > len(above)
                fits.append((likeness, image_id))
    fits.sort()
    return None if not fits or fits[1:] and fits[0][0] == fits[1][0] else fits[0]


def _composed(name: str) -> str:
    """A name with its accents as one letter each: a Mac writes them as two."""
    return unicodedata.normalize("NFC", name)


def _files(folder: Path) -> Iterator[Path]:
    """The pictures below a folder, in the order of their names."""
    seen = set()
    for parent, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(parent)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if os.path.splitext(name)[1].lower() in SUFFIXES and not name.startswith("."):
                yield Path(parent, name)


def _one_of(folder: Path, image_id: int, paths: list[Path], report: Report) -> Path:
    """The first; a second is reported, except of COCO's releases, which share pictures."""
    first = paths[0]
    for path in paths[1:]:
        if not all(_COCO.fullmatch(one.parent.name) for one in (first, path)):
            both = f"{first.relative_to(folder)} or {path.relative_to(folder)}"
            line = f"image {image_id} could be {both}; give every image an id of its own"
            report("two files of one image", folder, line)
    return first


def _says(path: Path, split: str) -> bool:
    """Whether a name of a file or folder says that it is of a split."""
    words = re.split(r"[^a-z]+", path.as_posix().lower())
    return any(SPLIT_NAMES.get(word) == split for word in words)
