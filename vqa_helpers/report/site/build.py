"""A web site of executed notebooks: one page each, and a front page for those who are new to it.

Every page is one file: images, style and script inside, nothing loaded from anywhere, so it reads
the same offline, from a disk or from a server. What notebooks show is not trusted: `markup` makes
it safe, and the content policy of each page (`looks`) forbids the browser what should slip through.

Nothing here runs a notebook or computes a score.
"""

import html
import importlib.util
import logging
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from vqa_helpers.errors import InputError
from vqa_helpers.report.interesting import Example
from vqa_helpers.report.site.front import TITLE, front_page
from vqa_helpers.report.site.looks import shell
from vqa_helpers.report.site.pages import Page, read_page
from vqa_helpers.report.tables import results_table

log = logging.getLogger(__name__)

GENERATED = '<meta name="generator" content="vqa_helpers">'
FRONT_SECTIONS = {"examples": "Examples", "puzzle": "The puzzle", "findings": "Findings",
                  "results": "Results", "notebooks": "Notebooks"}  # fmt: skip


def build_site(
    notebooks: Sequence[Path], runs_root: Path, out: Path, *,
    failed: Sequence[Path] = (), examples: Sequence[Example] = (),
) -> Path:  # fmt: skip
    """Build the site of `notebooks`, in that order, and of the finished runs below `runs_root`.

    Args:
        out: folder of the site; replaced as a whole, when everything has been written beside it.
        failed: what notebooks left whose last run failed. Those that are among `notebooks` too, by
            name, show that earlier run and say so; the others show what they left.
        examples: shown on the front page.

    Returns:
        the front page, `out/index.html`.

    Raises:
        InputError: a notebook that cannot be read, two of one name, or a folder `out` that holds
            something other than a site.
    """
    if importlib.util.find_spec("nbconvert") is None:
        raise InputError("nbconvert is not installed; install it: pip install nbconvert")
    paths, out = [Path(path) for path in notebooks], Path(out).resolve()
    broken = {Path(path).stem: Path(path) for path in failed}
    paths += [path for stem, path in broken.items() if stem not in {p.stem for p in paths}]
    _check_names(paths)
    _check_folder(out)
    files = {path.name: f"{path.stem}.html" for path in paths}
    pages = [read_page(path, files, broken.get(path.stem)) for path in paths]
    runs_root = Path(runs_root)
    front = front_page(results_table(runs_root), pages, runs_root, examples)
    out.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        beside.chmod(0o755)  # a web server reads it as somebody else
        text = shell(TITLE, front, _menu(pages, None, front))
        (beside / "index.html").write_text(text, encoding="utf-8")
        for number, page in enumerate(pages):
            body = page.body + _turn(pages, number)
            text = shell(f"{page.title} · {TITLE}", body, _menu(pages, page), page.title)
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


# --- from page to page ---


def _menu(pages: Sequence[Page], current: Page | None, front: str = "") -> str:
    """The list of all pages, the current one opened to its sections."""
    here = ' aria-current="page"'
    known = [(text, key) for key, text in FRONT_SECTIONS.items() if f'id="{key}"' in front]
    items = [_item("index.html", "Overview", known, "" if current else here)]
    for page in pages:
        sections = page.sections if page is current else ()
        mark = ' <span class="chip failed">failed</span>' if page.failure else ""
        items.append(
            _item(quote(page.file), page.title, sections, here if page is current else "", mark)
        )
    return f'<ul class="pages">{"".join(items)}</ul>'


def _item(
    file: str, title: str, sections: Sequence[tuple[str, str]], here: str, mark: str = ""
) -> str:
    below = "".join(
        f'<li><a href="#{html.escape(anchor)}">{html.escape(text)}</a></li>'
        for text, anchor in sections
    )
    below = f"<ul>{below}</ul>" if below else ""
    return f'<li><a href="{file}"{here}>{html.escape(title)}{mark}</a>{below}</li>'


def _turn(pages: Sequence[Page], number: int) -> str:
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
