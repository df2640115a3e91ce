"""Draw a scene: backdrop, furniture, hero and counted things, three times too large, then shrunk.

`side` is that of the square canvas in pixels; `h` is where the ground begins, as a share of it. Things
are drawn by the strokes of `drawings.json`, shaded shapes with an outline: each drawing lives in the
square from -1 to 1 around its origin, y downwards; what stands has its feet at 1. The caller chooses
place, size and colour.
"""

import json
from importlib import resources

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageColor, ImageDraw

from vqa_helpers.data.demo.scenes import FLYING, PLACES, SKIES, WALLS, WORLD, Scene

Fill = str | tuple[int, ...]
Rgb = tuple[int, int, int]

DRAWINGS = json.loads((resources.files(__package__) / "drawings.json").read_text(encoding="utf-8"))
COLORS: dict[str, Rgb] = {name: ImageColor.getrgb(text) for name, text in WORLD["colors"].items()}

OVERSAMPLE = 3
HERO_SHARE = 0.5  # of the picture's side
# (up to this count, share of the side a thing takes, columns, rows, cells left to the hero): few
# things are seen from nearer than many.
GRIDS = ((4, 0.225, 4, 3, 4), (9, 0.17, 5, 4, 6), (20, 0.135, 6, 5, 9))
# Every counted thing stands on a white disc, as a sticker does: the eye finds it on any ground,
# and so does a network with random weights, whose features tell masses rather than outlines.
DISC_SHARE = 0.62  # its radius, of the thing's width


def draw_scene(scene: Scene, rng: Generator, size_px: int) -> Image.Image:
    """The scene as an RGB picture of size_px by size_px.

    `rng` settles what the scene leaves open: exact tints, places, clouds, texture.
    """
    side = size_px * OVERSAMPLE
    flying = _flying(scene)
    horizon = rng.uniform(0.62, 0.68) if flying else rng.uniform(0.34, 0.4)
    canvas = _Canvas(scene, rng, side, horizon)
    draw, flip = canvas.draw, 1 if scene.side == "left" else -1
    if scene.indoors:
        canvas.wall(0.74 if scene.side == "left" else 0.26)
    else:
        canvas.sky(0.8 if scene.side == "left" else 0.2)
    getattr(canvas, scene.place.replace(" ", "_"))()

    x, y = (middle + rng.uniform(-0.02, 0.02) for middle in _hero_place(scene))
    high = flying or scene.item == "balloon"
    places, share = _item_places(scene.count, (x, y), horizon, high, rng)
    at, unit = (x * side, y * side), HERO_SHARE * side / 2
    under = [at[0] - unit * 0.9, at[1] + unit * 0.8, at[0] + unit * 0.9, at[1] + unit * 1.08]
    paint = tinted(scene.hero_color, rng)
    draw.ellipse(under, fill=(0, 0, 0, 70))
    edge = max(2, round(side * 0.008))
    draw_strokes(draw, DRAWINGS["things"][scene.hero], at, unit, edge, flip, paint)
    if scene.sport:
        draw_strokes(draw, DRAWINGS["gear"][scene.sport], at, unit, side // 130, flip)

    paint, edge = tinted(scene.item_color, rng), max(2, round(side * 0.0055))
    for x, y in places:
        rim = {"outline": (205, 208, 214), "width": side // 130}
        canvas.dot(x, y, DISC_SHARE * share, (255, 255, 255), **rim)
    for x, y in places:
        flip = 1 if rng.random() < 0.5 else -1
        unit, at = share * rng.uniform(0.95, 1.05) * side / 2, (x * side, y * side)
        draw_strokes(draw, DRAWINGS["things"][scene.item], at, unit, edge, flip, paint)
    if scene.sky in ("rainy", "snowy"):
        canvas.fall()
    return canvas.picture.reduce(OVERSAMPLE)


def hero_box(scene: Scene) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of the square that the hero is drawn in, as shares of the picture's
    side; right to 0.02."""
    x, y = _hero_place(scene)
    half = HERO_SHARE / 2
    return x - half, y - half, x + half, y + half


def _hero_place(scene: Scene) -> tuple[float, float]:
    """The hero's middle, to 0.02."""
    return 0.27 if scene.side == "left" else 0.73, 0.72 if _flying(scene) else 0.46


def _flying(scene: Scene) -> bool:
    """Whether the counted things need the sky."""
    return scene.item in FLYING and not scene.indoors


def _item_places(
    count: int, hero: tuple[float, float], horizon: float, high: bool, rng: Generator
) -> tuple[list[tuple[float, float]], float]:
    """Centres for `count` things, cells of a grid that the hero leaves free, and their share."""
    _, share, columns, rows, hidden = next(grid for grid in GRIDS if count <= grid[0])
    top, bottom = (0.04, 0.8) if high else (0.24, 0.985)
    width, height = 0.97 / columns, (bottom - top) / rows
    cells = [
        (0.015 + (column + 0.5) * width, top + (row + 0.5) * height)
        for column in range(columns)
        for row in range(rows)
    ]
    cells.sort(key=lambda cell: max(abs(cell[0] - hero[0]), abs(cell[1] - hero[1])))
    free = cells[hidden:]
    grounded = [cell for cell in free if cell[1] + share / 2 > horizon + 0.05]
    if not high and count <= len(grounded):  # things lie on the ground while there is room
        free = grounded
    chosen = rng.choice(len(free), size=count, replace=False)
    places = [tuple(free[i] + rng.uniform(-0.008, 0.008, 2)) for i in chosen]
    return sorted(places, key=lambda place: place[1]), share


def _gradient(top: Rgb, low: Rgb, rows: int) -> np.ndarray:
    """(rows, 1, 3) bytes running from `top` to `low`."""
    share = np.linspace(0.0, 1.0, max(rows, 1))[:, None, None]
    return (np.array(top) * (1 - share) + np.array(low) * share).astype(np.uint8)


class _Canvas:
    """The picture under way; a method for each place draws its scenery.

    Places and lengths are shares of its side.
    """

    def __init__(self, scene: Scene, rng: Generator, side: int, h: float) -> None:
        self.scene, self.rng, self.side, self.h = scene, rng, side, h
        sky, horizon = SKIES.get(scene.sky, {"light": (1.0, 1.0, 1.0)}), int(h * side)
        self.light = sky["light"]
        if scene.indoors:
            wall = rgb(WALLS[scene.wall])
            above = _gradient(shade(wall, 0.08), shade(wall, -0.08), horizon)
        else:
            above = _gradient(rgb(sky["top"]), rgb(sky["low"]), horizon)
        ground = self.lit(PLACES[scene.place]["ground"])
        below = _gradient(shade(ground, 0.12), shade(ground, -0.14), side - horizon)
        column = np.concatenate([above, below])  # (side, 1, 3)
        pixels = np.ascontiguousarray(np.broadcast_to(column, (side, side, 3)))
        self.picture = Image.fromarray(pixels)
        self.draw = ImageDraw.Draw(self.picture, "RGBA")

    def lit(self, color: str) -> Rgb:
        """A colour in the light of the sky."""
        return tuple(int(c * f) for c, f in zip(rgb(color), self.light, strict=True))

    def at(self, *shares: float) -> list[float]:
        """Shares of the side in pixels."""
        return [share * self.side for share in shares]

    def line(self, *ends: float, fill: Fill, part: int) -> None:
        """A line through points x, y, …, as wide as that part of the side."""
        self.draw.line(self.at(*ends), fill=fill, width=self.side // part)

    def box(self, *corners: float, fill: Fill) -> None:
        self.draw.rectangle(self.at(*corners), fill=fill)

    def dot(self, x: float, y: float, r: float, fill: Fill, **outline) -> None:
        self.draw.ellipse(self.at(x - r, y - r, x + r, y + r), fill=fill, **outline)

    def scattered(self, count: int, top: float) -> np.ndarray:
        """(count, 2) places between `top` and the lower edge."""
        return self.rng.uniform((0, top), (1, 1), (count, 2))

    def wall(self, x: float) -> None:
        """What hangs or stands at the wall of a room, on the side away from the hero."""
        self.line(0, self.h, 1, self.h, fill=(96, 72, 60), part=64)
        strokes, edge = DRAWINGS["furniture"][self.scene.place], self.side // 150
        draw_strokes(self.draw, strokes, self.at(x, self.h), 0.22 * self.side, edge)

    def sky(self, x: float) -> None:
        """Sun, moon, stars or clouds, on the side away from the hero."""
        sky, rng = self.scene.sky, self.rng
        if sky in ("sunny", "sunset"):
            y = 0.13 if sky == "sunny" else self.h - 0.05
            disc = (255, 236, 110) if sky == "sunny" else (255, 120, 60)
            for r, alpha in ((0.15, 60), (0.12, 90), (0.085, 255)):
                self.dot(x, y, r, (*disc, alpha))
        elif sky == "night":
            self.dot(x, 0.13, 0.08, (250, 246, 214))
            self.dot(x - 0.035, 0.11, 0.07, (18, 22, 58))
            for _ in range(14):
                self.dot(rng.uniform(0, 1), rng.uniform(0, self.h), 0.006, (255, 255, 230))
        else:
            tone = (246, 248, 250) if sky != "rainy" else (66, 74, 90)
            for column in range(3):
                middle = 0.18 + 0.32 * column + rng.uniform(-0.06, 0.06)
                y = rng.uniform(0.06, 0.15)
                for dx, dy, r in ((-0.09, 0.02, 0.06), (0, -0.01, 0.08), (0.09, 0.02, 0.065)):
                    self.dot(middle + dx, y + dy, r, tone)

    def fall(self) -> None:
        """Rain or snow over everything."""
        for x, y in self.scattered(46, 0):
            if self.scene.sky == "rainy":
                self.line(x, y, x - 0.02, y + 0.07, fill=(190, 214, 240, 190), part=110)
            else:
                self.dot(x, y, 0.011, (255, 255, 255, 235))

    def beach(self) -> None:
        shore = self.h + 0.1
        self.box(0, self.h, 1, shore, fill=self.lit("#3496ce"))
        self.line(0, shore, 1, shore, fill=(250, 250, 250), part=50)
        sand = shade(self.lit(PLACES["beach"]["ground"]), -0.25)
        for x, y in self.scattered(40, self.h + 0.12):
            self.dot(x, y, 0.006, sand)

    def park(self) -> None:
        for i in range(5):
            x, r = 0.1 + 0.2 * i + self.rng.uniform(-0.05, 0.05), self.rng.uniform(0.06, 0.09)
            self.box(x - r / 7, self.h - r, x + r / 7, self.h, fill=self.lit("#604228"))
            self.dot(x, self.h - 1.3 * r, r, self.lit("#227030"))
        for x, y in self.scattered(60, self.h):
            blade = x - 0.012, y - 0.03, x, y, x + 0.012, y - 0.03
            self.line(*blade, fill=self.lit("#3a842c"), part=120)

    def street(self) -> None:
        glass = "#ffe278" if self.scene.sky in ("night", "sunset") else "#cee2ee"
        for i, wall in enumerate(("#a86e5c", "#888296", "#bea07a", "#788e96")):
            left, top = i / 4, self.h - self.rng.uniform(0.14, 0.27)
            self.box(left, top, left + 1 / 4, self.h, fill=self.lit(wall))
            for y in np.arange(top + 0.025, self.h - 0.04, 0.065):
                for column in range(3):
                    x = left + 0.035 + 0.07 * column
                    self.box(x, y, x + 0.04, y + 0.035, fill=glass)
        self.box(0, self.h, 1, self.h + 0.05, fill=self.lit("#b0aca6"))
        for i in range(4):
            x = 0.02 + 0.27 * i
            self.box(x, 0.8, x + 0.14, 0.83, fill=(244, 240, 220))

    def farm(self) -> None:
        for i in range(-6, 7):
            furrow = 0.5 + 0.04 * i, self.h, 0.5 + 0.24 * i, 1
            self.line(*furrow, fill=self.lit("#927028"), part=70)
        xs = np.linspace(0.03, 0.97, 8)
        posts = [[x, self.h - 0.08, x, self.h + 0.02] for x in xs]
        for rail in [*posts, [0, self.h - 0.05, 1, self.h - 0.05]]:
            self.line(*rail, fill=(246, 240, 226), part=65)

    def lake(self) -> None:
        for i in range(3):
            x = 0.15 + 0.35 * i
            hill = self.at(x - 0.3, self.h - 0.1, x + 0.3, self.h + 0.1)
            self.draw.pieslice(hill, 180, 360, fill=self.lit("#4a805c"))
        for x, y in self.scattered(22, self.h + 0.03):
            wave = self.at(x - 0.05, y, x + 0.05, y + 0.03)
            self.draw.arc(wave, 200, 340, fill=(206, 232, 244), width=self.side // 110)

    def mountains(self) -> None:
        for i, height in enumerate((0.2, 0.27, 0.18)):
            x, h, top = 0.14 + 0.36 * i, self.h, self.h - height
            rock = self.at(x - 0.24, h, x, top, x + 0.24, h)
            self.draw.polygon(rock, fill=self.lit("#707a94"))
            snow, notch = top + height * 0.4, top + height * 0.3
            cap = self.at(x - 0.24 * 0.4, snow, x, top, x + 0.24 * 0.4, snow, x, notch)
            self.draw.polygon(cap, fill=self.lit("#fafcff"))
        for x, y in self.scattered(30, self.h):
            self.dot(x, y, 0.006, self.lit("#c4d4ea"))

    def kitchen(self, dark: str = "#786054") -> None:
        rows = np.linspace(self.h, 1, 6)
        for row in range(5):
            for column in range(row % 2, 8, 2):
                self.box(column / 8, rows[row], (column + 1) / 8, rows[row + 1], fill=dark)

    def bathroom(self) -> None:
        self.kitchen("#60b0bc")

    def bedroom(self) -> None:
        for i, y in enumerate(np.linspace(self.h, 1, 8)):
            x = (0.2 + 0.37 * i) % 1.0
            for board in ([0, y, 1, y], [x, y, x, y + (1 - self.h) / 7]):
                self.line(*board, fill=(126, 82, 46), part=110)

    def living_room(self) -> None:
        self.draw.ellipse(self.at(0.04, self.h + 0.1, 0.96, 0.99), fill="#d6aa6e")
        inner = self.at(0.1, self.h + 0.14, 0.9, 0.95)
        self.draw.ellipse(inner, outline=(148, 64, 66), width=self.side // 60)


# ---------------------------------------------------------------- strokes


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
    draw: ImageDraw.ImageDraw, strokes: list[dict], at: tuple[float, float], unit: float, edge: int,
    flip: int = 1, paint: Rgb = (0, 0, 0),
) -> None:  # fmt: skip
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
