"""A static site: a page for each executed notebook, and a front page for newcomers.

Every page is one file with its images, style and script inside; nothing is loaded from anywhere,
so it reads the same offline, from a disk or from a server, and without script. Each page's content
security policy names the style and the script by their hashes, so that the browser runs nothing
else, whatever a notebook holds. Runs no notebook and computes no score.
"""

import base64
import hashlib
import importlib.util
import io
import logging
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup
from PIL import Image

from vqa_helpers.errors import InputError
from vqa_helpers.notebook import project_root
from vqa_helpers.report.cards import OUTCOMES
from vqa_helpers.report.interesting import Example
from vqa_helpers.report.interesting import examples as find_examples
from vqa_helpers.report.notebook_pages import NotebookPage, read_page, safe_html
from vqa_helpers.report.tables import by_weight, results_table
from vqa_helpers.report.verdicts import findings as find_findings
from vqa_helpers.runs import find_experiments

log = logging.getLogger(__name__)

TEMPLATES = Path(__file__).parent / "site_templates"
GENERATED = '<meta name="generator" content="vqa_helpers">'
KINDS = {b"\x89PNG": "png", b"\xff\xd8": "jpeg"}  # by their first bytes; else SVG


@dataclass(frozen=True)
class ExampleCard:
    """A question about an image, and what a model answered.

    Attributes:
        title: the question.
        image: bytes of a PNG, JPEG or SVG; None where it is not at hand.
        alt: what the image shows, in words.
        answers: the most probable ones, first one first, with their probabilities, 0 to 1.
        truth: the true answer; "" if unknown.
        tone: "good", "near" or "bad", the colour of the dot before the note.
        note: why this example is shown.
    """

    title: str
    image: bytes | None
    alt: str
    answers: Sequence[tuple[str, float]] = ()
    truth: str = ""
    tone: str = ""
    note: str = ""


def build_site(
    notebooks: Sequence[Path], out: Path, *,
    scores: pd.DataFrame, findings: pd.DataFrame | None = None,
    examples: Sequence[ExampleCard] = (), puzzle: bytes | None = None, failed: Sequence[Path] = (),
) -> Path:  # fmt: skip
    """Build the site of `notebooks`, in that order.

    Args:
        out: folder of the site; replaced as a whole, when everything has been written beside it.
        scores: a row an experiment, as `results_table` makes them; the dataset of the first row is
            the one the front page opens with. May be empty.
        findings: what the runs say, a row a finding; any columns.
        examples: shown on the front page.
        puzzle: PNG, JPEG or SVG of the four pieces.
        failed: what notebooks left whose last run failed. Those that are among `notebooks` too, by
            name, show that earlier run and say so; the others show what they left.

    Returns:
        the front page, `out/index.html`.

    Raises:
        InputError: a notebook that cannot be read, two of one name, or a folder `out` that holds
            something other than a site.
    """
    if importlib.util.find_spec("nbconvert") is None:
        raise InputError("nbconvert is not installed; install it: pip install nbconvert")
    paths, broken = [Path(path) for path in notebooks], {Path(p).stem: Path(p) for p in failed}
    shown = {path.stem for path in paths}
    paths += [path for stem, path in broken.items() if stem not in shown]
    out = Path(out).resolve()
    _check(paths, out)
    names = {path.stem for path in paths}
    pages = [read_page(path, names, broken.get(path.stem)) for path in paths]
    templates = _templates(pages)
    front = templates.get_template("front.html").render(
        page=None,
        datasets=_by_dataset(scores, pages),
        findings=findings,
        examples=examples,
        puzzle=puzzle,
    )
    texts = {"index.html": front}
    for page, before, after in zip(pages, [None, *pages], [*pages[1:], None], strict=False):
        texts[f"{page.name}.html"] = templates.get_template("notebook.html").render(
            page=page, before=before, after=after
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as beside:
        new = Path(beside) / "new"
        new.mkdir()
        for name, text in texts.items():
            (new / name).write_text(text, encoding="utf-8")
        if out.exists():
            out.rename(Path(beside) / "old")
        new.rename(out)
    log.info("site of %d notebooks: %s", len(pages), out / "index.html")
    return out / "index.html"


def write_site(notebooks: Sequence[Path], out: Path, runs: Path, failed: Sequence[Path]) -> Path:
    """Build the site of `notebooks` with what the finished runs below `runs` say."""
    experiments = find_experiments(runs)
    scores = results_table(experiments)
    datasets = by_weight(zip(scores["dataset"], scores["name"], strict=True))
    scores = scores.sort_values("dataset", kind="stable", key=lambda one: one.map(datasets.index))
    said = find_findings([one for one in experiments if one.dataset in datasets[:1]])
    puzzle = project_root() / "images" / "puzzle.png"
    return build_site(
        notebooks, out, scores=scores, failed=failed, findings=said[["about", "finding"]],
        examples=[_card(example) for example in find_examples(runs)],
        puzzle=puzzle.read_bytes() if puzzle.is_file() else None,
    )  # fmt: skip


def _card(example: Example) -> ExampleCard:
    image = io.BytesIO()
    if example.picture is not None:
        Image.fromarray(example.picture).save(image, "JPEG", quality=84)
    outcome = OUTCOMES[example.outcome][1].partition(":")[0]
    return ExampleCard(
        example.question,
        image.getvalue(),
        f"The image of the question: {example.question}",
        tuple(zip(example.answers, example.probabilities, strict=True)),
        example.truth,
        {"hit": "good", "top five": "near", "miss": "bad"}[example.outcome],
        f"{example.name}, {outcome} – {example.rule}",
    )


def _check(paths: Sequence[Path], out: Path) -> None:
    """Refuse two pages of one name, and to replace what is not a site."""
    seen = {"index"}
    for path in paths:
        if path.stem.lower() in seen:
            raise InputError(f"{path}: another page has this name; rename the notebook")
        seen.add(path.stem.lower())
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    index = out / "index.html"
    if not index.is_file() or GENERATED not in index.read_text(encoding="utf-8", errors="replace"):
        raise InputError(f"{out}: holds something other than a site; name an empty folder")


def _templates(pages: Sequence[NotebookPage]) -> Environment:
    """The templates, with what every page holds: the list of pages, style, script and policy."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    css, script = (
        Markup((TEMPLATES / name).read_text(encoding="utf-8")) for name in ("site.css", "site.js")
    )
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_hash(css)}'; "
        f"style-src-attr 'unsafe-inline'; script-src '{_hash(script)}'; base-uri 'none'; "
        "form-action 'none'"
    )
    made.globals.update(pages=pages, css=css, script=script, policy=policy)
    made.filters.update(data_uri=_data_uri, table=_table)
    return made


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _data_uri(image: bytes) -> str:
    kind = next((kind for start, kind in KINDS.items() if image.startswith(start)), "svg+xml")
    return f"data:image/{kind};base64,{base64.b64encode(image).decode()}"


def _table(frame: pd.DataFrame) -> Markup:
    """Any table as safe HTML: texts escaped, floats to one decimal, "–" for what is absent."""
    from bs4 import BeautifulSoup

    shown = frame.astype(object).where(frame.notna(), "–")
    with pd.option_context("display.max_colwidth", None):
        markup = shown.to_html(index=False, border=0, float_format="{:.1f}".format)
    return safe_html(BeautifulSoup(markup, "html.parser"), set())


def _by_dataset(scores: pd.DataFrame, pages: Sequence[NotebookPage]) -> list[dict[str, Any]]:
    """The experiments on each dataset, highest score first."""
    links = {page.name: page.href for page in pages}
    datasets = []
    for name, frame in scores.groupby("dataset", sort=False):
        frame = frame.drop(columns="dataset")
        rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
        for row in rows:
            row["score"] = row["top-1"]
            row["split"] = "" if row["scored on"] == "test" else row["scored on"]
            row["link"] = links.get(row["name"])
        order = sorted(range(len(rows)), key=lambda place: -rows[place]["score"].value)
        datasets.append({
            "name": name, "rows": [rows[place] for place in order], "frame": frame.iloc[order],
            "notes": [t for t in dict.fromkeys(r["stand-ins"] for r in rows) if t and t != "none"],
        })  # fmt: skip
    return datasets
