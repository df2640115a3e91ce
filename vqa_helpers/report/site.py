"""A static site: a front page for newcomers, what each model answered, executed notebooks.

Every page is one file with its images, style and script inside; nothing is loaded from anywhere,
so it reads the same offline, from a disk or from a server, and without script. Each page's content
security policy names the style and the script by their hashes, so that the browser runs nothing
else, whatever a notebook holds. Runs no notebook and computes no score.
"""

import base64
import hashlib
import io
import logging
import shutil
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from bs4 import BeautifulSoup
from jinja2 import Environment, FileSystemLoader, Template
from markupsafe import Markup
from PIL import Image

from vqa_helpers.data.folder import open_dataset
from vqa_helpers.errors import InputError
from vqa_helpers.files import folder_in_one_step
from vqa_helpers.notebook import project_root
from vqa_helpers.report.answers import AnswersPage, answers_page, find_dataset
from vqa_helpers.report.interesting import Example, choose_examples
from vqa_helpers.report.notebook_pages import NotebookPage, read_page, safe_html
from vqa_helpers.report.tables import best_first, by_weight, cell, results_table
from vqa_helpers.report.verdicts import findings as find_findings
from vqa_helpers.report.verdicts import readable
from vqa_helpers.runs import Experiment

log = logging.getLogger(__name__)

TEMPLATES = Path(__file__).parent / "site_templates"
GENERATED = '<meta name="generator" content="vqa_helpers">'


def build_site(
    notebooks: Sequence[Path], out: Path, *,
    scores: pd.DataFrame, findings: pd.DataFrame | None = None,
    examples: Sequence[Example] = (), puzzle: bytes | None = None, failed: Sequence[Path] = (),
    answers: Sequence[AnswersPage] = (),
) -> Path:  # fmt: skip
    """Build the site of `notebooks`, in that order, and of what runs answered.

    Args:
        out: folder of the site; replaced as a whole, when everything has been written beside it.
        scores: a row an experiment, as `results_table` makes them; the dataset of the first row is
            the one the front page opens with. A column "answers" holds the address of a page of
            `answers`. May be empty.
        findings: what the runs say, a row a finding; any columns.
        examples: shown on the front page.
        puzzle: PNG of the four pieces.
        failed: what notebooks left whose last run failed. Those that are among `notebooks` too, by
            name, show that earlier run and say so; the others show what they left.
        answers: a page each, beside those of the notebooks.

    Returns:
        the front page, `out/index.html`.

    Raises:
        InputError: a notebook that cannot be read, two of one name, or a folder `out` that holds
            something other than a site.
    """
    paths, broken = [Path(path) for path in notebooks], {Path(p).stem: Path(p) for p in failed}
    shown = {path.stem for path in paths}
    paths += [path for stem, path in broken.items() if stem not in shown]
    out = Path(out).resolve()
    _check(paths, answers, out)
    names = {path.stem for path in paths}
    pages = [read_page(path, names, broken.get(path.stem)) for path in paths]
    front, notebook, listing = _templates(pages)
    said = {"findings": findings, "examples": examples, "puzzle": puzzle}
    texts = {"index.html": front.render(page=None, datasets=_by_dataset(scores), **said)}
    for page, before, after in zip(pages, [None, *pages], [*pages[1:], None], strict=False):
        texts[f"{page.name}.html"] = notebook.render(page=page, before=before, after=after)
    texts |= {page.href: listing.render(page=page) for page in answers}
    with folder_in_one_step(out) as new:
        for name, text in texts.items():
            (new / name).write_text(text, encoding="utf-8")
        if out.exists():
            shutil.rmtree(out)
    return out / "index.html"


def write_site(
    experiments: Sequence[Experiment], out: Path, notebooks: Sequence[Path] = (),
    failed: Sequence[Path] = (), data: Sequence[str] = (),
) -> Path:  # fmt: skip
    """Build the site of experiments, with what they answered, and of executed notebooks.

    Args:
        notebooks, failed: as `build_site`.
        data: names or folders of datasets that are not where they were.
    """
    found = [experiment for experiment, _ in readable(experiments)]
    datasets = by_weight((one.dataset, one.name) for one in found)
    groups: dict[tuple, list[Experiment]] = {}
    for one in sorted(found, key=lambda one: datasets.index(one.dataset)):
        groups.setdefault((one.dataset, one.runs[0].config.get("data_sha256")), []).append(one)
    found, pages, examples, absent = sum(groups.values(), []), [], {}, []
    open_once = cache(open_dataset)
    for same in groups.values():
        dataset = find_dataset(same[0].runs[0], data, open_once)
        if dataset is None:
            absent.append(same[0].dataset)
        elif dataset.folder not in examples:  # datasets cut from one share its photographs
            examples[dataset.folder] = choose_examples(best_first(same)[0], dataset)
        for one in same:
            pages.append(answers_page(one, dataset, f"answers-{len(pages) + 1}.html"))
    if absent:
        line = "questions are shown by number, for they are not at hand, or changed"
        log.warning(
            "%s: %s; --data names a dataset's folder", ", ".join(dict.fromkeys(absent)), line
        )
    said = find_findings([one for one in found if one.dataset in datasets[:1]])
    puzzle = project_root() / "images" / "puzzle.png"
    return build_site(
        notebooks, out, failed=failed, examples=sum(examples.values(), []), answers=pages,
        scores=results_table(found).assign(answers=[page.href for page in pages]),
        findings=said[["about", "finding"]],
        puzzle=puzzle.read_bytes() if puzzle.is_file() else None,
    )  # fmt: skip


def _check(paths: Sequence[Path], answers: Sequence[AnswersPage], out: Path) -> None:
    """Refuse two pages of one name, and to replace what is not a site."""
    seen = {"index", *(Path(page.href).stem for page in answers)}
    for path in paths:
        if path.stem.lower() in seen:
            raise InputError(f"{path}: another page has this name; rename the notebook")
        seen.add(path.stem.lower())
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    index = out / "index.html"
    if not index.is_file() or GENERATED not in index.read_text(encoding="utf-8", errors="replace"):
        raise InputError(f"{out}: holds something other than a site; name an empty folder")


def _templates(pages: Sequence[NotebookPage]) -> list[Template]:
    """The templates of the front page, of a notebook and of answers, with what every page holds:
    the list of pages, style, script and policy."""
    lines = {"trim_blocks": True, "lstrip_blocks": True}
    made = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, **lines)
    parts = (TEMPLATES / name for name in ("site.css", "site.js"))
    css, script = (Markup(part.read_text(encoding="utf-8")) for part in parts)
    hashes = [f"sha256-{_base64(hashlib.sha256(t.encode()).digest())}" for t in (css, script)]
    made.globals.update(pages=pages, css=css, script=script, hashes=hashes)
    made.filters.update(base64=_base64, jpeg=_jpeg, share=_share, table=_table, zip=zip)
    return [made.get_template(f"{name}.html") for name in ("front", "notebook", "answers")]


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _jpeg(picture: np.ndarray) -> bytes:
    """(H, W, 3) uint8 as a file."""
    image = io.BytesIO()
    Image.fromarray(picture).save(image, "JPEG", quality=84)
    return image.getvalue()


def _share(probability: float) -> str:
    """A probability in whole percent; what is neither 0 nor 1 does not read as if it were."""
    percent = 100 * probability
    whole = "<1" if 0 < percent < 0.5 else ">99" if 99.5 <= percent < 100 else f"{percent:.0f}"
    return f"{whole}\N{NO-BREAK SPACE}%"


def _table(frame: pd.DataFrame) -> Markup:
    """Any table as safe HTML."""
    with pd.option_context("display.max_colwidth", None):
        markup = frame.map(cell).to_html(index=False, border=0)
    return safe_html(BeautifulSoup(markup, "html.parser"), set())


def _by_dataset(scores: pd.DataFrame) -> list[dict[str, Any]]:
    """The experiments on each dataset, highest score first."""
    datasets = []
    for name, frame in scores.groupby("dataset", sort=False):
        frame = frame.sort_values("top-1", ascending=False, kind="stable")
        datasets.append({
            "name": name, "rows": frame.astype(object).where(frame.notna(), None).to_dict("records"),
            "frame": frame.drop(columns=["dataset", "answers"], errors="ignore"),
            "notes": [note for note in frame["stand-ins"].unique() if note != "none"],
        })  # fmt: skip
    return datasets
