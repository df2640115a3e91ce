"""What a score depends on: the question alone, how frequent an answer is, the number of questions.

Knows run folders and question tables, no models; the statistics are `evaluation`'s.
"""

from dataclasses import dataclass
from itertools import cycle

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from vqa_helpers.data.folder import Dataset
from vqa_helpers.errors import InputError
from vqa_helpers.evaluation.baselines import GUESSERS, answered, hits, nearest_question_and_image
from vqa_helpers.evaluation.bootstrap import bounds, resampled_means
from vqa_helpers.evaluation.compare import Difference
from vqa_helpers.evaluation.metrics import vqa_scores
from vqa_helpers.report import style
from vqa_helpers.report.style import BLUE, DASHED, GREEN, GREY, ORANGE, RED, styled
from vqa_helpers.report.tables import results_table, score_of
from vqa_helpers.report.verdicts import NOT_DEFINED, Runs, as_list, read_answers

SIGHTED = "nearest questions, then nearest image"
MOST_CLASSES = 20  # that a figure names

# The question alone


def guesser_table(
    dataset: Dataset, split: str, features: tuple[np.ndarray, np.ndarray] | None = None
) -> pd.DataFrame:
    """Every guesser on an answered split, with 95 % intervals by a bootstrap over images.

    Args:
        features: image ids (I,) and their vectors (I, D), as models take them; with them the
            neighbour that looks is measured too.
    """
    train, table = answered(dataset.splits["train"]), dataset.splits[split]
    guessers = {name: learn(train) for name, learn in GUESSERS.items()}
    if features is not None:
        guessers[SIGHTED] = nearest_question_and_image(train, *features)
    images, rows = table["image_id"].to_numpy(), []
    for name, guess in guessers.items():
        answers = guess(table)
        top1, vqa = hits(answers, table), vqa_scores(answers, table)
        official = NOT_DEFINED if vqa is None else score_of(vqa, images)
        rows.append((name, "yes" if name == SIGHTED else "no", score_of(top1, images), official))
    columns = ["guesser", "sees the image", "top-1", "VQA accuracy (2021)"]
    return pd.DataFrame(rows, columns=columns)


def share_table(experiments: Runs) -> pd.DataFrame:
    """How much of each experiment's top-1 the question alone accounts for, the best first.

    "never looks" is the best of the blind guessers and of the experiments that see no image, all
    on one dataset. "share" is that as a part of the experiment's own score, in percent; 100 and
    more means that the image was worth nothing.
    """
    found = as_list(experiments)
    blind = [e.name for e in found if not e.runs[0].config["model"]["vision"]]
    table = results_table(found)[["name", "top-1", "blind top-1"]]
    top1 = table["top-1"].map(lambda score: score.value).astype(float)
    sees = ~table["name"].isin(blind)
    line = max([*table.pop("blind top-1"), *top1[~sees]], default=np.nan)
    table = table.assign(**{"sees the image": np.where(sees, "yes", "no"), "never looks": line})
    table = table.assign(share=100 * line / top1.replace(0, np.nan), gain=top1 - line)
    return table.sort_values("gain", ascending=False, ignore_index=True)


# How frequent an answer is


def frequent_answers(train: pd.DataFrame) -> list[str]:
    """The most frequent answers that together make half of the train questions, at least one.

    The answer with which the half is reached belongs to them.
    """
    counts = train["answer"].value_counts().sort_index()
    counts = counts.sort_values(ascending=False, kind="stable")
    return list(counts.index[counts.cumsum() - counts < len(train) / 2])


def balance_table(experiments: Runs, train: pd.DataFrame) -> pd.DataFrame:
    """What is answered and how often it is right, a row an experiment, in percent.

    "frequent" are the answers that together make half of the train questions, "rare" all others;
    "answered" is the mean over the seeds of how many distinct answers are given.

    Args:
        experiments: on one dataset.
        train: its train split.
    """
    frequent, rows = frequent_answers(train), []
    for experiment in as_list(experiments):
        answers, recall = read_answers(experiment), recall_table(experiment, train)["recall"]
        often = answers.asked["truth"].isin(frequent).to_numpy()
        row = {
            "name": experiment.name,
            "dataset": experiment.dataset,
            "classes": train["answer"].nunique(),
            "answered": float(np.mean([len(set(first)) for first in answers.first])),
            "top-1": score_of(answers.top1, answers.images),
            "mean recall": recall.mean(),
        }
        for kind, chosen in (("frequent", often), ("rare", ~often)):
            values, images = answers.top1[:, chosen], answers.images[chosen]
            row[f"top-1 on {kind}"] = score_of(values, images) if chosen.any() else None
        rows.append(row)
    return pd.DataFrame(rows)


def recall_table(runs: Runs, train: pd.DataFrame) -> pd.DataFrame:
    """Each answer that the scored split asks for: train and scored questions, recall in percent,
    and the share of all questions that it is given to; the most frequent in train first.
    """
    answers = read_answers(runs)
    right = pd.Series(answers.top1.mean(axis=0)).groupby(answers.asked["truth"])
    table = pd.DataFrame({"asked": right.size(), "recall": 100 * right.mean()})
    given = pd.Series(answers.first.ravel()).value_counts(normalize=True)
    for column, counts in (("train", train["answer"].value_counts()), ("given", 100 * given)):
        table[column] = counts.reindex(table.index, fill_value=0)
    table = table.sort_index().sort_values("train", ascending=False, kind="stable")
    return table[["train", "asked", "recall", "given"]].rename_axis("answer")


@styled
def plot_recall(experiments: Runs, train: pd.DataFrame, title: str = "") -> Figure:
    """Recall of the answers that are most frequent in train, a mark an experiment."""
    tables = {e.name: recall_table(e, train).head(MOST_CLASSES) for e in as_list(experiments)}
    first = next(iter(tables.values()))
    places, recalls = np.arange(len(first)), [table["recall"] for table in tables.values()]
    figure, axes = plt.subplots(figsize=(7.5, 3.6))
    axes.vlines(places, np.min(recalls, axis=0), np.max(recalls, axis=0), color=GREY, linewidth=1)
    shifts = 0.16 * (np.arange(len(tables)) - (len(tables) - 1) / 2)  # lest one hide another
    colours = dict(zip(tables, cycle((BLUE, ORANGE, GREEN)), strict=False))
    for (name, colour), shift in zip(colours.items(), shifts, strict=True):
        axes.plot(places + shift, tables[name]["recall"], "o", color=colour, markersize=6)
    style.legend_below(figure, {n: {"color": c, "marker": "o"} for n, c in colours.items()})
    names = [f"{style.fitted(answer, 8, 2)}\n{count}" for answer, count in first["train"].items()]
    axes.set_xticks(places, names, fontsize=8)
    style.no_formulas(axes)
    axes.set(ylim=(-3, 103), ylabel="recall, %", xlabel="true answer, and how often train has it")
    axes.set_title(title or "How often each answer is found")
    return figure


# How many questions there are to learn from


@dataclass(frozen=True)
class Trend:
    """A straight line in the logarithm of the number of train questions, by least squares.

    Attributes:
        tenfold: points of top-1 that ten times the questions are worth; its interval draws images
            and seeds, every size on the same draws of images.
        at: top-1 that the line gives for one question, percent: where it starts.
    """

    tenfold: Difference
    at: float


def fit_trend(experiments: Runs) -> Trend:
    """The line through the top-1 of one experiment at several sizes of the train split.

    Raises:
        InputError: for fewer than two sizes, or sizes scored on different questions.
    """
    found = as_list(experiments)
    sizes = [one.runs[0].train_questions or np.nan for one in found]
    if len(set(sizes)) < 2 or np.isnan(sizes).any():
        raise InputError("a trend needs two sizes of train split at least; train another")
    parts = [read_answers(one) for one in found]
    for one, part in zip(found, parts, strict=True):
        if not part.same_questions(parts[0]):
            line = "were not scored on the same questions; a trend needs one test split for all"
            raise InputError(f"{one} and {found[0]}: {line} sizes")
    tens, means = np.log10(sizes), np.array([part.top1.mean() for part in parts])  # (K,)
    slope, start = np.polyfit(tens, means, 1)
    drawn = np.stack(resampled_means([part.top1 for part in parts], parts[0].images))  # (K, R)
    low, high = bounds(np.polyfit(tens, drawn, 1)[0])
    tenfold = Difference(*(round(100 * float(share), 2) for share in (slope, low, high)))
    return Trend(tenfold, round(100 * float(start), 2))


@styled
def plot_trend(experiments: Runs, title: str = "") -> Figure:
    """Top-1 at each size with its interval, the line, and the best blind guess at each size."""
    found, trend = as_list(experiments), fit_trend(experiments)
    sizes = np.array([one.runs[0].train_questions for one in found], dtype=float)
    parts = [read_answers(one) for one in found]
    figure, axes = plt.subplots(figsize=(7.5, 3.8))
    for place, part in zip(sizes, parts, strict=True):
        score, seeds = score_of(part.top1, part.images), 100 * part.top1.mean(axis=1)
        axes.vlines(place, score.low, score.high, color=BLUE, linewidth=2)
        axes.plot([1.03 * place] * len(seeds), seeds, ".", color=GREY, markersize=4, zorder=1)
        axes.plot(place, score.value, "o", color=BLUE, markersize=7)
        style.beside(axes, f"{score.value:.1f}", (place, score.high), (0, 8), ha="center")
    line = trend.at + trend.tenfold.value * np.log10(sizes)
    axes.plot(sizes, line, color=BLUE, linewidth=1, alpha=0.6)
    blind = [100 * part.blind.mean() for part in parts]
    axes.plot(sizes, blind, color=RED, linewidth=1.4, linestyle=DASHED, marker="|")
    style.beside(axes, "best blind guess", (sizes[-1], blind[-1]), (0, -12), ha="right", color=RED)
    axes.set_xscale("log")
    axes.set_xticks(sizes, [f"{size:,.0f}" for size in sizes])
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    axes.set(ylabel="top-1 accuracy, %", xlabel="train questions; grey: seeds, bar: 95 % interval")
    axes.set_title(title or f"{found[0].name}: ten times the questions: {trend.tenfold} points")
    return figure
