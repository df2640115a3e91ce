"""Draw a scene: backdrop, furniture, hero and counted things, three times too large, then shrunk.

Knows scenes and shapes; knows nothing of questions, files or which picture comes next.
"""

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw

from vqa_helpers.data.demo.scenes import FLYING, Scene
from vqa_helpers.data.demo.shapes import COLORS, INK, SHAPES, Pen, Rgb, shade, tinted

OVERSAMPLE = 3
HERO_SHARE = 0.5  # of the picture's side
# (up to this count, share of the side a thing takes, columns, rows, cells left to the hero): few
# things are seen from nearer than many.
GRIDS = ((4, 0.225, 4, 3, 4), (9, 0.17, 5, 4, 6), (20, 0.135, 6, 5, 9))
# Every counted thing stands on a white disc, as a sticker does: the eye finds it on any ground,
# and so does a network with random weights, whose features tell masses rather than outlines.
DISC_SHARE = 0.62  # its radius, of the thing's width
DISC: Rgb = (255, 255, 255)
DISC_RIM: Rgb = (205, 208, 214)

SKY_TOP: dict[str, Rgb] = {
    "sunny": (84, 168, 240),
    "cloudy": (168, 184, 198),
    "rainy": (92, 104, 122),
    "snowy": (176, 190, 210),
    "sunset": (120, 84, 160),
    "night": (10, 14, 46),
}
SKY_LOW: dict[str, Rgb] = {
    "sunny": (190, 226, 250),
    "cloudy": (212, 218, 224),
    "rainy": (140, 150, 160),
    "snowy": (222, 230, 238),
    "sunset": (255, 164, 84),
    "night": (38, 46, 98),
}
GROUND: dict[str, Rgb] = {
    "beach": (236, 208, 148),
    "park": (104, 180, 72),
    "street": (112, 114, 120),
    "farm": (202, 170, 70),
    "lake": (58, 140, 190),
    "mountains": (232, 240, 250),
    "kitchen": (226, 220, 206),
    "bedroom": (176, 122, 74),
    "bathroom": (150, 214, 220),
    "living room": (148, 64, 66),
}
WALL: dict[str, Rgb] = {
    "white": (240, 238, 232),
    "yellow": (248, 222, 120),
    "blue": (120, 170, 226),
    "green": (142, 202, 146),
    "pink": (244, 176, 198),
    "purple": (170, 138, 206),
}
LIGHT: dict[str, tuple[float, float, float]] = {
    "night": (0.42, 0.46, 0.66),
    "sunset": (1.0, 0.84, 0.76),
    "rainy": (0.78, 0.82, 0.86),
    "cloudy": (0.92, 0.93, 0.95),
}


def draw_scene(scene: Scene, rng: Generator, size_px: int) -> Image.Image:
    """The scene as an RGB picture of size_px by size_px.

    `rng` settles what the scene leaves open: exact tints, places, clouds, texture.
    """
    side = size_px * OVERSAMPLE
    flying = scene.item in FLYING and not scene.indoors
    horizon = rng.uniform(0.62, 0.68) if flying else rng.uniform(0.34, 0.4)
    picture = _backdrop(scene, side, horizon)
    draw = ImageDraw.Draw(picture, "RGBA")
    if scene.indoors:
        _wall(draw, scene, side, horizon)
    else:
        _sky(draw, scene, side, horizon, rng)
    _scenery(draw, scene, side, horizon, rng)

    x = 0.27 if scene.side == "left" else 0.73
    x += rng.uniform(-0.02, 0.02)
    y = (0.72 if flying else 0.46) + rng.uniform(-0.02, 0.02)
    high = flying or scene.item == "balloon"
    places, share = _item_places(scene.count, (x, y), horizon, high, rng)
    hero = tinted(scene.hero_color, rng)
    _stand(draw, scene.hero, hero, (x, y), HERO_SHARE, side, 1 if scene.side == "left" else -1)
    if scene.sport:
        _gear(draw, scene, (x, y), side)
    item = tinted(scene.item_color, rng)
    for x, y in places:
        disc = _around(x * side, y * side, DISC_SHARE * share * side)
        draw.ellipse(disc, fill=DISC, outline=DISC_RIM, width=side // 130)
    for at in places:
        flip = 1 if rng.random() < 0.5 else -1
        _stand(draw, scene.item, item, at, share * rng.uniform(0.95, 1.05), side, flip)
    if scene.sky in ("rainy", "snowy"):
        _fall(draw, scene.sky, side, rng)
    return picture.reduce(OVERSAMPLE)


def _lit(color: Rgb, scene: Scene) -> Rgb:
    factors = LIGHT.get(scene.sky, (1.0, 1.0, 1.0))
    return tuple(int(c * f) for c, f in zip(color, factors, strict=True))


def _gradient(top: Rgb, low: Rgb, rows: int) -> np.ndarray:
    """(rows, 1, 3) bytes running from `top` to `low`."""
    share = np.linspace(0.0, 1.0, max(rows, 1))[:, None, None]
    return (np.array(top) * (1 - share) + np.array(low) * share).astype(np.uint8)


def _backdrop(scene: Scene, side: int, horizon: float) -> Image.Image:
    """Sky or wall above the horizon, ground below, (side, side) pixels."""
    edge = int(horizon * side)
    if scene.indoors:
        wall = WALL[scene.wall]
        above = _gradient(shade(wall, 0.08), shade(wall, -0.08), edge)
    else:
        above = _gradient(SKY_TOP[scene.sky], SKY_LOW[scene.sky], edge)
    ground = _lit(GROUND[scene.place], scene)
    below = _gradient(shade(ground, 0.12), shade(ground, -0.14), side - edge)
    column = np.concatenate([above, below])
    return Image.fromarray(np.ascontiguousarray(np.broadcast_to(column, (side, side, 3))))


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
    places = [
        (free[i][0] + rng.uniform(-0.008, 0.008), free[i][1] + rng.uniform(-0.008, 0.008))
        for i in chosen
    ]
    return sorted(places, key=lambda place: place[1]), share


def _stand(
    draw: ImageDraw.ImageDraw,
    kind: str,
    color: Rgb,
    at: tuple[float, float],
    share: float,
    side: int,
    flip: int,
) -> None:
    """One thing centred at `at`, `share` of the side wide; the hero casts a shadow."""
    x, y, unit = at[0] * side, at[1] * side, share * side / 2
    if share == HERO_SHARE:
        under = [x - unit * 0.9, y + unit * 0.8, x + unit * 0.9, y + unit * 1.08]
        draw.ellipse(under, fill=(0, 0, 0, 70))
    edge = max(2, round(side * (0.008 if share > 0.3 else 0.0055)))
    SHAPES[kind](Pen(draw, x, y, unit, flip, edge), color)


def _gear(draw: ImageDraw.ImageDraw, scene: Scene, at: tuple[float, float], side: int) -> None:
    """What the sport needs, in front of the hero at `at`."""
    flip = 1 if scene.side == "left" else -1
    pen = Pen(draw, at[0] * side, at[1] * side, HERO_SHARE * side / 2, flip, side // 130)
    if scene.sport == "surfing":
        pen.oval(0.0, 0.98, 1.05, 0.17, (255, 250, 220))
        pen.line([(-0.9, 0.98), (0.9, 0.98)], COLORS["red"], 0.07)
    elif scene.sport == "skiing":
        for y in (0.92, 1.06):
            pen.line([(-0.95, y), (0.9, y), (1.05, y - 0.12)], COLORS["red"], 0.09)
        pen.line([(0.85, 0.1), (0.7, 0.95)], INK, 0.06)
        pen.line([(-0.95, -0.4), (-0.75, 0.95)], INK, 0.06)
    elif scene.sport == "snowboarding":
        pen.rect(-0.95, 0.86, 0.95, 1.1, COLORS["green"], 0.12)
    elif scene.sport == "skateboarding":
        pen.rect(-0.75, 0.9, 0.75, 1.0, (170, 110, 60), 0.05)
        for x in (-0.5, 0.5):
            pen.oval(x, 1.06, 0.1, 0.1, (40, 40, 44))
    elif scene.sport == "tennis":
        pen.line([(0.85, 0.1), (0.98, -0.2)], (90, 60, 40), 0.1)
        pen.oval(1.04, -0.55, 0.26, 0.36, (250, 250, 240))
        pen.oval(0.7, -0.85, 0.12, 0.12, (214, 240, 60))
        pen.line([(-1.1, 1.02), (1.6, 1.02)], (250, 250, 250), 0.06)
    elif scene.sport == "soccer":
        pen.oval(0.75, 0.84, 0.2, 0.2, (250, 250, 250))
        pen.oval(0.75, 0.84, 0.08, 0.08, INK, edge=False)
    else:
        pen.oval(0.9, -0.75, 0.22, 0.22, (250, 246, 220))
        pen.line([(0.7, -0.75), (1.1, -0.75)], COLORS["blue"], 0.05)


def _sky(
    draw: ImageDraw.ImageDraw, scene: Scene, side: int, horizon: float, rng: Generator
) -> None:
    """Sun, moon, stars or clouds, on the side away from the hero."""
    x = (0.8 if scene.side == "left" else 0.2) * side
    if scene.sky in ("sunny", "sunset"):
        y = (0.13 if scene.sky == "sunny" else horizon - 0.05) * side
        disc = (255, 236, 110) if scene.sky == "sunny" else (255, 120, 60)
        for r, alpha in ((0.15, 60), (0.12, 90), (0.085, 255)):
            draw.ellipse(_around(x, y, r * side), fill=(*disc, alpha))
    elif scene.sky == "night":
        draw.ellipse(_around(x, 0.13 * side, 0.08 * side), fill=(250, 246, 214))
        draw.ellipse(_around(x - 0.035 * side, 0.11 * side, 0.07 * side), fill=(18, 22, 58))
        for _ in range(14):
            at = rng.uniform(0, side), rng.uniform(0, horizon * side)
            draw.ellipse(_around(*at, 0.006 * side), fill=(255, 255, 230))
    if scene.sky in ("cloudy", "rainy", "snowy"):
        tone = (246, 248, 250) if scene.sky != "rainy" else (66, 74, 90)
        for column in range(3):
            middle = (0.18 + 0.32 * column + rng.uniform(-0.06, 0.06)) * side
            y = rng.uniform(0.06, 0.15) * side
            for dx, dy, r in ((-0.09, 0.02, 0.06), (0, -0.01, 0.08), (0.09, 0.02, 0.065)):
                draw.ellipse(_around(middle + dx * side, y + dy * side, r * side), fill=tone)


def _around(x: float, y: float, r: float) -> list[float]:
    return [x - r, y - r, x + r, y + r]


def _wall(draw: ImageDraw.ImageDraw, scene: Scene, side: int, horizon: float) -> None:
    """What hangs or stands at the wall of a room, on the side away from the hero."""
    x = 0.74 if scene.side == "left" else 0.26
    pen = Pen(draw, x * side, horizon * side, 0.22 * side, 1, side // 150)
    draw.line([0, horizon * side, side, horizon * side], fill=(96, 72, 60), width=side // 64)
    if scene.place == "kitchen":
        pen.rect(-1.05, -1.25, -0.25, 0.35, (226, 230, 234), 0.08)
        pen.line([(-1.05, -0.6), (-0.25, -0.6)], (110, 116, 122), 0.06)
        pen.rect(-0.2, -0.35, 1.0, 0.35, (120, 128, 138), 0.05)
        pen.rect(-0.05, -0.1, 0.85, 0.24, (50, 54, 60), 0.05)
        pen.oval(0.1, -0.42, 0.22, 0.08, (40, 40, 44))
        pen.oval(0.65, -0.42, 0.22, 0.08, (40, 40, 44))
    elif scene.place == "bedroom":
        pen.rect(-1.05, -0.85, 1.05, 0.1, (124, 76, 42), 0.15)
        pen.rect(-1.0, -0.2, 1.0, 0.7, (70, 104, 176), 0.12)
        pen.rect(-0.85, -0.45, -0.1, 0.0, (250, 250, 246), 0.16)
        pen.rect(0.1, -0.45, 0.85, 0.0, (250, 250, 246), 0.16)
    elif scene.place == "bathroom":
        pen.oval(0.0, -1.0, 0.5, 0.42, (206, 234, 242))
        pen.rect(-1.05, -0.15, 1.05, 0.62, (252, 252, 252), 0.3)
        pen.rect(-1.15, -0.25, 1.15, -0.02, (236, 240, 244), 0.1)
        pen.line([(0.85, -0.3), (0.85, -0.6), (0.6, -0.6)], (140, 150, 160), 0.1)
    else:
        pen.rect(-0.55, -1.45, 0.55, -0.8, (240, 228, 190))
        pen.poly([(-0.45, -0.85), (-0.1, -1.3), (0.2, -0.85)], (60, 130, 90))
        pen.rect(-1.0, -0.65, 1.0, 0.2, (44, 112, 112), 0.2)
        pen.rect(-1.2, -0.25, -0.8, 0.5, (36, 96, 98), 0.12)
        pen.rect(0.8, -0.25, 1.2, 0.5, (36, 96, 98), 0.12)
        pen.rect(-0.82, 0.0, 0.82, 0.42, (62, 136, 134), 0.12)


def _scenery(
    draw: ImageDraw.ImageDraw, scene: Scene, side: int, horizon: float, rng: Generator
) -> None:
    """The ground's texture and what closes the view at the horizon."""
    h = horizon * side
    if scene.indoors:
        _floor(draw, scene.place, side, h)
    elif scene.place == "beach":
        draw.rectangle([0, h, side, h + 0.1 * side], fill=_lit((52, 150, 206), scene))
        draw.line([0, h + 0.1 * side, side, h + 0.1 * side], fill=(250, 250, 250), width=side // 50)
        _dots(draw, side, h + 0.12 * side, shade(_lit(GROUND["beach"], scene), -0.25), 40, rng)
    elif scene.place == "park":
        for i in range(5):
            x, r = (0.1 + 0.2 * i + rng.uniform(-0.05, 0.05)) * side, rng.uniform(0.06, 0.09) * side
            draw.rectangle([x - r / 7, h - r, x + r / 7, h], fill=_lit((96, 66, 40), scene))
            draw.ellipse(_around(x, h - 1.3 * r, r), fill=_lit((34, 112, 48), scene))
        _blades(draw, side, h, _lit((58, 132, 44), scene), rng)
    elif scene.place == "street":
        _houses(draw, scene, side, h, rng)
        draw.rectangle([0, h, side, h + 0.05 * side], fill=_lit((176, 172, 166), scene))
        for i in range(4):
            x = (0.02 + 0.27 * i) * side
            draw.rectangle([x, 0.8 * side, x + 0.14 * side, 0.83 * side], fill=(244, 240, 220))
    elif scene.place == "farm":
        for i in range(-6, 7):
            ends = [(0.5 + 0.04 * i) * side, h, (0.5 + 0.24 * i) * side, side]
            draw.line(ends, fill=_lit((146, 112, 40), scene), width=side // 70)
        posts = [
            [x, h - 0.08 * side, x, h + 0.02 * side] for x in np.linspace(0.03, 0.97, 8) * side
        ]
        for rail in [*posts, [0, h - 0.05 * side, side, h - 0.05 * side]]:
            draw.line(rail, fill=(246, 240, 226), width=side // 65)
    elif scene.place == "lake":
        _hills_and_waves(draw, scene, side, h, rng)
    else:
        _peaks(draw, scene, side, h, rng)


def _hills_and_waves(
    draw: ImageDraw.ImageDraw, scene: Scene, side: int, h: float, rng: Generator
) -> None:
    for i in range(3):
        x = (0.15 + 0.35 * i) * side
        hill = [x - 0.3 * side, h - 0.1 * side, x + 0.3 * side, h + 0.1 * side]
        draw.pieslice(hill, 180, 360, fill=_lit((74, 128, 92), scene))
    for _ in range(22):
        x, y = rng.uniform(0, side), rng.uniform(h + 0.03 * side, side)
        wave = [x - 0.05 * side, y, x + 0.05 * side, y + 0.03 * side]
        draw.arc(wave, 200, 340, fill=(206, 232, 244), width=side // 110)


def _peaks(draw: ImageDraw.ImageDraw, scene: Scene, side: int, h: float, rng: Generator) -> None:
    for i, height in enumerate((0.2, 0.27, 0.18)):
        x, top = (0.14 + 0.36 * i) * side, h - height * side
        foot = 0.24 * side
        slope = [(x - foot, h), (x, top), (x + foot, h)]
        draw.polygon(slope, fill=_lit((112, 122, 148), scene))
        cap = [(x - foot * 0.4, top + (h - top) * 0.4), (x, top)]
        cap += [(x + foot * 0.4, top + (h - top) * 0.4), (x, top + (h - top) * 0.3)]
        draw.polygon(cap, fill=_lit((250, 252, 255), scene))
    _dots(draw, side, h, _lit((196, 212, 234), scene), 30, rng)


def _floor(draw: ImageDraw.ImageDraw, place: str, side: int, h: float) -> None:
    if place in ("kitchen", "bathroom"):
        dark = (120, 96, 84) if place == "kitchen" else (96, 176, 188)
        rows = np.linspace(h, side, 6)
        for row in range(5):
            for column in range(row % 2, 8, 2):
                x = column * side / 8
                draw.rectangle([x, rows[row], x + side / 8, rows[row + 1]], fill=dark)
    elif place == "bedroom":
        for i, y in enumerate(np.linspace(h, side, 8)):
            draw.line([0, y, side, y], fill=(126, 82, 46), width=side // 110)
            x = (0.2 + 0.37 * i) % 1.0 * side
            draw.line([x, y, x, y + (side - h) / 7], fill=(126, 82, 46), width=side // 110)
    else:
        draw.ellipse([0.04 * side, h + 0.1 * side, 0.96 * side, 0.99 * side], fill=(214, 170, 110))
        inner = [0.1 * side, h + 0.14 * side, 0.9 * side, 0.95 * side]
        draw.ellipse(inner, outline=(148, 64, 66), width=side // 60)


def _houses(draw: ImageDraw.ImageDraw, scene: Scene, side: int, h: float, rng: Generator) -> None:
    glass = (255, 226, 120) if scene.sky in ("night", "sunset") else (206, 226, 238)
    walls = ((168, 110, 92), (136, 130, 150), (190, 160, 122), (120, 142, 150))
    for i in range(4):
        left, top = i * side / 4, h - rng.uniform(0.14, 0.27) * side
        draw.rectangle([left, top, left + side / 4, h], fill=_lit(walls[i], scene))
        for row in np.arange(top + 0.025 * side, h - 0.04 * side, 0.065 * side):
            for column in range(3):
                x = left + (0.035 + 0.07 * column) * side
                draw.rectangle([x, row, x + 0.04 * side, row + 0.035 * side], fill=glass)


def _dots(
    draw: ImageDraw.ImageDraw, side: int, top: float, color: Rgb, count: int, rng: Generator
) -> None:
    for x, y in rng.uniform((0, top), (side, side), (count, 2)):
        draw.ellipse(_around(x, y, 0.006 * side), fill=color)


def _blades(draw: ImageDraw.ImageDraw, side: int, top: float, color: Rgb, rng: Generator) -> None:
    for x, y in rng.uniform((0, top), (side, side), (60, 2)):
        tips = [(x - 0.012 * side, y - 0.03 * side), (x, y), (x + 0.012 * side, y - 0.03 * side)]
        draw.line(tips, fill=color, width=side // 120)


def _fall(draw: ImageDraw.ImageDraw, sky: str, side: int, rng: Generator) -> None:
    """Rain or snow over everything."""
    for x, y in rng.uniform(0, side, (46, 2)):
        if sky == "rainy":
            ends = [x, y, x - 0.02 * side, y + 0.07 * side]
            draw.line(ends, fill=(190, 214, 240, 190), width=side // 110)
        else:
            draw.ellipse(_around(x, y, 0.011 * side), fill=(255, 255, 255, 235))
