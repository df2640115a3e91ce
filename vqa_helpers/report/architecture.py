"""The architecture of a preset as a figure, read off the model that `build_model` makes of it.

The model is built without memory (torch's "meta" device), so its true sizes cost nothing. Widths
and numbers of parameters are the modules' own. Knows no data and no run.
"""

from dataclasses import dataclass

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import nn

from vqa_helpers.language.encoders import BagOfWords, GloveBiLSTM, SentenceVectors, WordLSTM
from vqa_helpers.model.classifier import Funnel
from vqa_helpers.model.config import Glove, Images, Preset
from vqa_helpers.model.fusion import Concatenation, OneSide, PlainProduct, ProjectedProduct
from vqa_helpers.model.vqa import VQAModel, build_model
from vqa_helpers.report.drawings import PIECES, arrow, box, in_short, sheet, words
from vqa_helpers.report.style import DARK_GREY, styled
from vqa_helpers.vision.encoders import DEFAULT_SIZE_PX, VisionEncoder

ANSWERS, WORDS = 1000, 10_000  # of the drawings that no run gives other numbers
NETWORKS = {"vgg16": "VGG16", "resnet18": "ResNet18", "resnet50": "ResNet50"}
LAYERS = {"ReLU": "ReLU", "Tanh": "tanh", "BatchNorm1d": "batch norm", "Dropout": "dropout"}

WIDTH_IN = 10.0  # of every figure: words are equally large in all of them
INPUT_IN, BOX_IN, GAP_IN = 0.7, 0.94, 0.2  # widths of an input, a box, and the way to the next
LANE_IN = 1.74  # from one lane's middle to the other's
LOWEST_IN, HIGHEST_IN = 0.5, 1.04  # heights of boxes 64 and 4,608 wide
FOOT_IN, HEAD_IN = 1.3, 1.2


@dataclass(frozen=True)
class Stage:
    """One step of a model.

    Attributes:
        piece: which of the four it belongs to.
        width: of the vector it gives.
        detail: what follows its name, a line each.
        learnt, frozen: how many numbers it learns, and how many it was given.
        lane: "image", "question" or "both".
    """

    piece: str
    name: str
    width: int
    detail: tuple[str, ...]
    learnt: int
    frozen: int
    lane: str


def build_empty(preset: Preset, answers: int = ANSWERS, vocabulary: int = WORDS) -> VQAModel:
    """The model of a preset with its true sizes and no memory behind them.

    Args:
        vocabulary: number of word ids, for presets that learn words.
    """
    glove = preset.questions if isinstance(preset.questions, Glove) else None
    with torch.device("meta"):
        vectors = torch.empty(vocabulary, glove.dim) if glove else None
        return build_model(
            preset.records(), answers=answers, vocabulary_size=vocabulary, word_vectors=vectors
        )


def read_stages(preset: Preset, model: VQAModel) -> list[Stage]:
    """What a model does, in the order of the data: image, question, both."""
    stages = [] if preset.images is None else [_vision(preset.images, model.vision)]
    stages += _language(model.language)
    stages += _fusion(model.fusion)
    return stages + _classifier(model.classifier)


@styled
def draw_architecture(preset: Preset, answers: int = ANSWERS, vocabulary: int = WORDS) -> Figure:
    """Boxes as high as their vectors are wide (on a logarithmic scale), with their parameters.

    Args:
        answers, vocabulary: as `build_empty`; a finished run's own make its exact picture.
    """
    model = build_empty(preset, answers, vocabulary)
    stages = read_stages(preset, model)
    lanes = {
        name: [stage for stage in stages if stage.lane == name]
        for name in ("image", "question", "both")
    }
    sides = [name for name in ("image", "question") if lanes[name]]
    figure, axes = sheet(WIDTH_IN, FOOT_IN + HEAD_IN + (LANE_IN if len(sides) == 2 else 0))
    _title(axes, preset, model, stages)
    before, after = max(len(lanes[name]) for name in sides), len(lanes["both"])
    step = BOX_IN + GAP_IN
    meeting = (WIDTH_IN + INPUT_IN + (before - after) * step + GAP_IN) / 2
    centre = FOOT_IN + LANE_IN * (len(sides) - 1) / 2
    ends = []
    for row, name in enumerate(reversed(sides)):
        start = meeting - len(lanes[name]) * step
        ends.append(_lane(axes, lanes[name], start, FOOT_IN + LANE_IN * row, name))
    for column, stage in enumerate(lanes["both"]):
        x = meeting + column * step
        for end in ends:
            arrow(axes, end, (x - 0.03, centre + 0.16 * (end[1] - centre)))
        _stage(axes, stage, x, centre)
        ends = [(x + BOX_IN + 0.04, centre)]
    return figure


# --- reading a model ---


def _count(*modules: nn.Module) -> tuple[int, int]:
    """Numbers learnt and numbers given, over all parameters of the modules."""
    parameters = [parameter for module in modules for parameter in module.parameters()]
    learnt = sum(one.numel() for one in parameters if one.requires_grad)
    return learnt, sum(one.numel() for one in parameters) - learnt


def _vision(spec: Images, vision: nn.Module) -> Stage:
    if isinstance(vision, nn.Sequential):
        network = vision[0]
    else:  # stored features: the network that gives them stands outside the model
        with torch.device("meta"):
            network = VisionEncoder(spec.encoder)
    how = {
        "none": "in the loop" if spec.in_loop else "once per image",
        "last block": "last block learns",
        "all": "all of it learns",
    }[network.trained]
    return Stage(
        "vision", NETWORKS.get(spec.encoder, spec.encoder), network.out_dim, (how, "then L2 norm"),
        *_count(network), "image",
    )  # fmt: skip


def _language(language: nn.Module | None) -> list[Stage]:
    def stage(name: str, width: int, detail: tuple[str, ...], *modules: nn.Module) -> Stage:
        return Stage("language", name, width, detail, *_count(*modules), "question")

    match language:
        case None:
            return []
        case WordLSTM(embedding=table, lstm=lstm):
            tanh = ("tanh",) if isinstance(language.activation, nn.Tanh) else ()
            return [
                stage("embedding", table.embedding_dim, (_vocabulary(table), *tanh), table),
                stage("LSTM", language.out_dim, ("last hidden", "and cell state"), lstm),
            ]
        case GloveBiLSTM(embedding=table, lstm=lstm):
            layers = f"{lstm.num_layers} layers"
            return [
                stage("GloVe", table.embedding_dim, (_vocabulary(table),), table),
                stage("BiLSTM", language.out_dim, (layers, "last states"), lstm),
            ]
        case BagOfWords(bag=table, first=first):
            detail = (_vocabulary(table), f"and first {len(first)}")
            return [stage("bag of words", language.out_dim, detail, table, first)]
        case SentenceVectors():
            return [stage("sentences", language.out_dim, ("Universal", "Sentence", "Encoder"))]
        case _:
            return [stage(type(language).__name__, language.out_dim, (), language)]


def _vocabulary(table: nn.Module) -> str:
    return f"{table.num_embeddings:,} words"


def _fusion(fusion: nn.Module) -> list[Stage]:
    match fusion:
        case OneSide():
            return []
        case ProjectedProduct():
            projections = [
                Stage("fusion", "project", linear.out_features, (LAYERS[type(act).__name__],),
                      *_count(linear), lane)
                for lane, (linear, act) in (("image", fusion.image), ("question", fusion.question))
            ]  # fmt: skip
            detail = (("of L2 norms",) if fusion.normalise else ()) + _dropout(fusion.dropout.p)
            return [*projections, Stage("fusion", "product", fusion.out_dim, detail, 0, 0, "both")]
        case PlainProduct():
            return [Stage("fusion", "product", fusion.out_dim, ("point-wise",), 0, 0, "both")]
        case Concatenation():
            return [Stage("fusion", "concat", fusion.out_dim, ("side by side",), 0, 0, "both")]
        case _:
            return [
                Stage("fusion", type(fusion).__name__, fusion.out_dim, (), *_count(fusion), "both")
            ]


def _classifier(funnel: Funnel) -> list[Stage]:
    """A stage a linear layer, with what follows it."""
    groups: list[list[nn.Module]] = []
    for layer in funnel.layers:
        if isinstance(layer, nn.Linear):
            groups.append([])
        groups[-1].append(layer)
    return [
        Stage(
            "classifier", "linear" if group is not groups[-1] else "answers", group[0].out_features,
            tuple(line for layer in group[1:] for line in _layer(layer)), *_count(*group), "both",
        )
        for group in groups
    ]  # fmt: skip


def _layer(layer: nn.Module) -> tuple[str, ...]:
    if isinstance(layer, nn.Dropout):
        return _dropout(layer.p)
    return (LAYERS.get(type(layer).__name__, type(layer).__name__),)


def _dropout(share: float) -> tuple[str, ...]:
    return (f"dropout {share:g}",) if share else ()


# --- drawing it ---


def _title(axes: Axes, preset: Preset, model: VQAModel, stages: list[Stage]) -> None:
    """Name, total, and the colours of the pieces that are there."""
    top = axes.get_ylim()[1]
    line = {"ha": "left", "va": "baseline"}
    words(axes, 0.12, top - 0.32, preset.name, fontsize=14, fontweight="bold", **line)
    learnt, frozen = model.parameter_count(), sum(stage.frozen for stage in stages)
    total = f"{in_short(learnt)} parameters learnt"
    total += f", {in_short(frozen)} frozen" if frozen else ""
    words(axes, 0.12, top - 0.58, total, color=DARK_GREY, **line)
    present = [piece for piece in PIECES if any(stage.piece == piece for stage in stages)]
    x = WIDTH_IN - 0.12 - sum(_legend_in(piece) for piece in present)
    for piece in present:
        box(axes, x, top - 0.34, 0.14, 0.14, PIECES[piece], filled=True, radius=0.03)
        words(axes, x + 0.2, top - 0.32, piece, **line)
        x += _legend_in(piece)


def _legend_in(piece: str) -> float:
    """Room for a name and its colour, inches."""
    return 0.4 + 0.074 * len(piece)


def _lane(axes: Axes, stages: list[Stage], x: float, y: float, name: str) -> tuple[float, float]:
    """An input and what becomes of it before the two meet; returns where the lane ends.

    Args:
        x: where its first box begins.
    """
    given = f"image\n3 × {DEFAULT_SIZE_PX}²" if name == "image" else "question\ntext"
    words(axes, x - GAP_IN - 0.06, y, given, ha="right", color=DARK_GREY)
    end = x - GAP_IN
    for stage in stages:
        arrow(axes, (end, y), (x - 0.03, y))
        _stage(axes, stage, x, y)
        end = x + BOX_IN + 0.04
        x += BOX_IN + GAP_IN
    return end, y


def _stage(axes: Axes, stage: Stage, x: float, y: float) -> None:
    """A box with its name and width inside, its parameters and details below."""
    share = torch.tensor(stage.width / 64.0).log2().item() / 6.2
    height = LOWEST_IN + (HIGHEST_IN - LOWEST_IN) * min(max(share, 0.0), 1.0)
    colour = PIECES[stage.piece]
    outside = stage.name == "sentences"
    box(axes, x, y - height / 2, BOX_IN, height, colour, frozen=stage.frozen > 0 or outside)
    line = {"va": "baseline", "fontsize": 9.5}
    words(axes, x + BOX_IN / 2, y + 0.06, stage.name, fontweight="bold", **line)
    words(axes, x + BOX_IN / 2, y - 0.15, f"{stage.width:,}", **line)
    lines = [f"{in_short(stage.learnt)} learnt"] if stage.learnt else []
    if stage.frozen:
        lines.append(f"{in_short(stage.frozen)} frozen")
    if outside:
        lines.append("frozen")
    lines += stage.detail
    words(
        axes, x + BOX_IN / 2, y - height / 2 - 0.08, "\n".join(lines), va="top", fontsize=9,
        color=DARK_GREY,
    )  # fmt: skip
