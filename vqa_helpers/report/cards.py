"""The sample viewer: what a model saw, was asked and answered, a card a question.

A card shows the image as the model saw it, the question, the true answer, and the five most
probable answers as cells coloured by probability. Knows predictions, question tables and image
files; runs no model.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from vqa_helpers.errors import InputError
from vqa_helpers.report.style import GREY, INK, PALE, styled
from vqa_helpers.report.texts import fitted

log = logging.getLogger(__name__)

# The study's strip: dark green is improbable, bright yellow is certain.
PROBABILITY = LinearSegmentedColormap.from_list(
    "probability", ["#0b3a2c", "#1f6b3a", "#6fa832", "#c9d42c", "#fff23f"]
)
OUTCOMES = {  # name: colour of the dot, explanation
    "hit": ("#2ca25f", "hit: the first answer is right"),
    "top five": ("#f28e1c", "the truth is in the top five"),
    "miss": ("#d7301f", "miss"),
    "unknown": (GREY, "no true answer known"),
}
CARD_IN = 3.15  # width of a card, inches
PICTURE_IN = 1.65  # side of its picture
STRIP_IN = 0.5  # height of the strip of answers
GAP_IN, LINE_GAP_IN = 0.16, 0.26  # between cards side by side, and one below the other
LEGEND_IN, HEADING_IN = 0.38, 0.24
SHOWN_PX = 132  # side of the picture in pixels, at the style's 80 dots per inch


def outcome(answers: Sequence[str], truth: str | None) -> str:
    """One of "hit", "top five", "miss", or "unknown" where the split has no answers."""
    if truth is None or truth != truth:  # NaN differs from itself
        return "unknown"
    if truth not in list(answers)[:5]:
        return "miss"
    return "hit" if answers[0] == truth else "top five"


def choose(predictions: pd.DataFrame, count: int = 6, seed: int = 0) -> list[int]:
    """Question ids of a mix of hits, top-five answers and misses, in turn, drawn by `seed`.

    The order of the rows plays no part. Where one kind runs out, the others fill its place.
    """
    kinds: dict[str, list[int]] = {name: [] for name in OUTCOMES}
    for row in predictions.sort_values("question_id").itertuples():
        kinds[outcome(row.answers, row.truth)].append(int(row.question_id))
    random = np.random.default_rng(seed)
    queues = [[ids[i] for i in random.permutation(len(ids))] for ids in kinds.values()]
    chosen: list[int] = []
    while len(chosen) < count and any(queues):
        chosen += [queue.pop(0) for queue in queues if queue]
    return chosen[:count]


@dataclass(frozen=True)
class Card:
    """One question, what is true, and what a model said.

    Attributes:
        answers: most probable first, with their probabilities, 0 to 1.
        truth: None where it is not known.
        picture: the image file; None where it is not at hand.
    """

    question: str
    answers: Sequence[str]
    probabilities: Sequence[float]
    truth: str | None
    picture: Path | None = None


def cards_of(
    predictions: pd.DataFrame,
    questions: pd.DataFrame,
    images: Mapping[int, Path],
    rows: Sequence[int],
) -> list[Card]:
    """The cards of some questions, in the order of their ids `rows`.

    Raises:
        InputError: a question is not among the predictions, or none is among the questions.
    """
    asked = questions.drop_duplicates("question_id").set_index("question_id")
    known = predictions[predictions["question_id"].isin(asked.index)]
    if known.empty:
        raise InputError("no prediction is of these questions; give the table of the same split")
    answered = known.drop_duplicates("question_id").set_index("question_id")
    cards = []
    for question_id in rows:
        if question_id not in answered.index:
            raise InputError(f"question {question_id} has no prediction here; choose another id")
        question, said = asked.loc[question_id], answered.loc[question_id]
        picture = images.get(int(question["image_id"]))
        cards.append(
            Card(
                question["question"], said["answers"], said["probabilities"], said["truth"], picture
            )
        )
    return cards


def sample_cards(
    predictions: pd.DataFrame,
    questions: pd.DataFrame,
    images: Mapping[int, Path],
    rows: Sequence[int] | None = None,
    count: int = 6,
    seed: int = 0,
    columns: int = 3,
    image_size_px: int | None = None,
) -> Figure:
    """Draw cards of some predictions.

    Args:
        predictions: as `Run.predictions`; those that are not in `questions` are left out.
        questions: a question table with question_id, image_id and question.
        images: image files by image_id; empty, and the cards have no picture.
        rows: question ids, in the order to show; by default `choose(…, count, seed)`.
        columns: cards side by side.
        image_size_px: side of the square that the model saw; by default the picture is as sharp
            as the card allows.

    Raises:
        InputError: there is nothing to show, or a question of `rows` is not there.
    """
    known = predictions[predictions["question_id"].isin(questions["question_id"])]
    ids = list(rows) if rows is not None else choose(known, count, seed)
    cards = cards_of(predictions, questions, images, ids)
    return draw_cards(cards, columns, bool(images), image_size_px)


@styled
def draw_cards(
    cards: Sequence[Card],
    columns: int = 3,
    with_pictures: bool = True,
    image_size_px: int | None = None,
    headings: Sequence[str] = (),
) -> Figure:
    """Draw cards line by line, a legend below.

    Args:
        with_pictures: False for questions about no photographs: the cards are lower.
        headings: what stands above each column.

    Raises:
        InputError: there is no card.
    """
    if not cards:
        raise InputError("no card to draw; ask for at least one")
    columns = max(1, min(columns, len(cards)))
    picture = PICTURE_IN if with_pictures else 0.9
    height = picture + 0.08 + STRIP_IN
    figure, frames = _frames(len(cards), columns, height, HEADING_IN if headings else 0)
    for axes, card in zip(frames, cards, strict=True):
        square = load_square(card.picture, image_size_px) if with_pictures else None
        _card(axes, height, with_pictures, square, card)
    for axes, heading in zip(frames, headings, strict=False):
        axes.text(
            0, height + 0.1, fitted(heading, 44), fontsize=9.5, fontweight="bold", va="bottom",
            clip_on=False,
        )  # fmt: skip
    outcomes = {outcome(card.answers, card.truth) for card in cards}
    _legend(figure, [name for name in OUTCOMES if name in outcomes])
    return figure


def load_square(path: Path | None, image_size_px: int | None = None) -> np.ndarray | None:
    """The image as a model sees it: short side resized, centre cropped, RGB.

    Args:
        path: the file; None where the question's image is not at hand.

    Returns:
        (S, S, 3) uint8, or None where there is no readable image (the log says why).
    """
    if path is None:
        return None
    side = image_size_px or SHOWN_PX
    try:
        with Image.open(path) as opened:
            opened.draft("RGB", (side, side))  # a JPEG need not be decoded at its full size
            image = opened.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        log.warning("%s: shown as an empty frame: %s", path, error)
        return None
    scale = side / min(image.size)
    width, height = (max(side, round(length * scale)) for length in image.size)
    left, top = (width - side) // 2, (height - side) // 2
    resized = image.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(resized.crop((left, top, left + side, top + side)))


def _frames(
    count: int, columns: int, height: float, above: float
) -> tuple[Figure, list[Axes]]:  # fmt: skip
    """A figure with one empty axes a card; its coordinates are inches from the lower left."""
    lines = -(-count // columns)
    width_in = columns * CARD_IN + (columns + 1) * GAP_IN
    height_in = lines * (height + LINE_GAP_IN) + GAP_IN - LINE_GAP_IN + LEGEND_IN + 0.06 + above
    with mpl.rc_context({"figure.constrained_layout.use": False}):  # every place is given here
        figure = plt.figure(figsize=(width_in, height_in))
    frames = []
    for place in range(count):
        line, column = divmod(place, columns)
        left = GAP_IN + column * (CARD_IN + GAP_IN)
        bottom = height_in - above - GAP_IN - (line + 1) * height - line * LINE_GAP_IN
        axes = figure.add_axes(
            (left / width_in, bottom / height_in, CARD_IN / width_in, height / height_in)
        )
        axes.set(xlim=(0, CARD_IN), ylim=(0, height))
        axes.axis("off")
        frames.append(axes)
    return figure, frames


def _card(
    axes: Axes, height: float, with_picture: bool, square: np.ndarray | None, card: Card
) -> None:
    """Fill one frame: picture, then question and truth beside it, then the strip below."""
    left, wrap_at, lines = 0.0, 42, 2
    if with_picture:
        _picture(axes, height, square)
        left, wrap_at, lines = PICTURE_IN + 0.12, 19, 6
    answers = list(card.answers)
    name = outcome(answers, card.truth)
    colour = OUTCOMES[name][0]
    axes.plot(left + 0.08, height - 0.1, "o", color=colour, markersize=9, clip_on=False)
    place = {"hit": "hit", "miss": "miss", "unknown": "no truth known"}.get(name)
    place = place or f"answer {answers.index(card.truth) + 1} of {len(answers)}"
    axes.text(left + 0.22, height - 0.1, place, va="center", fontsize=8, color=INK)
    question = fitted(card.question, wrap_at, lines) or "(empty question)"
    axes.text(
        left, height - 0.26, question, va="top", fontsize=8.5, fontweight="bold",
        linespacing=1.25, clip_on=True,
    )  # fmt: skip
    if name != "unknown":
        longest = 20 if with_picture else 44
        axes.text(
            left, STRIP_IN + 0.1, fitted(f"truth: {card.truth}", longest, 2), va="bottom",
            fontsize=8.5, linespacing=1.2, clip_on=True,
        )  # fmt: skip
    _strip(axes, answers, list(card.probabilities), None if name == "unknown" else card.truth)


def _picture(axes: Axes, height: float, square: np.ndarray | None) -> None:
    extent = (0, PICTURE_IN, height - PICTURE_IN, height)
    if square is None:
        axes.add_patch(Rectangle((0, extent[2]), PICTURE_IN, PICTURE_IN, color=PALE, linewidth=0))
        axes.text(PICTURE_IN / 2, height - PICTURE_IN / 2, "no image", ha="center", va="center",
                  color=GREY)  # fmt: skip
        return
    # A small image keeps its pixels: they are what the model had to go by.
    smooth = "nearest" if square.shape[0] < SHOWN_PX else "antialiased"
    axes.imshow(square, extent=extent, aspect="auto", interpolation=smooth)
    axes.set(xlim=(0, CARD_IN), ylim=(0, height))


def _strip(axes: Axes, answers: list[str], probabilities: list[float], truth: str | None) -> None:
    """The answers as five cells from left to right, the truth's outlined."""
    width = CARD_IN / 5
    for place, (answer, probability) in enumerate(zip(answers[:5], probabilities, strict=False)):
        fill = PROBABILITY(float(np.clip(probability, 0, 1)))
        axes.add_patch(
            Rectangle((place * width, 0), width - 0.03, STRIP_IN, facecolor=fill, linewidth=0)
        )
        ink = readable_on(fill)
        axes.text(
            (place + 0.5) * width - 0.015, STRIP_IN * 0.63, fitted(answer, 11, 2) or "(empty)", ha="center",
            va="center", fontsize=6.6, color=ink, linespacing=1.05, clip_on=True,
        )  # fmt: skip
        axes.text(
            (place + 0.5) * width - 0.015, 0.035, _percent(probability), ha="center", va="bottom",
            fontsize=6.6, fontweight="bold", color=ink,
        )  # fmt: skip
        if answer == truth:
            for inset, edge in ((0.0, INK), (0.025, "white")):  # seen on dark and on bright
                axes.add_patch(
                    Rectangle(
                        (place * width + inset, inset), width - 0.03 - 2 * inset,
                        STRIP_IN - 2 * inset, fill=False, edgecolor=edge, linewidth=1.6,
                        clip_on=False,
                    )
                )  # fmt: skip


def _legend(figure: Figure, outcomes: list[str]) -> None:
    """One line below the cards: the dots that occur, the outline, the colours of the strip."""
    width_in, height_in = figure.get_size_inches()
    axes = figure.add_axes((0, 0, 1, LEGEND_IN / height_in))
    axes.set(xlim=(0, width_in), ylim=(0, LEGEND_IN))
    axes.axis("off")
    middle, x = LEGEND_IN * 0.55, GAP_IN + 0.08
    for name in outcomes:
        colour, text = OUTCOMES[name]
        axes.plot(x, middle, "o", color=colour, markersize=8)
        axes.text(x + 0.13, middle, text, va="center", fontsize=8)
        x += 0.42 + 0.062 * len(text)
    if width_in - x < 2.3:
        return
    right = width_in - GAP_IN
    axes.text(right - 1.75, middle, "probability 0 %", va="center", ha="right", fontsize=8)
    ramp = np.linspace(0, 1, 12)[None, :]
    extent = (right - 1.68, right - 0.42, middle - 0.07, middle + 0.07)
    axes.imshow(ramp, cmap=PROBABILITY, extent=extent, aspect="auto", vmin=0, vmax=1)
    axes.set(xlim=(0, width_in), ylim=(0, LEGEND_IN))
    axes.text(right, middle, "100 %", va="center", ha="right", fontsize=8)


def readable_on(fill: Any) -> str:
    """Ink or white, whichever stands out more on `fill` (contrast ratio of WCAG 2)."""

    def luminance(colour: Any) -> float:
        channels = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
                    for c in to_rgb(colour)]  # fmt: skip
        return float(np.dot(channels, (0.2126, 0.7152, 0.0722)))

    light = luminance(fill) + 0.05
    return "white" if 1.05 / light > light / (luminance(INK) + 0.05) else INK


def _percent(probability: float) -> str:
    if 0 < probability < 0.005:
        return "<1 %"
    return f"{100 * probability:.0f} %"
