"""Everything wrong with the files of a dataset folder, each fault in one line.

Reads on where `formats` and `images` stop at the first one. A problem would stop a run or distort
it; a note is what a reader of the results should know. Knows files and tables; nothing of how
faults are counted or shown.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, UnidentifiedImageError

from vqa_helpers.data.decode import DecodeError, decode_entries
from vqa_helpers.data.formats import (
    OFFICIAL_ANSWERS,
    Annotation,
    Question,
    annotation_columns,
    object_column,
    question_columns,
    read_bytes,
)
from vqa_helpers.data.images import image_files, same_test_image
from vqa_helpers.data.text import question_type_of
from vqa_helpers.errors import InputError
from vqa_helpers.progress import track

ANSWER_TYPES = ("yes/no", "number", "other")
LONG_QUESTION = 100  # words
MOST_PIXELS = 80_000_000  # as `features.pixels` has it
_GLANCE_PX = 32  # a JPEG is decoded at an eighth of its size where that is enough


@dataclass(frozen=True)
class Problem:
    """One thing to mend.

    Attributes:
        kind: what sort of thing it is, for grouping.
        line: file, entry and field, what is wrong there, and what to do.
    """

    kind: str
    line: str


@dataclass
class Faults:
    """What has been found so far."""

    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def problem(self, kind: str, line: str) -> None:
        self.problems.append(Problem(kind, line))

    def note(self, line: str) -> None:
        self.notes.append(line)


def examine_questions(path: Path, faults: Faults) -> pd.DataFrame | None:
    """The sound entries of a questions file, indexed by entry; None where it cannot be read."""
    table = _read(path, "questions", Question, question_columns, faults)
    if table is None:
        return None
    for entry in table.index[[not text.strip() for text in table["question"]]]:
        faults.problem("empty question", f"{path}: questions[{entry}].question is empty; write it")
    long = [len(t) > LONG_QUESTION and len(t.split()) > LONG_QUESTION for t in table["question"]]
    _note(faults, path, "questions", table.index[long], f"longer than {LONG_QUESTION} words")
    return _each_once(path, "questions", table, faults)


def examine_annotations(path: Path, questions: pd.DataFrame, faults: Faults) -> pd.DataFrame | None:
    """The questions whose annotation is sound, as `formats.read_annotations` has them.

    None where the file cannot be read.
    """
    table = _read(path, "annotations", Annotation, annotation_columns, faults)
    if table is None:
        return None
    table = _each_once(path, "annotations", table, faults)
    row = pd.Index(questions["question_id"]).get_indexer(table["question_id"])
    for entry, lost in table["question_id"][row < 0].items():
        faults.problem(
            "annotation without its question",
            f"{path}: annotations[{entry}] has question_id {lost}, which no sound question has; "
            "are the two files of one release?",
        )
    answered = questions["question_id"].isin(table["question_id"])
    for entry, lost in questions["question_id"][~answered].items():
        faults.problem(
            "question without its annotation",
            f"{path}: question {lost} (questions[{entry}]) has no sound annotation; add it, or "
            "take the question away",
        )
    table, row = table[row >= 0].copy(), row[row >= 0]
    asked = questions["image_id"].to_numpy()[row]
    other = table["image_id"].to_numpy() != asked
    for entry, said, image in zip(
        table.index[other], table["image_id"][other], asked[other], strict=True
    ):
        faults.problem(
            "another image",
            f"{path}: annotations[{entry}] says image {said} but its question is about image "
            f"{image}; are the two files of one release?",
        )
    table.insert(2, "question", questions["question"].iloc[row].set_axis(table.index))
    table = table.assign(row=row)
    return _examine_answers(path, table[~other], faults)


def _examine_answers(path: Path, table: pd.DataFrame, faults: Faults) -> pd.DataFrame:
    """`table` without the rows that have no target, its types filled in, in the questions' order."""
    for entry in table.index[table["answer"].isna()]:
        faults.problem(
            "no answer",
            f"{path}: annotations[{entry}] has neither multiple_choice_answer nor answers; add one",
        )
    table = table[table["answer"].notna()]
    for entry in table.index[[not answer.strip() for answer in table["answer"]]]:
        faults.problem(
            "empty answer",
            f"{path}: annotations[{entry}].multiple_choice_answer is empty; write the answer",
        )
    for kind, rows in table.groupby("answer_type", sort=True):
        if kind not in ANSWER_TYPES:
            faults.problem(
                "unknown answer type",
                f"{path}: annotations[{rows.index[0]}].answer_type is {kind!r} (so are "
                f"{len(rows):,} in all); use {', '.join(ANSWER_TYPES)}, or leave the field away",
            )
    answers = table["answers"].map(len)
    again = table[table.duplicated(["image_id", "question"], keep=False)]
    targets = again.groupby(["image_id", "question"])["answer"].transform("nunique")
    blank = [any(not text.strip() for text in given) for given in table["answers"]]
    for entries, what in (
        (table.index[answers < OFFICIAL_ANSWERS], "with fewer than ten answers: no VQA accuracy"),
        (table.index[answers > OFFICIAL_ANSWERS], "with more than ten answers"),
        (table.index[blank], "with an empty text among the answers"),
        (again.index[targets > 1], "of a question that is asked about its image again, word for "
         "word, with another target"),
    ):  # fmt: skip
        _note(faults, path, "annotations", entries, what)
    untyped = table["question_type"].isna()
    derived = table["question"][untyped].map(question_type_of)
    table = table.assign(question_type=table["question_type"].where(~untyped, derived))
    return table.sort_values("row").drop(columns="row").reset_index(drop=True)


def examine_images(
    folder: Path, asked: dict[str, pd.DataFrame], open_them: bool, faults: Faults
) -> dict[int, Path]:
    """The file of each image asked about.

    Args:
        asked: split to its questions.
        open_them: decode each file as well, JPEGs at a fraction of their size.
    """
    wanted: dict[int, str] = {}  # to the first split that asks
    for split, table in asked.items():
        for image_id in table["image_id"].unique().tolist():
            wanted.setdefault(image_id, split)
    found: dict[int, Path] = {}
    for image_id, path in image_files(folder):
        if image_id in wanted and not same_test_image(found.setdefault(image_id, path), path):
            if found[image_id] != path:
                faults.problem(
                    "two files of one image",
                    f"{path}: shows image {image_id}, and so does {found[image_id]}; give every "
                    "image an id of its own",
                )
    if not found:
        faults.note(f"{folder}: holds no image that is asked about; questions alone can be learnt")
        return {}
    for image_id in sorted(wanted.keys() - found.keys()):
        faults.problem(
            "missing image",
            f"{folder}: has no file of image {image_id}, which the {wanted[image_id]} split asks "
            f"about; put one there whose name ends in {image_id}",
        )
    if open_them:
        with ThreadPoolExecutor() as pool:
            reasons = pool.map(_why_unusable, found.values())
            for path, reason in zip(
                track(found.values(), "images opened", unit="images"), reasons, strict=True
            ):
                if reason:
                    faults.problem(
                        "image that cannot be opened", f"{path}: {reason}; copy the image again"
                    )
    return found


def _why_unusable(path: Path) -> str | None:
    try:
        with Image.open(path) as image:
            if image.width * image.height > MOST_PIXELS:
                return f"{image.width} x {image.height} pixels are too many"
            image.draft("RGB", (_GLANCE_PX, _GLANCE_PX))
            image.load()
    except UnidentifiedImageError:
        return "is not an image"
    except Exception as error:  # damaged files raise almost anything in Pillow
        return str(error) or type(error).__name__
    return None


def _read(
    path: Path,
    name: str,
    shape: type,
    columns_of: Callable[[Iterator], dict[str, list]],
    faults: Faults,
) -> pd.DataFrame | None:
    """The entries of a file that keep to the format, indexed by entry."""
    try:
        entries = decode_entries(read_bytes(path), name, shape)
    except DecodeError as error:
        line = f"{path}: {error}; the official VQA JSON layout is expected"
        faults.problem("unreadable file", line)
        return None
    except InputError as error:
        faults.problem("unreadable file", str(error))
        return None
    numbers, total = [], 0

    def sound() -> Iterator:
        nonlocal total
        for total, entry in enumerate(entries, start=1):
            if isinstance(entry, DecodeError):
                for fault in entry.faults:
                    line = f"{path}: {fault}; the official VQA JSON layout is expected"
                    faults.problem("broken entry", line)
            elif not all(-(2**63) <= i < 2**63 for i in (entry.question_id, entry.image_id)):
                line = f"{path}: {name}[{total - 1}] has an id beyond 64 bits; number anew"
                faults.problem("broken entry", line)
            else:
                numbers.append(total - 1)
                yield entry

    columns = columns_of(sound())
    if not total:
        faults.problem("empty file", f"{path}: `{name}` lists nothing; add an entry")
        return None
    return pd.DataFrame(
        {
            key: np.array(values, dtype=np.int64)
            if key.endswith("_id")
            else object_column(values).set_axis(numbers)
            for key, values in columns.items()
        },
        index=numbers,
    )


def _each_once(path: Path, name: str, table: pd.DataFrame, faults: Faults) -> pd.DataFrame:
    """The first entry of each question id."""
    repeated = table["question_id"].duplicated()
    first = table["question_id"][~repeated]
    entry_of = pd.Series(first.index, index=first)
    for entry, question_id in table["question_id"][repeated].items():
        faults.problem(
            "repeated question id",
            f"{path}: {name}[{entry}] repeats question_id {question_id} of "
            f"{name}[{entry_of[question_id]}]; every question needs an id of its own",
        )
    return table[~repeated]


def _note(faults: Faults, path: Path, name: str, entries: pd.Index, what: str) -> None:
    """Note how many entries there are of a kind, and the first of them."""
    if len(entries):
        noun = name if len(entries) > 1 else name.removesuffix("s")
        faults.note(f"{path}: {len(entries):,} {noun} {what} (the first is {name}[{entries[0]}])")
