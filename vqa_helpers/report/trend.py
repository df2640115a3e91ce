"""Accuracy against the number of train questions: a line through it, and what that line says.

The line is straight in the logarithm of the number of questions, by least squares over the sizes;
its interval draws images and seeds, every size on the same draws of images. Knows trials; how they
were trained is `experiment.series`'.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from vqa_helpers.errors import InputError
from vqa_helpers.evaluation.bootstrap import bounds, resampled_means
from vqa_helpers.evaluation.compare import Difference
from vqa_helpers.evaluation.metrics import with_interval
from vqa_helpers.experiment.series import Trial
from vqa_helpers.report.compare import Answered
from vqa_helpers.report.series import compare_trials, read_trial
from vqa_helpers.report.style import BLUE, GREY, INK, RED, styled


@dataclass(frozen=True)
class Trend:
    """A straight line in the logarithm of the number of train questions.

    Attributes:
        tenfold: points of top-1 that ten times the questions are worth.
        at: top-1 that the line gives for one question, percent: where it starts.
        residual: the largest distance of a size from the line, points: whether it is one.
    """

    tenfold: Difference
    at: float
    residual: float

    def top1(self, questions: float) -> float:
        """What the line gives for a number of train questions, percent; unbounded."""
        return self.at + self.tenfold.value * float(np.log10(questions))


def fit_trend(trials: Sequence[Trial], blind: bool = False) -> Trend:
    """The line through the top-1 of trials of one preset at several sizes.

    Args:
        blind: through the best blind guesses instead.

    Raises:
        InputError: for fewer than two sizes, or sizes scored on different questions.
    """
    if len({trial.train_questions for trial in trials}) < 2:
        raise InputError("a trend needs two sizes of train split at least; train another")
    parts = [read_trial(trial) for trial in trials]
    _require_same(parts)
    runs = [np.atleast_2d(part.blind) if blind else part.top1 for part in parts]
    tens = np.log10([trial.train_questions for trial in trials])  # (K,)
    weights = (tens - tens.mean()) / ((tens - tens.mean()) ** 2).sum()  # slope = weights . scores
    means = np.array([run.mean() for run in runs])
    slope = float(weights @ means)
    drawn = np.stack(resampled_means(runs, parts[0].images), axis=1)  # (R, K)
    low, high = bounds(drawn @ weights)
    start = float(means.mean() - slope * tens.mean())
    residual = float(np.abs(means - (start + slope * tens)).max())
    tenfold = Difference(*(round(100 * share, 2) for share in (slope, low, high)))
    return Trend(tenfold, round(100 * start, 2), round(100 * residual, 2))


def _require_same(parts: Sequence[Answered]) -> None:
    for part in parts[1:]:
        if not part.same_questions(parts[0]):
            raise InputError(
                f"{part.folder} and {parts[0].folder}: were not scored on the same questions; a "
                "trend needs one test split for all sizes"
            )


def say_trend(trials: Sequence[Trial]) -> list[str]:
    """What the sizes say, a sentence each: the line, the blind line, the last step, the study.

    Args:
        trials: of one preset, the smallest size first.
    """
    trend, blind = fit_trend(trials), fit_trend(trials, blind=True)
    first, last = trials[0], trials[-1]
    step = compare_trials(last, trials[-2])
    # A tenfold that was not measured would be an extrapolation.
    wide = last.train_questions >= 10 * first.train_questions
    many, share = ("ten times as many", 1.0) if wide else ("twice as many", float(np.log10(2)))
    low, high = share * trend.tenfold.low, share * trend.tenfold.high
    lines = [
        f"From {first.train_questions:,} to {last.train_questions:,} train questions, {many} are "
        f"worth **{share * trend.tenfold.value:+.1f} points** of top-1 (95 % interval {low:+.1f} "
        f"to {high:+.1f}); no size is further than {trend.residual:.1f} points from that line.",
        f"The best guess that never looks moves by {share * blind.tenfold.value:+.1f} points in "
        "the same way: so much is counting answers, not looking.",
    ]
    ends = {
        "better": "the curve still rises at its end, so more data would help",
        "worse": "at its end the curve falls",
        "cannot tell": "whether it still rises at its end cannot be told",
    }[step.verdict]
    lines.append(
        f"The last step, from {trials[-2].train_questions:,} to {last.train_questions:,}, gave "
        f"{step.value:+.1f} points ({step.low:+.1f} to {step.high:+.1f}): {ends}."
    )
    concluded = {
        "better": "**holds here**: more triplets gave better answers",
        "worse": "**does not hold here**: more triplets gave worse answers",
        "cannot tell": "**cannot be told here**: the rise is within what chance would give",
    }[trend.tenfold.verdict]
    lines.append(f"The study's conclusion that the number of triplets decides {concluded}.")
    return lines


@styled
def plot_trend(trials: Sequence[Trial], title: str = "") -> Figure:
    """Top-1 at each size with its interval, the line, and the best blind guess at each size."""
    trend = fit_trend(trials)
    questions = np.array([trial.train_questions for trial in trials], dtype=float)
    figure, axes = plt.subplots(figsize=(7.5, 3.8))
    blind = []
    for trial, place in zip(trials, questions, strict=True):
        part = read_trial(trial)
        score = with_interval(part.top1, part.images)
        blind.append(100 * float(part.blind.mean()))
        axes.vlines(place, score["low"], score["high"], color=BLUE, linewidth=2)
        seeds = 100 * part.top1.mean(axis=1)
        axes.plot([1.03 * place] * len(seeds), seeds, ".", color=GREY, markersize=4, zorder=1)
        axes.plot(place, score["value"], "o", color=BLUE, markersize=7)
        axes.annotate(
            f"{score['value']:.1f}", (place, score["high"]), xytext=(0, 4), ha="center",
            textcoords="offset points", fontsize=8.5,
        )  # fmt: skip
    axes.plot(questions, [trend.top1(n) for n in questions], color=BLUE, linewidth=1, alpha=0.6)
    axes.plot(questions, blind, color=RED, linewidth=1.4, linestyle=(0, (4, 2)), marker="|")
    axes.annotate(
        "best blind guess", (questions[-1], blind[-1]), xytext=(0, -12), ha="right",
        textcoords="offset points", color=RED, fontsize=8.5,
    )  # fmt: skip
    axes.set_xscale("log")
    axes.set_xticks(questions, [f"{int(n):,}" for n in questions])
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    axes.set_xlabel("train questions (logarithmic); grey: seeds, bar: 95 % interval", color=INK)
    axes.set_ylabel("top-1 accuracy, %")
    axes.set_title(title or f"{trials[0].preset}: accuracy against the number of triplets")
    return figure
