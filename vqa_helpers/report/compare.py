"""Runs compared with one another and with the best blind guess, from their folders alone.

A model is a run, or several runs of one preset that differ in their seed alone. Knows run folders;
the statistics are `evaluation.compare`'s.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from vqa_helpers.errors import InputError
from vqa_helpers.evaluation.compare import Difference, Verdict, mcnemar, paired_difference
from vqa_helpers.report.tables import scored_split
from vqa_helpers.runs import PREDICTIONS, Run

TRAIN_AGAIN = "train the run again, with this version"


@dataclass(frozen=True)
class Answered:
    """What one or several runs scored on the same questions.

    Attributes:
        folder: of the first run.
        split: "test", or "validation" where test has no answers.
        question_ids: (N,) ascending.
        images: (N,) the image of each question.
        truth: (N,) its target.
        top1: (S, N) 1 where the first answer of run S is right, else 0.
        vqa: (S, N) official accuracy; None where it is not defined.
        blind: (N,) 1 where the best blind guess is right, else 0.
    """

    folder: Path
    split: str
    question_ids: np.ndarray
    images: np.ndarray
    truth: np.ndarray
    top1: np.ndarray
    vqa: np.ndarray | None
    blind: np.ndarray

    def same_questions(self, other: "Answered") -> bool:
        """Whether both were asked the same about the same images, with the same targets."""
        return self.split == other.split and all(
            np.array_equal(getattr(self, name), getattr(other, name))
            for name in ("question_ids", "images", "truth")
        )


@dataclass(frozen=True)
class Comparison:
    """One model beside another, in percentage points that the first has over the second.

    Attributes:
        vqa: None where the VQA accuracy is not defined.
        mcnemar_p: None where a model is several runs: the test knows one answer a question.
    """

    split: str
    questions: int
    top1: Difference
    vqa: Difference | None
    mcnemar_p: float | None

    @property
    def verdict(self) -> Verdict:
        """Of the first model's top-1."""
        return self.top1.verdict


def compare_runs(ours: Run | Sequence[Run], theirs: Run | Sequence[Run]) -> Comparison:
    """Compare two models question by question.

    With one run each the verdict is on the two trained models; with several seeds it is on the
    presets, and the seeds are drawn as well.

    Raises:
        InputError: when they were not scored on the same questions, or a run was written by a
            version that kept too little.
    """
    return compare_answered(read_answered(ours), read_answered(theirs))


def compare_answered(a: Answered, b: Answered) -> Comparison:
    """As `compare_runs`, of what was read already."""
    if not a.same_questions(b):
        raise InputError(
            f"{a.folder} and {b.folder}: were not scored on the same questions "
            f"({len(a.question_ids)} of {a.split}, {len(b.question_ids)} of {b.split}); compare "
            "runs on one dataset"
        )
    single = len(a.top1) == len(b.top1) == 1
    return Comparison(
        a.split,
        len(a.question_ids),
        paired_difference(a.top1, b.top1, a.images),
        None if a.vqa is None or b.vqa is None else paired_difference(a.vqa, b.vqa, a.images),
        mcnemar(a.top1[0], b.top1[0]) if single else None,
    )


def comparison_table(comparison: Comparison) -> pd.DataFrame:
    """A comparison for people: a row a metric, in points that the first model has over the
    second."""
    p = comparison.mcnemar_p
    rows = [
        {
            "metric": name,
            "first over second": str(difference),
            "verdict": difference.verdict,
            "McNemar p": f"{p:.2g}" if name == "top-1" and p is not None else None,
        }
        for name, difference in (("top-1", comparison.top1), ("VQA accuracy", comparison.vqa))
        if difference is not None
    ]
    return pd.DataFrame(rows)


def read_answered(runs: Run | Sequence[Run]) -> Answered:
    """What runs of one preset scored, from their predictions.

    Raises:
        InputError: as `compare_runs`; also for runs that differ in more than their seed.
    """
    runs = [runs] if isinstance(runs, Run) else runs
    _refuse_mixed(runs)
    parts = [_of_run(run) for run in runs]
    first = parts[0]
    for run, part in zip(runs, parts, strict=True):
        if not part.same_questions(first):
            raise InputError(
                f"{run.folder}: was not scored on the questions of {runs[0].folder}; "
                "seeds are compared on one split of the data"
            )
    defined = all(part.vqa is not None for part in parts)
    return Answered(
        first.folder,
        first.split,
        first.question_ids,
        first.images,
        first.truth,
        np.concatenate([part.top1 for part in parts]),
        np.concatenate([part.vqa for part in parts]) if defined else None,
        first.blind,
    )


def _refuse_mixed(runs: Sequence[Run]) -> None:
    """Refuse runs of several models; a setting that an old version did not keep counts as equal."""
    first = runs[0]
    for run in runs[1:]:
        for name, value in first.config.items():
            if name != "seed" and run.config.get(name, value) != value:
                raise InputError(
                    f"{run.folder}: has another {name} than {first.folder}; name the runs one by "
                    "one, or a folder of runs that differ in their seed alone"
                )


def _of_run(run: Run) -> Answered:
    split, _ = scored_split(run.metrics)
    rows = run.predictions[run.predictions["split"] == split].sort_values("question_id")
    path = run.folder / PREDICTIONS
    if rows.empty:
        raise InputError(f"{path}: has no predictions of {split}; {TRAIN_AGAIN}")
    for name in ("image_id", "truth", "blind"):
        if rows[name].isna().any():
            raise InputError(f"{path}: a prediction of {split} has no {name}; {TRAIN_AGAIN}")
    truth = rows["truth"].to_numpy()
    first = np.array([answers[0] for answers in rows["answers"]], dtype=object)
    vqa = None if rows["vqa"].isna().any() else rows["vqa"].to_numpy(dtype=float)[None]
    return Answered(
        run.folder,
        split,
        rows["question_id"].to_numpy(),
        rows["image_id"].to_numpy(dtype=np.int64),
        truth,
        (first == truth).astype(float)[None],
        vqa,
        (rows["blind"].to_numpy() == truth).astype(float),
    )
