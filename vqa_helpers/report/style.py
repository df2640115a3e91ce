"""The style of all figures: colours, fonts, texts fit to be drawn, and how a figure becomes a file.

Texts of questions and answers may hold anything: they are never read as formulas, what no font at
hand can draw becomes a box, and control and direction marks go. Knows nothing of what the figures
show.
"""

import functools
import io
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font
from matplotlib.lines import Line2D
from PIL import Image

from vqa_helpers.files import write_bytes

# Okabe and Ito's colours, told apart by colour-blind readers too.
BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
INK, GREY, PALE = "#1f2a33", "#7d8a94", "#d9dfe3"
DARK_GREY, LIGHT_BLUE = "#5d6a74", "#9fb3c1"
DASHED = (0, (4, 2))
STYLE = Path(__file__).with_name("figures.mplstyle")
FONTS = (  # the first ships with matplotlib; the others are asked for what it lacks
    "DejaVu Sans", "Noto Sans CJK SC", "Noto Sans CJK JP", "Source Han Sans SC",
    "WenQuanYi Micro Hei", "PingFang SC", "Hiragino Sans", "Microsoft YaHei", "Noto Sans Arabic",
    "Noto Sans Devanagari",
)  # fmt: skip
BOX = "□"
FILE_DPI = 120  # of a page; notebooks are kept small


def styled(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """Draw under `STYLE` and close the figure, so that a notebook shows it once."""

    @functools.wraps(draw)
    def drawn(*args: Any, **kwargs: Any) -> Figure:
        with plt.style.context([STYLE, {"font.family": _fonts()[0]}]):
            figure = draw(*args, **kwargs)
        plt.close(figure)
        return figure

    return drawn


@styled
def note(text: str) -> Figure:
    """One line in place of a figure for which there is nothing to draw."""
    figure = plt.figure(figsize=(7.5, 0.45))
    figure.text(0.01, 0.5, text, va="center", color=DARK_GREY)
    return figure


# Parts of several figures


def name_rows(axes: Axes, places: Sequence[float], labels: Sequence[str]) -> None:
    """Name the rows of a horizontal chart, the first on top; labels may hold anything printable."""
    axes.set_yticks(places, labels)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(False, axis="y")
    axes.set_ylim(places[-1] + 0.7, places[0] - 0.7)
    no_formulas(axes)


def no_formulas(axes: Axes) -> None:
    """Draw the tick labels as they are; matplotlib has no setting for them."""
    for text in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        text.set_parse_math(False)


def head(figure: Figure, title: str) -> None:
    """A title above several panels."""
    figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")


def beside(axes: Axes, text: str, at: tuple[float, float], by: tuple[float, float], **how: Any):
    """A small text `by` points away from a place `at`, in data coordinates."""
    how = {"va": "center", "fontsize": 8.5, "textcoords": "offset points"} | how
    axes.annotate(text, at, xytext=by, **how)


def legend_below(figure: Figure, entries: Mapping[str, dict[str, Any]]) -> None:
    """A line below the panels: each name, and how its mark is drawn."""
    marks = [Line2D([], [], **how) for how in entries.values()]
    figure.legend(marks, list(entries), loc="outside lower center", ncols=4)


def readable_on(fill: Any) -> str:
    """Ink or white, whichever stands out more on `fill`."""
    return INK if np.dot(to_rgb(fill), (0.299, 0.587, 0.114)) > 0.5 else "white"


# Files


def save(figure: Figure, path: Path) -> Path:
    """Write `figure` as `as_png` makes it, as sharp as a page needs."""
    figure.set_dpi(FILE_DPI)
    write_bytes(Path(path), as_png(figure))
    return Path(path)


def compact(figure: Figure) -> Any:
    """`figure` as a notebook keeps it in a third of the bytes: for galleries of photographs."""
    from IPython.display import Image as Picture

    return Picture(as_png(figure), format="png")


def as_png(figure: Figure) -> bytes:
    """`figure` as a small PNG of 256 colours, the same bytes every time."""
    packed = io.BytesIO()
    # Refined once (kmeans), which brings the colours of the style back that photographs had shifted.
    small = Image.fromarray(pixels(figure)).quantize(256, kmeans=1)
    small.save(packed, format="PNG", optimize=True)
    return packed.getvalue()


def pixels(figure: Figure) -> np.ndarray:
    """`figure` as (H, W, 3) uint8."""
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=figure.dpi)
    with Image.open(drawn) as image:
        return np.asarray(image.convert("RGB"))


# Texts


@functools.cache
def _fonts() -> tuple[list[str], frozenset[int]]:
    """The available fonts in order of preference, and the code points they cover."""
    installed = {font.name for font in fontManager.ttflist}
    names = [name for name in FONTS if name in installed]
    files = [get_font(findfont(FontProperties(family=name))) for name in names]
    return names, frozenset(code for file in files for code in file.get_charmap())


def printable(text: object) -> str:
    """`text` on one line, of characters that can be drawn."""
    line = " ".join(str(text).split())
    kept = [c for c in line if unicodedata.category(c) not in ("Cc", "Cf")]
    return "".join(c if ord(c) in _fonts()[1] else BOX for c in kept).strip()


def fitted(text: object, width: int, lines: int = 1) -> str:
    """`text` in at most `lines` lines of `width` columns, an ellipsis for what is cut.

    A wide (Chinese) character takes two columns. Lines are broken between words, and within a word
    that is longer than a line.
    """
    rows = [""]  # the first stays empty where the first word is too long for a line
    for word in printable(text).split():
        joined = f"{rows[-1]} {word}".strip()
        if _cut(joined, width) == joined:
            rows[-1] = joined
            continue
        while word:
            rows.append(_cut(word, width) or word[0])
            word = word[len(rows[-1]) :]
    rows = [row for row in rows if row]
    if len(rows) > lines:
        rows = [*rows[: lines - 1], _cut(rows[lines - 1], width - 1).rstrip(" ,") + "…"]
    return "\n".join(rows)


def _cut(text: str, width: int) -> str:
    """The beginning of `text` that takes at most `width` columns."""
    ends = np.cumsum([1 + (unicodedata.east_asian_width(c) in "WF") for c in text])
    return text[: int((ends <= width).sum())]
