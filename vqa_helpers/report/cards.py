"""The sample viewer: what a model saw, was asked and answered, a card a question.

A card shows the image as the model saw it, the question, the true answer, and the five most
probable answers as cells coloured by probability. Knows predictions, question tables and image
files; runs no model.
"""

import logging
import textwrap
from collections.abc import Mapping, Sequence
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
LEGEND_IN = 0.38
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


@styled
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
    asked = questions.drop_duplicates("question_id").set_index("question_id")
    known = predictions[predictions["question_id"].isin(asked.index)]
    if known.empty:
        raise InputError("no prediction is of these questions; give the table of the same split")
    answered = known.drop_duplicates("question_id").set_index("question_id")
    ids = list(rows) if rows is not None else choose(known, count, seed)
    for question_id in ids:
        if question_id not in answered.index:
            raise InputError(f"question {question_id} has no prediction here; choose another id")
    if not ids:
        raise InputError("no card to draw; ask for at least one")
    columns = max(1, min(columns, len(ids)))
    picture = PICTURE_IN if images else 0.9
    height = picture + 0.08 + STRIP_IN
    figure, frames = _frames(len(ids), columns, height)
    for axes, question_id in zip(frames, ids, strict=True):
        question = asked.loc[question_id]
        square = load_square(images.get(int(question["image_id"])), image_size_px)
        text = str(question["question"])
        _card(axes, height, bool(images), square, text, answered.loc[question_id])
    outcomes = {outcome(answered.loc[i, "answers"], answered.loc[i, "truth"]) for i in ids}
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


def _frames(count: int, columns: int, height: float) -> tuple[Figure, list[Axes]]:
    """A figure with one empty axes a card; its coordinates are inches from the lower left."""
    lines = -(-count // columns)
    width_in = columns * CARD_IN + (columns + 1) * GAP_IN
    height_in = lines * (height + LINE_GAP_IN) + GAP_IN - LINE_GAP_IN + LEGEND_IN + 0.06
    with mpl.rc_context({"figure.constrained_layout.use": False}):  # every place is given here
        figure = plt.figure(figsize=(width_in, height_in))
    frames = []
    for place in range(count):
        line, column = divmod(place, columns)
        left = GAP_IN + column * (CARD_IN + GAP_IN)
        bottom = height_in - GAP_IN - (line + 1) * height - line * LINE_GAP_IN
        axes = figure.add_axes(
            (left / width_in, bottom / height_in, CARD_IN / width_in, height / height_in)
        )
        axes.set(xlim=(0, CARD_IN), ylim=(0, height))
        axes.axis("off")
        frames.append(axes)
    return figure, frames


def _card(
    axes: Axes, height: float, with_picture: bool, square: np.ndarray | None, question: str,
    prediction: pd.Series,
) -> None:  # fmt: skip
    """Fill one frame: picture, then question and truth beside it, then the strip below."""
    left, wrap_at, lines = 0.0, 42, 2
    if with_picture:
        _picture(axes, height, square)
        left, wrap_at, lines = PICTURE_IN + 0.12, 19, 6
    answers, truth = list(prediction["answers"]), prediction["truth"]
    name = outcome(answers, truth)
    colour = OUTCOMES[name][0]
    axes.plot(left + 0.08, height - 0.1, "o", color=colour, markersize=9, clip_on=False)
    place = {"hit": "hit", "miss": "miss", "unknown": "no truth known"}.get(name)
    place = place or f"answer {answers.index(truth) + 1} of {len(answers)}"
    axes.text(left + 0.22, height - 0.1, place, va="center", fontsize=8, color=INK)
    wrapped = textwrap.wrap(
        " ".join(question.split()) or "(empty question)", wrap_at, max_lines=lines, placeholder=" …"
    )
    axes.text(
        left, height - 0.26, "\n".join(wrapped), va="top", fontsize=8.5, fontweight="bold",
        linespacing=1.25,
    )  # fmt: skip
    if name != "unknown":
        longest = 20 if with_picture else 44
        axes.text(
            left, STRIP_IN + 0.1, _fit(f"truth: {truth}", longest, 2), va="bottom", fontsize=8.5,
            linespacing=1.2,
        )  # fmt: skip
    _strip(axes, answers, list(prediction["probabilities"]), None if name == "unknown" else truth)


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
            (place + 0.5) * width - 0.015, STRIP_IN * 0.63, _fit(str(answer), 11, 2), ha="center",
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


def _fit(text: str, width: int, lines: int) -> str:
    """`text` in at most `lines` lines of `width` characters, an ellipsis for what is cut."""
    wrapped = textwrap.wrap(" ".join(text.split()), width) or ["(empty)"]
    if len(wrapped) > lines:
        wrapped = wrapped[:lines]
        wrapped[-1] = wrapped[-1][: width - 1].rstrip(" ,") + "…"
    return "\n".join(wrapped)


def _percent(probability: float) -> str:
    if 0 < probability < 0.005:
        return "<1 %"
    return f"{100 * probability:.0f} %"
