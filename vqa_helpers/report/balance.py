"""Which answers a model gives, and to which it is fair: frequent and rare classes apart.

"Frequent" are the answers that together make half of the train questions, "rare" all others. Knows
trials and tables.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from vqa_helpers.evaluation.compare import Difference, paired_difference
from vqa_helpers.experiment.series import Trial
from vqa_helpers.report.compare import Answered
from vqa_helpers.report.series import read_trial
from vqa_helpers.report.style import BLUE, GREEN, GREY, ORANGE, styled
from vqa_helpers.report.tables import scored_split

MOST_CLASSES = 20  # that a figure names
UNCHANGED = 3  # points


@dataclass(frozen=True)
class Contrast:
    """A model trained with class weights beside the same without: points of top-1.

    Attributes:
        frequent, rare: on the questions whose true answer is a frequent or a rare class; None
            where the split asks no such question.
        macro: of the mean recall over the classes that the split asks for.
        classes: how many more distinct answers are given, mean over seeds.
        missing: how many of the classes in train are not given without weights, mean over seeds.
    """

    overall: Difference
    frequent: Difference | None
    rare: Difference | None
    macro: float
    classes: float
    missing: float


def frequent_answers(train: pd.DataFrame) -> list[str]:
    """The most frequent answers that together make half of the train questions, at least one.

    The answer with which the half is reached belongs to them.
    """
    counts = train["answer"].value_counts()
    counts = counts.iloc[np.lexsort([counts.index.astype(str), -counts])]
    return list(counts.index[counts.cumsum() - counts < len(train) / 2])


def balance_table(trials: Sequence[Trial], train: pd.DataFrame) -> pd.DataFrame:
    """A row a trial: what is answered and how often it is right, percent, mean over seeds.

    Args:
        trials: on one dataset.
        train: its train split.
    """
    frequent = frequent_answers(train)
    rows = []
    for trial in trials:
        answered, recall = read_trial(trial), recall_table(trial, train)
        often = pd.Series(answered.truth).isin(frequent).to_numpy()
        top1 = answered.top1.mean(axis=0)
        rows.append(
            {
                "model": str(trial),
                "seeds": len(trial.runs),
                "classes": train["answer"].nunique(),
                "answered": round(float(np.mean(_distinct(trial))), 1),
                "top-1": _percent(top1),
                "mean recall": _percent(recall["recall"].to_numpy() / 100),
                "frequent classes": len(frequent),
                "top-1 on frequent": _percent(top1[often]),
                "top-1 on rare": _percent(top1[~often]),
            }
        )
    return pd.DataFrame(rows)


def recall_table(trial: Trial, train: pd.DataFrame) -> pd.DataFrame:
    """Each class that the scored split asks for: train and scored questions, recall in percent,
    and the share of all questions that the model gives it to; the most frequent in train first.
    """
    answered = read_trial(trial)
    counts = train["answer"].value_counts()
    given = _given(trial, answered)
    right = pd.Series(answered.top1.mean(axis=0)).groupby(answered.truth)
    table = pd.DataFrame(
        {"train": counts, "asked": right.size(), "recall": 100 * right.mean(), "given": given}
    )
    table = table.loc[table["asked"].notna()].fillna(0.0)
    order = np.lexsort([table.index.astype(str), -table["train"]])
    return table.iloc[order].astype({"train": int, "asked": int}).rename_axis("answer")


def contrast(weighted: Trial, plain: Trial, train: pd.DataFrame) -> Contrast:
    """What the class weights did, question by question."""
    one, other = read_trial(weighted), read_trial(plain)
    often = pd.Series(one.truth).isin(frequent_answers(train)).to_numpy()

    def difference(mask: np.ndarray) -> Difference | None:
        if not mask.any():
            return None
        return paired_difference(one.top1[:, mask], other.top1[:, mask], one.images[mask])

    recalls = [recall_table(trial, train)["recall"].mean() for trial in (weighted, plain)]
    return Contrast(
        difference(np.ones_like(often)),
        difference(often),
        difference(~often),
        round(float(recalls[0] - recalls[1]), 2),
        float(np.mean(_distinct(weighted)) - np.mean(_distinct(plain))),
        float(train["answer"].nunique() - np.mean(_distinct(plain))),
    )


def say_contrast(found: Contrast) -> list[str]:
    """What the class weights did, a sentence each; the study's finding tested."""
    more = found.classes
    if more > 0:
        classes = f"With class weights **{more:.1f} more** distinct answers are given"
    elif more < 0:
        classes = f"With class weights **{-more:.1f} fewer** distinct answers are given"
    else:
        classes = "With class weights **as many** distinct answers are given"
    overall = found.overall
    kept = {
        "better": f"rises by {overall.value:.1f} points",
        "worse": f"falls by {-overall.value:.1f} points",
        "cannot tell": f"cannot be told from the plain one's ({overall.value:+.1f} points)",
    }[overall.verdict]
    lines = [
        f"{classes} (mean over seeds), and the mean recall of the classes moves by "
        f"{found.macro:+.1f} points.",
        f"The overall accuracy {kept}; 95 % interval {overall.low:+.1f} to {overall.high:+.1f}.",
    ]
    for name, part in (("frequent", found.frequent), ("rare", found.rare)):
        if part is not None:
            lines.append(f"On {name} answers: {part.value:+.1f} points, {part.verdict} ({part}).")
    lines.append(
        f"The study found more classes predicted: that **{_more_classes(found)}** here. It found the "
        f"accuracy unchanged: that **{_unchanged(overall)}** (unchanged is an interval within "
        f"{UNCHANGED} points either way)."
    )
    return lines


def _more_classes(found: Contrast) -> str:
    if found.missing <= 0:
        return "cannot be tested, as every class is predicted without weights"
    return "holds" if found.classes > 0 else "does not hold"


def _unchanged(overall: Difference) -> str:
    if -UNCHANGED <= overall.low and overall.high <= UNCHANGED:
        return "holds"
    return "cannot be told" if overall.verdict == "cannot tell" else "does not hold"


@styled
def plot_recall(trials: Sequence[Trial], train: pd.DataFrame, title: str = "") -> Figure:
    """Recall of the classes that are asked for most often in train, one mark a trial."""
    tables = [recall_table(trial, train).head(MOST_CLASSES) for trial in trials]
    answers = tables[0].index
    figure, axes = plt.subplots(figsize=(7.5, 3.6))
    places = np.arange(len(answers))
    span = np.stack([table["recall"].to_numpy() for table in tables])
    axes.vlines(places, span.min(axis=0), span.max(axis=0), color=GREY, linewidth=1, zorder=1)
    beside = 0.16 * (np.arange(len(trials)) - (len(trials) - 1) / 2)  # lest one hide another
    marks = zip(trials, tables, (BLUE, ORANGE, GREEN), beside, strict=False)
    for trial, table, colour, shift in marks:
        axes.plot(
            places + shift, table["recall"], "o", color=colour, markersize=6, label=trial.preset
        )
    labels = [f"{answer}\n{count}" for answer, count in tables[0]["train"].items()]
    axes.set_xticks(places, labels, fontsize=8)
    for text in axes.get_xticklabels():
        text.set_parse_math(False)
    axes.set_ylim(-3, 103)
    axes.set_xlabel("true answer, and how often the train split has it")
    axes.set_ylabel("recall, %")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    axes.set_title(title or "How often each answer is found")
    return figure


def _distinct(trial: Trial) -> list[int]:
    """The number of distinct first answers of each run on the scored split."""
    return [len(set(_first(run_answers))) for run_answers in _answers(trial)]


def _answers(trial: Trial) -> list[pd.Series]:
    found = []
    for run in trial.runs:
        rows = run.predictions
        found.append(rows.loc[rows["split"] == scored_split(run.metrics)[0], "answers"])
    return found


def _first(answers: pd.Series) -> list[str]:
    return [ranked[0] for ranked in answers]


def _given(trial: Trial, answered: Answered) -> pd.Series:
    firsts = [answer for answers in _answers(trial) for answer in _first(answers)]
    shares = pd.Series(firsts, dtype=object).value_counts() / len(trial.runs)
    return 100 * shares / len(answered.truth)


def _percent(values: np.ndarray) -> float | None:
    return round(100 * float(values.mean()), 2) if len(values) else None
