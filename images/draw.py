"""Draw the diagrams of this folder: the puzzle, the split model, and the architecture of each preset.

    python images/draw.py [FOLDER]

Run by a maintainer when a piece or a preset changes. The architectures are read off the models
themselves, built without memory (torch's "meta" device); the example of the puzzle and the numbers
of the split model come from the demo and the finished runs on it, in `runs/`.
"""

import math
import sys
import textwrap
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, PathPatch, Rectangle
from matplotlib.path import Path as Outline
from matplotlib.ticker import EngFormatter
from torch import nn

from vqa_helpers.data.folder import open_dataset
from vqa_helpers.data.vocabulary import STUDY_ANSWERS, AnswerVocabulary, WordVocabulary
from vqa_helpers.pieces.choice import SLOTS, pieces_of
from vqa_helpers.pieces.fusion import Concatenation, OneSide, PlainProduct, Product
from vqa_helpers.pieces.networks import own_size
from vqa_helpers.pieces.sentences import MULTILINGUAL
from vqa_helpers.pieces.vision import VisionEncoder
from vqa_helpers.pieces.words import AttendedWords
from vqa_helpers.presets import PRESETS
from vqa_helpers.recipe import Recipe
from vqa_helpers.report import style
from vqa_helpers.report.cards import OUTCOMES
from vqa_helpers.report.interesting import Example, choose_examples
from vqa_helpers.report.style import BLUE, DARK_GREY, GREEN, GREY, INK, ORANGE, PALE, RED
from vqa_helpers.report.tables import best_first
from vqa_helpers.runs import find_experiments
from vqa_helpers.training.inputs import build_model

# The four pieces, in the order of the data, and the colour each has in every diagram.
PIECES = {"vision": BLUE, "language": ORANGE, "fusion": GREEN, "classifier": RED}
DOES = {"vision": "image\nto vector", "language": "question\nto vector",
        "fusion": "two vectors\nto one", "classifier": "vector\nto answer"}  # fmt: skip
NETWORK_NAMES = {
    "vgg16": "VGG16", "vgg19": "VGG19", "resnet18": "ResNet18", "resnet50": "ResNet50",
}  # fmt: skip
CHAINED = (Concatenation, OneSide, PlainProduct, Product)
LAYERS = {"ReLU": "ReLU", "Tanh": "tanh", "BatchNorm1d": "batch norm"}
IN_SHORT = EngFormatter(places=1)
BOX_IN, GAP_IN = 0.94, 0.2  # width of a box of an architecture, and the way to the next
# A knob one wide, from its left foot to its right one: neck, head, neck (cubic curves).
KNOB = np.array(
    [(-0.22, 0), (-0.10, 0.00), (-0.12, 0.14), (-0.20, 0.24), (-0.34, 0.44), (-0.18, 0.62),
     (0.00, 0.62), (0.18, 0.62), (0.34, 0.44), (0.20, 0.24), (0.12, 0.14), (0.10, 0.00),
     (0.22, 0)]
)  # fmt: skip


# Shapes, on a sheet measured in inches


def sheet(width: float, height: float) -> tuple[Figure, Axes]:
    """An empty figure whose coordinates are inches from the lower left corner."""
    with mpl.rc_context({"figure.constrained_layout.use": False}):
        figure = plt.figure(figsize=(width, height))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(0, height))
    axes.axis("off")
    return figure, axes


def tint(colour: str, share: float = 0.16) -> tuple[float, ...]:
    """`colour` thinned with white: the ground of a box whose edge is the colour itself."""
    return tuple(1 - share * (1 - channel) for channel in to_rgb(colour))


def box(axes: Axes, x: float, y: float, width: float, height: float, colour: str, **how) -> None:
    """A rounded box with its lower left corner at (x, y)."""
    how = {"facecolor": tint(colour), "edgecolor": colour, "linewidth": 1.3} | how
    r = min(0.07, width / 2, height / 2)
    axes.add_patch(FancyBboxPatch((x + r, y + r), width - 2 * r, height - 2 * r,
                                  boxstyle=f"round,pad={r}", **how))  # fmt: skip


def words(axes: Axes, x: float, y: float, text: str, **changes) -> None:
    """Text centred at (x, y) unless `changes` say otherwise."""
    how = {"ha": "center", "va": "center", "fontsize": 10, "color": INK, "linespacing": 1.25}
    axes.text(x, y, text, **how | changes)


def arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], **how) -> None:
    how = {"color": DARK_GREY, "linewidth": 1.4, "shrinkA": 0, "shrinkB": 0} | how
    head = "-|>,head_length=4.5,head_width=2.6"
    axes.add_patch(FancyArrowPatch(start, end, arrowstyle=head, **how))


def jigsaw(
    axes: Axes, x: float, y: float, width: float, height: float, knob: float,
    left: tuple[float, ...] = (), right: tuple[float, ...] = (), **how,
) -> None:  # fmt: skip
    """A piece of a puzzle with its lower left corner at (x, y).

    Args:
        knob: width of a knob with its feet.
        left, right: places of the holes and of the knobs of the two sides, from 0 to 1.
    """
    points, codes = [(x, y)], [Outline.MOVETO]
    for edge, places, turn in ((x, left, 1), (x + width, right, -1)):
        for place in sorted(places, reverse=turn < 0):
            along = y + place * height + turn * knob * KNOB[:, 0]
            points += zip(edge + knob * KNOB[:, 1], along, strict=True)
            codes += [Outline.LINETO] + [Outline.CURVE4] * (len(KNOB) - 1)
        far = y + height if turn > 0 else y
        points += [(x, far), (x + width, far)][::turn]
        codes += [Outline.LINETO] * 2
    codes[-1] = Outline.CLOSEPOLY
    axes.add_patch(PathPatch(Outline(points, codes), joinstyle="round", **how))


# The puzzle


def spares(slot: str) -> list[str]:
    """The choices that there are for a slot: of vision its networks, of others their classes."""
    networks = [*NETWORK_NAMES.values(), "EfficientNet-Lite", "any of timm"]
    return networks if slot == "vision" else sorted(pieces_of(slot))


@style.styled
def draw_puzzle(example: Example) -> Figure:
    """Four pieces that fit, a question going in and an answer coming out, the spare pieces below."""
    below = 0.5 * max(len(spares(slot)) for slot in SLOTS) - 2  # four have room above 0
    figure, axes = sheet(10, 5.7 + below)
    axes.set_ylim(-below, 5.7)
    low, high, wide, x = 3.0, 1.2, 1.75, 2.45  # foot of the puzzle, a small piece, its left edge
    one, two = (0.5,), (0.25, 0.75)
    for piece, column, y, height, left, right, middle in (
        ("vision", 0, low + high, high, (), one, 0.84), ("language", 0, low, high, (), one, 0.84),
        ("fusion", 1, low, 2 * high, two, one, 0.98), ("classifier", 2, low, 2 * high, one, (), 0.98),
    ):  # fmt: skip
        at = x + column * wide
        jigsaw(axes, at, y, wide, height, 0.62, left, right,
               facecolor=PIECES[piece], edgecolor="white", linewidth=2.4)  # fmt: skip
        ink, centre = INK if piece == "language" else "white", y + height / 2
        words(axes, at + middle, centre + 0.2, piece, color=ink, fontsize=13, fontweight="bold")
        words(axes, at + middle, centre - 0.16, DOES[piece], color=ink)
    side, image_y, text_y = 1.3, low + 1.5 * high, low + high / 2
    extent = (0.3, 0.3 + side, image_y - side / 2, image_y + side / 2)
    axes.imshow(example.picture, extent=extent, aspect="auto", zorder=2)
    arrow(axes, (0.4 + side, image_y), (x - 0.1, image_y))
    asked = textwrap.fill(f"“{' '.join(example.question.split())}”", 18)
    words(axes, 0.32, text_y, asked, ha="left", fontsize=11.5)
    arrow(axes, (0.64 + side, text_y), (x - 0.1, text_y))
    end, y = x + 3 * wide, low + high
    arrow(axes, (end + 0.1, y), (end + 0.45, y))
    answer = textwrap.fill(example.answers[0], 12)
    words(axes, end + 0.58, y + 0.1, answer, ha="left", fontsize=15, fontweight="bold")
    sure = f"{min(100 * example.probabilities[0], 99):.0f} % sure"
    words(axes, end + 0.58, y - 0.25, sure, ha="left", color=DARK_GREY)
    colour, said = OUTCOMES[example.outcome]
    axes.plot(end + 0.66, y - 0.5, "o", color=colour, markersize=8)
    words(axes, end + 0.8, y - 0.5, said.partition(":")[0], ha="left", color=DARK_GREY)
    for column, piece in enumerate(SLOTS):
        left, shade = 0.3 + 2.48 * column, tuple(0.75 * c for c in to_rgb(PIECES[piece]))
        words(axes, left, 2.35, piece, ha="left", va="baseline", fontweight="bold", color=shade)
        holes, knobs = (one if column > 1 else ()), (one if column < 3 else ())
        for row, name in enumerate(spares(piece)):
            y = 1.73 - 0.5 * row
            jigsaw(axes, left, y, 1.95, 0.4, 0.27, holes, knobs,
                   facecolor=tint(PIECES[piece]), edgecolor=PIECES[piece], linewidth=1.3)  # fmt: skip
            words(axes, left + 0.12 + 0.1 * bool(holes), y + 0.2, name, ha="left", fontsize=9.5)
    return figure


# The split model


@style.styled
def draw_split_model(images: int, questions: int, epochs: int) -> Figure:
    """Above: each image through the network once, its vector kept. Below: what every epoch repeats."""
    figure, axes = sheet(10, 4.3)
    bold, small = {"fontsize": 11.5, "fontweight": "bold"}, {"fontsize": 9.5, "color": DARK_GREY}
    for y, height, text in ((2.45, 1.7, "once per image"), (0.12, 2.1, "again and again")):
        box(axes, 0.15, y, 9.7, height, PALE, facecolor=tint(PALE, 0.45), linewidth=0)
        words(axes, 0.32, y + height - 0.2, text, ha="left", fontsize=11, fontweight="bold")
    for step in (0.16, 0.08, 0.0):
        box(axes, 0.75 + step, 2.94 + step, 0.72, 0.6, GREY)
    words(axes, 1.15, 2.76, f"{images:,} train images", **small)
    box(axes, 2.8, 2.72, 1.7, 0.96, BLUE, linestyle=(0, (4, 2)))
    words(axes, 3.65, 3.31, "VGG16", **bold)
    words(axes, 3.65, 3.05, "frozen", color=DARK_GREY)
    for row in range(5):  # the store: a row an image
        place = (5.45, 2.89 + 0.155 * row)
        axes.add_patch(Rectangle(place, 1.9, 0.11, lw=0, facecolor=tint(BLUE, 0.3 + 0.12 * row)))
    words(axes, 6.4, 3.81, "feature store", **bold)
    words(axes, 6.4, 2.74, "a row of 4,096 half floats each", **small)
    times = f"{questions * epochs / images:,.0f} times fewer passes\nthrough the network"
    words(axes, 7.75, 3.2, times, ha="left", fontsize=9.5)
    words(axes, 1.2, 1.22, f"{questions:,} questions\n× {epochs} epochs", fontsize=10.5)
    for name, x, width in (("language", 2.8, 1.5), ("fusion", 5.65, 1.3), ("classifier", 7.5, 1.5)):
        box(axes, x, 0.82, width, 0.8, PIECES[name])
        words(axes, x + width / 2, 1.22, name, **bold)
    for start, end, y in (
        (1.9, 2.75, 3.2),
        (4.55, 5.4, 3.2),
        (2.05, 2.75, 1.22),
        (4.35, 5.6, 1.22),
    ):
        arrow(axes, (start, y), (end, y))
    arrow(axes, (7.0, 1.22), (7.45, 1.22))
    arrow(axes, (6.3, 2.66), (6.3, 1.66))
    words(axes, 6.42, 1.92, "a row, by image id", ha="left", **small)
    arrow(axes, (8.25, 0.78), (3.55, 0.78), color=GREY, linestyle=(0, (4, 2)),
          connectionstyle="bar,fraction=-0.045,angle=180")  # fmt: skip
    words(axes, 5.9, 0.35, "gradients: what learns; the stored vectors stay as they are", **small)
    return figure


# Architectures: a stage is (piece, name, width, lines below, lane), a lane image, question or both

Stage = tuple[str, str, int, list[str], str]


def numbers(module: nn.Module) -> list[str]:
    """How many numbers a module learns and how many are frozen: "134.3 M frozen"."""
    counts = {"learnt": 0, "frozen": 0}
    for parameter in module.parameters():
        counts["learnt" if parameter.requires_grad else "frozen"] += parameter.numel()
    return [f"{IN_SHORT(count)} {what}" for what, count in counts.items() if count]


def groups(piece: nn.Module) -> list[tuple[nn.Module, list[str]]]:
    """The layers of a piece that hold weights, each with what follows it."""
    found: list[tuple[nn.Module, list[str]]] = []
    for layer in piece.modules():
        if isinstance(layer, nn.Linear | nn.Embedding | nn.LSTM | nn.EmbeddingBag):
            found.append((layer, numbers(layer)))
        elif found and isinstance(layer, nn.Dropout):
            found[-1][1].extend([f"dropout {layer.p:g}"] if layer.p else [])
        elif found and type(layer).__name__ in LAYERS:
            found[-1][1].append(LAYERS[type(layer).__name__])
    return found


def stages(recipe: Recipe) -> list[Stage]:
    """What the model of a preset does, in the order of the data, with its true sizes."""
    words = WordVocabulary(("<pad>", "<unknown>", *map(str, range(9_998))))
    answers = AnswerVocabulary(tuple(map(str, range(STUDY_ANSWERS))))
    usual = {"vision": {"weights": "random"}, "language": {"encoder": MULTILINGUAL}}
    with torch.device("meta"):
        model = build_model(recipe.choices, words, answers, usual)
        vision = model.vision
        stored = vision is not None and vision.stored
        network = VisionEncoder(vision.network, "random") if stored else vision and vision.encoder
    made: list[Stage] = []
    if network is not None:
        how = {"none": "once per image" if stored else "in the loop", "all": "all of it learns",
               "last block": "last block learns"}[getattr(vision, "trained", "none")]  # fmt: skip
        below = [*numbers(network), how, "then L2 norm"]
        name = NETWORK_NAMES[vision.network]
        made.append(("vision", name, network.out_dim, below, "image"))
    if model.language is not None:
        layers, width = groups(model.language), model.language.out_dim
        if not any(isinstance(layer, nn.LSTM) for layer, _ in layers):
            below = numbers(model.language) or ["frozen", "Universal", "Sentence", "Encoder"]
            made.append(("language", "words" if layers else "sentences", width, below, "question"))
            layers = []
        for layer, below in layers:
            name = "GloVe" if "frozen" in below[0] else "embedding"
            if isinstance(layer, nn.LSTM):
                name = "BiLSTM" if layer.bidirectional else "LSTM"
            width = getattr(layer, "embedding_dim", model.language.out_dim)
            made.append(("language", name, width, below, "question"))
    if recipe.vision and recipe.language:
        for (layer, below), lane in zip(groups(model.fusion), ("image", "question"), strict=False):
            lines = [line for line in below if "dropout" not in line]
            made.append(("fusion", "project", layer.out_features, lines, lane))
        name = "concat" if "Concat" in type(model.fusion).__name__ else "product"
        lines = ["of L2 norms"] if getattr(model.fusion, "normalise", False) else []
        made.append(("fusion", name, model.fusion.out_dim, lines, "both"))
    for layer, below in groups(model.classifier):
        made.append(("classifier", "linear", layer.out_features, below, "both"))
    return [*made[:-1], ("classifier", "answers", *made[-1][2:])]


@style.styled
def draw_architecture(recipe: Recipe) -> Figure:
    """Boxes as high as their vectors are wide (on a logarithmic scale), with their parameters."""
    lanes: dict[str, list[Stage]] = {"image": [], "question": [], "both": []}
    for stage in stages(recipe):
        lanes[stage[-1]].append(stage)
    sides = [name for name in ("question", "image") if lanes[name]]
    top = 2.5 + 1.74 * (len(sides) - 1)
    figure, axes = sheet(10, top)
    words(axes, 0.12, top - 0.25, recipe.name, ha="left", fontsize=14, fontweight="bold")
    step, before = BOX_IN + GAP_IN, max(len(lanes[name]) for name in sides)
    meeting = (10.9 + (before - len(lanes["both"])) * step) / 2
    centre, ends = 1.3 + 0.87 * (len(sides) - 1), []
    for row, name in enumerate(sides):
        x, y = meeting - len(lanes[name]) * step, 1.3 + 1.74 * row
        given = "question\ntext"
        if name == "image":
            given = f"image\n3 × {own_size(recipe.vision.keywords['network'], 'imagenet')}²"
        words(axes, x - GAP_IN - 0.06, y, given, ha="right", color=DARK_GREY)
        for stage in lanes[name]:
            arrow(axes, (x - GAP_IN + 0.04, y), (x - 0.03, y))
            draw_stage(axes, stage, x, y)
            x += step
        ends.append((x - GAP_IN + 0.04, y))
    for column, stage in enumerate(lanes["both"]):
        x = meeting + column * step
        for end in ends:
            arrow(axes, end, (x - 0.03, centre + 0.16 * (end[1] - centre)))
        draw_stage(axes, stage, x, centre)
        ends = [(x + BOX_IN + 0.04, centre)]
    return figure


def draw_stage(axes: Axes, stage: Stage, x: float, y: float) -> None:
    """A box with its name and width inside, its parameters and details below."""
    piece, name, width, lines, _ = stage
    height = 0.5 + 0.54 * min(max(math.log2(width / 64) / 6.2, 0), 1)
    dashed = any("frozen" in line for line in lines)
    box(axes, x, y - height / 2, BOX_IN, height, PIECES[piece], ls=(0, (4, 2)) if dashed else "-")
    words(axes, x + BOX_IN / 2, y + 0.1, name, fontweight="bold", fontsize=9.5)
    words(axes, x + BOX_IN / 2, y - 0.11, f"{width:,}", fontsize=9.5)
    words(axes, x + BOX_IN / 2, y - height / 2 - 0.08, "\n".join(lines), va="top", fontsize=9,
          color=DARK_GREY)  # fmt: skip


def is_chain(recipe: Recipe) -> bool:
    """Whether a box after another tells the truth: nothing attends to places or words."""
    attends = recipe.language is not None and recipe.language.made_by is AttendedWords
    return recipe.fusion.made_by in CHAINED and not attends


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    (folder / "architectures").mkdir(parents=True, exist_ok=True)
    for recipe in filter(is_chain, PRESETS.values()):
        style.save(draw_architecture(recipe), folder / "architectures" / f"{recipe.name}.png")
    dataset = open_dataset("demo")
    best = best_first(find_experiments(Path("runs")), dataset)[0]
    style.save(draw_puzzle(choose_examples(best, dataset)[0]), folder / "puzzle.png")
    train, epochs = dataset.splits["train"], int(best.runs[0].config["epochs"])
    split = draw_split_model(train["image_id"].nunique(), len(train), epochs)
    style.save(split, folder / "split_model.png")


if __name__ == "__main__":
    main()
