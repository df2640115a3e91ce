"""The results of all runs as tables of a page: what matters as a picture, every column below it.

Knows the table of results, no run folder.
"""

import html
from collections.abc import Mapping
from urllib.parse import quote

import pandas as pd

from vqa_helpers.report.tables import NOT_SCORED, Score

NONE = ("none", None)
CIRCUMSTANCES = ("stand-ins", "weights", "epochs", "seed")
CHART_PX = 120  # width of 100 % in the little charts
MIDDLE_PX = 9
VERDICTS = {"better": "better", "worse": "worse", "cannot tell": "unclear"}


def results_section(rows: pd.DataFrame, pages: Mapping[str, str]) -> str:
    """The runs on one dataset: a short table with charts, and every column folded below it.

    Args:
        rows: of `results_table`, one dataset.
        pages: file of the page of a preset's notebook, by preset.
    """
    rows = rows.sort_values("test top-1", ascending=False, kind="stable", key=_by_value)
    notes = [text for text in rows["stand-ins"].drop_duplicates() if text not in NONE]
    lines = [
        _line(row, pages, notes, len(set(rows["seed"])) > 1) for row in rows.to_dict("records")
    ]
    heads = (("model", ""), ("top-1, 95 % interval", ""), ("over blind", "num"), ("verdict", ""),
             ("VQA accuracy", "num"), ("train s", "num"))  # fmt: skip
    head = "".join(
        f'<th scope="col"{_class(kind)}>{html.escape(text)}</th>' for text, kind in heads
    )
    legend = "".join(
        f"<li><sup>{number}</sup> {html.escape(name)}</li>" for number, name in enumerate(notes, 1)
    )
    below = f'<p class="note">Stand-ins took the place of the real pieces:</p><ol class="stand-ins">{legend}</ol>'
    return (
        '<div class="scroll"><table class="results">'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
        f"{below if notes else ''}"
        f'<details class="fold"><summary>Every column of every run</summary>{_every(rows)}'
        "</details>"
    )


def key() -> str:
    """What the little charts show."""
    marks = (("dot", "top-1 with its 95 % interval"), ("blind", "best blind guess"),
             ("ceiling", "ceiling of the vocabulary"))  # fmt: skip
    items = "".join(f'<li><i class="{name}"></i>{text}</li>' for name, text in marks)
    return f'<ul class="key">{items}</ul>'


def _by_value(column: pd.Series) -> pd.Series:
    return column.map(lambda score: score.value if isinstance(score, Score) else -1.0)


def _class(name: str) -> str:
    return f' class="{name}"' if name else ""


def _line(
    row: Mapping[str, object], pages: Mapping[str, str], notes: list[str], seeds: bool
) -> str:
    preset = str(row["preset"])
    name = html.escape(preset).replace("_", "_<wbr>")
    if preset in pages:
        name = f'<a href="{quote(pages[preset])}">{name}</a>'
    if row["stand-ins"] in notes:
        name += f"<sup>{notes.index(row['stand-ins']) + 1}</sup>"
    if seeds:
        name += f" <small>seed {html.escape(str(row['seed']))}</small>"
    score, where = row["test top-1"], ""
    if score == NOT_SCORED:
        score, where = row["validation top-1"], " <small>validation</small>"
    gain, verdict = row["gain over blind"], row["verdict"]
    kind = VERDICTS.get(str(verdict), "")
    said = f'<span class="verdict {kind}">{html.escape(str(verdict))}</span>' if kind else "–"
    cells = (
        ("", f'<div class="chart">{cell(score)}{where}{_chart(score, row)}</div>'),
        ("num", "–" if _absent(gain) else f"{gain:+.1f}"),
        ("", said),
        ("num", cell(row["VQA accuracy"])),
        ("num", cell(row["train s"])),
    )
    return (
        f'<tr><th scope="row">{name}</th>'
        + "".join(f"<td{_class(kind)}>{text}</td>" for kind, text in cells)
        + "</tr>"
    )


def _absent(value: object) -> bool:
    return value is None or value != value  # NaN differs from itself


def _chart(score: object, row: Mapping[str, object]) -> str:
    """Interval, dot, and the two lines they stand between, on a scale from 0 to 100 %."""
    if not isinstance(score, Score):
        return ""
    lines = "".join(
        f'<line class="{name}" x1="{_x(row[column])}" x2="{_x(row[column])}" y1="2" y2="16"/>'
        for name, column in (("blind", "blind top-1"), ("ceiling", "ceiling"))
        if not _absent(row[column])
    )
    return (
        f'<svg width="{CHART_PX + 4}" height="18" aria-hidden="true">'
        f'<line class="track" x1="2" x2="{CHART_PX + 2}" y1="{MIDDLE_PX}" y2="{MIDDLE_PX}"/>'
        f'{lines}<line class="interval" x1="{_x(score.low)}" x2="{_x(score.high)}" '
        f'y1="{MIDDLE_PX}" y2="{MIDDLE_PX}"/><circle cx="{_x(score.value)}" cy="{MIDDLE_PX}" '
        'r="4"/></svg>'
    )


def _x(percent: float) -> str:
    return f"{2 + CHART_PX * min(max(percent, 0.0), 100.0) / 100:.1f}"


def _every(rows: pd.DataFrame) -> str:
    """One line a run; how it was trained stands below its name, stand-ins first of all."""
    columns = [c for c in rows.columns if c not in ("dataset", "preset", *CIRCUMSTANCES)]
    text = {c: rows[c].map(lambda value: type(value) is str).any() for c in columns}
    kind = {c: "" if text[c] else "num" for c in columns}
    head = "".join(f'<th scope="col"{_class(kind[c])}>{html.escape(c)}</th>' for c in columns)
    lines = []
    for row in rows.to_dict("records"):
        how = "; ".join(f"{name}: {row[name]}" for name in CIRCUMSTANCES if not _absent(row[name]))
        cells = "".join(f"<td{_class(kind[c])}>{cell(row[c])}</td>" for c in columns)
        name = f"{html.escape(str(row['preset']))}<small>{html.escape(how)}</small>"
        lines.append(f'<tr><th scope="row">{name}</th>{cells}</tr>')
    return (
        '<div class="scroll"><table class="results every">'
        f'<thead><tr><th scope="col">preset</th>{head}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def cell(value: object) -> str:
    """The markup of one value: floats to one decimal, scores with their interval, "–" for none."""
    if _absent(value):
        return "–"
    if isinstance(value, Score):
        return (
            f'<span class="keep"><b>{value.value:.1f}</b> '
            f"<small>[{value.low:.1f}, {value.high:.1f}]</small></span>"
        )
    if isinstance(value, float):
        return f"{value:.1f}"
    return html.escape(str(value))
