"""An executed notebook as a page of the site: its cells as safe HTML, its title, whether it failed.

What a notebook shows is not trusted. nbconvert turns its cells into HTML; what would load, run or
lead nowhere is taken out of that, and bleach's list of allowed tags has the last word. Runs nothing.
"""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import zip_longest
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import bleach
from bleach.css_sanitizer import CSSSanitizer
from bs4 import BeautifulSoup
from markupsafe import Markup
from nbconvert.exporters import HTMLExporter
from nbformat import NotebookNode

from vqa_helpers.notebook import read_notebook

SHOWN = {"text/html", "text/markdown", "text/plain", "image/png", "image/jpeg", "image/svg+xml"}
# Characters of one output, by the first part of its type: a browser chokes on more.
LONGEST = {"text": 500_000, "image": 5_000_000}
UNFINISHED = "It was stopped before its end."

TAGS = frozenset(
    "a abbr b blockquote br caption code col colgroup dd del details div dl dt em figcaption "
    "figure h1 h2 h3 h4 h5 h6 hr i img ins kbd li ol p pre s small span strong sub summary sup "
    "table tbody td tfoot th thead tr u ul".split()
)
ATTRIBUTES = frozenset("alt class colspan height id rowspan scope start style title width".split())
ADDRESSES = {"src": re.compile(r"data:image/"), "href": re.compile(r"https?://|mailto:|#|[^:/]+$")}
STYLES = frozenset(
    "background-color border border-radius color display font-family font-size font-style "
    "font-weight height margin max-width min-width padding text-align vertical-align "
    "white-space width".split()
)

SHORT = 32  # characters of a cell up to which it stays in one line
ABSENT = {"", "–", "-", "nan", "None", "not defined", "not scored"}
_NUMBER = r"[-+−]?\d[\d,.]*(?:\s?%)?"
_INTERVAL = r"\[\s*[-+−]?\d[\d,.]*\s*,\s*[-+−]?\d[\d,.]*\s*\]"
NUMERIC = re.compile(rf"(?:{_NUMBER})?(?:\s*{_INTERVAL})?(?:\s*/\s*{_NUMBER})?")


@dataclass(frozen=True)
class NotebookPage:
    """A notebook as it appears on the site.

    Attributes:
        name: of the notebook, without its ending.
        sections: (text, id) of its second-level headings.
        body: safe HTML.
        across: it looks at what other notebooks left (its metadata says so).
        failure: why its last run did not succeed; "" where it did.
        earlier: `body` is of an earlier run, which succeeded.
    """

    name: str
    title: str
    summary: str
    sections: tuple[tuple[str, str], ...]
    body: Markup
    across: bool
    failure: str
    earlier: bool

    @property
    def href(self) -> str:
        return quote(f"{self.name}.html")


def read_page(path: Path, names: set[str], failed: Path | None = None) -> NotebookPage:
    """Read an executed notebook.

    Args:
        names: of all notebooks on the site: links to them lead to their pages.
        failed: what its last run left, where that failed; may be `path` itself.

    Raises:
        InputError: a notebook that cannot be read.
    """
    notebook = read_notebook(path)
    failure = _error(read_notebook(failed or path)) or (UNFINISHED if failed else "")
    soup = _converted(notebook, path)
    body = safe_html(soup, names)
    heading = soup.find(["h1", "h2", "h3"])
    title = _text(heading) if heading else path.stem.replace("_", " ")
    paragraphs = (p for p in soup.select(".text_cell_render p") if not p.find(class_="colab"))
    summary = next(filter(None, map(_text, paragraphs)), "")
    sections = tuple((_text(tag), tag["id"]) for tag in soup.find_all("h2", id=True))
    across = "after" in (notebook.metadata.get("vqa") or {})
    earlier = failed is not None and failed != path
    return NotebookPage(path.stem, title, summary, sections, body, across, failure, earlier)


def safe_html(soup: BeautifulSoup, names: set[str]) -> Markup:
    """`soup`, changed in place, as HTML that loads and runs nothing and has no dead link.

    Tags that are not allowed become visible text.
    """
    for style in soup("style"):  # tables of pandas bring one; as text it would be noise
        style.decompose()
    heading = None
    for tag in soup.find_all(["h1", "h2", "h3", "h4", "img"]):
        if tag.name != "img":
            heading = tag
        elif not str(tag.get("src")).startswith("data:image/"):  # a badge, a missing file
            tag.replace_with(tag.get("alt", ""))
        elif tag.get("alt", "").startswith("No description"):  # nbconvert's words
            tag["alt"] = f"Figure: {_text(heading)}" if heading else "Figure"
    ids = {tag["id"] for tag in soup.find_all(id=True)}
    for link in soup.find_all("a"):
        target = _target(str(link.get("href", "")), names, ids)
        if target is None:
            link.unwrap()
            continue
        link["href"] = target
        if urlsplit(target).hostname == "colab.research.google.com":
            link["class"] = "colab"
    for table in soup.find_all("table"):
        _mark_cells(table)
        table.wrap(soup.new_tag("div", attrs={"class": "scroll"}))

    def allowed(tag: str, name: str, value: str) -> bool:
        if name in ADDRESSES:
            return ADDRESSES[name].match(value) is not None
        return name in ATTRIBUTES and not (name == "style" and "url(" in value.lower())

    sanitizer = CSSSanitizer(allowed_css_properties=STYLES)
    protocols = ["http", "https", "mailto", "data"]
    return Markup(bleach.clean(str(soup), TAGS, allowed, protocols, css_sanitizer=sanitizer))


def _outputs(notebook: NotebookNode) -> list[NotebookNode]:
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def _error(notebook: NotebookNode) -> str:
    """The first error that a cell of the notebook ended with, in one line."""
    for output in _outputs(notebook):
        if output.get("output_type") == "error":
            said = f"{output.get('ename', 'Error')}: {output.get('evalue', '')}"
            return " ".join(said.split()).removesuffix(":")[:300]
    return ""


def _converted(notebook: NotebookNode, path: Path) -> BeautifulSoup:
    for output in _outputs(notebook):
        if "text" in output:
            output["text"] = _shortened(str(output["text"]))
        if "traceback" in output:
            output["traceback"] = [_shortened("\n".join(map(str, output["traceback"])))]
        if "data" in output:
            output["data"] = _limited(output["data"])
            output["metadata"] = {}
    body, _ = _exporter().from_notebook_node(notebook, {"metadata": {"path": str(path.parent)}})
    return BeautifulSoup(body, "html.parser")


@cache  # it compiles its templates once
def _exporter() -> HTMLExporter:
    exporter = HTMLExporter(
        template_name="basic",
        sanitize_html=True,
        embed_images=True,  # those beside the notebook, and none elsewhere
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        anchor_link_text="#",
    )
    # nbconvert's own list of allowed tags lacks headings and images; `safe_html` has ours.
    exporter.register_filter("clean_html", lambda html: html)
    exporter.log.setLevel(logging.ERROR)  # it warns of each figure without a description
    return exporter


def _limited(data: Mapping[str, object]) -> dict[str, str]:
    """The forms of an output that a page can show, without those that are too long."""
    shown = {kind: str(value) for kind, value in data.items() if kind in SHOWN}
    plain = _shortened(shown.pop("text/plain", ""))
    kept = {k: value for k, value in shown.items() if len(value) <= LONGEST[k.partition("/")[0]]}
    left_out = [f"{k}: {len(shown[k]):,} characters, left out" for k in shown.keys() - kept.keys()]
    return kept | {"text/plain": "\n".join([*left_out, plain])}


def _shortened(text: str) -> str:
    left = len(text) - LONGEST["text"]
    return text if left <= 0 else f"{text[:-left]}\n… {left:,} more characters, left out"


def _text(tag) -> str:
    return " ".join(tag.get_text().split()).removesuffix("#")


def _target(href: str, names: set[str], ids: set[str]) -> str | None:
    """Where a link leads on the site, or None if nowhere."""
    try:
        parts = urlsplit(href)
    except ValueError:
        return None
    if parts.scheme in ("http", "https", "mailto"):
        return href
    if parts.scheme or parts.netloc:
        return None
    if parts.path:
        linked = Path(unquote(parts.path))
        return quote(f"{linked.stem}.html") if linked.stem in names else None
    return href if {parts.fragment, unquote(parts.fragment)} & ids else None


def _mark_cells(table) -> None:
    """Give cells the classes "num" (right-aligned), and "short" (in one line) or "long"."""
    rows = (row.find_all(["td", "th"], recursive=False) for row in table.find_all("tr"))
    for column in zip_longest(*rows):
        cells = [(cell, " ".join(cell.get_text(" ").split())) for cell in column if cell]
        below = [text for cell, text in cells if cell.name == "td" and text not in ABSENT]
        all_numeric = bool(below) and all(map(NUMERIC.fullmatch, below))
        for cell, text in cells:
            numeric = all_numeric or (text and NUMERIC.fullmatch(text))
            classes = ["short" if len(text) <= SHORT else "long", *(["num"] if numeric else [])]
            cell["class"] = [*cell.get_attribute_list("class"), *classes]
