"""Language priors: what can be answered without looking, and how much of every score that is.

Guessers are measured here, since they take seconds; models are read from their run folders.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from vqa_helpers.data.folder import Dataset
from vqa_helpers.evaluation.baselines import hits, learn_guessers, nearest_question_and_image
from vqa_helpers.evaluation.metrics import vqa_scores, with_interval
from vqa_helpers.experiment.images import ImageSide
from vqa_helpers.report.seeds import Model, find_models
from vqa_helpers.report.style import BLUE, GREY, ORANGE, styled
from vqa_helpers.report.tables import NOT_DEFINED, Score, best_blind, number, scored_split

SIGHTED = "nearest questions, then nearest image"


def guesser_table(dataset: Dataset, split: str, seen: ImageSide | None = None) -> pd.DataFrame:
    """Every guesser on a split, with 95 % intervals by a bootstrap over images.

    Args:
        split: an answered one.
        seen: stored features of the dataset's images; with them the neighbour that looks is
            measured too.
    """
    train, table = dataset.splits["train"], dataset.splits[split]
    guesses = {name: (False, guess(table)) for name, guess in learn_guessers(train).items()}
    if seen is not None:
        look = nearest_question_and_image(train, seen.ids, _vectors(seen))
        guesses[SIGHTED] = (True, look(table))
    images = table["image_id"].to_numpy()
    rows = []
    for name, (sees, answers) in guesses.items():
        vqa = vqa_scores(answers, table)
        rows.append(
            {
                "guesser": name,
                "sees the image": "yes" if sees else "no",
                "top-1": Score(**with_interval(hits(answers, table), images)),
                "VQA accuracy (2021)": NOT_DEFINED
                if vqa is None
                else Score(**with_interval(vqa, images)),
            }
        )
    return pd.DataFrame(rows)


def _vectors(seen: ImageSide) -> np.ndarray:
    """The features as models take them: those of random weights centred and scaled."""
    vectors = seen.rows.features.cpu().float()
    if seen.statistics is not None:
        mean, deviation = seen.statistics
        vectors = (vectors - mean) / deviation
    return vectors.numpy()


def share_table(runs_root: Path, dataset: str) -> pd.DataFrame:
    """How much of each model's top-1 a blind one gets.

    The blind line is the best of the blind guessers and of the models that see no image, all on the
    same split. "share" is that line as a part of the model's own score, in percent; 100 and more
    means that the image was worth nothing.
    """
    models = find_models(runs_root, dataset)
    scores = {id(model): _top1(model) for model in models}
    lines = [best_blind(scored_split(model.runs[0].metrics)[1])[1] for model in models]
    lines += [scores[id(model)] for model in models if not sees(model)]
    rows = [
        {
            "model": str(model),
            "sees the image": "yes" if sees(model) else "no",
            "seeds": len(model.runs),
            "top-1": scores[id(model)],
            "blind top-1": max(lines),
            "share": 100 * max(lines) / scores[id(model)] if scores[id(model)] else np.nan,
            "gain": scores[id(model)] - max(lines),
        }
        for model in models
    ]
    columns = ["model", "sees the image", "seeds", "top-1", "blind top-1", "share", "gain"]
    table = pd.DataFrame(rows, columns=columns)
    return table.sort_values("top-1", ascending=False, ignore_index=True)


def type_table(runs_root: Path, dataset: str) -> pd.DataFrame:
    """Top-1 of every model per answer type, in percent; a column a type."""
    rows = {}
    for model in find_models(runs_root, dataset):
        kinds = [scored_split(run.metrics)[1]["per_answer_type"] for run in model.runs]
        rows[str(model)] = {
            kind: float(np.mean([number(scores[kind]["top1"]) for scores in kinds]))
            for kind in kinds[0]
        }
    table = pd.DataFrame.from_dict(rows, orient="index")
    return table.rename_axis("model")


def sees(model: Model) -> bool:
    """Whether a model has a vision channel."""
    return model.runs[0].config["pieces"]["images"] is not None


@styled
def plot_shares(table: pd.DataFrame, title: str) -> Figure:
    """Each model's score as a bar: what a blind one gets, and what comes on top.

    Args:
        table: from `share_table`.
    """
    rows = table.iloc[::-1]
    figure, axes = plt.subplots(figsize=(7.5, 0.6 + 0.34 * max(len(rows), 3)))
    blind = np.minimum(rows["top-1"], rows["blind top-1"])
    seeing = rows["sees the image"] == "yes"
    axes.barh(rows["model"], blind, color=np.where(seeing, GREY, ORANGE), height=0.66)
    axes.barh(rows["model"], rows["top-1"] - blind, left=blind, color=BLUE, height=0.66)
    for place, row in enumerate(rows.itertuples(index=False)):
        axes.annotate(
            f"{row[3]:.1f}", (row[3], place), xytext=(4, 0), textcoords="offset points",
            va="center", fontsize=8.5,
        )  # fmt: skip
    axes.axvline(rows["blind top-1"].max(), color=ORANGE, linewidth=1.2, linestyle=(0, (4, 2)))
    axes.set_xlabel("top-1, %  (dashed: the best that never looks; blue: what looking adds)")
    axes.set_title(title)
    return figure


def _top1(model: Model) -> float:
    return float(np.mean([scored_split(run.metrics)[1]["top1"]["value"] for run in model.runs]))
