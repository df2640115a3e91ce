"""The style of all figures in one place: colours, fonts, and how a figure becomes a file.

Texts are never read as formulas, so a "$" in a question does no harm. Knows nothing of what the
figures show.
"""

import functools
import io
import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from vqa_helpers.files import write_bytes
from vqa_helpers.report.texts import font_families

if TYPE_CHECKING:
    from IPython.display import Image as Picture

log = logging.getLogger(__name__)

# Okabe and Ito's colours, told apart by colour-blind readers too.
BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
INK, GREY, PALE = "#1f2a33", "#7d8a94", "#d9dfe3"
DARK_ORANGE, DARK_GREY, LIGHT_BLUE = "#a87400", "#5d6a74", "#9fb3c1"  # for text; for a third bar
STYLE = {
    "figure.dpi": 80,
    "figure.facecolor": "white",
    "figure.constrained_layout.use": True,
    "font.size": 9,
    "text.color": INK,
    "text.parse_math": False,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.labelcolor": INK,
    "axes.edgecolor": GREY,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": PALE,
    "grid.linewidth": 0.6,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "lines.linewidth": 1.8,
    "legend.frameon": False,
}
EXACT_COLOURS = 128  # of the 256 of a PNG file with photographs
Arguments = ParamSpec("Arguments")


def styled(draw: Callable[Arguments, Figure]) -> Callable[Arguments, Figure]:
    """Draw under `STYLE` and close the figure, so that a notebook shows it once."""

    @functools.wraps(draw)
    def drawn(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Figure:
        with mpl.rc_context(STYLE | {"font.family": font_families()}):
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


def name_rows(axes: Axes, places: Iterable[float], labels: Sequence[str]) -> None:
    """Name the rows of a horizontal chart, the first on top; labels may hold anything printable."""
    places = list(places)
    axes.set_yticks(places, labels)
    for text in axes.get_yticklabels():
        text.set_parse_math(False)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(False, axis="y")
    axes.set_ylim(places[-1] + 0.7, places[0] - 0.7)


def save(figure: Figure, path: Path) -> Path:
    """Write `figure` as a small PNG of 256 colours, the same bytes every time."""
    path = Path(path)
    content = as_png(figure)
    write_bytes(path, content)
    log.info("figure written: %s (%d kB)", path, len(content) // 1000)
    return path


def as_png(figure: Figure) -> bytes:
    """`figure` as a small PNG of 256 colours, the same bytes every time."""
    drawn, packed = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", dpi=figure.dpi)
    with Image.open(drawn) as image:
        small = _fewer_colours(image.convert("RGB"))
    small.save(packed, format="PNG", optimize=True)
    return packed.getvalue()


def compact(figure: Figure) -> "Picture":
    """`figure` as a notebook keeps it in a third of the room: for galleries of photographs."""
    from IPython.display import Image as Picture

    return Picture(as_png(figure), format="png")


def _fewer_colours(image: Image.Image) -> Image.Image:
    """256 colours: the most frequent as they are, the others fitted to the pixels that remain.

    A fit to all pixels spends everything on the photographs and shifts the colours of the style.
    """
    pixels = np.asarray(image).reshape(-1, 3)
    packed = pixels.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], dtype=np.uint32)
    colours, place, counts = np.unique(packed, return_inverse=True, return_counts=True)
    exact = len(colours) if len(colours) <= 256 else EXACT_COLOURS
    kept = np.argsort(-counts, kind="stable")[:exact]
    index = np.full(len(colours), -1)
    index[kept] = np.arange(exact)
    index = index[place]  # (pixels,), -1 where the colour is not kept
    palette = [int(colour) >> shift & 255 for colour in colours[kept] for shift in (16, 8, 0)]
    rest = index < 0
    if rest.any():
        fitted = Image.fromarray(pixels[rest][None]).quantize(256 - exact, kmeans=1)
        index[rest] = np.asarray(fitted)[0].astype(int) + exact
        palette += fitted.getpalette()[: 3 * (256 - exact)]
    small = Image.fromarray(index.astype(np.uint8).reshape(image.height, image.width))
    small.putpalette(palette)
    return small
