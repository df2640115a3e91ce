"""Diagrams: a sheet measured in inches, and the few shapes all of them are made of.

A diagram is boxes, jigsaw pieces, arrows and words. Knows nothing of models or runs.
"""

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, PathPatch
from matplotlib.path import Path as Outline

from vqa_helpers.report.style import BLUE, DARK_GREY, GREEN, INK, ORANGE, RED

# The four pieces, in the order of the data, and the colour each has in every figure.
PIECES = {"vision": BLUE, "language": ORANGE, "fusion": GREEN, "classifier": RED}
DPI = 160  # twice the pixels that a README shows: sharp on any screen
EDGE_PT = 1.3

# A knob one wide, from its left foot to its right one: neck, head, neck (cubic curves).
_KNOB = np.array(
    [(-0.22, 0), (-0.10, 0.00), (-0.12, 0.14), (-0.20, 0.24), (-0.34, 0.44), (-0.18, 0.62),
     (0.00, 0.62), (0.18, 0.62), (0.34, 0.44), (0.20, 0.24), (0.12, 0.14), (0.10, 0.00),
     (0.22, 0)]
)  # fmt: skip
Knobs = Sequence[tuple[float, int]]  # (place along the edge from 0 to 1, 1 outward or -1 inward)


def sheet(width_in: float, height_in: float) -> tuple[Figure, Axes]:
    """An empty figure whose coordinates are inches from the lower left corner."""
    with mpl.rc_context({"figure.constrained_layout.use": False}):
        figure = plt.figure(figsize=(width_in, height_in), dpi=DPI)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width_in), ylim=(0, height_in))
    axes.axis("off")
    return figure, axes


def tint(colour: str, share: float = 0.16) -> tuple[float, float, float]:
    """`colour` thinned with white: the ground of a box whose edge is the colour itself."""
    return tuple(1 - share * (1 - channel) for channel in to_rgb(colour))


def shade(colour: str, share: float = 0.25) -> tuple[float, float, float]:
    """`colour` darkened, for words on white."""
    return tuple((1 - share) * channel for channel in to_rgb(colour))


def box(
    axes: Axes, x: float, y: float, width: float, height: float, colour: str,
    frozen: bool = False, filled: bool = False, radius: float = 0.07,
) -> None:  # fmt: skip
    """A rounded box with its lower left corner at (x, y); frozen ones have a dashed edge."""
    round_in = min(radius, width / 2, height / 2)
    axes.add_patch(
        FancyBboxPatch(
            (x + round_in, y + round_in), width - 2 * round_in, height - 2 * round_in,
            boxstyle=f"round,pad={round_in}", facecolor=colour if filled else tint(colour),
            edgecolor=colour, linewidth=EDGE_PT, linestyle=(0, (4, 2)) if frozen else "-",
        )
    )  # fmt: skip


def words(axes: Axes, x: float, y: float, text: str, **changes: Any) -> None:
    """Text centred at (x, y) unless `changes` say otherwise."""
    style = {"ha": "center", "va": "center", "fontsize": 10, "color": INK, "linespacing": 1.25}
    axes.text(x, y, text, **{**style, **changes})


def arrow(
    axes: Axes, start: tuple[float, float], end: tuple[float, float], bend: float = 0.0,
    colour: str = DARK_GREY,
) -> None:  # fmt: skip
    """An arrow between two points; `bend` is the height of its arc over its length."""
    axes.add_patch(
        FancyArrowPatch(
            start, end, arrowstyle="-|>,head_length=4.5,head_width=2.6", shrinkA=0, shrinkB=0,
            connectionstyle=f"arc3,rad={bend}", color=colour, linewidth=1.4,
        )
    )  # fmt: skip


def jigsaw(
    axes: Axes, x: float, y: float, width: float, height: float, colour: str, *,
    knob: float = 0.5, left: Knobs = (), right: Knobs = (), pale: bool = False,
) -> None:  # fmt: skip
    """A piece of a puzzle with its lower left corner at (x, y).

    Args:
        knob: width of a knob with its feet, inches.
        left, right: the knobs of the two sides, from the bottom up.
        pale: a spare piece, drawn in outline.
    """
    axes.add_patch(
        PathPatch(
            outline(x, y, width, height, knob, left, right),
            facecolor=tint(colour) if pale else colour,
            edgecolor=colour if pale else "white",
            linewidth=EDGE_PT if pale else 2.4, joinstyle="round",
        )
    )  # fmt: skip


def outline(
    x: float, y: float, width: float, height: float, knob: float, left: Knobs, right: Knobs
) -> Outline:
    """The closed outline of a piece, from its lower left corner up and around."""
    points: list[tuple[float, float]] = [(x, y)]
    codes = [Outline.MOVETO]

    def side(edge: float, outward: int, knobs: Knobs, upward: bool) -> None:
        for place, sign in sorted(knobs, reverse=not upward):
            along = _KNOB[:, 0] if upward else -_KNOB[:, 0]
            at_x = edge + outward * sign * knob * _KNOB[:, 1]
            at_y = y + place * height + knob * along
            points.extend(zip(at_x, at_y, strict=True))
            codes.extend([Outline.LINETO] + [Outline.CURVE4] * (len(_KNOB) - 1))

    side(x, -1, left, upward=True)
    points.extend([(x, y + height), (x + width, y + height)])
    codes.extend([Outline.LINETO] * 2)
    side(x + width, 1, right, upward=False)
    points.extend([(x + width, y), (x, y)])
    codes.extend([Outline.LINETO, Outline.CLOSEPOLY])
    return Outline(points, codes)


def picture(axes: Axes, square: np.ndarray, x: float, y: float, side: float) -> None:
    """A photograph, (S, S, 3) uint8, with its lower left corner at (x, y)."""
    limits = axes.get_xlim(), axes.get_ylim()
    axes.imshow(square, extent=(x, x + side, y, y + side), aspect="auto", zorder=2)
    axes.set(xlim=limits[0], ylim=limits[1])


def in_short(count: int) -> str:
    """A number of parameters in three digits: "134 M", "5.88 M", "105 k", "512"."""
    for size, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if count >= size:
            value = count / size
            return f"{value:.{max(0, 2 - int(np.log10(value)))}f} {unit}"
    return str(count)
