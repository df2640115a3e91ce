"""Is an experiment better than another, or than the best blind guess? Verdicts, question by question.

Two experiments on the same questions are compared by a paired bootstrap over images (and seeds),
which is far more certain than two intervals that overlap suggest. Knows run folders, no models;
the statistics are `evaluation.compare`'s.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from vqa_helpers.errors import InputError
from vqa_helpers.evaluation.compare import Difference, mcnemar, paired_difference
from vqa_helpers.report.labels import labels
from vqa_helpers.runs import PREDICTIONS, Experiment, Run, group_runs

log = logging.getLogger(__name__)

Runs = Run | Experiment | Iterable[Run | Experiment]  # what tables and figures take

NOT_DEFINED = "not defined"  # VQA accuracy of questions with fewer than ten answers
ASKED = ["question_id", "image_id", "truth"]
BLIND = "the best blind guess"
PAIR_COLUMNS = {
    "first": "first", "second": "second", "questions": "questions", "top1": "top-1 points",
    "verdict": "verdict", "vqa": "VQA accuracy points", "mcnemar_p": "McNemar p",
}  # fmt: skip
FINDING_COLUMNS = ("dataset", "about", "first", "second", "points", "verdict", "finding")


def as_list(runs: Runs) -> list[Experiment]:
    """One or several experiments as a list; runs among them are grouped by all but their seed."""
    given = [runs] if isinstance(runs, Run | Experiment) else list(runs)
    found = [item for item in given if isinstance(item, Experiment)]
    return found + group_runs(item for item in given if isinstance(item, Run))


def as_one(runs: Runs) -> Experiment:
    """The one experiment that runs belong to.

    Raises:
        InputError: for none, or for runs that differ in more than their seed.
    """
    found = as_list(runs)
    if len(found) != 1:
        names = ", ".join(str(one.runs[0].folder) for one in found) or "no run"
        raise InputError(f"{names}: are not one experiment; name runs that differ only in the seed")
    return found[0]


# What was answered


@dataclass(frozen=True)
class Answers:
    """What the S runs of an experiment answered to N questions.

    Attributes:
        split: "test", or "validation" where test has no answers.
        asked: (N) rows of question_id (ascending), image_id and truth.
        first: (S, N) the first answers.
        sure: (S, N) their probabilities, 0 to 1.
        top1: (S, N) 1 where the first answer is right, else 0.
        vqa: (S, N) official accuracy; None where it is not defined.
        blind: (N,) 1 where the best blind guess is right, else 0; runs that learnt from other
            draws have other guesses, of which it is the mean.
    """

    split: str
    asked: pd.DataFrame
    first: np.ndarray
    sure: np.ndarray
    top1: np.ndarray
    vqa: np.ndarray | None
    blind: np.ndarray

    @property
    def images(self) -> np.ndarray:
        return self.asked["image_id"].to_numpy(dtype=np.int64)

    @property
    def gain(self) -> Difference:
        """Points of top-1 over the best blind guess, question by question."""
        return paired_difference(self.top1, self.blind, self.images)

    def same_questions(self, other: "Answers") -> bool:
        return self.split == other.split and self.asked.equals(other.asked)


def read_answers(runs: Runs, split: str = "") -> Answers:
    """What an experiment answered, from its predictions.

    Args:
        split: "validation" or "test"; by default test, or validation where test has no answers.

    Raises:
        InputError: when its seeds were not scored on the same questions, or a run was written by a
            version that kept too little.
    """
    experiment = as_one(runs)
    split = split or experiment.runs[0].scored[0]
    tables: list[pd.DataFrame] = []
    for run in experiment.runs:
        rows = run.predictions[run.predictions["split"] == split]
        if rows.empty or rows[[*ASKED, "blind"]].isna().any(axis=None):
            raise InputError(
                f"{run.folder / PREDICTIONS}: there is none of {split}, or one lacks its image, "
                "truth or blind guess; train the run again, with this version"
            )
        tables.append(rows.sort_values("question_id", ignore_index=True))
        if not tables[-1][ASKED].equals(tables[0][ASKED]):
            line = f"was not scored on the questions of {experiment.runs[0].folder}"
            raise InputError(f"{run.folder}: {line}; seeds are compared on one split of the data")
    asked = tables[0][ASKED]
    truth = asked["truth"].to_numpy()
    first = np.stack([table["answers"].str[0].to_numpy(dtype=object) for table in tables])
    sure = np.stack([table["probabilities"].str[0].to_numpy(dtype=float) for table in tables])
    vqa = np.stack([table["vqa"].to_numpy(dtype=float, na_value=np.nan) for table in tables])
    vqa = None if np.isnan(vqa).any() else vqa
    blind = np.mean([table["blind"].to_numpy() == truth for table in tables], axis=0)
    return Answers(split, asked, first, sure, (first == truth).astype(float), vqa, blind)


def readable(runs: Runs) -> list[tuple[Experiment, Answers]]:
    """Experiments with their answers; those that cannot be compared are left out and logged.

    Raises:
        InputError: for the last, when all are left out.
    """
    found, refused = [], None
    for experiment in as_list(runs):
        try:
            found.append((experiment, read_answers(experiment)))
        except InputError as error:
            log.warning("%s is left out: %s", experiment, error)
            refused = error
    if refused and not found:
        raise refused
    return found


# Comparisons


def compare(first: Runs, second: Runs) -> dict[str, Any]:
    """Compare two experiments question by question.

    With one run each the verdict is on the two trained models; with several seeds it is on what
    was trained, and the seeds are drawn as well.

    Returns:
        first, second, split, questions; top1, the points that the first has over the second;
        verdict, of these; vqa, the same of VQA accuracy, None where it is not defined; mcnemar_p,
        None where one has several runs: the test knows one answer a question.

    Raises:
        InputError: as `read_answers`, and when they were not scored on the same questions.
    """
    one, other = as_one(first), as_one(second)
    a, b = read_answers(one), read_answers(other)
    if not a.same_questions(b):
        raise InputError(
            f"{one} and {other}: were not scored on the same questions ({len(a.asked)} of "
            f"{a.split}, {len(b.asked)} of {b.split}); compare runs on one dataset"
        )
    alike = one.dataset == other.dataset and one.name != other.name
    names = [one.name, other.name] if alike else labels([one, other])
    top1 = paired_difference(a.top1, b.top1, a.images)
    defined, single = a.vqa is not None and b.vqa is not None, len(a.top1) == len(b.top1) == 1
    return {
        "first": names[0],
        "second": names[1],
        "split": a.split,
        "questions": len(a.asked),
        "top1": top1,
        "verdict": top1.verdict,
        "vqa": paired_difference(a.vqa, b.vqa, a.images) if defined else None,
        "mcnemar_p": mcnemar(a.top1[0], b.top1[0]) if single else None,
    }


def pair_table(pairs: Iterable[tuple[Runs, Runs]]) -> pd.DataFrame:
    """A row a pair: points that the first has over the second, with 95 % interval and verdict.

    Experiments are called by what differs among all of them.

    Each interval is of its pair by itself: of twenty pairs that do not differ about one is
    expected to look as if it did.

    Raises:
        InputError: as `compare`.
    """
    found = [(as_one(first), as_one(second)) for first, second in pairs]
    called = labels([one for pair in found for one in pair])
    rows = [compare(*pair) for pair in found]
    table = pd.DataFrame(rows, columns=list(PAIR_COLUMNS), dtype=object)
    return table.assign(first=called[::2], second=called[1::2]).rename(columns=PAIR_COLUMNS)


def verdict(first: Runs, second: Runs | None = None) -> str:
    """One line: is the first better than the second, or than the best blind guess?

    "GUSE_VGG is better than the best blind guess: +12.3 points [+9.8, +14.9], paired, 95 %".

    Raises:
        InputError: as `compare`.
    """
    if second is None:
        return _line(as_one(first).name, BLIND, read_answers(first).gain)
    found = compare(first, second)
    return _line(found["first"], found["second"], found["top1"])


def _line(first: str, second: str, gain: Difference) -> str:
    said = "cannot be told from" if gain.verdict == "cannot tell" else f"is {gain.verdict} than"
    points = f"{gain.value:+.1f} points [{gain.low:+.1f}, {gain.high:+.1f}]"
    return f"{first} {said} {second}: {points}, paired, 95 %"


def findings(experiments: Runs) -> pd.DataFrame:
    """What experiments say together, a verdict a row: each against the best blind guess, the best
    against each other one, and every pair that differs in one piece alone.

    Returns:
        dataset, about ("blind", "best", or the piece that differs), first, second, points, verdict,
        and the finding as one line; the best experiment of each dataset first.
    """
    found = sorted(readable(experiments), key=lambda pair: -pair[1].top1.mean())
    rows = []
    for dataset in dict.fromkeys(experiment.dataset for experiment, _ in found):
        same = [pair for pair in found if pair[0].dataset == dataset]
        rows += [(dataset, "blind", one.name, BLIND, ours.gain) for one, ours in same]
        for (one, ours), (other, theirs) in combinations(same, 2):
            about = changed_piece(one, other) or ("best" if one is same[0][0] else None)
            if about and ours.same_questions(theirs):
                gain = paired_difference(ours.top1, theirs.top1, ours.images)
                rows.append((dataset, about, one.name, other.name, gain))
    cells = [(*row, row[-1].verdict, _line(*row[2:])) for row in rows]
    return pd.DataFrame(cells, columns=list(FINDING_COLUMNS)).astype({"points": str})


def changed_piece(first: Experiment, second: Experiment) -> str | None:
    """The one piece in which two experiments differ; None if there is none or more than one, or if
    their training differs too."""
    ours, theirs = (one.runs[0].config for one in (first, second))
    taught = ("training", "epochs", "split_rule", "data_sha256")
    if any(ours.get(name) != theirs.get(name) for name in taught):
        return None
    ours, theirs = (config.get("model") or {} for config in (ours, theirs))
    differing = [name for name in ours | theirs if ours.get(name) != theirs.get(name)]
    return differing[0] if len(differing) == 1 else None
