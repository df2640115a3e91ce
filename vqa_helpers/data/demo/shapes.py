"""The things that stand in a scene, each a few shaded shapes with an outline.

Every function draws into the square from -1 to 1 around a pen's origin, y downwards, feet at 1.
Knows nothing of scenes: the caller chooses place, size and colour.
"""

from collections.abc import Callable, Sequence

from numpy.random import Generator
from PIL import ImageDraw

Rgb = tuple[int, int, int]
Points = Sequence[tuple[float, float]]

COLORS: dict[str, Rgb] = {
    "red": (218, 36, 40),
    "orange": (245, 132, 24),
    "yellow": (252, 216, 40),
    "green": (40, 156, 66),
    "blue": (34, 92, 214),
    "purple": (132, 54, 178),
    "pink": (248, 142, 190),
    "white": (246, 246, 246),
    "black": (36, 36, 40),
    "brown": (134, 82, 40),
    "gray": (142, 146, 154),
}
INK: Rgb = (40, 34, 40)
SKIN: Rgb = (236, 188, 150)
GLASS: Rgb = (190, 226, 240)


def shade(color: Rgb, by: float) -> Rgb:
    """`color` moved towards white (by > 0) or black (by < 0); 1 and -1 reach them."""
    target = 255 if by > 0 else 0
    return tuple(round(c + (target - c) * abs(by)) for c in color)


class Pen:
    """An `ImageDraw` with its own origin and unit, so that shapes are written once, unit sized.

    Args:
        draw: the canvas.
        x, y: the origin, canvas pixels.
        unit: canvas pixels in one unit of length; a thing is two units wide.
        flip: -1 mirrors left and right.
        edge: outline width, canvas pixels; 0 draws none.
    """

    def __init__(
        self, draw: ImageDraw.ImageDraw, x: float, y: float, unit: float, flip: int, edge: int
    ) -> None:
        self.draw, self.x, self.y, self.unit, self.flip, self.edge = draw, x, y, unit, flip, edge

    def _to(self, x: float, y: float) -> tuple[float, float]:
        return self.x + self.flip * x * self.unit, self.y + y * self.unit

    def _box(self, x0: float, y0: float, x1: float, y1: float) -> list[float]:
        (a, top), (b, bottom) = self._to(x0, y0), self._to(x1, y1)
        return [min(a, b), top, max(a, b), bottom]

    def oval(self, x: float, y: float, rx: float, ry: float, color, edge: bool = True) -> None:
        """An ellipse around (x, y) with half axes rx and ry."""
        outline = INK if edge and self.edge else None
        box = self._box(x - rx, y - ry, x + rx, y + ry)
        self.draw.ellipse(box, fill=color, outline=outline, width=self.edge or 1)

    def rect(self, x0, y0, x1, y1, color, round_by: float = 0.0, edge: bool = True) -> None:
        """A rectangle between two corners, its corners rounded by `round_by`."""
        outline = INK if edge and self.edge else None
        self.draw.rounded_rectangle(
            self._box(x0, y0, x1, y1),
            radius=round_by * self.unit,
            fill=color,
            outline=outline,
            width=self.edge or 1,
        )

    def poly(self, points: Points, color, edge: bool = True) -> None:
        """A filled polygon."""
        corners = [self._to(*point) for point in points]
        self.draw.polygon(corners, fill=color)
        if edge and self.edge:
            self.draw.line([*corners, corners[0]], fill=INK, width=self.edge, joint="curve")

    def line(self, points: Points, color, width: float) -> None:
        """A stroke of `width` units."""
        pixels = max(1, round(width * self.unit))
        self.draw.line([self._to(*p) for p in points], fill=color, width=pixels, joint="curve")


def ball(pen: Pen, color: Rgb) -> None:
    for step in range(5):
        r = 0.94 - 0.19 * step
        pen.oval(-0.11 * step, -0.11 * step, r, r, shade(color, -0.25 + 0.14 * step), edge=not step)
    pen.oval(-0.4, -0.42, 0.14, 0.12, shade(color, 0.75), edge=False)


def apple(pen: Pen, color: Rgb) -> None:
    pen.line([(0.0, -0.4), (0.12, -0.95)], COLORS["brown"], 0.14)
    pen.oval(-0.3, 0.2, 0.62, 0.74, color)
    pen.oval(0.3, 0.2, 0.62, 0.74, color)
    pen.oval(0.0, 0.25, 0.5, 0.6, color, edge=False)
    pen.oval(-0.45, 0.0, 0.16, 0.24, shade(color, 0.55), edge=False)
    pen.poly([(0.12, -0.6), (0.5, -0.95), (0.85, -0.72), (0.5, -0.5)], COLORS["green"])


def flower(pen: Pen, color: Rgb) -> None:
    pen.line([(0.0, 0.0), (0.0, 1.0)], (36, 120, 50), 0.16)
    pen.oval(0.34, 0.72, 0.32, 0.14, (50, 150, 60))
    for x, y in ((0, -0.78), (0.52, -0.4), (0.32, 0.18), (-0.32, 0.18), (-0.52, -0.4)):
        pen.oval(x, y, 0.4, 0.38, color)
    middle = COLORS["yellow"] if color[2] > 90 or color[1] < 100 else COLORS["brown"]
    pen.oval(0.0, -0.26, 0.3, 0.3, middle)


def star(pen: Pen, color: Rgb) -> None:
    outer = [(0, -1), (0.95, -0.31), (0.59, 0.81), (-0.59, 0.81), (-0.95, -0.31)]
    inner = [(0.28, -0.36), (0.44, 0.16), (0, 0.48), (-0.44, 0.16), (-0.28, -0.36)]
    corners = [point for pair in zip(outer, inner, strict=True) for point in pair]
    pen.poly(corners, color)
    pen.poly([(x * 0.5, y * 0.5 - 0.04) for x, y in corners], shade(color, 0.35), edge=False)


def duck(pen: Pen, color: Rgb) -> None:
    pen.poly([(-0.98, 0.0), (-0.4, 0.2), (-0.5, 0.6)], color)
    pen.oval(-0.08, 0.42, 0.78, 0.54, color)
    pen.poly([(0.7, -0.5), (1.0, -0.32), (0.68, -0.2)], COLORS["orange"])
    pen.oval(0.38, -0.4, 0.44, 0.44, color)
    pen.oval(-0.2, 0.36, 0.4, 0.24, shade(color, -0.22), edge=False)
    pen.oval(0.5, -0.5, 0.1, 0.12, INK, edge=False)


def cup(pen: Pen, color: Rgb) -> None:
    pen.oval(0.62, 0.1, 0.36, 0.42, color)
    pen.oval(0.62, 0.1, 0.17, 0.22, shade(color, -0.55))
    pen.poly([(-0.82, -0.7), (0.62, -0.7), (0.48, 0.95), (-0.68, 0.95)], color)
    pen.poly([(-0.72, -0.6), (-0.4, -0.6), (-0.36, 0.85), (-0.6, 0.85)], shade(color, 0.4), False)
    pen.oval(-0.1, -0.7, 0.72, 0.2, shade(color, -0.45))


def block(pen: Pen, color: Rgb) -> None:
    pen.poly([(-0.9, -0.4), (-0.4, -0.9), (0.92, -0.9), (0.45, -0.4)], shade(color, 0.4))
    pen.poly([(0.45, -0.4), (0.92, -0.9), (0.92, 0.4), (0.45, 0.92)], shade(color, -0.35))
    pen.rect(-0.9, -0.4, 0.45, 0.92, color)


def balloon(pen: Pen, color: Rgb) -> None:
    pen.line([(0.0, 0.5), (0.1, 0.75), (-0.05, 1.0)], (90, 90, 90), 0.07)
    pen.poly([(-0.16, 0.66), (0.16, 0.66), (0.0, 0.46)], shade(color, -0.2))
    pen.oval(0.0, -0.2, 0.7, 0.78, color)
    pen.oval(0.1, -0.1, 0.5, 0.56, shade(color, 0.08), edge=False)
    pen.oval(-0.26, -0.48, 0.17, 0.22, shade(color, 0.65), edge=False)


def bird(pen: Pen, color: Rgb) -> None:
    pen.poly([(-0.98, 0.02), (-0.4, 0.1), (-0.86, 0.42)], shade(color, -0.2))
    pen.oval(-0.02, 0.2, 0.68, 0.4, color)
    pen.poly([(0.82, -0.12), (1.0, 0.0), (0.8, 0.1)], COLORS["orange"])
    pen.oval(0.56, -0.04, 0.32, 0.32, color)
    pen.poly([(-0.4, 0.2), (0.3, 0.14), (-0.34, -0.95)], shade(color, -0.3))
    pen.oval(0.66, -0.1, 0.08, 0.09, INK, edge=False)


def person(pen: Pen, color: Rgb) -> None:
    pen.line([(-0.18, 0.4), (-0.24, 0.95)], (52, 60, 96), 0.24)
    pen.line([(0.18, 0.4), (0.24, 0.95)], (52, 60, 96), 0.24)
    pen.line([(-0.36, -0.2), (-0.62, 0.3)], SKIN, 0.18)
    pen.line([(0.36, -0.2), (0.62, 0.3)], SKIN, 0.18)
    pen.rect(-0.46, -0.36, 0.46, 0.5, color, 0.18)
    pen.oval(0.0, -0.66, 0.34, 0.34, SKIN)
    pen.poly([(-0.34, -0.68), (-0.2, -1.0), (0.2, -1.0), (0.34, -0.68)], (84, 52, 30))


def man(pen: Pen, color: Rgb) -> None:
    pen.line([(-0.22, 0.3), (-0.4, 0.95)], (44, 52, 92), 0.26)
    pen.line([(0.22, 0.3), (0.4, 0.95)], (44, 52, 92), 0.26)
    pen.line([(-0.42, -0.3), (-0.85, -0.05), (-0.95, -0.4)], SKIN, 0.17)
    pen.line([(0.42, -0.3), (0.85, 0.1)], SKIN, 0.17)
    pen.rect(-0.56, -0.46, 0.56, 0.46, color, 0.2)
    pen.rect(-0.4, -0.38, -0.16, 0.38, shade(color, 0.3), 0.1, edge=False)
    pen.oval(0.0, -0.7, 0.28, 0.28, SKIN)
    pen.poly([(-0.3, -0.7), (-0.24, -0.98), (0.24, -0.98), (0.3, -0.7), (0.0, -0.82)], (70, 44, 26))
    for x in (-0.1, 0.1):
        pen.oval(x, -0.66, 0.035, 0.045, INK, edge=False)


def woman(pen: Pen, color: Rgb) -> None:
    pen.oval(0.0, -0.62, 0.38, 0.4, (150, 84, 34))
    pen.line([(-0.16, 0.6), (-0.18, 0.95)], SKIN, 0.16)
    pen.line([(0.16, 0.6), (0.18, 0.95)], SKIN, 0.16)
    pen.line([(-0.3, -0.28), (-0.8, 0.12)], SKIN, 0.15)
    pen.line([(0.3, -0.28), (0.72, -0.06), (0.9, -0.4)], SKIN, 0.15)
    pen.poly([(-0.34, -0.42), (0.34, -0.42), (0.8, 0.72), (-0.8, 0.72)], color)
    pen.poly([(-0.2, -0.34), (-0.04, -0.34), (-0.3, 0.66), (-0.6, 0.66)], shade(color, 0.3), False)
    pen.oval(0.0, -0.68, 0.25, 0.27, SKIN)
    for x in (-0.1, 0.1):
        pen.oval(x, -0.66, 0.035, 0.045, INK, edge=False)


def _wheels(pen: Pen, y: float, r: float, *xs: float) -> None:
    for x in xs:
        pen.oval(x, y, r, r, (34, 34, 38))
        pen.oval(x, y, r * 0.45, r * 0.45, (190, 192, 196), edge=False)


def car(pen: Pen, color: Rgb) -> None:
    pen.poly([(-0.6, 0.1), (-0.36, -0.42), (0.34, -0.42), (0.66, 0.1)], color)
    pen.poly([(-0.42, 0.04), (-0.26, -0.3), (-0.03, -0.3), (-0.03, 0.04)], GLASS)
    pen.poly([(0.07, 0.04), (0.07, -0.3), (0.28, -0.3), (0.46, 0.04)], GLASS)
    pen.rect(-1.0, 0.04, 1.0, 0.68, color, 0.2)
    pen.rect(-0.9, 0.12, 0.9, 0.24, shade(color, 0.4), 0.06, edge=False)
    pen.oval(0.92, 0.32, 0.08, 0.1, COLORS["yellow"])
    _wheels(pen, 0.7, 0.27, -0.55, 0.55)


def bus(pen: Pen, color: Rgb) -> None:
    pen.rect(-1.0, -0.75, 1.0, 0.72, color, 0.14)
    pen.rect(-0.92, 0.2, 0.92, 0.3, shade(color, 0.55), edge=False)
    for x in (-0.88, -0.42, 0.04):
        pen.rect(x, -0.55, x + 0.38, 0.02, GLASS, 0.05)
    pen.rect(0.54, -0.55, 0.9, 0.55, GLASS, 0.05)
    _wheels(pen, 0.74, 0.25, -0.55, 0.42)


def truck(pen: Pen, color: Rgb) -> None:
    pen.rect(-1.0, -0.62, 0.3, 0.62, (206, 202, 192), 0.04)
    for x in (-0.7, -0.35, 0.0):
        pen.line([(x, -0.5), (x, 0.5)], (160, 156, 148), 0.06)
    pen.poly([(0.3, 0.62), (0.3, -0.36), (0.72, -0.36), (0.98, 0.1), (0.98, 0.62)], color)
    pen.poly([(0.44, 0.08), (0.44, -0.24), (0.66, -0.24), (0.84, 0.08)], GLASS)
    pen.rect(-1.0, 0.5, 1.0, 0.7, color)
    _wheels(pen, 0.74, 0.25, -0.62, -0.05, 0.62)


def boat(pen: Pen, color: Rgb) -> None:
    pen.line([(0.0, -0.98), (0.0, 0.45)], (110, 70, 40), 0.09)
    pen.poly([(0.08, -0.9), (0.9, 0.32), (0.08, 0.32)], (248, 244, 232))
    pen.poly([(-0.08, -0.7), (-0.75, 0.32), (-0.08, 0.32)], shade(color, 0.35))
    pen.poly([(-1.0, 0.4), (1.0, 0.4), (0.68, 0.95), (-0.68, 0.95)], color)
    pen.line([(-0.86, 0.54), (0.86, 0.54)], shade(color, 0.6), 0.08)


def umbrella(pen: Pen, color: Rgb) -> None:
    pen.line([(0.0, -0.3), (0.0, 0.98)], (120, 84, 50), 0.1)
    dome = [(-1.0, 0.1), (-0.86, -0.4), (-0.5, -0.76), (0, -0.92), (0.5, -0.76), (0.86, -0.4)]
    pen.poly([*dome, (1.0, 0.1), (0.5, -0.02), (0.0, 0.1), (-0.5, -0.02)], color)
    pen.poly([(0, -0.9), (-0.3, -0.6), (-0.5, -0.02), (0.0, 0.1)], shade(color, 0.35))
    pen.poly([(0, -0.9), (0.5, -0.66), (0.86, -0.3), (1.0, 0.1), (0.5, -0.02)], shade(color, -0.2))


def tent(pen: Pen, color: Rgb) -> None:
    pen.poly([(0.1, -0.7), (0.55, -0.8), (1.0, 0.7), (0.7, 0.95)], shade(color, -0.3))
    pen.poly([(0.1, -0.7), (0.72, 0.95), (-0.95, 0.95)], color)
    pen.poly([(0.06, -0.4), (0.24, 0.95), (-0.34, 0.95)], shade(color, -0.6))
    pen.poly([(0.06, -0.4), (0.0, 0.95), (-0.34, 0.95)], shade(color, 0.4))


def house(pen: Pen, color: Rgb) -> None:
    pen.rect(0.4, -0.9, 0.62, -0.3, (150, 80, 64))
    pen.rect(-0.8, -0.2, 0.8, 0.96, color)
    pen.poly([(-1.0, -0.16), (0.0, -0.98), (1.0, -0.16)], (150, 66, 50))
    pen.rect(-0.18, 0.36, 0.2, 0.96, (104, 66, 40))
    for x in (-0.62, 0.34):
        pen.rect(x, 0.0, x + 0.3, 0.3, GLASS)


def _four_legs(pen: Pen, color: Rgb, top: float, width: float) -> None:
    for x, tone in ((-0.38, -0.25), (0.44, -0.25), (-0.6, 0.0), (0.24, 0.0)):
        pen.rect(x - width / 2, top, x + width / 2, 0.97, shade(color, tone), 0.06)


def dog(pen: Pen, color: Rgb) -> None:
    pen.line([(-0.66, 0.06), (-0.95, -0.35)], shade(color, -0.15), 0.17)
    _four_legs(pen, color, 0.3, 0.22)
    pen.oval(-0.14, 0.2, 0.64, 0.36, color)
    pen.oval(0.52, -0.3, 0.36, 0.35, color)
    pen.oval(0.8, -0.18, 0.22, 0.18, shade(color, 0.3))
    pen.oval(0.32, -0.24, 0.14, 0.34, shade(color, -0.4))
    pen.oval(0.97, -0.24, 0.07, 0.07, INK, edge=False)
    pen.oval(0.62, -0.4, 0.06, 0.07, INK if sum(color) > 200 else (240, 240, 240), edge=False)
    pen.rect(0.26, 0.02, 0.6, 0.12, COLORS["red"], edge=False)


def cat(pen: Pen, color: Rgb) -> None:
    pen.line([(0.5, 0.8), (0.92, 0.6), (0.84, 0.0)], shade(color, -0.15), 0.18)
    pen.oval(0.0, 0.44, 0.58, 0.54, color)
    pen.oval(0.0, 0.6, 0.3, 0.34, shade(color, 0.4), edge=False)
    pen.poly([(-0.5, -0.45), (-0.48, -0.98), (-0.08, -0.66)], color)
    pen.poly([(0.5, -0.45), (0.48, -0.98), (0.08, -0.66)], color)
    pen.oval(0.0, -0.36, 0.54, 0.42, color)
    for x in (-0.22, 0.22):
        pen.oval(x, -0.42, 0.12, 0.13, (190, 220, 90))
        pen.oval(x, -0.42, 0.04, 0.11, INK, edge=False)
    pen.poly([(-0.08, -0.24), (0.08, -0.24), (0.0, -0.14)], COLORS["pink"])
    pen.line([(-0.7, -0.26), (-0.26, -0.2)], INK, 0.03)
    pen.line([(0.7, -0.26), (0.26, -0.2)], INK, 0.03)


def horse(pen: Pen, color: Rgb) -> None:
    mane = shade(color, -0.55) if sum(color) > 200 else (110, 90, 80)
    pen.poly([(-0.6, -0.05), (-0.95, 0.1), (-0.9, 0.65), (-0.76, 0.3)], mane)
    _four_legs(pen, color, 0.2, 0.17)
    pen.oval(-0.1, 0.1, 0.62, 0.34, color)
    pen.poly([(0.2, 0.0), (0.36, -0.75), (0.66, -0.75), (0.56, 0.2)], color)
    pen.poly([(0.4, -0.9), (0.66, -0.86), (1.0, -0.42), (0.86, -0.26), (0.5, -0.45)], color)
    pen.poly([(0.16, -0.05), (0.26, -0.75), (0.46, -0.95), (0.44, -0.6), (0.34, -0.1)], mane)
    pen.oval(0.64, -0.64, 0.05, 0.06, INK if sum(color) > 200 else (240, 240, 240), edge=False)


def cow(pen: Pen, color: Rgb) -> None:
    pen.line([(-0.72, -0.1), (-0.92, 0.5)], INK, 0.08)
    _four_legs(pen, color, 0.3, 0.2)
    pen.rect(-0.78, -0.3, 0.55, 0.5, color, 0.26)
    for x, y, rx, ry in (
        (-0.45, -0.06, 0.24, 0.2),
        (0.1, 0.14, 0.26, 0.24),
        (-0.3, 0.34, 0.2, 0.12),
    ):
        pen.oval(x, y, rx, ry, COLORS["black"], edge=False)
    pen.oval(-0.1, 0.5, 0.2, 0.12, COLORS["pink"])
    pen.rect(0.44, -0.72, 0.9, 0.02, COLORS["black"], 0.16)
    pen.rect(0.5, -0.24, 0.98, 0.08, COLORS["pink"], 0.14)
    pen.oval(0.72, -0.46, 0.07, 0.08, (250, 250, 250), edge=False)


def sheep(pen: Pen, color: Rgb) -> None:
    _four_legs(pen, (70, 62, 60), 0.4, 0.16)
    for x, y in ((-0.6, 0.0), (-0.3, -0.3), (0.1, -0.34)):
        pen.oval(x, y, 0.36, 0.34, color)
    for x, y in ((0.36, -0.05), (0.2, 0.36), (-0.45, 0.36)):
        pen.oval(x, y, 0.36, 0.34, color)
    pen.oval(-0.12, 0.04, 0.56, 0.42, color, edge=False)
    pen.oval(0.68, -0.16, 0.26, 0.34, (66, 58, 58))
    pen.oval(0.5, -0.42, 0.24, 0.18, color)
    pen.oval(0.76, -0.22, 0.06, 0.07, (250, 250, 250), edge=False)


def elephant(pen: Pen, color: Rgb) -> None:
    pen.line([(-0.85, -0.1), (-0.98, 0.4)], shade(color, -0.3), 0.08)
    _four_legs(pen, color, 0.3, 0.32)
    pen.oval(-0.2, 0.02, 0.72, 0.58, color)
    pen.line([(0.72, -0.3), (0.9, 0.1), (0.84, 0.6), (0.98, 0.7)], shade(color, -0.1), 0.2)
    pen.oval(0.52, -0.36, 0.4, 0.42, color)
    pen.oval(0.24, -0.34, 0.3, 0.42, shade(color, -0.22))
    pen.line([(0.74, -0.02), (0.98, 0.14)], (250, 246, 230), 0.1)
    pen.oval(0.68, -0.46, 0.06, 0.07, INK, edge=False)


def chair(pen: Pen, color: Rgb) -> None:
    for x in (-0.6, 0.5):
        pen.rect(x, 0.2, x + 0.14, 0.97, (120, 78, 44))
    pen.rect(-0.66, -0.95, 0.66, 0.2, color, 0.14)
    pen.rect(-0.46, -0.78, 0.46, 0.0, shade(color, 0.3), 0.1, edge=False)
    pen.rect(-0.78, 0.1, 0.78, 0.42, shade(color, -0.12), 0.1)


def lamp(pen: Pen, color: Rgb) -> None:
    pen.oval(0.0, 0.88, 0.42, 0.11, (120, 100, 80))
    pen.line([(0.0, -0.1), (0.0, 0.86)], (150, 126, 90), 0.12)
    pen.poly([(-0.44, -0.95), (0.44, -0.95), (0.86, 0.08), (-0.86, 0.08)], color)
    pen.poly([(-0.3, -0.85), (-0.08, -0.85), (-0.3, 0.0), (-0.62, 0.0)], shade(color, 0.45), False)


def vase(pen: Pen, color: Rgb) -> None:
    for x, y, tint in ((-0.42, -0.62, "red"), (0.42, -0.6, "yellow"), (0.0, -0.78, "pink")):
        pen.line([(0.0, 0.1), (x, y)], (40, 130, 60), 0.07)
        pen.oval(x, y, 0.2, 0.19, COLORS[tint])
    body = [(-0.32, -0.2), (0.32, -0.2), (0.26, 0.04), (0.64, 0.4), (0.4, 0.95), (-0.4, 0.95)]
    pen.poly([*body, (-0.64, 0.4), (-0.26, 0.04)], color)
    pen.oval(-0.28, 0.44, 0.12, 0.24, shade(color, 0.55), edge=False)


def teapot(pen: Pen, color: Rgb) -> None:
    pen.oval(-0.68, 0.2, 0.32, 0.4, color)
    pen.oval(-0.68, 0.2, 0.16, 0.22, shade(color, -0.55))
    pen.poly([(0.4, 0.5), (0.98, -0.34), (0.78, -0.36), (0.4, 0.06)], color)
    pen.oval(0.0, 0.32, 0.68, 0.62, color)
    pen.oval(0.0, -0.26, 0.4, 0.14, shade(color, -0.25))
    pen.oval(0.0, -0.46, 0.13, 0.13, color)
    pen.oval(-0.26, 0.1, 0.16, 0.22, shade(color, 0.55), edge=False)


SHAPES: dict[str, Callable[[Pen, Rgb], None]] = {
    shape.__name__: shape
    for shape in (
        *(ball, apple, flower, star, duck, cup, block, balloon, bird, person, man, woman),
        *(car, bus, truck, boat, umbrella, tent, house, chair, lamp, vase, teapot),
        *(dog, cat, horse, cow, sheep, elephant),
    )
}


def tinted(color: str, rng: Generator) -> Rgb:
    """The named colour, a little off, as no two red things are the same red."""
    return tuple(int(min(255, max(0, c + rng.integers(-9, 10)))) for c in COLORS[color])
