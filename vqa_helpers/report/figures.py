"""Figures of a run, of several runs and of a dataset, all in one style.

Every function returns a closed matplotlib `Figure`: show it by naming it last in a cell, write it
with `save`. Knows metrics, histories and tables; opens no image and computes no score.
"""

from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from vqa_helpers.errors import InputError
from vqa_helpers.report.reliability import plot_reliability
from vqa_helpers.report.style import (
    BLUE,
    DARK_GREY,
    DARK_ORANGE,
    GREEN,
    GREY,
    INK,
    LIGHT_BLUE,
    ORANGE,
    PALE,
    RED,
    name_rows,
    save,
    styled,
)
from vqa_helpers.report.tables import (
    ANSWER_TYPES,
    Score,
    answer_type_table,
    question_type_table,
    scored_split,
)
from vqa_helpers.report.texts import fitted

__all__ = [
    "plot_answer_distribution", "plot_answer_types", "plot_comparison", "plot_history",
    "plot_question_types", "plot_reliability", "save",
]  # fmt: skip

ROW_IN = 0.3  # height of one row of a bar chart, inches
# Question types that open so are answered yes or no.
YES_NO_OPENINGS = frozenset(
    "is are was were am does do did can could has have had will would should".split()
)


@styled
def plot_history(history: pd.DataFrame, title: str, chosen: int | None = None) -> Figure:
    """Loss and top-1 accuracy of each epoch, train and validation, the chosen epoch marked.

    Args:
        history: as `Run.history`, accuracies in percent.
        chosen: the epoch whose weights were kept; by default the first one with the highest
            validation top-1.
    """
    if history.empty:
        raise InputError(f"{title}: the history has no epoch to draw; train at least one")
    scores = pd.to_numeric(history["validation_top1"])
    if chosen is None and scores.notna().any():
        chosen = int(history["epoch"].iloc[int(np.argmax(scores.fillna(-np.inf)))])
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2))
    panels = ((left, "loss", "loss (cross-entropy)"), (right, "top1", "top-1 accuracy, %"))
    for axes, field, label in panels:
        _curves(axes, history, field)
        axes.set_xlabel("epoch")
        axes.set_title(label, fontweight="normal", fontsize=9)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8, min_n_ticks=1))
        if chosen is not None:
            axes.axvline(chosen, color=GREY, linewidth=1, linestyle=(0, (2, 2)), zorder=1)
    right.set_ylim(0, 1.04 * right.get_ylim()[1])
    if chosen is not None:
        value = float(scores[history["epoch"] == chosen].iloc[0])
        right.plot(chosen, value, "o", color=ORANGE, markersize=7, zorder=5)
        late = chosen > history["epoch"].mean()
        low = value < right.get_ylim()[1] / 3
        right.annotate(
            f"epoch {chosen}: {value:.1f} %", (chosen, value),
            xytext=(-6 if late else 6, 14 if low else -14), textcoords="offset points",
            ha="right" if late else "left", va="bottom" if low else "top", fontsize=8.5,
        )  # fmt: skip
    figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
    return figure


@styled
def plot_answer_types(metrics: Mapping[str, Any], title: str = "") -> Figure:
    """Top-1 accuracy per answer type, of all questions, and of the blind baselines.

    Args:
        metrics: as `Run.metrics`; test is shown, or validation where test has no answers.
    """
    split, scores = scored_split(metrics)
    types = answer_type_table(metrics)
    overall = scores["top1"]
    bars = [
        (f"{name}\n{int(row['questions']):,} questions", row["top-1"], BLUE)
        for name, row in types.iterrows()
    ]
    bars.append((f"all\n{scores['questions']:,} questions", overall["value"], INK))
    blind = sorted(
        ((f"blind: {name}", entry["top1"], GREY) for name, entry in scores["baselines"].items()),
        key=lambda bar: bar[1],
    )
    # A gap sets the guesses apart from the model, and "all" apart from its parts.
    places = [*range(len(types)), len(types) + 0.3]
    places += [places[-1] + 1.2 + 0.8 * step for step in range(len(blind))]
    figure, axes = plt.subplots(figsize=(7.5, 0.9 + 0.52 * len(types) + 0.36 * (len(blind) + 1)))
    _bars(axes, places, [*bars, *blind])
    axes.errorbar(
        overall["value"], places[len(types)], color=ORANGE, capsize=3, linewidth=1.6,
        xerr=[[overall["value"] - overall["low"]], [overall["high"] - overall["value"]]],
    )  # fmt: skip
    ceiling = scores["ceiling"]["top1"]
    axes.axvline(ceiling, color=GREEN, linewidth=1.2, linestyle=(0, (4, 2)))
    axes.text(
        ceiling, -0.62, f"ceiling {ceiling:.1f} ", color=GREEN, ha="right", va="bottom",
        fontsize=8.5,
    )  # fmt: skip
    axes.set_xlabel("top-1 accuracy, %  (bar on “all”: 95 % interval)")
    axes.set_title(title or f"Accuracy per answer type, {split}", pad=14)
    return figure


@styled
def plot_question_types(
    metrics: Mapping[str, Any], best: int = 8, min_questions: int = 10, yes_no: bool = False,
    title: str = "",
) -> Figure:  # fmt: skip
    """Top-1 and top-5 accuracy of the best and of the worst question types.

    Args:
        best: how many at either end; all of them where there are no more than twice as many.
        min_questions: types with fewer questions are left out.
        yes_no: also the types answered yes or no, which a coin answers half of the time.

    Raises:
        InputError: no type is left.
    """
    split, _ = scored_split(metrics)
    table = question_type_table(metrics, min_questions)
    if not yes_no:
        openings = table.index.map(lambda name: name.partition(" ")[0].lower())
        table = table[~openings.isin(YES_NO_OPENINGS)]
    if table.empty:
        raise InputError(
            f"no question type of {split} has {min_questions} questions; lower min_questions"
        )
    cut = len(table) > 2 * best
    if cut:
        table = pd.concat([table.head(best), table.tail(best)])
    places = np.arange(len(table)) + (np.arange(len(table)) >= best) * (0.8 if cut else 0)
    figure, axes = plt.subplots(figsize=(7.5, 1.3 + ROW_IN * (places[-1] + 1)))
    axes.hlines(places, table["top-1"], table["top-5"], color=PALE, linewidth=3, zorder=1)
    axes.plot(table["top-1"], places, "o", color=BLUE, markersize=7)
    axes.plot(table["top-5"], places, "o", color=ORANGE, markerfacecolor="white", markersize=7)
    for place, value in zip(places, table["top-1"], strict=True):
        axes.text(value - 1.8, place, f"{value:.0f}", ha="right", va="center", fontsize=8)
    labels = [f"{fitted(name, 40)}  ({int(row['questions']):,})" for name, row in table.iterrows()]
    name_rows(axes, places, labels)
    axes.set_xlim(-5, 104)
    for name, edge, side, colour in (
        ("top-1", 1.2, "right", BLUE), ("top-5", -1.2, "left", DARK_ORANGE),
    ):  # fmt: skip
        axes.text(table[name].iloc[0] + edge, -0.55, name, color=colour, ha=side, fontsize=8.5)
    axes.set_xlabel("accuracy, %  (in brackets: questions)")
    what = "Best and worst question types" if cut else "Question types"
    kind = "" if yes_no else ", yes/no excluded"
    axes.set_title(title or f"{what}, {split}{kind}", pad=14)
    return figure


@styled
def plot_comparison(table: pd.DataFrame, title: str = "") -> Figure:
    """Top-1 of several runs with 95 % intervals, beside the blind baseline and the ceiling.

    Args:
        table: from `tables.results_table`, at least one row. A run with a stand-in is drawn as
            an open dot.
    """
    if table.empty:
        raise InputError("no finished run to compare; train one, or give the folder it is in")
    on_test = table["test top-1"].map(lambda cell: isinstance(cell, Score))
    scores = table["test top-1"].where(on_test, table["validation top-1"])
    order = sorted(range(len(table)), key=lambda row: -scores.iloc[row].value)
    several = table["dataset"].nunique() > 1
    figure, axes = plt.subplots(figsize=(8, 1.5 + ROW_IN * len(table)))
    labels = []
    for place, row in enumerate(order):
        run, score = table.iloc[row], scores.iloc[row]
        stand_in = run["stand-ins"] != "none"
        axes.hlines(place, score.low, score.high, color=BLUE, linewidth=2.2)
        axes.plot(
            score.value, place, "o", color=BLUE, markersize=7.5, markeredgewidth=1.6,
            markerfacecolor="white" if stand_in else BLUE,
        )  # fmt: skip
        axes.plot(run["ceiling"], place, "|", color=GREEN, markersize=13, markeredgewidth=2)
        if pd.notna(run["blind top-1"]):
            axes.plot(run["blind top-1"], place, "|", color=RED, markersize=13, markeredgewidth=2)
        axes.text(score.high + 0.8, place, f"{score.value:.1f}", va="center", fontsize=8.5)
        where = f"{run['dataset']}, " if several else ""
        valid = "" if on_test.iloc[row] else ", validation"
        labels.append(f"{run['preset']}  ({where}seed {run['seed']}{valid})")
    name_rows(axes, range(len(order)), labels)
    _comparison_legend(figure, bool((table["stand-ins"] != "none").any()))
    axes.set_xlabel("top-1 accuracy, %")
    dataset = "" if several else f", {table['dataset'].iloc[0]}"
    axes.set_title(title or f"Runs compared{dataset}")
    return figure


@styled
def plot_answer_distribution(
    splits: Mapping[str, pd.DataFrame], most: int = 20, title: str = ""
) -> Figure:
    """Shares of the answer types in each split, and the most frequent answers of train.

    Args:
        splits: as `Dataset.splits`; splits without answers are left out.
        most: how many answers to name.

    Raises:
        InputError: no split has answers.
    """
    answered = {name: table for name, table in splits.items() if "answer" in table and len(table)}
    if not answered:
        raise InputError("no split has answers to count; give one with an annotations file")
    counted = "train" if "train" in answered else next(iter(answered))
    answers = answered[counted]["answer"].value_counts(normalize=True).mul(100)
    shown = answers.head(most)
    height = max(2.6, 1.1 + 0.23 * len(shown))
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(9.5, height), gridspec_kw={"width_ratios": (1, 1.1)}
    )
    _type_shares(left, answered)
    right.barh(range(len(shown)), shown, color=BLUE, height=0.72)
    for place, value in enumerate(shown):
        right.text(value, place, f" {value:.1f}", va="center", fontsize=8)
    name_rows(right, range(len(shown)), [fitted(name, 24) for name in shown.index])
    right.set_xlim(0, shown.iloc[0] * 1.12)
    right.xaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))
    right.set_xlabel(f"share of the {len(answered[counted]):,} {counted} questions, %")
    right.set_title(
        f"The {len(shown)} most frequent of {len(answers):,} answers: {shown.sum():.0f} %",
        fontsize=9, fontweight="normal",
    )  # fmt: skip
    figure.suptitle(title or "Answers", x=0.01, ha="left", fontsize=11, fontweight="bold")
    return figure


def _curves(axes: Axes, history: pd.DataFrame, field: str) -> None:
    """Draw train and validation of one quantity, their names at the ends of the lines."""
    ends = []
    for split, colour in (("train", DARK_GREY), ("validation", BLUE)):
        curve = history[["epoch", f"{split}_{field}"]].astype(float).dropna()
        if curve.empty:
            continue
        x, y = curve.iloc[:, 0], curve.iloc[:, 1]
        axes.plot(x, y, color=colour, marker="o" if len(curve) < 3 else "", markersize=5)
        ends.append([y.iloc[-1], x.iloc[-1], split, colour])
    low, high = axes.get_ylim()
    ends.sort(key=lambda end: end[0])
    places = [end[0] for end in ends]
    apart = 0.075 * (high - low)
    if len(places) == 2 and places[1] - places[0] < apart:
        middle = sum(places) / 2
        places = [middle - apart / 2, middle + apart / 2]
    for (_, x, split, colour), y in zip(ends, places, strict=True):
        axes.annotate(
            split, (x, y), xytext=(6, 0), textcoords="offset points", va="center",
            color=colour, fontsize=8.5, annotation_clip=False,
        )  # fmt: skip


def _bars(axes: Axes, places: list[float], bars: list[tuple[str, float, str]]) -> None:
    """Horizontal bars (label, percent, colour), each with its number, on a 0-100 axis."""
    heights = [0.5 if label.startswith("blind") else 0.66 for label, _, _ in bars]
    values, colours = [bar[1] for bar in bars], [bar[2] for bar in bars]
    axes.barh(places, values, color=colours, height=heights)
    for place, value, colour in zip(places, values, colours, strict=True):
        inside = value > 12
        axes.text(
            1.5 if inside else value + 1, place, f"{value:.1f}", va="center", fontsize=8.5,
            fontweight="bold", color="white" if inside else colour,
        )  # fmt: skip
    name_rows(axes, places, [bar[0] for bar in bars])
    axes.set_xlim(0, 102)


def _type_shares(axes: Axes, answered: Mapping[str, pd.DataFrame]) -> None:
    """Stacked bars: the share of each answer type, a bar a split."""
    shares = pd.DataFrame(
        {
            name: table["answer_type"].value_counts(normalize=True).mul(100)
            for name, table in answered.items()
        }
    ).fillna(0.0)
    known = [name for name in ANSWER_TYPES if name in shares.index]
    shares = shares.reindex([*known, *sorted(set(shares.index) - set(known))])
    colours = [BLUE, ORANGE, LIGHT_BLUE, GREEN, RED, GREY]
    places = range(shares.shape[1])
    start = np.zeros(shares.shape[1])
    for row, (name, values) in enumerate(shares.iterrows()):
        colour = colours[row % len(colours)]
        axes.barh(places, values, left=start, color=colour, height=0.5, label=str(name))
        for place, value, left in zip(places, values, start, strict=True):
            if value >= 6:
                axes.text(
                    left + value / 2, place, f"{value:.0f}", ha="center", va="center", fontsize=8.5,
                    color="white" if colour == BLUE else INK,
                )  # fmt: skip
        start = start + values.to_numpy()
    labels = [f"{name}\n{len(table):,}" for name, table in answered.items()]
    name_rows(axes, places, labels)
    axes.set_xlim(0, 100)
    axes.set_xlabel("share of the split's questions, %")
    axes.legend(
        loc="lower left", bbox_to_anchor=(-0.01, 1.0), ncols=3, fontsize=8.5, handlelength=0.9,
        handleheight=0.9, columnspacing=1.2, borderaxespad=0.2,
    )  # fmt: skip


def _comparison_legend(figure: Figure, stand_ins: bool) -> None:
    tick = {"marker": "|", "linestyle": "", "markersize": 12, "markeredgewidth": 2}
    dot = {"marker": "o", "color": BLUE, "markersize": 7, "linestyle": "-", "linewidth": 2.2}
    entries = [
        (mpl.lines.Line2D([], [], **dot), "top-1, 95 % interval"),
        (mpl.lines.Line2D([], [], color=RED, **tick), "best blind guess"),
        (mpl.lines.Line2D([], [], color=GREEN, **tick), "ceiling"),
    ]
    if stand_ins:
        open_dot = mpl.lines.Line2D([], [], markerfacecolor="white", markeredgewidth=1.6, **dot)
        entries.insert(1, (open_dot, "with a stand-in"))
    figure.legend(
        [handle for handle, _ in entries], [label for _, label in entries],
        loc="outside lower center", ncols=4, fontsize=8.5,
    )  # fmt: skip
