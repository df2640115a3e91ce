"""Texts of questions and answers, which may hold anything, made fit to be drawn.

What no font at hand can draw becomes a box, what steers the writing (control and direction marks)
goes, and lines are counted in columns, of which a Chinese character takes two. Knows nothing of
figures.
"""

import unicodedata
from functools import lru_cache

BOX = "□"
FONT = "DejaVu Sans"  # ships with matplotlib: figures look the same everywhere
FURTHER_FONTS = (  # asked for what the first one lacks, where they are installed
    "Noto Sans CJK SC", "Noto Sans CJK JP", "Source Han Sans SC", "WenQuanYi Micro Hei",
    "PingFang SC", "Hiragino Sans", "Microsoft YaHei", "Noto Sans Arabic", "Noto Sans Devanagari",
)  # fmt: skip


@lru_cache(maxsize=1)
def font_families() -> list[str]:
    """The fonts to draw with, in the order in which they are asked for a character."""
    from matplotlib.font_manager import fontManager

    installed = {font.name for font in fontManager.ttflist}
    return [FONT, *(name for name in FURTHER_FONTS if name in installed)]


@lru_cache(maxsize=1)
def _drawable() -> frozenset[int]:
    """The code points of all the characters that the fonts hold."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    files = [findfont(FontProperties(family=name)) for name in font_families()]
    return frozenset(code for file in files for code in get_font(file).get_charmap())


def printable(text: object) -> str:
    """`text` on one line, of characters that can be drawn."""
    kept = []
    for character in " ".join(str(text).split()):
        if unicodedata.category(character) in ("Cc", "Cf"):
            continue
        kept.append(character if ord(character) in _drawable() else BOX)
    return "".join(kept).strip()


def columns(text: str) -> int:
    """How many columns a text takes: two for wide characters, one for others."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def fitted(text: object, width: int, lines: int = 1) -> str:
    """`text` in at most `lines` lines of `width` columns, an ellipsis for what is cut.

    Lines are broken between words, and within a word that is longer than a line.
    """
    rows = [""]  # the first stays empty where the first word is too long for a line
    for word in printable(text).split():
        joined = f"{rows[-1]} {word}".strip()
        if columns(joined) <= width:
            rows[-1] = joined
            continue
        rows += _pieces(word, width)
    rows = [row for row in rows if row]
    if len(rows) > lines:
        rows = rows[:lines]
        rows[-1] = _cut(rows[-1], width - 1).rstrip(" ,") + "…"
    return "\n".join(rows)


def _pieces(word: str, width: int) -> list[str]:
    pieces = []
    while word:
        piece = _cut(word, width) or word[0]
        pieces.append(piece)
        word = word[len(piece) :]
    return pieces


def _cut(text: str, width: int) -> str:
    """The beginning of `text` that takes at most `width` columns."""
    taken = 0
    for place, character in enumerate(text):
        taken += columns(character)
        if taken > width:
            return text[:place]
    return text
