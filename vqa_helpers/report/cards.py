"""The sample viewer: what a model saw, was asked and answered, a card a question.

A card shows the image as the model saw it, the question, the true answer, and the five most
probable answers as cells coloured by probability. Knows predictions, question tables and image
files; runs no model.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from vqa_helpers.data.folder import Dataset
from vqa_helpers.errors import InputError, require_count
from vqa_helpers.evaluation.analysis import judge
from vqa_helpers.features.pixels import BadImage, load_square
from vqa_helpers.report import style
from vqa_helpers.report.style import GREY, INK, PALE, styled
from vqa_helpers.report.verdicts import Runs, as_one

log = logging.getLogger(__name__)

# The study's strip: dark green is improbable, bright yellow is certain.
PROBABILITY = LinearSegmentedColormap.from_list(
    "probability", ["#0b3a2c", "#1f6b3a", "#6fa832", "#c9d42c", "#fff23f"]
)
OUTCOMES = {  # name: colour of the dot, explanation
    "hit": ("#2ca25f", "hit: the first answer is right"),
    "top five": ("#f28e1c", "the truth is in the top five"),
    "miss": ("#d7301f", "miss"),
    "unknown": (GREY, "no truth known"),  # said on the card itself
}
CARD_IN, PICTURE_IN, STRIP_IN = 3.15, 1.65, 0.5  # width of a card, its picture, height of its strip
GAP_IN, LINE_GAP_IN = 0.16, 0.26  # between cards side by side, and one below the other
LEGEND_IN, HEADING_IN = 0.44, 0.24
SHOWN_PX = 132  # side of the picture in pixels, at the style's 80 dots per inch


def outcome(answers: Sequence[str], truth: str | None) -> str:
    """One of "hit", "top five", "miss", or "unknown" where the split has no answers."""
    if pd.isna(truth):
        return "unknown"
    if truth not in list(answers)[:5]:
        return "miss"
    return "hit" if answers[0] == truth else "top five"


def choose(predictions: pd.DataFrame, count: int = 6, seed: int = 0) -> list[int]:
    """Question ids of a mix of hits, top-five answers and misses, in turn, drawn by `seed`.

    The order of the rows plays no part. Where one kind runs out, the others fill its place.
    """
    rows = predictions.sort_values("question_id").sample(frac=1, random_state=seed)
    order = [outcome(row.answers, row.truth) for row in rows.itertuples()]
    kinds = pd.Series([list(OUTCOMES).index(name) for name in order], rows.index, dtype=int)
    turn = kinds.groupby(kinds).cumcount()
    return rows["question_id"].iloc[np.lexsort([kinds, turn])].head(count).tolist()


def judged(runs: Runs, dataset: Dataset) -> pd.DataFrame:
    """Each question of the scored split beside what the first run of an experiment said to it, as
    `evaluation.analysis.judge` puts them; `blind` is what the best blind guesser says.

    Raises:
        InputError: when its predictions are not of this dataset.
    """
    run = as_one(runs).runs[0]
    split, _ = run.scored
    return judge(run.predictions[run.predictions["split"] == split], dataset.splits[split])


def sample_cards(
    runs: Runs, dataset: Dataset, ids: Sequence[int] | None = None, count: int = 6, seed: int = 0
) -> Figure:
    """Cards of questions of the scored split, answered by the first run of an experiment.

    Args:
        ids: of the questions, in the order to show; by default a mix drawn by `seed`.

    Raises:
        InputError: there is nothing to show, or a question of `ids` was not answered.
    """
    require_count("count", count)
    rows = judged(runs, dataset).drop_duplicates("question_id")
    ids = choose(rows, count, seed) if ids is None else ids
    missing = set(ids) - set(rows["question_id"])
    if missing:
        raise InputError(f"question {min(missing)} has no prediction here; choose another id")
    chosen = rows.set_index("question_id").loc[list(ids)]
    return draw_cards(chosen, dataset.images, as_one(runs).runs[0].config.get("image_size_px"))


@styled
def draw_cards(
    rows: pd.DataFrame, images: Mapping[int, Path], size_px: int | None = None, columns: int = 3,
    headings: Sequence[str] = (),
) -> Figure:  # fmt: skip
    """Draw a card for each row, line by line, a legend below.

    Args:
        rows: question, image_id, truth (None where it is not known), answers and probabilities
            (lists, most probable first).
        images: image files by image_id; empty, and the cards are lower, without pictures.
        size_px: side of the square that the model saw; None is as sharp as the card allows.
        headings: what stands above each column.

    Raises:
        InputError: there is no row.
    """
    cards, pictures = list(rows.itertuples()), bool(images)
    if not cards:
        raise InputError("no card to draw; ask for at least one")
    columns = min(columns, len(cards))
    lines = -(-len(cards) // columns)
    height = (PICTURE_IN if pictures else 0.9) + 0.08 + STRIP_IN
    known = {outcome(card.answers, card.truth) for card in cards} - {"unknown"}
    above, below = GAP_IN + HEADING_IN * bool(headings), LEGEND_IN if known else GAP_IN
    across = GAP_IN + columns * (CARD_IN + GAP_IN)
    up = above + lines * (height + LINE_GAP_IN) - LINE_GAP_IN + below
    figure, grid = plt.subplots(lines, columns, figsize=(across, up), squeeze=False, layout="none")
    figure.subplots_adjust(
        left=GAP_IN / across, right=1 - GAP_IN / across, bottom=below / up, top=1 - above / up,
        wspace=GAP_IN / CARD_IN, hspace=LINE_GAP_IN / height,
    )  # fmt: skip
    for axes in grid.flat:
        axes.set(xlim=(0, CARD_IN), ylim=(0, height))  # inches from the lower left
        axes.axis("off")
    for axes, heading in zip(grid[0], headings, strict=False):
        axes.set_title(style.fitted(heading, 44), fontsize=9.5, pad=4)
    for axes, card in zip(grid.flat, cards, strict=False):
        if pictures:
            _picture(axes, height, images.get(int(card.image_id)), size_px or SHOWN_PX)
        _words(axes, height, pictures, card)
        _strip(axes, card)
    if known:
        shown = [OUTCOMES[name] for name in OUTCOMES if name in known]
        dot = {"marker": "o", "linestyle": ""}
        style.legend_below(figure, {text: dot | {"color": colour} for colour, text in shown})
    return figure


def load_picture(path: Path | None, size_px: int) -> np.ndarray | None:
    """The square that a model sees, (S, S, 3) uint8; None where there is no readable image (the
    log says why)."""
    try:
        return None if path is None else load_square(path, size_px)
    except BadImage as error:
        log.warning("%s: shown without its image: %s", path, error)
        return None


def _picture(axes: Axes, height: float, path: Path | None, size_px: int) -> None:
    """The square that the model saw, or an empty frame where there is none."""
    low, square = height - PICTURE_IN, load_picture(path, size_px)
    if square is None:
        axes.add_patch(Rectangle((0, low), PICTURE_IN, PICTURE_IN, color=PALE, linewidth=0))
        middle = PICTURE_IN / 2
        axes.text(middle, low + middle, "no image", ha="center", va="center", color=GREY)
        return
    # A small image keeps its pixels: they are what the model had to go by.
    smooth = "nearest" if size_px < SHOWN_PX else "antialiased"
    place = (0, PICTURE_IN, low, height)
    axes.imshow(square, aspect="auto", interpolation=smooth, extent=place)


def _words(axes: Axes, height: float, pictures: bool, card: Any) -> None:
    """The dot, the question and the truth, beside the picture or in its place."""
    left, wrap_at, lines = (PICTURE_IN + 0.12, 18, 6) if pictures else (0.0, 42, 2)
    name, answers = outcome(card.answers, card.truth), list(card.answers)
    axes.plot(left + 0.08, height - 0.1, "o", color=OUTCOMES[name][0], ms=9, clip_on=False)
    place = OUTCOMES[name][1] if name == "unknown" else name
    if name == "top five":
        place = f"answer {answers.index(card.truth) + 1} of {len(answers)}"
    axes.text(left + 0.22, height - 0.1, place, va="center", fontsize=8)
    question = style.fitted(card.question, wrap_at, lines) or "(empty question)"
    axes.text(left, height - 0.26, question, va="top", fontsize=8.5, fontweight="bold",
              linespacing=1.25, clip_on=True)  # fmt: skip
    if name != "unknown":
        truth = style.fitted(f"truth: {card.truth}", 20 if pictures else 44, 2)
        axes.text(left, STRIP_IN + 0.1, truth, va="bottom", fontsize=8.5, clip_on=True)


def _strip(axes: Axes, card: Any) -> None:
    """The answers as five cells from left to right, the truth's outlined."""
    width = CARD_IN / 5
    five = list(zip(card.answers, card.probabilities, strict=True))[:5]
    for place, (answer, share) in enumerate(five):
        x, middle, fill = place * width, (place + 0.5) * width - 0.015, PROBABILITY(float(share))
        axes.add_patch(Rectangle((x, 0), width - 0.03, STRIP_IN, facecolor=fill, linewidth=0))
        how = {"ha": "center", "fontsize": 6.6, "color": style.readable_on(fill), "clip_on": True}
        text = style.fitted(answer, 11, 2) or "(empty)"
        base = 0.282 - 0.048 * text.count("\n")  # the same whatever letters it has
        axes.text(middle, base, text, va="baseline", linespacing=1.05, **how)
        percent = "<1 %" if 0 < share < 0.005 else f"{100 * share:.0f} %"
        axes.text(middle, 0.035, percent, va="bottom", fontweight="bold", **how)
        edges = ((0.0, INK), (0.025, "white")) if answer == card.truth else ()
        for inset, edge in edges:  # seen on dark and on bright
            size = width - 0.03 - 2 * inset, STRIP_IN - 2 * inset
            frame = {"fill": False, "edgecolor": edge, "linewidth": 1.6, "clip_on": False}
            axes.add_patch(Rectangle((x + inset, inset), *size, **frame))
