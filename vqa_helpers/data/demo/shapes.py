"""Strokes: the drawings of `drawings.json`, each a list of shaded shapes with an outline.

A drawing lives in the square from -1 to 1 around its origin, y downwards; what stands has its feet
at 1. The caller chooses place, size and colour.
"""

import json
from importlib import resources

from numpy.random import Generator
from PIL import ImageColor, ImageDraw

from vqa_helpers.data.demo.scenes import WORLD

Rgb = tuple[int, int, int]

DRAWINGS = json.loads((resources.files(__package__) / "drawings.json").read_text(encoding="utf-8"))
COLORS: dict[str, Rgb] = {name: ImageColor.getrgb(text) for name, text in WORLD["colors"].items()}


def shade(color: Rgb, by: float) -> Rgb:
    """`color` moved towards white (by > 0) or black (by < 0); 1 and -1 reach them."""
    target = 255 if by > 0 else 0
    return tuple(round(c + (target - c) * abs(by)) for c in color)


def tinted(color: str, rng: Generator) -> Rgb:
    """The named colour, a little off, as no two red things are the same red."""
    return tuple(int(min(255, max(0, c + rng.integers(-9, 10)))) for c in COLORS[color])


def rgb(text: str, paint: Rgb = (0, 0, 0)) -> Rgb:
    """The colour of a stroke: "#rrggbb", a name, or "paint", the thing's own, perhaps shaded
    ("paint -0.2"); an "eye", a "mane" and the "heart" of a flower stand out against it."""
    name, _, by = text.partition(" ")
    if name == "paint":
        return shade(paint, float(by or 0))
    light = sum(paint) > 200
    special = {
        "eye": COLORS["ink"] if light else (240, 240, 240),
        "mane": shade(paint, -0.55) if light else (110, 90, 80),
        "heart": COLORS["yellow" if paint[2] > 90 or paint[1] < 100 else "brown"],
    }
    return special.get(name) or COLORS.get(name) or ImageColor.getrgb(name)


def draw_strokes(
    draw: ImageDraw.ImageDraw,
    strokes: list[dict],
    at: tuple[float, float],
    unit: float,
    edge: int,
    flip: int = 1,
    paint: Rgb = (0, 0, 0),
) -> None:
    """Draw strokes in their order.

    Args:
        strokes: each an "oval" (centre and half axes), a "rect" (two corners), a "poly" or a "line"
            (points), in units, with its "fill"; optional are the "width" of a line, "round"
            corners and "edge": false for no outline.
        at: the origin, canvas pixels.
        unit: canvas pixels in one unit of length; a thing is two units wide.
        edge: outline width, canvas pixels; 0 draws none.
        flip: -1 mirrors left and right.
    """

    def points(*numbers: float) -> list[tuple[float, float]]:
        pairs = zip(numbers[::2], numbers[1::2], strict=True)
        return [(at[0] + flip * x * unit, at[1] + y * unit) for x, y in pairs]

    def box(*corners: float) -> list[float]:
        (a, top), (b, bottom) = points(*corners)
        return [min(a, b), top, max(a, b), bottom]

    for stroke in strokes:
        fill = rgb(stroke["fill"], paint)
        outline = COLORS["ink"] if edge and stroke.get("edge", True) else None
        pen = {"fill": fill, "outline": outline, "width": edge or 1}
        match stroke:
            case {"oval": (x, y, rx, ry)}:
                draw.ellipse(box(x - rx, y - ry, x + rx, y + ry), **pen)
            case {"rect": corners}:
                radius = stroke.get("round", 0) * unit
                try:
                    draw.rounded_rectangle(box(*corners), radius, **pen)
                except ValueError:  # Pillow finds no room for round corners in a few pixels
                    draw.rectangle(box(*corners), **pen)
            case {"poly": numbers}:
                corners = points(*numbers)
                draw.polygon(corners, fill=fill)
                if outline:
                    draw.line([*corners, corners[0]], fill=outline, width=edge, joint="curve")
            case {"line": numbers, "width": width}:
                pixels = max(1, round(width * unit))
                draw.line(points(*numbers), fill=fill, width=pixels, joint="curve")
