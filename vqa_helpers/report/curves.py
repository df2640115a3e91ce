"""Training curves: ours over the study's where both learnt from the same data, the study's alone
elsewhere.

The study's are figures read from its notebooks (`study_curves.csv`): every epoch was scored on its
test split, ours are scored on validation. Knows histories; scores nothing.
"""

import logging
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from vqa_helpers.report.style import BLUE, GREY, INK, ORANGE, styled
from vqa_helpers.runs import find_runs

log = logging.getLogger(__name__)

STUDY_DATA = "100k"  # what the study's curves were trained on
COLUMNS = 4  # panels in a row


def study_curves() -> pd.DataFrame:
    """The study's eight runs on 100k: preset, epoch, train_top1 and eval_top1 in percent."""
    file = resources.files("vqa_helpers.report") / "study_curves.csv"
    with file.open(encoding="utf-8") as opened:
        return pd.read_csv(opened, comment="#")


def is_study_data(dataset: str) -> bool:
    """Whether a dataset's name says that it is the one the study's curves come from.

    The split may be another: the study cut by row, `vqa data build 100k` cuts by image.
    """
    return dataset in (STUDY_DATA, f"{STUDY_DATA}-study")


def histories(runs_root: Path, dataset: str) -> dict[str, list[pd.DataFrame]]:
    """The histories of the finished runs on a dataset, by preset; one a seed."""
    found: dict[str, list[pd.DataFrame]] = {}
    for run in find_runs(runs_root, dataset):
        found.setdefault(run.config["preset"], []).append(run.history)
    return found


@styled
def plot_curves(
    ours: Mapping[str, list[pd.DataFrame]], dataset: str, title: str = ""
) -> Figure:  # fmt: skip
    """A panel for each preset that the study trained on 100k: accuracy by epoch.

    Ours (train pale, validation strong, a line a seed) lies over the study's where `dataset` is
    the study's; elsewhere the study's alone is drawn, as a reference.

    Args:
        ours: from `histories`.
    """
    curves = study_curves()
    shown = ours if is_study_data(dataset) else {}
    return _panels(curves, shown, title or _title(dataset, bool(shown)))


@styled
def plot_ours(ours: Mapping[str, list[pd.DataFrame]], title: str = "") -> Figure | None:
    """The same panels with our curves alone, a panel a preset; None where there is no run."""
    if not ours:
        return None
    nothing = study_curves().iloc[:0]
    return _panels(nothing, ours, title or "Training curves of our runs")


def _panels(
    curves: pd.DataFrame, ours: Mapping[str, list[pd.DataFrame]], title: str
) -> Figure:  # fmt: skip
    presets = list(dict.fromkeys(curves["preset"])) or list(ours)
    columns = min(COLUMNS, len(presets))
    rows = -(-len(presets) // columns)
    figure, panels = plt.subplots(
        rows, columns, figsize=(2.4 * columns + 0.4, 2.1 * rows + 0.7), sharey=True, squeeze=False
    )
    for axes, preset in zip(panels.flat, presets, strict=False):
        if not curves.empty:
            _draw_study(axes, curves[curves["preset"] == preset])
        for history in ours.get(preset, []):
            _draw_ours(axes, history)
        axes.set_title(preset, fontsize=8.5)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=5, min_n_ticks=1))
    for axes in list(panels.flat)[len(presets) :]:
        axes.set_visible(False)
    for axes in panels[:, 0]:
        axes.set_ylabel("top-1, %")
    panels[0, 0].set_ylim(bottom=0)
    _legend(figure, study=not curves.empty, ours=bool(ours))
    figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
    return figure


def _draw_study(axes: Axes, curve: pd.DataFrame) -> None:
    axes.plot(curve["epoch"], curve["train_top1"], color=GREY, linewidth=1, alpha=0.7)
    axes.plot(curve["epoch"], curve["eval_top1"], color=INK, linewidth=1.2)


def _draw_ours(axes: Axes, history: pd.DataFrame) -> None:
    dot = "o" if len(history) == 1 else ""
    axes.plot(
        history["epoch"], history["train_top1"], color=ORANGE, linewidth=1, marker=dot, markersize=3
    )
    axes.plot(
        history["epoch"], history["validation_top1"], color=BLUE, linewidth=1.4, marker=dot,
        markersize=4,
    )  # fmt: skip


def _legend(figure: Figure, study: bool, ours: bool) -> None:
    entries = []
    if study:
        entries += [(GREY, "study, train"), (INK, "study, its test split")]
    if ours:
        entries += [(ORANGE, "ours, train"), (BLUE, "ours, validation")]
    handles = [Line2D([], [], color=colour) for colour, _ in entries]
    figure.legend(
        handles, [name for _, name in entries], loc="outside lower center", ncols=4, fontsize=8.5
    )


def _title(dataset: str, together: bool) -> str:
    if together:
        return f"Ours on {dataset} over the study's on 100k"
    return "For reference: the study's training curves on 100k"


def curve_table(ours: Mapping[str, list[pd.DataFrame]], dataset: str) -> pd.DataFrame:
    """What the curves say in numbers: a row a preset of the study's, percent.

    "gap" is train less eval at the best eval epoch: how much was learnt by heart. Ours are means
    over the seeds; on other data than the study's they cannot be compared number by number.
    """
    rows = []
    for preset, curve in study_curves().groupby("preset", sort=False):
        best = curve.loc[curve["eval_top1"].idxmax()]
        row = {
            "preset": preset,
            "study, best epoch": int(best["epoch"]),
            "study, top-1 there": float(best["eval_top1"]),
            "study, gap": round(float(best["train_top1"] - best["eval_top1"]), 1),
        }
        chosen = [h.loc[h["validation_top1"].idxmax()] for h in ours.get(preset, [])]
        if chosen:
            top1 = np.mean([epoch["validation_top1"] for epoch in chosen])
            train = np.mean([epoch["train_top1"] for epoch in chosen])
            row |= {
                f"{dataset}, best epoch": round(float(np.mean([e["epoch"] for e in chosen])), 1),
                f"{dataset}, validation top-1 there": round(float(top1), 1),
                f"{dataset}, gap": round(float(train - top1), 1),
            }
        rows.append(row)
    return pd.DataFrame(rows)
