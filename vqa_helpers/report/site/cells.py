"""Table cells told apart: numbers stand to the right, and an interval is never broken.

"53.8 [48.7, 58.2]" in two lines is read as two numbers. Knows markup, not what it is about.
"""

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bs4 import Tag

SHORT = 24  # characters up to which a cell stays in one line; what is longer needs room
NUMBER = r"[-+−]?\d[\d,.]*(?:\s?%)?"
INTERVAL = r"\[\s*[-+−]?\d[\d,.]*\s*,\s*[-+−]?\d[\d,.]*\s*\]"
ABSENT = {"", "–", "-", "nan", "None", "not defined", "not scored"}
_NUMERIC = re.compile(rf"(?:{NUMBER})?(?:\s*{INTERVAL})?(?:\s*/\s*{NUMBER})?")
# A verdict before the interval belongs to it: "cannot tell +1.2 [-0.3, +2.7]". "top-1" is one word.
_KEEP = re.compile(
    rf"(?:(?:better|worse|cannot tell)\s)?(?:{NUMBER}\s*)?{INTERVAL}|\b[A-Za-z]+-\d\b"
)


def is_numeric(text: str) -> bool:
    """Whether a cell is a number, an interval, or both."""
    text = " ".join(text.split())
    return bool(text) and _NUMERIC.fullmatch(text) is not None


def mark_cells(table: "Tag") -> None:
    """Give the cells of a table, and the heads of its columns, the class their content asks for.

    "num" where it is a number, "short" where it fits a line, else "long"; each interval becomes a
    `<span class="keep">`.
    """
    columns: dict[int, list[str]] = {}
    rows = table.find_all("tr")
    for row in rows:
        for place, cell in enumerate(row.find_all(["td", "th"], recursive=False)):
            text = cell.get_text(" ", strip=True)
            if cell.name == "td":
                columns.setdefault(place, []).append(text)
            if is_numeric(text):
                _add(cell, "num")
            elif text and (cell.name == "td" or cell.find_parent("tbody")):
                _add(cell, "short" if len(text) <= SHORT else "long")
            _keep_whole(cell)
    numeric = {place for place, texts in columns.items() if _all_numeric(texts)}
    for row in rows:
        for place, cell in enumerate(row.find_all(["td", "th"], recursive=False)):
            if place in numeric:
                _add(cell, "num")


def _all_numeric(texts: list[str]) -> bool:
    present = [text for text in texts if text not in ABSENT]
    return bool(present) and all(map(is_numeric, present))


def _add(cell: "Tag", name: str) -> None:
    classes = cell.get("class") or []
    classes = classes.split() if isinstance(classes, str) else list(classes)
    if name not in classes:
        cell["class"] = [*classes, name]


def _keep_whole(cell: "Tag") -> None:
    from bs4 import BeautifulSoup

    for text in list(cell.find_all(string=_KEEP.search)):
        if text.find_parent("span", class_="keep") is not None:
            continue
        made = BeautifulSoup("", "html.parser")
        pieces, end = [], 0
        for found in _KEEP.finditer(text):
            pieces.append(made.new_string(text[end : found.start()]))
            span = made.new_tag("span", attrs={"class": "keep"})
            span.string = found.group()
            pieces.append(span)
            end = found.end()
        pieces.append(made.new_string(text[end:]))
        text.replace_with(*pieces)
