"""Many small figures side by side: the curves of every run, the answer types of every split.

Knows histories and question tables; opens no image and computes no score.
"""

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from vqa_helpers.errors import InputError
from vqa_helpers.report.style import (
    BLUE,
    DARK_GREY,
    GREEN,
    GREY,
    INK,
    LIGHT_BLUE,
    ORANGE,
    RED,
    styled,
)
from vqa_helpers.report.tables import ANSWER_TYPES, best_blind
from vqa_helpers.runs import Run

COLUMNS = 4
TYPE_COLOURS = (BLUE, ORANGE, LIGHT_BLUE, GREEN, RED, GREY)


@styled
def plot_all_curves(runs: Sequence[Run], title: str) -> Figure:
    """Top-1 of train and validation over the epochs, a panel a run, all on one scale.

    The dot is the epoch that validation chose; the line across is the best blind guess on the same
    validation questions.

    Raises:
        InputError: for no runs.
    """
    if not runs:
        raise InputError("there is no run whose curves could be drawn; train one first")
    lines = -(-len(runs) // COLUMNS)
    figure, panels = plt.subplots(
        lines, COLUMNS, figsize=(10, 0.9 + 1.75 * lines), sharey=True, squeeze=False, dpi=120
    )
    for axes in panels.flat[len(runs) :]:
        axes.set_visible(False)
    for place, (axes, run) in enumerate(zip(panels.flat, runs, strict=False)):
        _panel(axes, run)
        if place % COLUMNS == 0:
            axes.set_ylabel("top-1, %")
    panels.flat[0].set_ylim(0, None)
    line = mpl.lines.Line2D
    entries = [
        (line([], [], color=GREY), "train"),
        (line([], [], color=BLUE), "validation"),
        (line([], [], color=ORANGE, marker="o", linestyle=""), "the epoch validation chose"),
        (line([], [], color=RED, linewidth=1.2, linestyle=(0, (4, 2))), "best blind guess"),
    ]
    figure.legend(*zip(*entries, strict=True), loc="outside lower center", ncols=4, fontsize=9.5)
    figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold")
    return figure


def _panel(axes: Axes, run: Run) -> None:
    history = run.history
    epochs = history["epoch"]
    single = {"marker": "o", "markersize": 4} if len(history) < 3 else {}
    axes.plot(epochs, history["train_top1"], color=GREY, linewidth=1.6, **single)
    axes.plot(epochs, history["validation_top1"], color=BLUE, linewidth=2, **single)
    if history["validation_top1"].notna().any():
        best = history.loc[history["validation_top1"].idxmax()]
        axes.plot(best["epoch"], best["validation_top1"], "o", color=ORANGE, markersize=6, zorder=5)
        axes.annotate(
            f"{best['validation_top1']:.1f}", (best["epoch"], best["validation_top1"]),
            xytext=(0, -7), textcoords="offset points", ha="center", va="top", fontsize=9.5,
        )  # fmt: skip
    blind = best_blind(run.metrics["validation"])
    if blind:
        axes.axhline(blind[1], color=RED, linewidth=1.2, linestyle=(0, (4, 2)), zorder=1)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=5, min_n_ticks=1))
    axes.margins(x=0.08)
    name = run.config["preset"]
    seed = f", seed {run.config['seed']}" if run.config["seed"] else ""
    axes.set_title(f"{name}{seed}", fontsize=9.5, pad=5)


@styled
def plot_answer_pies(splits: Mapping[str, pd.DataFrame], title: str) -> Figure:
    """The share of each answer type, a ring a split.

    Args:
        splits: as `Dataset.splits`; splits without answers are left out.

    Raises:
        InputError: no split has answers.
    """
    answered = {name: table for name, table in splits.items() if "answer" in table and len(table)}
    if not answered:
        raise InputError("no split has answers to count; give one with an annotations file")
    found = {kind for table in answered.values() for kind in table["answer_type"]}
    kinds = [kind for kind in ANSWER_TYPES if kind in found] + sorted(found - set(ANSWER_TYPES))
    colours = {kind: TYPE_COLOURS[i % len(TYPE_COLOURS)] for i, kind in enumerate(kinds)}
    figure, rings = plt.subplots(
        1, len(answered), figsize=(max(5.0, 3.2 * len(answered)), 3.5), squeeze=False, dpi=120
    )
    for axes, (name, table) in zip(rings.flat, answered.items(), strict=True):
        _ring(axes, name, table["answer_type"].value_counts().reindex(kinds).dropna(), colours)
    handles = [mpl.patches.Patch(color=colours[kind]) for kind in kinds]
    figure.legend(handles, kinds, loc="outside lower center", ncols=len(kinds), fontsize=10)
    figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold")
    return figure


def _ring(axes: Axes, name: str, counts: pd.Series, colours: Mapping[str, str]) -> None:
    parts, texts, shares = axes.pie(
        counts, startangle=90, counterclock=False, pctdistance=0.78,
        autopct=lambda share: f"{share:.0f} %" if share >= 4 else "",
        colors=[colours[kind] for kind in counts.index],
        wedgeprops={"width": 0.44, "edgecolor": "white", "linewidth": 2},
    )  # fmt: skip
    for share, kind in zip(shares, counts.index, strict=True):
        share.set(fontsize=10, color="white" if colours[kind] == BLUE else INK)
    axes.text(0, 0.1, name, ha="center", va="center", fontsize=11.5, fontweight="bold")
    axes.text(0, -0.14, f"{int(counts.sum()):,}", ha="center", va="center", color=DARK_GREY,
              fontsize=10)  # fmt: skip
