"""A dataset folder as it lies on disk, opened: its splits as tables, its images by id.

The contract: `questions_<split>.json[.gz]` and `annotations_<split>.json[.gz]` (or the names of the
official release), images anywhere below. A split without annotations is an answerless test split.
Knows nothing of networks, vocabularies or runs.
"""

import hashlib
import logging
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from vqa_helpers.data.catalogue import DEMO, ENTRIES, Rule
from vqa_helpers.data.formats import SPLITS, Report, refuse
from vqa_helpers.data.json_files import DecodeError, decode, read_bytes
from vqa_helpers.data.pairs import NO_PAIRS, Pairs, find_pairs
from vqa_helpers.data.splits import arrange
from vqa_helpers.errors import InputError
from vqa_helpers.files import locked
from vqa_helpers.pictures import SUFFIXES

log = logging.getLogger(__name__)

DATA = Path("data")  # where named datasets lie
MOST_SEED = 2**32 - 1  # that scikit-learn takes
MANIFEST = "dataset.json"  # written by `build`: the dataset's name and where its images lie
_TRAILING_ID = re.compile(r"(\d+)$")


@dataclass
class Manifest:
    """What `build` wrote beside the questions.

    Attributes:
        images: where the images lie, as seen from the folder.
        drawn: the seed of the embedded dataset.
        rule: how the splits were cut: "by-image", or "study", by row.
        seed: the splits were cut with.
    """

    name: str | None = None
    images: str = "."
    image_source: str | None = None
    drawn: int | None = None
    rule: Rule = "by-image"
    seed: int | None = None
    notes: list[str] = field(default_factory=list)


@dataclass
class Dataset:
    """A dataset in memory.

    Attributes:
        name: what its runs and features are filed under.
        folder: where its questions lie.
        splits: "train", "validation" and, mostly, "test" to tables of a row a question; "export"
            where there are questions for an evaluation server. A split without answers has no
            `answer` column.
        images: image id to file; empty for a dataset of text alone.
        image_folder: the folder that the images lie below.
        image_source: the dataset whose feature store holds these images (its own name, or that of
            the dataset it was cut from).
        seed: of the splits that were cut.
        drawn: the seed of the embedded dataset, or of the one this was cut from; None for others.
        rule: "by-image", or "study": cut by row, so that splits share images.
        notes: what was done to the splits that a reader of the results must know.
        pairs: the balanced pairs of the questions, which no cut separates.
    """

    name: str
    folder: Path
    splits: dict[str, pd.DataFrame]
    images: dict[int, Path]
    image_source: str
    seed: int
    image_folder: Path | None = None
    drawn: int | None = None
    rule: Rule = "by-image"
    notes: list[str] = field(default_factory=list)
    pairs: Pairs = NO_PAIRS

    def answered(self, split: str) -> bool:
        """Whether the split exists and its answers are known."""
        return split in self.splits and "answer" in self.splits[split].columns

    def image_ids(self) -> np.ndarray:
        """The ids of every image asked about, ascending."""
        return np.unique(np.concatenate([t["image_id"].to_numpy() for t in self.splits.values()]))

    def missing_images(self) -> list[int]:
        """The ids of images asked about that have no file, ascending."""
        return [int(i) for i in self.image_ids() if int(i) not in self.images]

    def split_record(self) -> dict:
        """What `split.json` keeps: the seed, the counts, the notes and a hash of the splits."""
        tables = self.splits.items()
        counts = {s: {"questions": len(t), "images": t["image_id"].nunique()} for s, t in tables}
        record = {"rule": self.rule, "seed": self.seed, "counts": counts}
        return record | {"sha256": self.sha256(), "notes": self.notes}

    def sha256(self) -> str:
        """A hash of every question, its answers, its image and its split."""
        digest = hashlib.sha256()
        for name, table in self.splits.items():
            digest.update(name.encode())
            if "answers" in table:
                table = table.assign(answers=table["answers"].map("\x1f".join))
            for column in ("question_id", "image_id", "question", "answer", "answers"):
                if column in table:
                    hashes = pd.util.hash_pandas_object(table[column], index=False)
                    digest.update(hashes.to_numpy().tobytes())
        return digest.hexdigest()


def open_dataset(data: str | Path, seed: int = 0, root: Path = DATA) -> Dataset:
    """Open a dataset by the name the catalogue gives it, or by its folder.

    The demo is drawn on first use.

    Args:
        data: "demo", the name of a dataset built under `root`, or a folder.
        seed: of the splits that have to be cut.
    """
    require_seed(seed)
    return read_folder(find_folder(data, root), seed)


def require_seed(seed: int) -> None:
    """Refuse a seed that scikit-learn would not take."""
    if not 0 <= seed <= MOST_SEED:
        raise InputError(f"seed {seed}: use 0 to {MOST_SEED}")


def find_folder(data: str | Path, root: Path) -> Path:
    """The folder of a dataset; the demo's is drawn."""
    name = str(data)
    if name == DEMO:
        return draw_demo(root / DEMO)
    if not Path(data).is_dir() and (root / name / MANIFEST).exists():
        return root / name
    if Path(data).exists():
        return Path(data)  # a file is refused, with its remedy, where it is read
    if name in ENTRIES:
        raise InputError(f"dataset {name} is not on this machine; `vqa data build {name}` makes it")
    names = ", ".join(ENTRIES)
    raise InputError(f"{name}: is neither a folder nor a named dataset; the names are {names}")


def draw_demo(folder: Path = DATA / DEMO, seed: int = 0) -> Path:
    """The folder of the embedded dataset, drawn if there is nothing yet."""
    from vqa_helpers.data.demo.dataset import make_demo

    with locked(folder.with_name(f".{folder.name}.lock")):  # notebooks that start together
        if not (folder / "questions_train.json").exists():
            log.info("drawing the demo dataset into %s", folder)
            make_demo(folder, seed=seed)
    drawn = read_manifest(folder).drawn
    if drawn != seed:
        what = "another dataset" if drawn is None else f"the demo of seed {drawn}"
        raise InputError(f"{folder}: holds {what}; choose another --out or remove it")
    return folder


def read_folder(folder: Path, seed: int = 0, arranged: bool = True) -> Dataset:
    """Open a dataset folder.

    A missing validation or test split is cut from train by image, 10 % each; an image that stands
    in two splits is kept in the later one alone. Both are logged and noted.

    Args:
        seed: of the splits that are cut.
        arranged: False leaves the splits as the files have them, to cut others from.

    Raises:
        InputError: for a folder that is no dataset, and everything malformed in it.
    """
    if not folder.is_dir():
        remedy = "unpack it and name the folder" if folder.is_file() else "check the path"
        raise InputError(f"{folder}: is not a folder; {remedy}")
    tables = read_tables(folder)
    manifest = read_manifest(folder)
    notes, pairs = list(manifest.notes), find_pairs(folder, tables)
    if arranged:
        notes += arrange(folder, tables, manifest.rule, seed, pairs)
    for note in notes:
        log.info("%s: %s", folder, note)
    splits = {split: tables[split] for split in SPLITS if split in tables}
    wanted = set().union(*(table["image_id"] for table in splits.values()))
    images = folder / manifest.images
    name = manifest.name or folder.resolve().name
    return Dataset(
        name, folder, splits, find_images(images, wanted), manifest.image_source or name,
        seed if manifest.seed is None else manifest.seed,
        image_folder=images, drawn=manifest.drawn, rule=manifest.rule, notes=notes, pairs=pairs,
    )  # fmt: skip


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a folder, an empty one where a folder was not built.

    Raises:
        InputError: naming the field that is not as `build` writes it.
    """
    path = folder / MANIFEST
    if not path.exists():
        return Manifest()
    try:
        return decode(read_bytes(path), Manifest)
    except DecodeError as error:
        raise InputError(f"{path}: {error}; build the dataset again") from None


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
