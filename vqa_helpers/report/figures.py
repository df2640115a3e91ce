"""Figures of experiments and of a dataset, all in one style.

Every function returns a closed matplotlib `Figure`: show it by naming it last in a cell, write it
with `style.save`. Knows run folders and question tables; opens no image.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from vqa_helpers.data.folder import Dataset
from vqa_helpers.errors import InputError, require_count
from vqa_helpers.evaluation import analysis
from vqa_helpers.evaluation.calibration import calibrate
from vqa_helpers.report import style
from vqa_helpers.report.cards import judged
from vqa_helpers.report.study import is_study_data
from vqa_helpers.report.style import BLUE, DASHED, GREEN, GREY, INK, LIGHT_BLUE, ORANGE, RED, styled
from vqa_helpers.report.tables import results_table, score_of, type_table, usual_first
from vqa_helpers.report.verdicts import Runs, as_list, as_one, read_answers
from vqa_helpers.runs import Experiment

ROW_IN = 0.3  # height of a row of a horizontal chart, inches
COLUMNS = 4  # panels side by side
FEW = 20  # questions below which a dot is open: its place is mostly luck
CURVES = {
    "train": {"color": LIGHT_BLUE}, "validation": {"color": BLUE},
    "the epoch validation chose": {"color": ORANGE, "marker": "o", "linestyle": ""},
}  # fmt: skip
SHADES = LinearSegmentedColormap.from_list("shades", ["#ffffff", "#9cc3e0", BLUE, "#003a5c"])


@styled
def plot_history(runs: Runs, title: str = "") -> Figure:
    """Loss and top-1 of each epoch, train and validation, a line a seed; the chosen epoch marked.

    Raises:
        InputError: for a run of no epoch.
    """
    experiment = as_one(runs)
    if any(run.history.empty for run in experiment.runs):
        raise InputError(f"{experiment}: the history has no epoch to draw; train at least one")
    figure, panels = plt.subplots(1, 2, figsize=(9, 3.2))
    loss = experiment.runs[0].config.get("loss", "loss")
    fields = {"loss": loss, "top1": "top-1 accuracy, %"}
    for axes, (field, label) in zip(panels, fields.items(), strict=True):
        _epochs(axes, experiment, field)
        axes.set_xlabel("epoch")
        axes.set_title(label, fontweight="normal", fontsize=9)
    panels[1].set_ylim(0, 1.04 * panels[1].get_ylim()[1])
    style.legend_below(figure, CURVES)
    style.head(figure, title or experiment.name)
    return figure


@styled
def plot_curves(
    experiments: Runs = (), study: pd.DataFrame | None = None, title: str = ""
) -> Figure:
    """A panel an experiment, all on one scale: top-1 of train and validation by epoch, a line a
    seed, the epoch that validation chose, and the best blind guess on the same validation questions.

    Args:
        study: from `study.study_curves`: a panel each of its runs, below ours of that name on its
            own data; others are left out, since the two cannot be compared.

    Raises:
        InputError: where nothing is left to draw.
    """
    panels = [(one.name, one) for one in as_list(experiments)]
    entries = {}
    if study is not None:
        ours = {name: one for name, one in panels if is_study_data(one.dataset)}
        panels = [(name, ours.get(name)) for name in study["preset"].unique()]
        entries = {"study, train": {"color": GREY}, "study, its test split": {"color": INK}}
    if not panels:
        raise InputError("there is no run whose curves could be drawn; train one first")
    lines = -(-len(panels) // COLUMNS)
    size = (10, 0.9 + 1.75 * lines)
    figure, grid = plt.subplots(lines, COLUMNS, figsize=size, sharey=True, squeeze=False)
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    for axes, (name, experiment) in zip(grid.flat, panels, strict=False):
        if study is not None:
            curve = study[study["preset"] == name]
            axes.plot(curve["epoch"], curve["train_top1"], color=GREY, linewidth=1, alpha=0.7)
            axes.plot(curve["epoch"], curve["eval_top1"], color=INK, linewidth=1.2)
        if experiment:
            _epochs(axes, experiment, "top1")
            guesses = experiment.runs[0].metrics["validation"]["baselines"].values()
            blind = max((guess["top1"] for guess in guesses), default=0)
            axes.axhline(blind, color=RED, linewidth=1.2, linestyle=DASHED, zorder=1)
        axes.set_title(style.fitted(name.replace("+", " +"), 26, 2), fontsize=9, pad=5)
    for axes in grid[:, 0]:
        axes.set_ylabel("top-1, %")
    grid.flat[0].set_ylim(0, None)
    if any(experiment for _, experiment in panels):
        entries |= CURVES | {"best blind guess": {"color": RED, "linestyle": DASHED}}
    style.legend_below(figure, entries)
    style.head(figure, title or ("Training curves" if study is None else "The study's curves"))
    return figure


def _epochs(axes: Axes, experiment: Experiment, field: str) -> None:
    """One quantity of train and validation by epoch, a line a seed, the chosen epoch marked."""
    for run in experiment.runs:
        history, best = run.history, run.best_epoch
        dot = "o" if len(history) < 3 else ""
        for split, colour in (("train", LIGHT_BLUE), ("validation", BLUE)):
            axes.plot(history["epoch"], history[f"{split}_{field}"], marker=dot, color=colour)
        at = best["epoch"], best[f"validation_{field}"]
        axes.plot(*at, "o", color=ORANGE, markersize=6, zorder=5)
        if field == "top1":
            style.beside(axes, f"{at[1]:.1f}", at, (0, -7), ha="center", va="top")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8, min_n_ticks=1))
    axes.margins(x=0.08)


@styled
def plot_answer_types(runs: Runs, title: str = "") -> Figure:
    """Top-1 per answer type, of all questions, and of the blind guesses; means over the seeds.

    Test is shown, or validation where test has no answers.
    """
    experiment = as_one(runs)
    split, scores = experiment.runs[0].scored
    types, answers = type_table(experiment), read_answers(experiment)
    overall = score_of(answers.top1, answers.images)
    asked = types["questions"].to_dict() | {"all": scores["questions"]}
    guesses = sorted((entry["top1"], name) for name, entry in scores["baselines"].items())
    names = [f"{name}\n{count:,} questions" for name, count in asked.items()]
    names += [f"blind: {name}" for _, name in guesses]
    values = [*types["top-1"], overall.value, *(value for value, _ in guesses)]
    colours = [BLUE] * len(types) + [INK] + [GREY] * len(guesses)
    # A gap sets the guesses apart from the model, and "all" apart from its parts.
    places = [*range(len(types)), len(types) + 0.3]
    places += [places[-1] + 1.2 + 0.8 * step for step in range(len(guesses))]
    height = 0.9 + 0.52 * len(types) + 0.36 * (len(guesses) + 1)
    figure, axes = plt.subplots(figsize=(7.5, height))
    axes.barh(places, values, color=colours, height=[0.5 if c == GREY else 0.66 for c in colours])
    for place, value, colour in zip(places, values, colours, strict=True):
        x, ink = (1.5, "white") if value > 12 else (value + 1, colour)
        axes.text(x, place, f"{value:.1f}", va="center", fontweight="bold", color=ink)
    style.name_rows(axes, places, names)
    axes.errorbar(
        overall.value, places[len(types)], color=ORANGE, capsize=3, linewidth=1.6,
        xerr=[[overall.value - overall.low], [overall.high - overall.value]],
    )  # fmt: skip
    ceiling = scores["ceiling"]["top1"]
    axes.axvline(ceiling, color=GREEN, linewidth=1.2, linestyle=DASHED)
    axes.text(ceiling, -0.62, f"ceiling {ceiling:.1f} ", color=GREEN, ha="right", va="bottom")
    axes.set(xlim=(0, 102), xlabel="top-1 accuracy, %  (bar on “all”: 95 % interval)")
    axes.set_title(title or f"Accuracy per answer type, {split}", pad=14)
    return figure


@styled
def plot_question_types(runs: Runs, dataset: Dataset, most: int = 8) -> Figure:
    """Top-1 with its interval and top-5 of the best types of open questions (those that are mostly
    not answered yes or no) and, below a gap, of the worst."""
    rows = analysis.without_yes_no(judged(runs, dataset))
    types = analysis.kind_table(rows, "question_type", analysis.FEWEST)
    best, worst = analysis.best_and_worst(types, most)
    table = pd.concat([best, worst.iloc[::-1]])
    if table.empty:
        return style.note("No type of open question is asked often enough.")
    places = np.arange(len(table)) + 0.8 * (np.arange(len(table)) >= len(best))
    figure, axes = plt.subplots(figsize=(7.5, 1.3 + ROW_IN * (places[-1] + 1)))
    axes.hlines(places, table["top-1 low"], table["top-1 high"], color=LIGHT_BLUE, linewidth=5)
    axes.plot(table["top-1"], places, "o", color=BLUE, markersize=7)
    axes.plot(table["top-5"], places, "o", color=ORANGE, markerfacecolor="white", markersize=7)
    names = [f"{style.fitted(n, 36)}  ({row['questions']:,.0f})" for n, row in table.iterrows()]
    style.name_rows(axes, places, names)
    axes.set(xlim=(-3, 104), title="Best and worst types of open questions")
    axes.set_xlabel("accuracy, %  (filled: top-1 with its 95 % interval; open: top-5)")
    return figure


@styled
def plot_confusions(runs: Runs, dataset: Dataset) -> Figure:
    """What was answered (columns) where the truth of an open question is another answer (rows),
    percent of the row."""
    matrix = analysis.confusion_matrix(analysis.without_yes_no(judged(runs, dataset)))
    if matrix.empty:
        return style.note("There is no open question whose answers could be confused.")
    shares = matrix.to_numpy()
    figure, axes = plt.subplots(figsize=(2.6 + 0.36 * shares.shape[1], 1.7 + 0.36 * len(shares)))
    axes.imshow(shares, cmap=SHADES, vmin=0, vmax=100, aspect="auto")
    for row, column in np.argwhere(shares >= 0.5):
        share, weight = shares[row, column], "bold" if row == column else "normal"
        ink = style.readable_on(SHADES(share / 100))
        axes.text(column, row, f"{share:.0f}", ha="center", va="center", color=ink, weight=weight)
    axes.grid(False)
    axes.set_yticks(range(len(shares)), [style.fitted(name, 18) for name in matrix.index])
    names = [style.fitted(name, 18) for name in matrix.columns]
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right")
    style.no_formulas(axes)
    axes.set(xlabel="answered", ylabel="truth", title="Answers confused, yes/no excluded")
    return figure


@styled
def plot_comparison(experiments: Runs, title: str = "") -> Figure:
    """Top-1 of experiments with its interval, a group a dataset, beside the best blind guess and
    the ceiling.

    The best of a group comes first; an experiment with a stand-in is an open dot.

    Raises:
        InputError: for no experiment.
    """
    table = results_table(experiments)
    if table.empty:
        raise InputError("no finished run to compare; train one, or give the folder it is in")
    table = table.assign(group=pd.factorize(table["dataset"])[0])
    table = table.sort_values(["group", "top-1"], ascending=[True, False])
    places = np.arange(len(table)) + 0.5 * table["group"].to_numpy()
    figure, axes = plt.subplots(figsize=(8, 1.5 + ROW_IN * (places[-1] + 1)))
    tick, labels = {"marker": "|", "ms": 13, "mew": 2}, []
    for place, row in zip(places, table.to_dict("records"), strict=True):
        score, fill = row["top-1"], BLUE if row["stand-ins"] == "none" else "white"
        axes.hlines(place, score.low, score.high, color=BLUE, linewidth=2.2)
        axes.plot(score.value, place, "o", color=BLUE, ms=7.5, mew=1.6, mfc=fill)
        axes.plot(row["ceiling"], place, color=GREEN, **tick)
        axes.plot(row["blind top-1"], place, color=RED, **tick)
        style.beside(axes, f"{score.value:.1f}", (score.high, place), (5, 0))
        where = [row["dataset"]] if table["group"].any() else []
        where += [f"{row['seeds']} seeds"] if row["seeds"] > 1 else []
        where += [row["scored on"]] if row["scored on"] != "test" else []
        name = style.fitted(row["name"].replace("+", " +"), 36, 2)
        labels.append(name + (f"  ({', '.join(where)})" if where else ""))
    style.name_rows(axes, places, labels)
    dot = {"color": BLUE, "marker": "o", "lw": 2.2}
    style.legend_below(figure, {
        "top-1, 95 % interval": dot, "with a stand-in": dot | {"mfc": "white"},
        "best blind guess": tick | {"color": RED, "ls": ""},
        "ceiling": tick | {"color": GREEN, "ls": ""},
    })  # fmt: skip
    axes.set_xlabel("top-1 accuracy, %")
    axes.set_title(title or f"Experiments on {', '.join(table['dataset'].unique())}")
    return figure


@styled
def plot_grid(scores: pd.DataFrame, title: str = "") -> Figure:
    """A heat map of scores with their intervals, a panel for each value of the first column: the
    second goes down, the third across. The best cell is framed; one that is missing stays empty.

    Args:
        scores: three columns of names, and one of `Score`s.
    """
    first, down, across, score = scores.columns
    panels, rows, names = (list(scores[column].unique()) for column in (first, down, across))
    values = scores[score].map(lambda one: one.value)
    scale = plt.Normalize(values.min(), max(values.max(), values.min() + 1))
    size = (1.9 + 1.25 * len(names), 0.9 + len(panels) * (0.4 + 0.5 * len(rows)))
    figure, grid = plt.subplots(len(panels), 1, figsize=size, sharex=True, squeeze=False)
    for axes, panel in zip(grid[:, 0], panels, strict=True):
        axes.set_xticks(range(len(names)), [style.fitted(name, 16) for name in names])
        style.name_rows(axes, range(len(rows)), [style.fitted(row, 24) for row in rows])
        axes.set(xlim=(-0.5, len(names) - 0.5), ylim=(len(rows) - 0.5, -0.5), title=panel)
        axes.spines["bottom"].set_visible(False)
        axes.grid(False)
        for place, (_, row, name, value) in scores[scores[first] == panel].iterrows():
            x, y, fill = names.index(name), rows.index(row), SHADES(0.1 + 0.7 * scale(value.value))
            frame = ORANGE if place == values.idxmax() else "white"
            cell = Rectangle((x - 0.48, y - 0.46), 0.96, 0.92, fc=fill, ec=frame, lw=2.5)
            axes.add_patch(cell)
            how = {"ha": "center", "color": style.readable_on(fill)}
            style.beside(axes, f"{value.value:.1f}", (x, y), (0, 5), weight="bold", **how)
            style.beside(axes, f"{value.low:.1f} – {value.high:.1f}", (x, y), (0, -8), **how)
    style.head(figure, title or f"{score}, %, with its 95 % interval")
    return figure


@styled
def plot_answer_distribution(
    splits: Mapping[str, pd.DataFrame], most: int = 20, title: str = ""
) -> Figure:
    """Shares of the answer types, at most six, in each split, and the most frequent answers of train.

    Args:
        splits: as `Dataset.splits`; splits without answers are left out.
        most: how many answers to name.
    """
    answered = {name: table for name, table in splits.items() if "answer" in table and len(table)}
    answers = answered["train"]["answer"].value_counts(normalize=True).mul(100)
    require_count("most", most)
    shown = answers.head(most)
    size = (9.5, max(2.6, 1.1 + 0.23 * len(shown)))
    figure, (left, right) = plt.subplots(1, 2, figsize=size, width_ratios=(1, 1.1))
    counts = {name: t["answer_type"].value_counts(normalize=True) for name, t in answered.items()}
    shares = pd.DataFrame(counts).fillna(0.0).mul(100)
    start, colours = np.zeros(len(answered)), (BLUE, ORANGE, LIGHT_BLUE, GREEN, RED, GREY)
    types = usual_first(shares.max(axis=1).nlargest(len(colours)).index)
    of = "" if len(types) == len(shares) else f": {len(types)} of {len(shares)} answer types"
    for name, colour in zip(types, colours, strict=False):
        values, label = shares.loc[name], style.fitted(name, 20)
        bars = left.barh(range(len(start)), values, 0.5, start, color=colour, label=label)
        texts = [f"{value:.0f}" if value >= 6 else "" for value in values]
        left.bar_label(bars, texts, label_type="center", color=style.readable_on(colour))
        start += values
    style.name_rows(left, range(len(start)), [f"{n}\n{len(t):,}" for n, t in answered.items()])
    left.set(xlim=(0, 100), xlabel=f"share of the split's questions, %{of}")
    left.legend(loc="lower left", bbox_to_anchor=(-0.01, 1.0), ncols=3, handlelength=0.9)
    bars = right.barh(range(len(shown)), shown, color=BLUE, height=0.72)
    right.bar_label(bars, fmt=" %.1f", fontsize=8)
    style.name_rows(right, range(len(shown)), [style.fitted(name, 24) for name in shown.index])
    right.set_xlim(0, shown.iloc[0] * 1.12)
    right.set_xlabel(f"share of the {len(answered['train']):,} train questions, %")
    said = f"The {len(shown)} most frequent of {len(answers):,} answers: {shown.sum():.0f} %"
    right.set_title(said, fontsize=9, fontweight="normal")
    style.head(figure, title or "Answers")
    return figure


@styled
def plot_reliability(runs: Runs, title: str = "") -> Figure:
    """Share of hits over the probability of the first answer; below, how often each is given.

    A dot on the diagonal is as sure as right; the orange line is its distance from there. Bins of
    fewer than 20 questions are open dots. Seeds are pooled.
    """
    answers = read_answers(runs)
    calibration = calibrate(answers.sure.ravel(), answers.top1.ravel())
    ratios = {"height_ratios": (3.4, 1)}
    figure, (upper, lower) = plt.subplots(2, 1, figsize=(5.2, 5.6), sharex=True, gridspec_kw=ratios)
    upper.plot([0, 100], [0, 100], color=GREY, linewidth=1.1, linestyle=(0, (2, 2)))
    for row in calibration["bins"]:
        if row["questions"]:
            few, sure, right = row["questions"] < FEW, row["confidence"], row["accuracy"]
            upper.plot([sure, sure], [sure, right], color=ORANGE, lw=2.4, alpha=0.5 if few else 1)
            upper.plot(sure, right, "o", color=BLUE, ms=7, mew=1.5, clip_on=False, zorder=5,
                       mfc="white" if few else BLUE)  # fmt: skip
            middle, width = (row["low"] + row["high"]) / 2, 0.92 * (row["high"] - row["low"])
            lower.bar(middle, row["questions"], width=width, color=LIGHT_BLUE)
    dot = {"color": BLUE, "marker": "o", "ls": ""}
    style.legend_below(figure, {
        "hits": dot, f"of fewer than {FEW}": dot | {"mfc": "white"},
        "distance from the diagonal": {"color": ORANGE, "lw": 2.4},
    })  # fmt: skip
    upper.set(xlim=(0, 100), ylim=(0, 100), ylabel="hits, %")
    lower.set(ylabel="questions", xlabel="probability of the first answer, %")
    sure, right = 100 * answers.sure.mean(), 100 * answers.top1.mean()
    said = f"{sure:.1f} % sure, {right:.1f} % right; calibration error {calibration['ece']:.1f}"
    upper.set_title(said, fontsize=9, fontweight="normal")
    style.head(figure, title or f"Reliability, {answers.split}")
    return figure
