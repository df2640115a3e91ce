"""A dataset folder on disk, opened: its splits as tables, its images by id.

The contract: `questions_<split>.json[.gz]` and `annotations_<split>.json[.gz]` (or the names of the
official release), images anywhere below; other layouts are read by `layouts`. A split without
annotations is an answerless test split.
Knows nothing of networks, vocabularies or runs.
"""

import hashlib
import logging
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from vqa_helpers.data.catalogue import DEMO, ENTRIES, Rule
from vqa_helpers.data.formats import Tables, in_order
from vqa_helpers.data.images import Files, images_of
from vqa_helpers.data.json_files import read_as
from vqa_helpers.data.layouts import Columns, read_layout
from vqa_helpers.data.pairs import NO_PAIRS, Pairs, find_pairs
from vqa_helpers.data.records import require_data
from vqa_helpers.data.splits import arrange
from vqa_helpers.errors import InputError
from vqa_helpers.files import locked

log = logging.getLogger(__name__)

DATA = Path("data")  # where named datasets lie
MOST_SEED = 2**32 - 1  # that scikit-learn takes
MANIFEST = "dataset.json"  # written by `build`: the dataset's name and where its images lie


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
    splits: Tables
    images: Files
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
        return {"rule": self.rule, "seed": self.seed, "counts": counts, "sha256": self.sha256(),
                "notes": self.notes}  # fmt: skip

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


def open_dataset(data: str | Path, seed: int = 0, root: Path = DATA, **layout: Any) -> Dataset:
    """Open a dataset by the name the catalogue gives it, or by its folder.

    The demo is drawn on first use.

    Args:
        data: "demo", the name of a dataset built under `root`, a folder, or a file of records.
        seed: of the splits that have to be cut.
        layout: `images`, `columns` and `arranged`, as `read_folder` takes them.
    """
    require_seed(seed)
    return read_folder(find_folder(data, root), seed, **layout)


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
    line = f"is neither a folder nor a named dataset; the names are {names}"
    raise InputError(f"{name}: {line}; folders are looked for in {Path.cwd()}")


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


def read_folder(
    folder: Path, seed: int = 0, arranged: bool = True, images: Path | None = None,
    columns: Columns = None,
) -> Dataset:  # fmt: skip
    """Open a dataset folder, or a file of records with its images beside it.

    A missing validation or test split is cut from train by image, 10 % each; an image that stands
    in two splits is kept in the later one alone. Both are logged and noted.

    Args:
        seed: of the splits that are cut.
        arranged: False leaves the splits as the files have them, to cut others from.
        images: the folder that the images lie below; None is the dataset's own.
        columns: what the columns of records are called (`layouts.read_layout`).

    Raises:
        InputError: for a folder that is no dataset, and everything malformed in it.
    """
    require_data(folder)
    manifest = read_manifest(folder)
    where = folder if folder.is_dir() else folder.parent
    images = images or where / manifest.images
    tables, files = images_of(images, _one_spelling(read_layout(folder, columns)))
    notes, pairs = list(manifest.notes), find_pairs(folder, tables)
    if arranged:
        notes += arrange(folder, tables, manifest.rule, seed, pairs)
    for note in notes:
        log.info("%s: %s", folder, note)
    name = manifest.name or Path(folder.resolve().name.removesuffix(".gz")).stem
    return Dataset(
        name, folder, in_order(tables), files, manifest.image_source or name,
        seed if manifest.seed is None else manifest.seed,
        image_folder=images, drawn=manifest.drawn, rule=manifest.rule, notes=notes, pairs=pairs,
    )  # fmt: skip


def fold_answers(answers: pd.Series) -> pd.Series:
    """Answers without what no metric regards: capitals, and surrounding spaces."""
    return answers.str.strip().str.lower()


def _one_spelling(tables: Tables) -> Tables:
    """The tables with each target in the spelling that is most frequent."""
    answered = [table["answer"] for table in tables.values() if "answer" in table]
    if not answered:
        return tables
    counts = pd.concat(answered).value_counts().rename_axis("said").reset_index()
    counts = counts.sort_values(["count", "said"], ascending=[False, True])
    usual = counts["said"].groupby(fold_answers(counts["said"])).transform("first")
    spelling = dict(zip(counts["said"], usual, strict=True))
    for split, table in tables.items():
        if "answer" in table:
            tables[split] = table.assign(answer=table["answer"].map(spelling).astype(object))
    return tables


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a folder, an empty one where a folder was not built; others name a file so, too.

    Raises:
        InputError: naming the field that is not as `build` writes it.
    """
    path, remedy = folder / MANIFEST, "build the dataset again"
    if not path.exists():
        return Manifest()
    found = read_as(path, object, remedy)
    theirs = not isinstance(found, dict) or isinstance(found.get("images"), list)
    if theirs or found.keys() - {one.name for one in fields(Manifest)}:
        return Manifest()
    return read_as(path, Manifest, remedy)
