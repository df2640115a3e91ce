"""One run looked into: which one, its tables for people, and their figures.

The best finished run on a dataset is chosen by its validation score, never by test. Knows run
folders and the tables of `evaluation.analysis`; counts nothing itself.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from vqa_helpers.data.folder import Dataset
from vqa_helpers.errors import InputError
from vqa_helpers.evaluation.analysis import judge
from vqa_helpers.report.cards import readable_on
from vqa_helpers.report.style import (
    BLUE,
    DARK_ORANGE,
    INK,
    LIGHT_BLUE,
    ORANGE,
    PALE,
    name_rows,
    note,
    styled,
)
from vqa_helpers.report.tables import Score, scored_split
from vqa_helpers.report.texts import fitted
from vqa_helpers.runs import Run, find_runs

if TYPE_CHECKING:
    from IPython.display import HTML

log = logging.getLogger(__name__)

ROW_IN = 0.3  # height of a row of a horizontal chart, inches
FEW = 20  # questions below which a dot is open: its place is mostly luck
SHADES = LinearSegmentedColormap.from_list("shades", ["#ffffff", "#9cc3e0", BLUE, "#003a5c"])
# What a notebook typesets as formulas leaves tables of these classes alone.
NO_FORMULAS = "tex2jax_ignore mathjax_ignore"


# Which run


@dataclass(frozen=True)
class Analysed:
    """A run and what it said to each question of the split it is scored on.

    Attributes:
        judged: from `evaluation.analysis.judge`.
    """

    run: Run
    split: str
    judged: pd.DataFrame

    def __str__(self) -> str:
        return f"{self.run.config['preset']}, seed {self.run.config['seed']}"


def best_runs(runs_root: Path, dataset: Dataset) -> list[Run]:
    """The finished runs on a dataset, the best on validation first; one of each preset.

    Raises:
        InputError: when there is none.
    """
    found = find_runs(runs_root, dataset.name)
    data = dataset.sha256()
    runs = [run for run in found if run.config.get("data_sha256", data) == data]
    for run in found:
        if run not in runs:
            log.warning("%s: was trained on other data of that name; left out", run.folder)
    if not runs:
        raise InputError(
            f"{runs_root}: holds no finished run on {dataset.name}; train one first, with any of "
            "the notebooks or `vqa train`"
        )
    runs.sort(key=lambda run: -run.metrics["validation"]["top1"]["value"])
    best: dict[str, Run] = {}
    for run in runs:
        best.setdefault(run.config["preset"], run)
    return list(best.values())


def analyse(run: Run, dataset: Dataset) -> Analysed:
    """A run's answers on test, or on validation where test has no answers.

    Raises:
        InputError: when its predictions are not of this dataset.
    """
    split, _ = scored_split(run.metrics)
    predictions = run.predictions[run.predictions["split"] == split]
    return Analysed(run, split, judge(predictions, dataset.splits[split]))


# Tables


def with_scores(table: pd.DataFrame) -> pd.DataFrame:
    """Columns x, "x low" and "x high" as one: "43.6 [42.1, 45.0]"."""
    table = table.copy()
    for name in [name for name in table if f"{name} low" in table and f"{name} high" in table]:
        parts = zip(table[name], table[f"{name} low"], table[f"{name} high"], strict=True)
        table[name] = pd.Series([Score(*row) for row in parts], index=table.index, dtype=object)
        table = table.drop(columns=[f"{name} low", f"{name} high"])
    return table


def shown(
    table: pd.DataFrame, by: str | None = None, descending: bool = True, rows: int | None = None
) -> "HTML":
    """A table as plain HTML, every text escaped.

    Args:
        by: the column to sort by; None leaves the order.
        rows: how many to show; all by default.

    Raises:
        InputError: there is no such column.
    """
    from IPython.display import HTML

    table = with_scores(table)
    if table.index.name is not None:
        table = table.reset_index()
    if by is not None:
        if by not in table:
            raise InputError(f"no column {by!r}; there are {', '.join(map(str, table.columns))}")
        table = table.sort_values(by, ascending=not descending, kind="stable")
    cells = table.head(rows).astype(object).map(_cell)
    cells.columns = [escape(str(name)) for name in cells.columns]
    return HTML(cells.to_html(index=False, border=0, escape=False, classes=NO_FORMULAS))


def _cell(value: object) -> str:
    if value is None or value != value:  # NaN differs from itself
        return "–"
    if isinstance(value, Integral):
        return f"{value:,}"
    return f"{value:,.1f}" if isinstance(value, Real) else escape(str(value))


# Figures


@styled
def plot_ends(best: pd.DataFrame, worst: pd.DataFrame, title: str) -> Figure:
    """Top-1 with its interval and top-5 of the best kinds and, below a gap, of the worst.

    Args:
        best, worst: from `evaluation.analysis.best_and_worst`.
    """
    table = pd.concat([best, worst.iloc[::-1]])
    if table.empty:
        return note(f"{title}: no kind has enough questions.")
    places = np.arange(len(table)) + np.where(np.arange(len(table)) < len(best), 0, 0.8)
    figure, axes = plt.subplots(figsize=(7.5, 1.3 + ROW_IN * (places[-1] + 1)))
    axes.hlines(places, table["top-1 low"], table["top-1 high"], color=LIGHT_BLUE, linewidth=5)
    axes.plot(table["top-1"], places, "o", color=BLUE, markersize=7)
    axes.plot(table["top-5"], places, "o", color=ORANGE, markerfacecolor="white", markersize=7)
    labels = [f"{fitted(name, 36)}  ({row['questions']:,.0f})" for name, row in table.iterrows()]
    name_rows(axes, places, labels)
    axes.set_xlim(-3, 104)
    axes.set_xlabel("accuracy, %  (filled: top-1 with its 95 % interval; open: top-5)")
    axes.set_title(title)
    return figure


@styled
def plot_bins(tables: Mapping[str, pd.DataFrame], title: str) -> Figure:
    """Top-1 and top-5 along one or several quantities; below, how many questions there are.

    Args:
        tables: axis label to table, a row a bin, from `frequency_table` or `length_table`.
    """
    figure, panels = plt.subplots(
        2, len(tables), figsize=(4.6 * len(tables), 4.2), sharex="col", squeeze=False,
        gridspec_kw={"height_ratios": (3, 1)},
    )  # fmt: skip
    for place, (label, table) in enumerate(tables.items()):
        upper, lower = panels[:, place]
        _bins(upper, table)
        x = np.arange(len(table))
        lower.bar(x, table["questions"], color=LIGHT_BLUE, width=0.7)
        lower.set_xticks(x, [str(name) for name in table.index], rotation=30, ha="right")
        lower.set_xlabel(label)
    panels[0, 0].set_ylabel("accuracy, %")
    panels[1, 0].set_ylabel("questions")
    figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
    return figure


def _bins(axes: Axes, table: pd.DataFrame) -> None:
    """Both accuracies of one table; bins with few questions are open dots."""
    x = np.arange(len(table))
    few = table["questions"].to_numpy() < FEW
    for name, colour, low in (("top-5", ORANGE, 0.12), ("top-1", BLUE, -0.0)):
        axes.vlines(x + low, table[f"{name} low"], table[f"{name} high"], color=colour, linewidth=2)
        axes.plot(x + low, table[name], color=colour, linewidth=1, alpha=0.5)
        for chosen, fill in ((~few, colour), (few, "white")):
            axes.plot(
                x[chosen] + low, table[name][chosen], "o", color=colour, markerfacecolor=fill,
                markersize=6,
            )  # fmt: skip
    axes.set_ylim(-4, 104)
    words = [("top-1", BLUE), ("top-5", DARK_ORANGE)]
    words += [(f"open: fewer than {FEW} questions", INK)] if few.any() else []
    for line, (text, colour) in enumerate(words):
        axes.text(
            0.02 + 0.13 * line, 1.02, text, transform=axes.transAxes, color=colour, fontsize=8.5
        )


@styled
def plot_confusions(matrix: pd.DataFrame, title: str) -> Figure:
    """What was answered (columns) where the truth is another answer (rows), percent of the row.

    Args:
        matrix: from `evaluation.analysis.confusion_matrix`, one of no row gives a
            line that says so.
    """
    if matrix.empty:
        return note(f"{title}: there is no such question.")
    shares = matrix.to_numpy()
    side = 0.36
    figure, axes = plt.subplots(figsize=(2.6 + side * shares.shape[1], 1.7 + side * len(shares)))
    axes.imshow(shares, cmap=SHADES, vmin=0, vmax=100, aspect="auto")
    for row, column in zip(*np.nonzero(shares >= 0.5), strict=True):
        share = shares[row, column]
        axes.text(
            column, row, f"{share:.0f}", ha="center", va="center", fontsize=7.5,
            color=readable_on(SHADES(share / 100)), fontweight="bold" if row == column else None,
        )  # fmt: skip
    axes.grid(False)
    axes.set_yticks(range(len(shares)), [fitted(name, 18) for name in matrix.index])
    labels = [fitted(name, 18) for name in matrix.columns]
    axes.set_xticks(range(shares.shape[1]), labels, rotation=45, ha="right")
    for text in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        text.set_parse_math(False)
    axes.set_xlabel("answered")
    axes.set_ylabel("truth")
    axes.set_title(title)
    return figure


@styled
def plot_counts(table: pd.DataFrame, title: str) -> Figure:
    """Where the truth stands among the answers, a bar a true count.

    Args:
        table: from `evaluation.analysis.count_table`, one of no row gives a
            line that says so.
    """
    if table.empty:
        return note(f"{title}: no question asks how many.")
    figure, axes = plt.subplots(figsize=(7.5, 1.6 + ROW_IN * len(table)))
    places, start = np.arange(len(table)), np.zeros(len(table))
    for name, colour, text in (
        ("top-1", BLUE, "first answer"), ("second", ORANGE, "second"),
        ("third to fifth", LIGHT_BLUE, "third to fifth"), ("not among five", PALE, "not there"),
    ):  # fmt: skip
        width = table[name].to_numpy()
        axes.barh(places, width, left=start, color=colour, height=0.72, label=text)
        for place, share, left in zip(places, width, start, strict=True):
            if share >= 6:
                axes.text(
                    left + share / 2, place, f"{share:.0f}", ha="center", va="center", fontsize=8,
                    color=readable_on(colour),
                )  # fmt: skip
        start = start + width
    labels = [f"{name}  ({row['questions']:,.0f})" for name, row in table.iterrows()]
    name_rows(axes, places, labels)
    axes.set_xlim(0, 100)
    axes.set_xlabel("percent of the questions with that true count  (in brackets: questions)")
    axes.set_title(title, pad=26)
    axes.legend(
        loc="lower left", bbox_to_anchor=(-0.01, 1.0), ncols=4, fontsize=8.5, handlelength=0.9,
        handleheight=0.9, columnspacing=1.2, borderaxespad=0.2,
    )  # fmt: skip
    return figure
