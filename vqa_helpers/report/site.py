"""A web site of executed notebooks: one page each, and an index with the table of results.

Every page is one file: images inside, no scripts, nothing loaded from anywhere, so it reads the
same offline, from a disk or from a server. What notebooks show is not trusted: `markup` makes it
safe, and a content policy in each page forbids the browser what should slip through. The shell of
a page is `page.html`, its looks are `site.css`.

Nothing here runs a notebook or computes a score.
"""

import html
import importlib.util
import logging
import re
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING
from urllib.parse import quote

import pandas as pd

from vqa_helpers.errors import InputError
from vqa_helpers.report.markup import heading_text, localise, sanitised
from vqa_helpers.report.tables import results_table

if TYPE_CHECKING:
    from bs4 import BeautifulSoup

log = logging.getLogger(__name__)

HERE = Path(__file__).parent
GENERATED = '<meta name="generator" content="vqa_helpers">'
TITLE = "Visual Question Answering"
INTRODUCTION = (
    "A model is shown an image and asked a question about it, in plain language: what colour is "
    "the bus, how many people wait, is it raining? Its answer is chosen among the frequent answers "
    "of the training questions. Every model here is a puzzle of four pieces, each notebook is one "
    "way to put them together, and all are measured alike."
)
PIECES = {
    "vision": "turns the image into a vector",
    "language": "turns the question into a vector",
    "fusion": "makes one vector of the two",
    "classifier": "chooses the answer",
}
SCORES_NOTE = (
    "Percent, with 95 % intervals in brackets. The ceiling is what a perfect model could reach "
    "with the answers it knows; a blind guess never sees the image. Stand-ins are pieces that were "
    "replaced to run offline or small."
)
CIRCUMSTANCES = ("stand-ins", "weights", "epochs", "seed")
SHOWN = {"text/html", "text/markdown", "text/plain", "image/png", "image/jpeg", "image/svg+xml"}


@dataclass(frozen=True)
class _Page:
    """A notebook as it appears on the site."""

    file: str
    title: str
    summary: str
    sections: list[tuple[str, str]]  # (text, id) of its second-level headings
    body: str


def build_site(notebooks: Sequence[Path], runs_root: Path, out: Path) -> Path:
    """Build the site of `notebooks`, in that order, and of the finished runs below `runs_root`.

    Args:
        out: folder of the site; replaced as a whole, when everything has been written beside it.

    Returns:
        the index, `out/index.html`.

    Raises:
        InputError: a notebook that cannot be read, two of one name, or a folder `out` that holds
            something other than a site.
    """
    if importlib.util.find_spec("nbconvert") is None:
        raise InputError("nbconvert is not installed; install it: pip install nbconvert")
    paths, out = [Path(path) for path in notebooks], Path(out).resolve()
    _check_names(paths)
    _check_folder(out)
    files = {path.name: f"{path.stem}.html" for path in paths}
    pages = [_read_page(path, files) for path in paths]
    index = _index(results_table(Path(runs_root)), pages)
    out.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        beside.chmod(0o755)  # a web server reads it as somebody else
        css = _css()
        text = _shell(TITLE, index, _menu(pages, None), css)
        (beside / "index.html").write_text(text, encoding="utf-8")
        for number, page in enumerate(pages):
            body = page.body + _turn(pages, number)
            text = _shell(f"{page.title} · {TITLE}", body, _menu(pages, page), css)
            (beside / page.file).write_text(text, encoding="utf-8")
        _move_in_place(beside, out)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    log.info("site of %d notebooks: %s", len(pages), out / "index.html")
    return out / "index.html"


# --- folders ---


def _check_names(paths: list[Path]) -> None:
    seen = {"index"}
    for path in paths:
        if path.stem.lower() in seen:
            raise InputError(f"{path}: another page has this name; rename the notebook")
        seen.add(path.stem.lower())


def _check_folder(out: Path) -> None:
    """Refuse to replace what is not a site of ours."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    index = out / "index.html"
    if not index.is_file() or GENERATED not in index.read_text(encoding="utf-8", errors="replace"):
        raise InputError(f"{out}: holds something other than a site; name an empty folder")


def _move_in_place(beside: Path, out: Path) -> None:
    if not out.exists():
        beside.rename(out)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{out.name}-old-", dir=out.parent))
    out.rename(old / "site")
    beside.rename(out)
    shutil.rmtree(old)


# --- a notebook as a page ---


def _read_page(path: Path, files: dict[str, str]) -> _Page:
    import nbformat
    from bs4 import BeautifulSoup
    from nbconvert.exporters import HTMLExporter

    try:
        notebook = nbformat.read(path, as_version=4)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, KeyError, AttributeError, nbformat.ValidationError):
        raise InputError(f"{path}: not a notebook; run it again") from None
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if "data" in output:
                output["data"] = {k: v for k, v in output["data"].items() if k in SHOWN}
                output["metadata"] = {}
    exporter = HTMLExporter(
        template_name="basic",
        sanitize_html=True,
        embed_images=True,
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        anchor_link_text="#",
    )
    # Its own list of allowed tags lacks headings, paragraphs and images.
    exporter.register_filter("clean_html", sanitised)
    exporter.log.setLevel(logging.ERROR)  # it warns of each figure without a description
    resources = {"metadata": {"path": str(path.parent.resolve())}}
    body, _ = exporter.from_notebook_node(notebook, resources)
    soup = BeautifulSoup(body, "html.parser")
    localise(soup, files)
    return _described(soup, path)


def _described(soup: "BeautifulSoup", path: Path) -> _Page:
    """Title, first paragraph and sections, found in the notebook's text cells."""
    first = soup.find(["h1", "h2", "h3"])
    summary = ""
    for paragraph in (first or soup).find_all_next("p"):
        if paragraph.find_parent(class_="text_cell_render") is None:
            continue
        badges = " ".join(link.get_text() for link in paragraph.find_all(class_="colab"))
        words = " ".join(paragraph.get_text().split())
        if words and words != " ".join(badges.split()):
            summary = words
            break
    sections = [(heading_text(tag), tag["id"]) for tag in soup.find_all("h2", id=True)]
    title = heading_text(first) if first else path.stem.replace("_", " ")
    return _Page(f"{path.stem}.html", title, summary, sections, str(soup))


# --- pages ---


def _shell(title: str, body: str, menu: str, css: str) -> str:
    template = Template((HERE / "page.html").read_text(encoding="utf-8"))
    return template.substitute(title=html.escape(title), css=css, menu=menu, body=body)


def _css() -> str:
    """Our style sheet, and the colours of code by day and by night."""
    from pygments.formatters import HtmlFormatter

    def colours(style: str) -> str:
        rules = HtmlFormatter(style=style).get_style_defs(".highlight").splitlines()
        return "\n".join(rule for rule in rules if re.match(r"\.highlight \.\w", rule))

    night = "@media (prefers-color-scheme: dark) {\n" + colours("github-dark") + "\n}"
    ours = (HERE / "site.css").read_text(encoding="utf-8")
    return "\n".join((colours("default"), night, ours))


def _menu(pages: list[_Page], current: _Page | None) -> str:
    here = ' aria-current="page"'
    items = [f'<li><a href="index.html"{"" if current else here}>Results and notebooks</a></li>']
    for page in pages:
        link = f'<a href="{quote(page.file)}"{here if page is current else ""}>'
        sections = "".join(
            f'<li><a href="#{html.escape(anchor)}">{html.escape(text)}</a></li>'
            for text, anchor in (page.sections if page is current else [])
        )
        below = f"<ul>{sections}</ul>" if sections else ""
        items.append(f"<li>{link}{html.escape(page.title)}</a>{below}</li>")
    return f'<ul class="pages">{"".join(items)}</ul>'


def _turn(pages: list[_Page], number: int) -> str:
    """Links to the page before and the page after."""
    before = pages[number - 1] if number else None
    after = pages[number + 1] if number + 1 < len(pages) else None
    links = [
        f'<a href="{quote(page.file)}" rel="{rel}">{html.escape(text)}</a>'
        if page
        else "<span></span>"
        for page, rel, text in (
            (before, "prev", f"← {before.title}" if before else ""),
            (after, "next", f"{after.title} →" if after else ""),
        )
    ]
    return f'<nav class="turn" aria-label="Before and after">{"".join(links)}</nav>'


def _index(results: pd.DataFrame, pages: list[_Page]) -> str:
    pieces = "".join(f"<li><b>{name}</b>{does}</li>" for name, does in PIECES.items())
    cards = "".join(
        f'<li><a href="{quote(page.file)}">{html.escape(page.title)}</a>'
        f"<p>{html.escape(page.summary)}</p></li>"
        for page in pages
    )
    return (
        f'<h1>{TITLE}</h1>\n<p class="lead">{html.escape(INTRODUCTION)}</p>\n'
        f'<ul class="puzzle">{pieces}</ul>\n<h2 id="results">Results</h2>\n{_results(results)}\n'
        f'<h2 id="notebooks">Notebooks</h2>\n<ul class="cards">{cards}</ul>'
    )


def _results(results: pd.DataFrame) -> str:
    """The table of runs, one for each data set where there are several."""
    if results.empty:
        return '<p class="note">No finished runs yet: train a model, then build the site again.</p>'
    tables = []
    for dataset, rows in results.groupby("dataset", sort=False):
        name = html.escape(str(dataset))
        tables.append(f"<h3>Data: {name}</h3>\n{_table(rows.drop(columns='dataset'))}")
    return "\n".join([f'<p class="note">{html.escape(SCORES_NOTE)}</p>', *tables])


def _table(rows: pd.DataFrame) -> str:
    """One line a run; how it was trained stands below its name, stand-ins first of all."""
    columns = [column for column in rows.columns if column not in ("preset", *CIRCUMSTANCES)]
    is_text = {
        column: rows[column].map(lambda value: isinstance(value, str)).any() for column in columns
    }
    kind = {column: ' class="text"' if is_text[column] else "" for column in columns}
    head = "".join(
        f'<th scope="col"{kind[column]}>{html.escape(column)}</th>' for column in columns
    )
    lines = []
    for row in rows.to_dict("records"):
        how = "; ".join(
            f"{name}: {row[name]}" for name in CIRCUMSTANCES if not pd.isna(row.get(name))
        )
        cells = "".join(f"<td{kind[column]}>{_cell(row[column])}</td>" for column in columns)
        name = f"{html.escape(str(row['preset']))}<small>{html.escape(how)}</small>"
        lines.append(f'<tr><th scope="row">{name}</th>{cells}</tr>')
    return (
        '<div class="scroll"><table class="results">'
        f'<thead><tr><th scope="col">preset</th>{head}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def _cell(value: object) -> str:
    if pd.isna(value):
        return "–"
    if isinstance(value, float):
        return f"{value:.1f}"
    number, bracket, interval = str(value).partition(" [")
    if bracket and hasattr(value, "low"):  # a score with its interval
        return f"<b>{html.escape(number)}</b> <small>[{html.escape(interval)}</small>"
    return html.escape(str(value))
