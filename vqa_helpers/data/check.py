"""The contents of a dataset folder and everything wrong with it, as text and as JSON.

A problem would stop a run or distort it; a note is what a reader of the results should know. Files
are read by `formats`, as for a run, with a report that collects instead of refusing.
"""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pandas as pd

from vqa_helpers.data.folder import Manifest, fold_answers, read_manifest
from vqa_helpers.data.formats import OFFICIAL_ANSWERS, Tables
from vqa_helpers.data.images import Files, images_of, names_of
from vqa_helpers.data.layouts import Columns, read_layout
from vqa_helpers.data.pairs import NO_PAIRS, Pairs, find_pairs
from vqa_helpers.data.records import require_data
from vqa_helpers.data.splits import arrange
from vqa_helpers.data.vocabulary import AnswerVocabulary
from vqa_helpers.errors import InputError
from vqa_helpers.pictures import why_unreadable
from vqa_helpers.progress import track

MOST_LINES = 20  # of one kind of problem, that people are shown
MOST_ROWS = 30  # of counts
ANSWER_TYPES = ("yes/no", "number", "other")
LONG_QUESTION = 100  # words


@dataclass(frozen=True)
class Problem:
    """One thing to correct: its kind, for grouping, and where it is, what is wrong, what to do."""

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
        pairs: how many balanced pairs there are and how many stand apart, in two splits; known_by
            says how they were found. Empty where there are none.
    """

    folder: Path
    splits: dict[str, dict] = field(default_factory=dict)
    images: dict = field(default_factory=dict)
    pairs: dict = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def problem(self, kind: str, where: Path | str, line: str) -> None:
        """Keep a fault: the `Report` of a check."""
        self.problems.append(Problem(kind, f"{where}: {line}"))

    def to_json(self) -> dict:
        """Everything, as JSON has it."""
        return asdict(self) | {"folder": str(self.folder)}

    def lines(self) -> list[str]:
        """A report for people: tables, then notes, then problems, at most twenty of a kind."""
        lines = [*self._table(), *(f"note: {note}" for note in self.notes)]
        kinds = Counter(problem.kind for problem in self.problems)
        for kind, count in kinds.items():
            of_kind = [problem.line for problem in self.problems if problem.kind == kind]
            lines += [f"problem: {line}" for line in of_kind[:MOST_LINES]]
            if count > MOST_LINES:
                lines.append(f"problem: … {count - MOST_LINES:,} more: {kind} (--json has all)")
        found = ", ".join(f"{count:,} {kind}" for kind, count in kinds.items())
        return [*lines, f"problems: {found or 'none'}"]

    def _table(self) -> list[str]:
        """The counts, a column a split."""
        columns = {}
        for split, counts in self.splits.items():
            rows = {name: counts[name] for name in ("questions", "images", "answers")}
            each, coverage = list(counts["answers_per_question"]), counts["coverage"]
            rows["answers a question"] = " to ".join(dict.fromkeys(each[:1] + each[-1:]))
            rows["in the first 1,000"] = coverage and f"{coverage:.1f} %"
            rows |= {f"answer type: {kind}": n for kind, n in counts["answer_types"].items()}
            rows |= {f"question type: {kind}": n for kind, n in counts["question_types"].items()}
            columns[split] = {k: f"{n:,}" if isinstance(n, int) else n for k, n in rows.items()}
        table = pd.DataFrame(columns).to_string(na_rep="", max_rows=MOST_ROWS).splitlines()
        images = "images: {asked:,} asked about, {found:,} found".format(**self.images)
        pairs = "balanced pairs: {count:,} ({known_by}), {apart:,} of them apart, in two splits"
        pairs = [pairs.format(**self.pairs)] if self.pairs else []
        lines = [*table, images + ", each opened" * self.images["opened"], *pairs]
        return lines if columns else []


def check_folder(
    folder: Path, images: str = "open", image_folder: Path | None = None, columns: Columns = None
) -> Check:
    """Read all of a dataset folder and list every fault; one broken file hides no other.

    Args:
        images: "open" to decode every image file, "names" to look for the files alone.
        image_folder, columns: as `folder.read_folder` takes them.

    Raises:
        InputError: for what is no folder.
    """
    require_data(folder)
    check = Check(folder)
    tables = read_layout(folder, columns, check.problem)
    try:
        manifest = read_manifest(folder)
    except InputError as error:
        check.problems.append(Problem("manifest", str(error)))
        manifest = Manifest()
    check.notes += manifest.notes
    image_folder = image_folder or (folder if folder.is_dir() else folder.parent) / manifest.images
    tables, found = images_of(image_folder, tables, check.problem)
    splits = {split: table for split, table in tables.items() if len(table)}
    try:
        pairs = find_pairs(folder, splits) if splits else NO_PAIRS
    except InputError as error:
        check.problems.append(Problem("list of pairs", str(error)))
        pairs = NO_PAIRS
    count, apart = pairs.count(splits.values())
    if count:
        check.pairs = {"count": count, "apart": apart, "known_by": pairs.known_by}
    for split, table in splits.items():
        _examine_table(f"{folder}: the {split} split", table, check)
    if splits and len(splits) == len(tables):  # else what a run would do cannot be told
        _examine_splits(splits, manifest, pairs, check)
    check.images = _examine_images(image_folder, splits, found, images == "open", check)
    train = splits.get("train", {})
    known = AnswerVocabulary.build(train["answer"]).answers if "answer" in train else None
    check.splits = {split: _count(table, known) for split, table in splits.items()}
    return check


def _examine_table(where: str, table: pd.DataFrame, check: Check) -> None:
    """What can be read but is unusual; a run accepts it."""
    ids, answered = table["question_id"], "answer" in table
    lengths = table["question"].str.split().map(len)
    odd = {f"longer than {LONG_QUESTION} words": lengths > LONG_QUESTION}
    if answered:
        each, targets = table["answers"].map(len), table.groupby(["image_id", "question"])["answer"]
        blank = table["answers"].map(lambda texts: not all(map(str.strip, texts)))
        odd |= {
            "with fewer than ten answers, so no VQA accuracy": each < OFFICIAL_ANSWERS,
            "with more than ten answers": each > OFFICIAL_ANSWERS,
            "with an empty text among the answers": blank,
            "asked about an image again, with another target": targets.transform("nunique") > 1,
        }
        for id_ in ids[table["answer"].str.strip() == ""]:
            line = f"multiple_choice_answer of question {id_} is empty; write the answer"
            check.problem("empty answer", where, line)
        spellings = table["answer"].groupby(fold_answers(table["answer"])).unique()
        for several in spellings[spellings.map(len) > 1]:
            line = f"{where}: one answer is spelt in {len(several)} ways, and counts as one"
            check.notes.append(f"{line}: {', '.join(map(repr, sorted(several)))}")
        for kind, rows in ids.groupby(table["answer_type"]):
            if kind not in ANSWER_TYPES:
                line = f"answer_type of question {rows.iloc[0]} is {kind!r}"
                line += f" (so are {len(rows):,} in all), not one of {', '.join(ANSWER_TYPES)}"
                check.notes.append(f"{where}: {line}; it is scored as a type of its own")
    for what, rows in odd.items():
        if rows.any():
            first = f"(the first is {ids[rows].iloc[0]})"
            check.notes.append(f"{where}: questions {what}: {rows.sum():,} {first}")


def _examine_splits(splits: Tables, manifest: Manifest, pairs: Pairs, check: Check) -> None:
    """What a run makes of the splits, and what it cannot use."""
    folder = check.folder
    try:
        check.notes += arrange(folder, dict(splits), manifest.rule, 0, pairs)
    except InputError as error:
        check.problems.append(Problem("splits", str(error)))
    for split, table in splits.items():
        if "answer" not in table:
            line = f"the {split} split has no answers"
            check.notes.append(f"{folder}: {line}: they can be predicted alone")
            if split == "validation":
                line += " to choose an epoch by; add its annotations, or name its questions test"
                check.problem("splits", folder, line)
    ids = pd.concat([table["question_id"] for table in splits.values()])
    if len(twice := ids[ids.duplicated()]):
        line = f"{len(twice):,} question ids stand in two splits (the first is {twice.iloc[0]})"
        check.notes.append(f"{folder}: {line}; no dataset can be cut from it")


def _examine_images(
    folder: Path, splits: Tables, found: Files, open_them: bool, check: Check
) -> dict:
    """How many images are asked about and found; those that lack or cannot be opened are named."""
    wanted: dict[int, str] = {}  # to the first split that asks
    for split, table in reversed(splits.items()):
        wanted |= dict.fromkeys(table["image_id"].tolist(), split)
    called = names_of(splits.values())
    if wanted and not found:
        line = "holds no image that is asked about"
        if called:
            line += f", such as {next(iter(called.values()))}; put them there under these names"
            check.problem("missing image", folder, line)
        else:
            check.notes.append(f"{folder}: {line}; questions alone can be learnt")
    for image_id in sorted(wanted.keys() - found.keys()) if found else ():
        name = called.get(image_id)
        line = f"has no file of image {name or image_id}, which the {wanted[image_id]} split asks about"
        line += f"; put one there {'of this name' if name else f'whose name ends in {image_id}'}"
        check.problem("missing image", folder, line)
    to_open = list(found.values()) if open_them else []
    with ThreadPoolExecutor() as pool:
        opened = zip(to_open, pool.map(why_unreadable, to_open), strict=True)
        for path, why in track(opened, "images opened", total=len(to_open), unit="images"):
            if why:
                check.problem("image that cannot be opened", path, f"{why}; copy it again")
    return {"asked": len(wanted), "found": len(found), "opened": open_them and bool(found)}


def _count(table: pd.DataFrame, known: tuple[str, ...] | None) -> dict:
    """The counts of one split, as `Check` lists them."""
    columns = ["answer", "answers", "answer_type", "question_type"]
    answered = table.reindex(columns=columns).dropna(subset="answer")
    each = answered["answers"].map(len).value_counts().sort_index()
    in_reach = answered["answer"].isin(known or ())
    return {
        "questions": len(table),
        "images": int(table["image_id"].nunique()),
        "answers": int(answered["answer"].nunique()) or None,
        "answer_types": answered["answer_type"].value_counts().to_dict(),
        "question_types": answered["question_type"].value_counts().to_dict(),
        "answers_per_question": {str(number): int(count) for number, count in each.items()},
        "coverage": 100 * float(in_reach.mean()) if known and len(answered) else None,
    }
