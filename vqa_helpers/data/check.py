"""What a dataset folder holds and everything wrong with it, for people and as JSON.

A problem would stop a run or distort it; a note is what a reader of the results should know. Files
are read by `formats`, as for a run, with a report that collects instead of refusing.
"""

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from vqa_helpers.data.folder import Manifest, read_manifest
from vqa_helpers.data.formats import OFFICIAL_ANSWERS, read_tables
from vqa_helpers.data.images import find_images
from vqa_helpers.data.splits import arrange, shared_images
from vqa_helpers.data.vocabulary import AnswerVocabulary
from vqa_helpers.errors import InputError
from vqa_helpers.progress import track

MOST_LINES = 20  # of one kind of problem, and of question types, that people are shown
ANSWER_TYPES = ("yes/no", "number", "other")
LONG_QUESTION = 100  # words
MOST_PIXELS = 80_000_000  # as `vision.preprocess` has it
_GLANCE_PX = 32  # a JPEG is decoded at an eighth of its size where that is enough


@dataclass(frozen=True)
class Problem:
    """One thing to mend: its kind, for grouping, and where it is, what is wrong, what to do."""

    kind: str
    line: str


@dataclass
class Check:
    """What was found.

    Attributes:
        splits: split to its counts: questions, images, answers (distinct targets), answer_types,
            question_types, answers_per_question, and coverage: percent of the questions whose
            target is among the 1,000 most frequent of train, the best top-1 a model can reach.
            Without answers the last five are empty or None. Of damaged files the sound entries
            count.
        images: how many are asked about and found; opened tells whether they were decoded too.
    """

    folder: Path
    splits: dict[str, dict] = field(default_factory=dict)
    images: dict = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def problem(self, kind: str, line: str) -> None:
        """Keep a fault: the `Report` of a check."""
        self.problems.append(Problem(kind, line))

    def to_json(self) -> dict:
        """Everything, as JSON has it."""
        return asdict(self) | {"folder": str(self.folder)}

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
        counts = pd.DataFrame(self.splits).T
        each = counts["answers_per_question"].map(list)  # "1", "3", "10"
        table = counts[["questions", "images", "answers"]].map("{:,}".format, na_action="ignore")
        table["in the first 1,000"] = counts["coverage"].map("{:.1f} %".format, na_action="ignore")
        table["answers each"] = each.map(lambda n: " to ".join(dict.fromkeys(n[:1] + n[-1:])))
        lines = table.fillna("none").to_string().splitlines()
        for kind, title in (("answer_types", "answer type"), ("question_types", "question type")):
            table = pd.DataFrame(counts[kind].to_dict(), dtype=float).fillna(0).astype(int)
            table = table.rename_axis(columns=title)
            if len(table):
                most = table.loc[table.sum(axis=1).sort_values(ascending=False).index[:MOST_LINES]]
                lines += ["", *most.map("{:,}".format).to_string().splitlines()]
            if len(table) > MOST_LINES:
                lines.append(f"… {len(table) - MOST_LINES} more (--json has all)")
        opened = ", opened" if self.images["opened"] else ""
        line = "images: {asked:,} asked about, {found:,} found".format(**self.images)
        return [*lines, "", line + opened]


def check_folder(folder: Path, images: str = "open") -> Check:
    """Read all of a dataset folder and name every fault; one broken file hides no other.

    Args:
        images: "open" to decode every image file, "names" to look for the files alone.

    Raises:
        InputError: for what is no folder.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: is not a folder; name the one that holds the dataset")
    check = Check(folder)
    tables = read_tables(folder, check.problem)
    splits = {split: table for split, table in tables.items() if len(table)}
    try:
        manifest = read_manifest(folder)
    except InputError as error:
        check.problem("manifest", str(error))
        manifest = Manifest()
    check.notes += manifest.notes
    for split, table in splits.items():
        _examine_table(f"{folder}: the {split} split", table, check)
    if splits and len(splits) == len(tables):  # else what a run would do cannot be told
        _examine_splits(splits, manifest, check)
    check.images = _examine_images(folder / manifest.images, splits, images == "open", check)
    known = None
    if "answer" in splits.get("train", ()):
        known = AnswerVocabulary.build(splits["train"]["answer"])
    check.splits = {split: _count(table, known) for split, table in splits.items()}
    return check


def _examine_table(where: str, table: pd.DataFrame, check: Check) -> None:
    """What can be read and is odd all the same; a run does not mind."""
    ids = table["question_id"].to_numpy()

    def note(these: Sequence[bool], what: str) -> None:
        if len(of_them := ids[np.asarray(these)]):
            check.notes.append(f"{where}: questions {what}: {len(of_them):,}, first {of_them[0]}")

    texts = table["question"]
    long = [len(text) > LONG_QUESTION and len(text.split()) > LONG_QUESTION for text in texts]
    note(long, f"longer than {LONG_QUESTION} words")
    if "answer" not in table:
        return
    for question_id in ids[[not answer.strip() for answer in table["answer"]]]:
        line = f"multiple_choice_answer of question {question_id} is empty; write the answer"
        check.problem("empty answer", f"{where}: {line}")
    for kind, rows in table.groupby("answer_type")["question_id"]:
        if kind not in ANSWER_TYPES:
            line = (
                f"answer_type of question {rows.iloc[0]} is {kind!r} (so are {len(rows):,} in all)"
            )
            remedy = f"use {', '.join(ANSWER_TYPES)}, or leave the field away"
            check.problem("unknown answer type", f"{where}: {line}; {remedy}")
    each = table["answers"].map(len)
    note(each < OFFICIAL_ANSWERS, "with fewer than ten answers, so no VQA accuracy")
    note(each > OFFICIAL_ANSWERS, "with more than ten answers")
    blank = [any(not text.strip() for text in given) for given in table["answers"]]
    note(blank, "with an empty text among the answers")
    targets = table.groupby(["image_id", "question"])["answer"].transform("nunique")
    note(targets > 1, "asked about one image again, word for word, with another target")


def _examine_splits(splits: dict[str, pd.DataFrame], manifest: Manifest, check: Check) -> None:
    """What a run makes of the splits, and what it cannot use."""
    folder = check.folder
    try:
        check.notes += arrange(folder, dict(splits), manifest.rule, seed=0)
    except InputError as error:
        check.problem("splits", str(error))
    for split, table in splits.items():
        if "answer" not in table:
            line = f"the {split} split has no answers"
            check.notes.append(f"{folder}: {line}: they can be predicted alone")
            if split == "validation":
                remedy = "add its annotations, or name its questions test"
                check.problem("splits", f"{folder}: {line} to choose an epoch by; {remedy}")
    if manifest.rule == "study" and (shared := shared_images(splits)):
        check.notes.append(f"{folder}: {shared:,} images stand in two splits, as the study has it")
    ids = pd.concat([table["question_id"] for table in splits.values()])
    if len(twice := ids[ids.duplicated()]):
        line = f"{len(twice):,} question ids stand in two splits (the first is {twice.iloc[0]})"
        check.notes.append(f"{folder}: {line}; no dataset can be cut from it")


def _examine_images(
    folder: Path, splits: dict[str, pd.DataFrame], open_them: bool, check: Check
) -> dict:
    """How many images are asked about and found; those that lack or cannot be opened are named."""
    wanted: dict[int, str] = {}  # to the first split that asks
    for split, table in splits.items():
        wanted = dict.fromkeys(table["image_id"].unique().tolist(), split) | wanted
    found = find_images(folder, wanted, check.problem)
    if wanted and not found:
        line = "holds no image that is asked about; questions alone can be learnt"
        check.notes.append(f"{folder}: {line}")
    for image_id in sorted(wanted.keys() - found.keys()) if found else ():
        line = f"has no file of image {image_id}, which the {wanted[image_id]} split asks about"
        remedy = f"put one there whose name ends in {image_id}"
        check.problem("missing image", f"{folder}: {line}; {remedy}")
    if open_them:
        with ThreadPoolExecutor() as pool:
            reasons = pool.map(_why_unusable, found.values())
            paths = track(found.values(), "images opened", unit="images")
            for path, reason in zip(paths, reasons, strict=True):
                if reason:
                    line = f"{path}: {reason}; copy the image again"
                    check.problem("image that cannot be opened", line)
    return {"asked": len(wanted), "found": len(found), "opened": open_them}


def _why_unusable(path: Path) -> str | None:
    try:
        with Image.open(path) as image:
            if image.width * image.height > MOST_PIXELS:
                return f"{image.width} x {image.height} pixels are too many"
            image.draft("RGB", (_GLANCE_PX, _GLANCE_PX))
            image.load()
            return None
    except Exception as error:  # damaged files raise almost anything in Pillow
        return str(error) or type(error).__name__


def _count(table: pd.DataFrame, known: AnswerVocabulary | None) -> dict:
    """The counts of one split, as `Check` lists them."""
    counts = {"questions": len(table), "images": int(table["image_id"].nunique())}
    empty = {"answer_types": {}, "question_types": {}, "answers_per_question": {}}
    if "answer" not in table:
        return {**counts, "answers": None, **empty, "coverage": None}
    each = table["answers"].map(len).value_counts().sort_index()
    return {
        **counts,
        "answers": int(table["answer"].nunique()),
        "answer_types": table["answer_type"].value_counts().to_dict(),
        "question_types": table["question_type"].value_counts().to_dict(),
        "answers_per_question": {str(number): int(count) for number, count in each.items()},
        "coverage": known and 100 * float((known.encode(table["answer"]) >= 0).mean()),
    }
