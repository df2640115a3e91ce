"""A notebook as a page: its cells as safe markup, its title, summary and sections, whether it failed.

What notebooks show is not trusted: `markup` makes it safe. Runs nothing.
"""

import html
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vqa_helpers.errors import InputError
from vqa_helpers.report.site.markup import heading_text, localise, sanitised

if TYPE_CHECKING:
    from bs4 import BeautifulSoup
    from nbformat import NotebookNode

SHOWN = {"text/html", "text/markdown", "text/plain", "image/png", "image/jpeg", "image/svg+xml"}
UNFINISHED = "It was stopped before its end."


@dataclass(frozen=True)
class Page:
    """A notebook as it appears on the site.

    Attributes:
        name: of the notebook, without its ending.
        sections: (text, id) of its second-level headings.
        across: it looks at what other notebooks left (its metadata says so).
        failure: why its last run did not succeed; "" where it did.
    """

    name: str
    title: str
    summary: str
    sections: tuple[tuple[str, str], ...]
    body: str
    across: bool
    failure: str

    @property
    def file(self) -> str:
        return f"{self.name}.html"


def read_page(path: Path, files: dict[str, str], failed: Path | None = None) -> Page:
    """Read an executed notebook.

    Args:
        path: the notebook to show.
        files: page of each notebook by its file name, for links from notebook to notebook.
        failed: what its last run left, where that failed; may be `path` itself.

    Raises:
        InputError: when it cannot be read.
    """
    notebook = _read(path)
    failure = _error(notebook)
    if failed is not None:
        failure = (failure if failed == path else _error(_read(failed))) or UNFINISHED
    across = "after" in (notebook.metadata.get("vqa") or {})
    soup = _converted(notebook, path.parent)
    localise(soup, files)
    for error in soup.find_all(class_="output_error"):
        error["id"] = "error"
        break
    earlier = failed is not None and failed != path
    title, summary, sections = _described(soup, path.stem)
    body = _banner(failure, earlier) + str(soup)
    return Page(path.stem, title, summary, sections, body, across, failure)


def _read(path: Path) -> "NotebookNode":
    import nbformat

    try:
        return nbformat.read(path, as_version=4)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, KeyError, AttributeError, nbformat.ValidationError):
        raise InputError(f"{path}: not a notebook; run it again") from None


def _error(notebook: "NotebookNode") -> str:
    """The first error that a cell of the notebook ended with, in one line."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if output.get("output_type") == "error":
                said = " ".join(str(output.get("evalue", "")).split())
                return f"{output.get('ename', 'Error')}: {said}" if said else str(output["ename"])
    return ""


def _converted(notebook: "NotebookNode", folder: Path) -> "BeautifulSoup":
    from bs4 import BeautifulSoup
    from nbconvert.exporters import HTMLExporter

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
    resources = {"metadata": {"path": str(folder.resolve())}}
    body, _ = exporter.from_notebook_node(notebook, resources)
    return BeautifulSoup(body, "html.parser")


def _banner(failure: str, earlier: bool) -> str:
    """What a reader of a failed notebook must know first."""
    if not failure:
        return ""
    below = (
        "What follows is an earlier run that succeeded."
        if earlier
        else "What it showed until then follows."
    )
    reason = f"<code>{html.escape(failure[:300])}</code>"
    return (
        f'<div class="failure" role="note"><b>The last run of this notebook failed.</b> {reason} '
        f"{below}</div>\n"
    )


def _described(soup: "BeautifulSoup", name: str) -> tuple[str, str, tuple[tuple[str, str], ...]]:
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
    sections = tuple((heading_text(tag), tag["id"]) for tag in soup.find_all("h2", id=True))
    title = heading_text(first) if first else name.replace("_", " ")
    return title, summary, sections
