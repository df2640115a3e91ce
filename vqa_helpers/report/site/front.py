"""The front page: what VQA is, an example, the puzzle, what the runs say, the results, the notebooks.

Everything said of the runs is computed from them. Knows run folders and pages, no notebooks.
"""

import base64
import html
import io
import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import pandas as pd
from matplotlib.colors import to_hex
from PIL import Image

from vqa_helpers.report.cards import OUTCOMES, PROBABILITY
from vqa_helpers.report.drawings import PIECES
from vqa_helpers.report.findings import findings
from vqa_helpers.report.interesting import Example
from vqa_helpers.report.puzzle import alternatives
from vqa_helpers.report.site.looks import puzzle
from vqa_helpers.report.site.pages import Page
from vqa_helpers.report.site.scores import key, results_section
from vqa_helpers.report.tables import NOT_SCORED, Score, by_weight

TITLE = "Visual Question Answering"
LEAD = (
    "Show a model a photograph, ask it anything about it in plain words, and it answers: what "
    "colour is the bus, how many people wait, is it raining?"
)
METHOD = (
    "The answer is chosen among the frequent answers of the training questions. Every score here "
    "is measured once, on questions about images that no model has seen, and stands beside what a "
    "blind guesser gets and what a perfect model could reach."
)
FITS = (
    "Each model is a puzzle of four pieces. Each notebook is one way to put them together, and all "
    "are measured alike, so that what one piece is worth can be read off."
)
PICTURE_QUALITY = 84
TONES = {"hit": "good", "top five": "near", "miss": "bad"}


def front_page(
    results: pd.DataFrame, pages: Sequence[Page], runs_root: Path, examples: Sequence[Example]
) -> str:
    """The content of `index.html`."""
    datasets = by_weight(zip(results["dataset"], results["preset"], strict=True))
    parts = [_hero(results, datasets), _examples(examples), _pieces()]
    if datasets:
        said = findings(runs_root, datasets[0])
        parts.append(_findings(said, datasets[0]))
    parts.append(_results(results, datasets, pages))
    parts.append(_notebooks(pages, results[results["dataset"].isin(datasets[:1])]))
    return "\n".join(part for part in parts if part)


def _score(row: dict) -> Score | None:
    score = row["validation top-1"] if row["test top-1"] == NOT_SCORED else row["test top-1"]
    return score if isinstance(score, Score) else None


# --- what it is ---


def _hero(results: pd.DataFrame, datasets: Sequence[str]) -> str:
    return (
        f'<section class="hero"><h1>{TITLE}</h1>\n<p class="lead">{html.escape(LEAD)}</p>\n'
        f"<p>{html.escape(METHOD)}</p>{_figures(results, datasets)}</section>"
    )


def _figures(results: pd.DataFrame, datasets: Sequence[str]) -> str:
    """Three numbers of the first dataset's runs: blind, best, possible."""
    if not datasets:
        return ""
    rows = results[results["dataset"] == datasets[0]].to_dict("records")
    scored = [(score.value, row) for row in rows if (score := _score(row)) is not None]
    if not scored:
        return ""
    value, best = max(scored, key=lambda pair: pair[0])
    tiles = [(f"{value:.1f} %", f"the best of {len(scored)} runs, {best['preset']}", "best")]
    if isinstance(best["blind top-1"], float) and best["blind top-1"] == best["blind top-1"]:
        tiles.insert(0, (f"{best['blind top-1']:.1f} %", "the best guess without looking", "blind"))
    if isinstance(best["ceiling"], float):
        tiles.append((f"{best['ceiling']:.1f} %", "the most its answers allow", "ceiling"))
    items = "".join(
        f'<li class="{kind}"><b>{number}</b>{html.escape(text).replace("_", "_<wbr>")}</li>'
        for number, text, kind in tiles
    )
    name = html.escape(str(datasets[0]))
    return f'<p class="of">Right at the first answer, on <b>{name}</b>:</p><ul class="tiles">{items}</ul>'


def _examples(examples: Sequence[Example]) -> str:
    if not examples:
        return ""
    cards = "".join(map(_card, examples))
    return (
        f'<h2 id="examples">What {html.escape(examples[0].preset)} answered</h2>\n'
        f'<ul class="examples">{cards}</ul>'
    )


def _card(example: Example) -> str:
    """Image, question, the five answers as bars, the truth marked."""
    alt = html.escape(f"The image of the question: {example.question}", quote=True)
    image = (
        f'<img src="{_data_uri(example)}" alt="{alt}" width="320" height="320" decoding="async">'
        if example.picture is not None
        else ""
    )
    bars = "".join(
        _bar(answer, probability, answer == example.truth)
        for answer, probability in zip(example.answers, example.probabilities, strict=True)
    )
    truth = "" if example.truth in example.answers else (
        f'<p class="truth">The truth: <b>{html.escape(example.truth)}</b></p>'
    )  # fmt: skip
    named = OUTCOMES[example.outcome][1].partition(":")[0]
    return (
        f'<li class="{TONES[example.outcome]}">{image}<div><p class="asked">'
        f'{html.escape(example.question)}</p><ol class="bars">{bars}</ol>{truth}'
        f'<p class="why"><i></i>{html.escape(named)} <span>– {html.escape(example.rule)}</span></p>'
        "</div></li>"
    )


def _bar(answer: str, probability: float, is_truth: bool) -> str:
    share = f"{100 * probability:.0f} %"
    if 0 < probability < 0.005 or 0.995 <= probability < 1:
        share = "&lt;1 %" if probability < 0.5 else "&gt;99 %"
    mark = ' <span class="is-true" title="the true answer">✓</span>' if is_truth else ""
    width = f"width: {max(1.0, 100 * min(probability, 1.0)):.1f}%"
    colour = f"background-color: {to_hex(PROBABILITY(probability))}"
    return (
        f'<li><span class="answer">{html.escape(answer)}{mark}</span><span class="share">{share}'
        f'</span><span class="bar"><i style="{width}; {colour}"></i></span></li>'
    )


def _data_uri(example: Example) -> str:
    file = io.BytesIO()
    Image.fromarray(example.picture).save(file, "JPEG", quality=PICTURE_QUALITY, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"


def _pieces() -> str:
    lists = "".join(
        f'<div class="{piece}"><dt>{piece}</dt>'
        f"{''.join(f'<dd>{html.escape(name)}</dd>' for name in names)}</div>"
        for piece, names in alternatives().items()
    )
    return (
        f'<h2 id="puzzle">A puzzle of {len(PIECES)} pieces</h2>\n<p>{html.escape(FITS)}</p>\n'
        f'{puzzle()}<dl class="alternatives">{lists}</dl>'
    )


# --- what came out ---


def _findings(said: Sequence[str], dataset: str) -> str:
    if not said:
        return ""
    items = "".join(f"<li>{_bold(line)}</li>" for line in said)
    name = html.escape(dataset)
    return (
        f'<h2 id="findings">What the runs on {name} say</h2>\n<p class="note">Computed from the run '
        f'folders when this page was made.</p>\n<ul class="findings">{items}</ul>'
    )


def _bold(line: str) -> str:
    line = re.sub(r"(\d) %", "\\1\N{NO-BREAK SPACE}%", html.escape(line))
    return re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", line)


def _results(results: pd.DataFrame, datasets: Sequence[str], pages: Sequence[Page]) -> str:
    """The tables of runs, one for each dataset."""
    head = '<h2 id="results">Results</h2>\n'
    if results.empty:
        return (
            f'{head}<p class="note">No finished runs yet: train a model, then build the site '
            "again.</p>"
        )
    files = {page.name: page.file for page in pages}
    tables = [
        f"<h3>Data: {html.escape(str(name))}</h3>\n"
        f"{results_section(results[results['dataset'] == name], files)}"
        for name in datasets
    ]
    return head + key() + "\n" + "\n".join(tables)


def _notebooks(pages: Sequence[Page], results: pd.DataFrame) -> str:
    """A card a notebook, with its score in the runs given: those on one dataset."""
    if not pages:
        return ""
    groups = (
        ("Across all runs", [page for page in pages if page.across]),
        ("One by one", [page for page in pages if not page.across]),
    )
    scores = {}
    for row in results.to_dict("records"):
        scores.setdefault(row["preset"], _score(row))
    several = all(group for _, group in groups)
    parts = ['<h2 id="notebooks">Notebooks</h2>']
    for title, group in groups:
        if group:
            cards = "".join(_notebook(page, scores.get(page.name)) for page in group)
            heading = f"<h3>{title}</h3>" if several else ""
            parts.append(f'{heading}<ul class="cards">{cards}</ul>')
    return "\n".join(parts)


def _notebook(page: Page, score: Score | None) -> str:
    mark = '<span class="chip failed">failed</span>' if page.failure else ""
    if score is not None and not page.failure:
        mark = f'<span class="chip">{score.value:.1f} %</span>'
    return (
        f'<li>{mark}<a href="{quote(page.file)}">{html.escape(page.title)}</a>'
        f"<p>{html.escape(page.summary)}</p></li>"
    )
