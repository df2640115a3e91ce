"""A dataset folder as it lies on disk, opened: its splits as tables, its images by id.

The contract: `questions_<split>.json[.gz]` and `annotations_<split>.json[.gz]` (or the names of the
official release), images anywhere below. A split without annotations is an answerless test split.
Knows nothing of networks, vocabularies or runs.
"""

import hashlib
import logging
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from vqa_helpers.data.catalogue import RULES
from vqa_helpers.data.decode import DecodeError, decode
from vqa_helpers.data.formats import read_annotations, read_bytes, read_questions
from vqa_helpers.data.images import find_images
from vqa_helpers.data.splits import cut_by_image, keep_apart
from vqa_helpers.errors import InputError

log = logging.getLogger(__name__)

# "export": questions whose answers only an evaluation server knows; answered and written, no more.
SPLITS = ("train", "validation", "test", "export")
MANIFEST = "dataset.json"  # written by `build`: the dataset's name and where its images lie
CUT_SHARE = 0.1  # of the train images, for each split that is missing

_FILE = re.compile(
    r"(?:(?P<kind>questions|annotations)(?:_(?P<split>.+))?"
    r"|(?:v2_)?OpenEnded_mscoco_(?P<asked>.+)_questions"
    r"|(?:v2_)?mscoco_(?P<answered>.+)_annotations)\.json(?:\.gz)?"
)
_SPLIT_NAMES = {"train": "train", "val": "validation", "valid": "validation",
                "validation": "validation", "dev": "validation", "test": "test",
                "export": "export"}  # fmt: skip


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
    rule: str = "by-image"
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
    """

    name: str
    folder: Path
    splits: dict[str, pd.DataFrame]
    images: dict[int, Path]
    image_source: str
    seed: int
    image_folder: Path | None = None
    drawn: int | None = None
    rule: str = "by-image"
    notes: list[str] = field(default_factory=list)

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
        counts = {
            name: {"questions": len(table), "images": int(table["image_id"].nunique())}
            for name, table in self.splits.items()
        }
        return {
            "rule": self.rule,
            "seed": self.seed,
            "counts": counts,
            "sha256": self.sha256(),
            "notes": self.notes,
        }

    def sha256(self) -> str:
        """A hash of every question, its answers, its image and its split."""
        digest = hashlib.sha256()
        for name, table in self.splits.items():
            digest.update(name.encode())
            for column in ("question_id", "image_id", "question", "answer", "answers"):
                if column in table.columns:
                    values = pd.util.hash_pandas_object(
                        table[column].map("\x1f".join) if column == "answers" else table[column],
                        index=False,
                    )
                    digest.update(values.to_numpy().tobytes())
        return digest.hexdigest()


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
    files, problems = find_files(folder)
    if problems:
        raise InputError(problems[0])
    splits = {split: _read_split(of_split) for split, of_split in files.items()}
    manifest = read_manifest(folder)
    notes = list(manifest.notes)
    if arranged:
        notes += arrange(folder, splits, manifest.rule, seed)
    for note in notes:
        log.info("%s: %s", folder, note)
    wanted = set().union(*(table["image_id"] for table in splits.values()))
    name = manifest.name or folder.resolve().name
    return Dataset(
        name=name,
        folder=folder,
        splits={split: splits[split] for split in SPLITS if split in splits},
        images=find_images(folder / manifest.images, wanted),
        image_source=manifest.image_source or name,
        seed=seed if manifest.seed is None else manifest.seed,
        image_folder=folder / manifest.images,
        drawn=manifest.drawn,
        rule=manifest.rule,
        notes=notes,
    )


def find_files(folder: Path) -> tuple[dict[str, dict[str, Path]], list[str]]:
    """The files of each split, and all that is wrong with their names.

    Returns:
        {"train": {"questions": path, "annotations": path}, …} in the order of `SPLITS`, and a line
        for each problem; of two files of one kind the first is taken.
    """
    found: dict[str, dict[str, Path]] = {}
    problems = []
    for path in sorted(folder.iterdir()):
        match = _FILE.fullmatch(path.name)
        if match is None:
            continue
        kind = match["kind"] or ("questions" if match["asked"] else "annotations")
        label = match["split"] or match["asked"] or match["answered"] or "train"
        split = _SPLIT_NAMES.get(re.sub(r"\d{4}$", "", label).lower())
        if split is None:
            if not label.lower().startswith("test-"):  # test-dev2015 is a part of test2015
                problems.append(
                    f"{path}: {label!r} is no split; name it train, val or test, or move the file "
                    "away"
                )
            continue
        first = found.setdefault(split, {}).setdefault(kind, path)
        if first != path:
            problems.append(
                f"{folder}: {first.name} and {path.name} are both the {kind} of the {split} "
                "split; keep one"
            )
    if not found and not problems:
        problems.append(
            f"{folder}: is not a dataset folder; expected questions_train.json and "
            "annotations_train.json (or the official names) in it"
        )
    problems += [
        f"{files['annotations']}: has no questions file beside it; put the questions of "
        f"the {split} split there"
        for split, files in found.items()
        if "questions" not in files
    ]
    whole = {s: found[s] for s in SPLITS if s in found and "questions" in found[s]}
    return whole, problems


def arrange(folder: Path, splits: dict[str, pd.DataFrame], rule: str, seed: int) -> list[str]:
    """Make the splits of a folder's files, in place, the splits that a run sees.

    Args:
        rule: "by-image", or "study": splits that may share images.

    Returns:
        A note for each thing done.

    Raises:
        InputError: where there is no train split with answers, or too little to cut.
    """
    notes = _sole_split_as_train(splits)
    if "train" not in splits or "answer" not in splits["train"].columns:
        raise InputError(
            f"{folder}: has no train split with answers; expected questions_train.json and "
            "annotations_train.json (or the official names)"
        )
    if rule != "study":
        notes += keep_apart(splits)
    for split in ("validation", "test"):
        if split not in splits:
            splits["train"], splits[split] = cut_by_image(splits["train"], CUT_SHARE, seed, split)
            notes.append(
                f"the {split} split was cut from train by image: {len(splits[split]):,} questions, "
                f"seed {seed}"
            )
    return notes


def _sole_split_as_train(splits: dict[str, pd.DataFrame]) -> list[str]:
    """Where one split alone has answers it is the one to learn from, whatever its name."""
    answered = [name for name, table in splits.items() if "answer" in table.columns]
    if "train" in splits or len(answered) != 1:
        return []
    splits["train"] = splits.pop(answered[0])
    return [f"the {answered[0]} split alone has answers: it is used as the train split"]


def _read_split(files: dict[str, Path]) -> pd.DataFrame:
    questions = read_questions(files["questions"])
    if "annotations" not in files:
        return questions
    return read_annotations(files["annotations"], questions)


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a folder, an empty one where a folder was not built.

    Raises:
        InputError: naming the field that is not as `build` writes it.
    """
    path = folder / MANIFEST
    if not path.exists():
        return Manifest()
    try:
        manifest = decode(read_bytes(path), Manifest)
    except DecodeError as error:
        raise InputError(f"{path}: {error}; build the dataset again") from None
    if manifest.rule not in RULES:
        raise InputError(f"{path}: rule is {manifest.rule!r}; use {' or '.join(RULES)}")
    return manifest
