"""Two diagrams that explain the house: the puzzle of four pieces, and the split model.

The pieces that can be interchanged are those the presets use, and the numbers of the split model
are a dataset's and a run's. Knows no pixels but those of an example.
"""

import textwrap

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Patch, Rectangle

from vqa_helpers.data.folder import Dataset
from vqa_helpers.model.config import BagOfWords, Concat, Glove, Product, Sentences, Words
from vqa_helpers.model.presets import PRESETS
from vqa_helpers.report.architecture import NETWORKS
from vqa_helpers.report.cards import OUTCOMES
from vqa_helpers.report.drawings import (
    PIECES,
    arrow,
    box,
    jigsaw,
    picture,
    shade,
    sheet,
    tint,
    words,
)
from vqa_helpers.report.examples import Example
from vqa_helpers.report.style import DARK_GREY, GREY, INK, PALE, styled
from vqa_helpers.runs import Run
from vqa_helpers.vision.encoders import WIDTHS

KNOB_IN = 0.62
DOES = {
    "vision": "image\nto vector",
    "language": "question\nto vector",
    "fusion": "two vectors\nto one",
    "classifier": "vector\nto answer",
}


def alternatives() -> dict[str, list[str]]:
    """What the presets use in each of the four places, named once."""
    found: dict[str, list[str]] = {piece: [] for piece in PIECES}
    for preset in PRESETS.values():
        layers = len(preset.classifier.hidden)
        names = {
            "vision": preset.images and NETWORKS.get(preset.images.encoder, preset.images.encoder),
            "language": _language(preset.questions),
            "fusion": _fusion(preset.fusion),
            "classifier": f"{layers} hidden layer{'s' if layers > 1 else ''}",
        }
        for piece, name in names.items():
            if name and name not in found[piece]:
                found[piece].append(name)
    found["classifier"].sort()
    return found


@styled
def draw_puzzle(example: Example) -> Figure:
    """Four pieces that fit, a question going in and an answer coming out, the spare pieces below.

    Args:
        example: what goes in and comes out.
    """
    figure, axes = sheet(10, 5.7)
    low, high, wide = 3.0, 1.2, 1.75  # foot of the puzzle, height of a small piece, its width
    x = 2.45
    one, two = ((0.5, 1),), ((0.25, -1), (0.75, -1))
    tall = 2 * high
    jigsaw(axes, x, low + high, wide, high, PIECES["vision"], knob=KNOB_IN, right=one)
    jigsaw(axes, x, low, wide, high, PIECES["language"], knob=KNOB_IN, right=one)
    jigsaw(axes, x + wide, low, wide, tall, PIECES["fusion"], knob=KNOB_IN, left=two, right=one)
    jigsaw(axes, x + 2 * wide, low, wide, tall, PIECES["classifier"], knob=KNOB_IN,
           left=((0.5, -1),))  # fmt: skip
    places = {
        "vision": (x + 0.84, low + 1.5 * high), "language": (x + 0.84, low + high / 2),
        "fusion": (x + 1.5 * wide + 0.1, low + high), "classifier": (x + 2.56 * wide, low + high),
    }  # fmt: skip
    for piece, (at, y) in places.items():
        ink = INK if piece == "language" else "white"
        words(axes, at, y + 0.2, piece, color=ink, fontsize=13, fontweight="bold")
        words(axes, at, y - 0.16, DOES[piece], color=ink, fontsize=10)
    _asked(axes, example, low, high, x)
    _answered(axes, example, x + 3 * wide, low + high)
    _spares(axes, 2.35)
    return figure


def _asked(axes: Axes, example: Example, low: float, high: float, x: float) -> None:
    side = 1.3
    left, bottom = 0.3, low + 1.5 * high - side / 2 + 0.05
    if example.picture is None:
        box(axes, left, bottom, side, side, GREY)
        words(axes, left + side / 2, bottom + side / 2, "image", color=DARK_GREY)
    else:
        picture(axes, example.picture, left, bottom, side)
    arrow(axes, (left + side + 0.1, low + 1.5 * high), (x - 0.1, low + 1.5 * high))
    lines = textwrap.wrap(f"“{' '.join(example.question.split())}”", 18, max_lines=4)
    words(axes, left + 0.02, low + high / 2 - 0.05, "\n".join(lines), ha="left", fontsize=11.5)
    arrow(axes, (left + side + 0.34, low + high / 2), (x - 0.1, low + high / 2))


def _answered(axes: Axes, example: Example, x: float, y: float) -> None:
    arrow(axes, (x + 0.1, y), (x + 0.45, y))
    answer = textwrap.fill(example.answers[0], 12)
    words(axes, x + 0.58, y + 0.1, answer, ha="left", fontsize=15, fontweight="bold")
    probability = example.probabilities[0]
    sure = "over 99 % sure" if probability > 0.99 else f"{100 * probability:.0f} % sure"
    words(axes, x + 0.58, y - 0.25, sure, ha="left", fontsize=10, color=DARK_GREY)
    colour, said = OUTCOMES[example.outcome]
    axes.plot(x + 0.66, y - 0.5, "o", color=colour, markersize=8)
    words(axes, x + 0.8, y - 0.5, said.partition(":")[0], ha="left", fontsize=10, color=DARK_GREY)


def _spares(axes: Axes, top: float) -> None:
    """The interchangeable pieces, a column a place."""
    width, height, step = 1.95, 0.4, 0.5
    for column, (piece, names) in enumerate(alternatives().items()):
        x = 0.3 + column * 2.48
        words(axes, x, top, piece, ha="left", va="baseline", fontsize=10.5,
              fontweight="bold", color=shade(PIECES[piece]))  # fmt: skip
        right = () if piece == "classifier" else ((0.5, 1),)
        left = () if piece in ("vision", "language") else ((0.5, -1),)
        for row, name in enumerate(names):
            y = top - 0.62 - row * step
            jigsaw(axes, x, y, width, height, PIECES[piece], knob=0.27, left=left, right=right,
                   pale=True)  # fmt: skip
            indent = 0.1 if left else 0.0
            words(axes, x + 0.12 + indent, y + height / 2, name, ha="left", fontsize=9.5)


def _language(record: object) -> str | None:
    match record:
        case Words():
            return "embedding + LSTM"
        case Glove():
            return "GloVe + BiLSTM"
        case BagOfWords():
            return "bag of words"
        case Sentences():
            return "sentence encoder"
    return None


def _fusion(record: object) -> str | None:
    match record:
        case Concat():
            return "concatenation"
        case Product(width=None):
            return "product"
        case Product(normalise=True):
            return "product, L2 norms"
        case Product():
            return "projected product"
    return None


# --- the split model ---


@styled
def draw_split_model(dataset: Dataset, run: Run) -> Figure:
    """Above: each image through the network once, its vector kept. Below: what every epoch repeats.

    Args:
        run: a finished one whose vision is stored; its epochs, and the dataset's train images and
            questions, make the numbers.
    """
    encoder = run.config["pieces"]["images"]["encoder"]
    questions = len(dataset.splits["train"])
    images = dataset.splits["train"]["image_id"].nunique()
    epochs, width = int(run.config["epochs"]), WIDTHS[encoder]
    figure, axes = sheet(10, 4.3)
    blue = PIECES["vision"]
    for y, height, text in ((2.45, 1.7, "once per image"), (0.12, 2.1, "again and again")):
        axes.add_patch(_ground(0.15, y, 9.7, height))
        words(axes, 0.32, y + height - 0.2, text, ha="left", fontsize=11, fontweight="bold")
    _photographs(axes, 0.75, 2.68, f"{images:,} train images")
    arrow(axes, (1.9, 3.2), (2.75, 3.2))
    box(axes, 2.8, 2.72, 1.7, 0.96, blue, frozen=True)
    words(axes, 3.65, 3.31, NETWORKS.get(encoder, encoder), fontsize=11.5, fontweight="bold")
    words(axes, 3.65, 3.05, "frozen", color=DARK_GREY)
    arrow(axes, (4.55, 3.2), (5.4, 3.2))
    _store(axes, 5.45, 2.72, blue, width)
    saved = questions * epochs
    words(
        axes, 7.75, 3.2,
        f"{images:,} passes through the\nnetwork instead of {saved:,}:\n{saved / images:,.0f} times fewer",
        ha="left", fontsize=9.5, color=INK,
    )  # fmt: skip
    _loop(axes, f"{questions:,} questions\n× {epochs} epochs")
    return figure


def _ground(x: float, y: float, width: float, height: float) -> Patch:
    return FancyBboxPatch(
        (x + 0.1, y + 0.1), width - 0.2, height - 0.2, boxstyle="round,pad=0.1",
        facecolor=tint(PALE, 0.45), linewidth=0,
    )  # fmt: skip


def _photographs(axes: Axes, x: float, y: float, text: str) -> None:
    for step in (0.16, 0.08, 0.0):
        box(axes, x + step, y + 0.26 + step, 0.72, 0.6, GREY, radius=0.04)
    axes.plot([x + 0.1, x + 0.3, x + 0.42, x + 0.52, x + 0.64],
              [y + 0.38, y + 0.62, y + 0.5, y + 0.58, y + 0.38], color=GREY, linewidth=1.4)  # fmt: skip
    words(axes, x + 0.4, y + 0.08, text, fontsize=9.5, color=DARK_GREY)


def _store(axes: Axes, x: float, y: float, colour: str, width: int) -> None:
    """A table of vectors: a row an image."""
    for row in range(5):
        axes.add_patch(
            Rectangle((x, y + 0.17 + row * 0.155), 1.9, 0.11, linewidth=0,
                      facecolor=tint(colour, 0.3 + 0.12 * row))
        )  # fmt: skip
    words(axes, x + 0.95, y + 1.09, "feature store", fontsize=11.5, fontweight="bold")
    words(axes, x + 0.95, y + 0.02, f"a row of {width:,} half floats each", fontsize=9.5,
          color=DARK_GREY)  # fmt: skip


def _loop(axes: Axes, text: str) -> None:
    """Row looked up, question encoded, both fused, classified, and back through what learns."""
    y, height = 0.82, 0.8
    middle = y + height / 2
    steps = ((2.8, 1.5, "language"), (5.65, 1.3, "fusion"), (7.5, 1.5, "classifier"))
    words(axes, 1.2, middle, text, fontsize=10.5)
    arrow(axes, (2.05, middle), (2.75, middle))
    for x, width, name in steps:
        box(axes, x, y, width, height, PIECES[name])
        words(axes, x + width / 2, middle, name, fontsize=11.5, fontweight="bold")
    arrow(axes, (4.35, middle), (5.6, middle))
    arrow(axes, (7.0, middle), (7.45, middle))
    arrow(axes, (6.3, 2.66), (6.3, y + height + 0.04))
    words(axes, 6.42, 1.92, "a row, by image id", ha="left", fontsize=9.5, color=DARK_GREY)
    axes.annotate(
        "", (3.55, y - 0.04), (8.25, y - 0.04),
        arrowprops={"arrowstyle": "-|>", "color": GREY, "linewidth": 1.3, "linestyle": (0, (4, 2)),
                    "connectionstyle": "bar,fraction=-0.045,angle=180"},
    )  # fmt: skip
    words(axes, 5.9, y - 0.47, "gradients: what learns; the stored vectors stay as they are",
          fontsize=9.5, color=DARK_GREY)  # fmt: skip
