"""The reliability plot: how often answers given with a certain probability are right.

Knows the calibration that metrics carry; computes no score.
"""

from collections.abc import Mapping
from typing import Any

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vqa_helpers.errors import InputError
from vqa_helpers.report.style import BLUE, DARK_ORANGE, GREY, LIGHT_BLUE, ORANGE, styled
from vqa_helpers.report.tables import scored_split

FEW = 20  # questions in a bin below which its share of hits is mostly luck


@styled
def plot_reliability(metrics: Mapping[str, Any], title: str = "") -> Figure:
    """Share of hits over the probability of the first answer; below, how often each is given.

    A dot on the diagonal keeps its promise: as sure as right. The orange line is what is missing
    to it, or too much. Bins of fewer than 20 questions are open dots.

    Args:
        metrics: as `Run.metrics`; test is shown, or validation where test has no answers.

    Raises:
        InputError: the metrics have no calibration.
    """
    split, scores = scored_split(metrics)
    calibration = scores.get("calibration")
    if not calibration:
        raise InputError(f"the metrics of {split} have no calibration; train the run again")
    bins = [row for row in calibration["bins"] if row["questions"]]
    questions = sum(row["questions"] for row in bins)
    sure = sum(row["questions"] * row["confidence"] for row in bins) / questions
    right = sum(row["questions"] * row["accuracy"] for row in bins) / questions
    figure, (upper, lower) = plt.subplots(
        2, 1, figsize=(5.2, 5.4), sharex=True, gridspec_kw={"height_ratios": (3.4, 1)}
    )
    _dots(upper, bins, legend_below=right > sure)
    for row in bins:
        width = 0.92 * (row["high"] - row["low"])
        lower.bar((row["low"] + row["high"]) / 2, row["questions"], width=width, color=LIGHT_BLUE)
    lower.set_ylim(0, 1.6 * max(row["questions"] for row in bins))  # room for the two means
    _mean(lower, sure, f"probability {sure:.1f}", DARK_ORANGE, to_the_right=sure > right)
    _mean(lower, right, f"hits {right:.1f}", BLUE, to_the_right=sure <= right)
    lower.set_ylabel("questions")
    lower.set_xlabel("probability of the first answer, %  (dashed: means)")
    upper.set_title(title or f"Reliability, {split}")
    upper.set_title(
        f"expected calibration error {calibration['ece']:.1f}", loc="right", fontsize=9,
        fontweight="normal",
    )  # fmt: skip
    return figure


def _dots(axes: Axes, bins: list[Mapping[str, Any]], legend_below: bool) -> None:
    axes.plot([0, 100], [0, 100], color=GREY, linewidth=1.1, linestyle=(0, (2, 2)))
    for row in bins:
        few = row["questions"] < FEW
        sure, right = row["confidence"], row["accuracy"]
        axes.plot([sure, sure], [sure, right], color=ORANGE, linewidth=2.4, alpha=0.5 if few else 1)
        axes.plot(
            sure, right, "o", color=BLUE, markersize=7, markeredgewidth=1.5, clip_on=False,
            markerfacecolor="white" if few else BLUE, zorder=5,
        )  # fmt: skip
    # The dots lie above the diagonal or below it; the words take the other side.
    x, side = (97, "right") if legend_below else (3, "left")
    top = 19 if legend_below else 97
    few = f" (open: fewer than {FEW} questions)" if any(b["questions"] < FEW for b in bins) else ""
    words = ((f"share of hits{few}", BLUE), ("distance to the promise", DARK_ORANGE),
             ("dotted: as sure as right", GREY))  # fmt: skip
    for line, (text, colour) in enumerate(words):
        axes.text(x, top - 6 * line, text, ha=side, va="top", color=colour, fontsize=8.5)
    axes.set_xlim(0, 100)
    axes.set_ylim(0, 100)
    axes.set_ylabel("hits, %")


def _mean(axes: Axes, value: float, text: str, colour: str, to_the_right: bool) -> None:
    """A dashed line at a mean, named on the side where the other mean is not, if there is room."""
    axes.axvline(value, color=colour, linewidth=1.4, linestyle=(0, (4, 2)))
    to_the_right = (to_the_right or value < 30) and value < 70
    axes.annotate(
        text, (value, 1), xycoords=("data", "axes fraction"),
        xytext=(4 if to_the_right else -4, -2 if colour == BLUE else -13),
        textcoords="offset points", ha="left" if to_the_right else "right", va="top",
        color=colour, fontsize=8.5,
    )  # fmt: skip
