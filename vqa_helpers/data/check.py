"""What a dataset folder holds and everything wrong with it, for people and as JSON.

Counts and shows; what is wrong is found by `faults`, what a run would do by `folder`.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from vqa_helpers.data.faults import (
    Faults,
    Problem,
    examine_annotations,
    examine_images,
    examine_questions,
)
from vqa_helpers.data.folder import Manifest, arrange, find_files, read_manifest
from vqa_helpers.data.splits import shared_images
from vqa_helpers.data.vocabulary import AnswerVocabulary
from vqa_helpers.errors import InputError

MOST_LINES = 20  # of one kind of problem, and of question types, that people are shown


@dataclass(frozen=True)
class Check:
    """What was found.

    Attributes:
        splits: split to its counts: questions, images, answers (distinct targets), answer_types,
            question_types, answers_per_question, and coverage: percent of the questions whose
            target is among the 1,000 most frequent of train, the best top-1 a model can reach.
            Without answers the last five are empty or None. Of damaged files the sound entries
            count.
        images: how many are asked about and found; opened tells whether they were decoded too.
        problems: what would stop a run or distort it.
        notes: what a reader of the results should know.
    """

    folder: Path
    splits: dict[str, dict]
    images: dict
    problems: list[Problem]
    notes: list[str]

    def to_json(self) -> dict:
        """Everything, as JSON has it."""
        return {
            "folder": str(self.folder),
            "splits": self.splits,
            "images": self.images,
            "problems": [{"kind": p.kind, "line": p.line} for p in self.problems],
            "notes": self.notes,
        }

    def lines(self) -> list[str]:
        """A report for people: tables, then notes, then problems, at most twenty of a kind."""
        lines = [*self._tables(), *(f"note: {note}" for note in self.notes)]
        kinds = Counter(problem.kind for problem in self.problems)
        for kind, count in kinds.items():
            of_kind = [problem.line for problem in self.problems if problem.kind == kind]
            lines += [f"problem: {line}" for line in of_kind[:MOST_LINES]]
            if count > MOST_LINES:
                lines.append(f"problem: … {count - MOST_LINES:,} more: {kind} (--json has all)")
        if not kinds:
            return [*lines, "no problem found"]
        found = ", ".join(f"{count:,} {kind}" for kind, count in kinds.items())
        return [*lines, f"{len(self.problems):,} problems: {found}"]

    def _tables(self) -> list[str]:
        if not self.splits:
            return []
        overall = [["", "questions", "images", "answers", "in the first 1,000", "answers each"]]
        for split, counts in self.splits.items():
            each = counts["answers_per_question"]
            covered = counts["coverage"]
            overall.append([
                split,
                f"{counts['questions']:,}",
                f"{counts['images']:,}",
                "none" if counts["answers"] is None else f"{counts['answers']:,}",
                "" if covered is None else f"{covered:.1f} %",
                _range(each),
            ])  # fmt: skip
        lines = _aligned(overall)
        for kind, title in (("answer_types", "answer type"), ("question_types", "question type")):
            names = Counter()
            for counts in self.splits.values():
                names.update(counts[kind])
            rows = [
                [name, *(f"{counts[kind].get(name, 0):,}" for counts in self.splits.values())]
                for name, _ in names.most_common(MOST_LINES)
            ]
            if len(names) > MOST_LINES:
                rows.append([f"… {len(names) - MOST_LINES} more", *[""] * len(self.splits)])
            if rows:
                lines += ["", *_aligned([[title, *self.splits], *rows])]
        opened = ", all of them opened" if self.images["opened"] and self.images["found"] else ""
        found = f"images: {self.images['asked']:,} asked about, {self.images['found']:,} found"
        return [*lines, "", found + opened]


def check_folder(folder: Path, images: str = "open") -> Check:
    """Read all of a dataset folder and name every fault; one broken file hides no other.

    Args:
        images: "open" to decode every image file, "names" to look for the files alone.

    Raises:
        InputError: for what is no folder.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: is not a folder; name the one that holds the dataset")
    faults = Faults()
    files, misnamed = find_files(folder)
    for line in misnamed:
        faults.problem("file name", line)
    splits = {
        split: table
        for split, of_split in files.items()
        if (table := _examine_split(of_split, faults)) is not None
    }
    manifest = _examine_manifest(folder, faults)
    if splits and len(splits) == len(files):  # else what a run would do cannot be told
        _examine_splits(folder, splits, manifest, faults)
    image_folder = folder / manifest.images
    found = examine_images(image_folder, splits, images == "open", faults) if splits else {}
    asked = pd.concat([t["image_id"] for t in splits.values()]).nunique() if splits else 0
    train = splits.get("train")
    known = AnswerVocabulary.build(train["answer"]) if _is_answered(train) else None
    return Check(
        folder=folder,
        splits={split: _count(table, known) for split, table in splits.items()},
        images={"asked": int(asked), "found": len(found), "opened": images == "open"},
        problems=faults.problems,
        notes=[*manifest.notes, *faults.notes],
    )


def _examine_split(files: dict[str, Path], faults: Faults) -> pd.DataFrame | None:
    """The sound questions, with their answers where there are any; None where none is left."""
    table = examine_questions(files["questions"], faults)
    if table is not None and "annotations" in files:
        table = examine_annotations(files["annotations"], table, faults)
    return None if table is None or table.empty else table


def _examine_manifest(folder: Path, faults: Faults) -> Manifest:
    try:
        return read_manifest(folder)
    except InputError as error:
        faults.problem("manifest", str(error))
        return Manifest()


def _examine_splits(
    folder: Path, splits: dict[str, pd.DataFrame], manifest: Manifest, faults: Faults
) -> None:
    """What a run makes of the splits, and what it cannot use."""
    arranged = dict(splits)
    try:
        for note in arrange(folder, arranged, manifest.rule, seed=0):
            faults.note(note)
    except InputError as error:
        faults.problem("splits", str(error))
    for split, table in splits.items():
        if not _is_answered(table):
            faults.note(f"{folder}: the {split} split has no answers: they can be predicted alone")
    if "validation" in splits and not _is_answered(splits["validation"]):
        faults.problem(
            "splits",
            f"{folder}: the validation split has no answers to choose an epoch by; add its "
            "annotations, or name its questions test",
        )
    if manifest.rule == "study" and len(splits) > 1:
        shared = shared_images(splits)
        if shared:
            faults.note(f"{folder}: {shared:,} images stand in two splits, as the study has it")
    ids = pd.concat([table["question_id"] for table in splits.values()])
    twice = ids[ids.duplicated()]
    if len(twice):
        faults.note(
            f"{folder}: {len(twice):,} question ids stand in two splits (the first is "
            f"{twice.iloc[0]}); no dataset can be cut from it"
        )


def _is_answered(table: pd.DataFrame | None) -> bool:
    return table is not None and "answer" in table.columns


def _count(table: pd.DataFrame, known: AnswerVocabulary | None) -> dict:
    """The counts of one split, as `Check` lists them."""
    counts = {
        "questions": len(table),
        "images": int(table["image_id"].nunique()),
        "answers": None,
        "answer_types": {},
        "question_types": {},
        "answers_per_question": {},
        "coverage": None,
    }
    if not _is_answered(table):
        return counts
    each = table["answers"].map(len).value_counts().sort_index()
    return counts | {
        "answers": int(table["answer"].nunique()),
        "answer_types": _tally(table["answer_type"]),
        "question_types": _tally(table["question_type"]),
        "answers_per_question": {str(number): int(count) for number, count in each.items()},
        "coverage": known and 100 * float((known.encode(table["answer"]) >= 0).mean()),
    }


def _range(values: Iterable[str]) -> str:
    """ "10", or "1 to 10"; the values ascend."""
    values = list(values)
    return " to ".join(dict.fromkeys((values[0], values[-1]))) if values else ""


def _tally(values: pd.Series) -> dict[str, int]:
    """How often each value stands there, the most frequent first."""
    return {str(name): int(count) for name, count in values.value_counts().items()}


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of text as lines: the first column to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
