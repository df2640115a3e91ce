"""Trials as tables, figures and sentences: each beside the blind guess, the study and one another.

Knows trials and their run folders; the statistics are `evaluation`'s.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from vqa_helpers.evaluation.bootstrap import bounds, resampled_means
from vqa_helpers.evaluation.compare import Difference, paired_difference
from vqa_helpers.evaluation.metrics import with_interval
from vqa_helpers.experiment.series import STORED, Trial
from vqa_helpers.report.compare import Answered, compare_answered, read_answered
from vqa_helpers.report.published import PUBLISHED
from vqa_helpers.report.style import BLUE, GREEN, GREY, INK, ORANGE, RED, styled
from vqa_helpers.report.tables import NOT_DEFINED, Score, scored_split

TRIAL_COLUMNS = (
    "data", "preset", "train questions", "seeds", "train top-1", "top-1", "top-1 sd", "scored on",
    "questions", "blind top-1", "gain over blind", "verdict", "ceiling", "VQA accuracy",
    "study's top-1", "train s", "samples/s",
)  # fmt: skip
BY_HEART = 5  # points that train is above the scored split, from which memory is spoken of
COLOURS = (BLUE, ORANGE, GREEN, RED, INK)


def read_trial(trial: Trial) -> Answered:
    """What the runs of a trial scored, a row a seed.

    Runs that learnt from draws of their own have each a blind guess of its own; `blind` is then
    their mean.
    """
    parts = [read_answered(run) for run in trial.runs]
    first = parts[0]
    defined = all(part.vqa is not None for part in parts)
    return Answered(
        first.folder,
        first.split,
        first.question_ids,
        first.images,
        first.truth,
        np.concatenate([part.top1 for part in parts]),
        np.concatenate([part.vqa for part in parts]) if defined else None,
        np.mean([part.blind for part in parts], axis=0),
    )


def trial_table(trials: Sequence[Trial]) -> pd.DataFrame:
    """A row a trial, in percent: means over the seeds with 95 % intervals that draw images and,
    from two seeds on, seeds.

    "train top-1" is of the epoch that validation chose; "study's top-1" was measured on other
    data, and is there for the order of the rows alone.
    """
    return pd.DataFrame([_row(trial) for trial in trials], columns=list(TRIAL_COLUMNS))


def _row(trial: Trial) -> dict:
    answered = read_trial(trial)
    gain = against_blind(trial)
    scores = [scored_split(run.metrics)[1] for run in trial.runs]
    means = 100 * answered.top1.mean(axis=1)
    return {
        "data": trial.data,
        "preset": trial.preset,
        "train questions": trial.train_questions,
        "seeds": len(trial.runs),
        "train top-1": round(train_top1(trial), 1),
        "top-1": Score(**with_interval(answered.top1, answered.images)),
        "top-1 sd": round(float(means.std(ddof=1)), 2) if len(means) > 1 else None,
        "scored on": answered.split,
        "questions": len(answered.question_ids),
        "blind top-1": round(100 * float(answered.blind.mean()), 2),
        "gain over blind": str(gain),
        "verdict": gain.verdict,
        "ceiling": round(float(np.mean([part["ceiling"]["top1"] for part in scores])), 2),
        "VQA accuracy": NOT_DEFINED
        if answered.vqa is None
        else Score(**with_interval(answered.vqa, answered.images)),
        "study's top-1": study_top1(trial.preset, trial.data),
        "train s": round(float(np.mean([run.timing["train_s"] for run in trial.runs])), 1),
        "samples/s": round(float(np.mean([run.timing["samples_per_s"] for run in trial.runs]))),
    }


def train_top1(trial: Trial) -> float:
    """Top-1 on the train split in the epoch that validation chose, percent, mean over seeds.

    Counted while the model learnt, with dropout, over the questions it could learn from: a model
    that is asked afterwards may know more of them by heart.
    """
    histories = [run.history for run in trial.runs]
    chosen = [history.loc[history["validation_top1"].idxmax()] for history in histories]
    return float(np.mean([epoch["train_top1"] for epoch in chosen]))


def study_top1(preset: str, data: str) -> float | None:
    """What the study published of that preset on that dataset; None where it gave no number."""
    preset = preset.removesuffix(STORED)
    return next((r.eval_top1 for r in PUBLISHED.get(preset, ()) if r.data == data), None)


def against_blind(trial: Trial) -> Difference:
    """Points of top-1 that a trial has over the best blind guess, question by question."""
    answered = read_trial(trial)
    return paired_difference(answered.top1, answered.blind, answered.images)


# Pairs


def compare_trials(first: Trial, second: Trial) -> Difference:
    """Points of top-1 that the first trial has over the second, on the same questions.

    Raises:
        InputError: when they were scored on different ones.
    """
    return compare_answered(read_trial(first), read_trial(second)).top1


def same_data(trials: Iterable[Trial]) -> list[tuple[Trial, Trial]]:
    """Every pair of presets on one dataset, the later one first."""
    return [(b, a) for a, b in combinations(trials, 2) if a.data == b.data]


def same_preset(trials: Iterable[Trial]) -> list[tuple[Trial, Trial]]:
    """Every pair of datasets with one preset, the later one first."""
    return [(b, a) for a, b in combinations(trials, 2) if a.preset == b.preset]


def pair_table(pairs: Iterable[tuple[Trial, Trial]]) -> pd.DataFrame:
    """A row a pair: points of top-1 that the first has over the second, and the verdict.

    Each 95 % interval is of its pair by itself: of twenty pairs that do not differ one is expected
    to look as if it did.
    """
    rows = [
        {"first": str(a), "second": str(b), "points": str(difference),
         "verdict": difference.verdict}
        for a, b in pairs
        for difference in [compare_trials(a, b)]
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["first", "second", "points", "verdict"])


def average(
    trials: Sequence[Trial], values: Callable[[Answered], np.ndarray] | None = None
) -> Score:
    """The mean of the trials' top-1, each with the same weight, and its 95 % interval.

    Args:
        values: of what each trial answered, (S, N) or (N,), in place of its top-1.
    """
    values = values or (lambda answered: answered.top1)
    parts = [read_trial(trial) for trial in trials]
    means = [
        resampled_means([np.atleast_2d(values(part))], part.images, seed)[0]
        for seed, part in enumerate(parts)
    ]
    low, high = bounds(np.mean(means, axis=0))
    middle = float(np.mean([values(part).mean() for part in parts]))
    return Score(*(round(100 * min(max(share, 0.0), 1.0), 2) for share in (middle, low, high)))


# Sentences


def say_pair(first: Trial, second: Trial, names: tuple[str, str] | None = None) -> str:
    """One sentence on a pair: what its interval allows to be said, and no more."""
    difference = compare_trials(first, second)
    one, other = names or (str(first), str(second))
    interval = f"95 % interval {difference.low:+.1f} to {difference.high:+.1f}"
    if difference.verdict == "cannot tell":
        return (
            f"**{one}** and **{other}** cannot be told apart ({difference.value:+.1f} points; "
            f"{interval})."
        )
    return (
        f"**{one}** is {difference.verdict} than **{other}** by {abs(difference.value):.1f} points "
        f"({interval})."
    )


def say_blind(trial: Trial) -> str:
    """One sentence on a trial and the best blind guess: whether it has learnt to look."""
    gain, blind = against_blind(trial), 100 * read_trial(trial).blind.mean()
    interval = f"{gain.value:+.1f} points, 95 % interval {gain.low:+.1f} to {gain.high:+.1f}"
    said = {
        "better": "answers better than the best guess that never looks",
        "worse": "answers worse than the best guess that never looks",
        "cannot tell": "cannot be told from the best guess that never looks",
    }[gain.verdict]
    return f"**{trial}** {said}: {blind + gain.value:.1f} % against {blind:.1f} % ({interval})."


def say_memory(trial: Trial) -> str:
    """One sentence on how much of what was learnt is the train split by heart."""
    train, scored = train_top1(trial), 100 * float(read_trial(trial).top1.mean())
    gap = train - scored
    if gap > BY_HEART:
        said = f"a gap of {gap:.1f} points, learnt by heart"
    else:
        said = "no gap that would show anything learnt by heart"
    return (
        f"**{trial}** answered {train:.1f} % of its train questions while it learnt them, and "
        f"answers {scored:.1f} % of others: {said}."
    )


def say_speed(first: Trial, second: Trial) -> str:
    """One sentence on what the first trial costs beside the second, in train samples a second."""
    rates = [np.mean([run.timing["samples_per_s"] for run in t.runs]) for t in (first, second)]
    ratio = float(rates[1] / rates[0])
    factor = f"{ratio:.1f} times as slow" if ratio >= 1 else f"{1 / ratio:.1f} times as fast"
    return (
        f"**{first}** trains at {rates[0]:,.0f} samples a second and **{second}** at "
        f"{rates[1]:,.0f}: {factor}."
    )


# Figure


@styled
def plot_trials(trials: Sequence[Trial], title: str = "") -> Figure:
    """Top-1 of each trial with its interval, a group a dataset, beside the best blind guess.

    The study's own number is an open diamond: it comes from other data.
    """
    table = trial_table(trials)
    presets = list(dict.fromkeys(table["preset"]))
    colours = {name: COLOURS[place % len(COLOURS)] for place, name in enumerate(presets)}
    figure, axes = plt.subplots(figsize=(7.5, 1.3 + 0.34 * len(table)))
    places, before = [], None
    for row in table.to_dict("records"):
        gap = 0.0 if before is None else 1.0 + 0.5 * (row["data"] != before)
        places.append((places[-1] if places else 0.0) + gap)
        before = row["data"]
        place, score = places[-1], row["top-1"]
        axes.hlines(place, score.low, score.high, color=colours[row["preset"]], linewidth=2.2)
        axes.plot(score.value, place, "o", color=colours[row["preset"]], markersize=7)
        axes.plot(row["blind top-1"], place, "|", color=GREY, markersize=13, markeredgewidth=2)
        if row["study's top-1"] is not None:
            axes.plot(
                row["study's top-1"], place, "D", color=INK, markersize=5, markerfacecolor="none"
            )
        axes.annotate(
            f"{score.value:.1f}", (score.high, place), xytext=(5, 0), textcoords="offset points",
            va="center", fontsize=8.5,
        )  # fmt: skip
    labels = [
        f"{preset}  ({data}, {questions:,})"
        for preset, data, questions in zip(
            table["preset"], table["data"], table["train questions"], strict=True
        )
    ]
    axes.set_yticks(places, labels)
    axes.set_ylim(places[-1] + 0.7, -0.7)
    axes.grid(False, axis="y")
    _legend(figure, bool(table["study's top-1"].notna().any()))
    axes.set_xlabel("top-1 accuracy, %  (in brackets: data, train questions)")
    axes.set_title(title or "Trials compared")
    return figure


def _legend(figure: Figure, study: bool) -> None:
    entries = [
        (Line2D([], [], color=INK, marker="o", markersize=6, linewidth=2), "ours, 95 % interval"),
        (Line2D([], [], color=GREY, marker="|", linestyle="", markersize=12, markeredgewidth=2),
         "best blind guess"),
    ]  # fmt: skip
    if study:
        diamond = Line2D(
            [], [], color=INK, marker="D", linestyle="", markersize=5, markerfacecolor="none"
        )
        entries.append((diamond, "the study's, on its own data"))
    figure.legend(*zip(*entries, strict=True), loc="outside lower center", ncols=3, fontsize=8.5)
