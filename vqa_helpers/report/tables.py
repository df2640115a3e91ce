"""Scores as tables: one run in detail, all runs side by side.

Every score stands beside its interval, its ceiling and what a blind guesser gets; top-1 and VQA
accuracy never share a column; stand-ins are named, and so is the version of the official
normaliser. Knows run folders and metrics, no models and no plots; measures nothing itself.
"""

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import pandas as pd

from vqa_helpers.runs import Run, find_runs

log = logging.getLogger(__name__)

NOT_DEFINED = "not defined"  # VQA accuracy of questions with fewer than ten answers
NOT_SCORED = "not scored"  # a split without answers
ANSWER_TYPES = ("yes/no", "number", "other")
RESULT_COLUMNS = (
    "dataset", "preset", "seed", "weights", "stand-ins", "epochs", "validation top-1",
    "test top-1", "scored on", "top-5", "VQA accuracy", "VQA normaliser", "ceiling",
    "best blind guess", "blind top-1", "gain over blind", "verdict", "train s", "samples/s",
)  # fmt: skip
# "|" ends a cell, "<" opens a tag, "$" opens a formula.
MARKDOWN = str.maketrans({"|": "\\|", "<": "&lt;", "$": "\\$"})


@dataclass(frozen=True, order=True)
class Score:
    """A percentage with its 95 % interval; reads "43.6 [42.1, 45.0]", sorts by its value."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.1f} [{self.low:.1f}, {self.high:.1f}]"

    __repr__ = __str__


def scored_split(metrics: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """The split whose scores are the result: test, or validation where test has no answers."""
    name = "test" if metrics.get("test") else "validation"
    return name, metrics[name]


def best_blind(scores: Mapping[str, Any]) -> tuple[str, float] | None:
    """Name and top-1 of the best blind baseline of a split; None where none was measured."""
    baselines = scores.get("baselines") or {}
    if not baselines:
        return None
    name = max(baselines, key=lambda key: baselines[key]["top1"])
    return name, baselines[name]["top1"]


# One run


def score_table(metrics: Mapping[str, Any]) -> pd.DataFrame:
    """Overall scores of a run: the rows validation and test, percent as text with intervals.

    The columns of VQA accuracy's ceiling and baselines appear only where it is defined.
    """
    splits = {name: metrics.get(name) for name in ("validation", "test")}
    with_vqa = any(scores and scores["vqa"] for scores in splits.values())
    rows = {name: _score_row(scores, with_vqa) for name, scores in splits.items() if scores}
    columns = list({column: None for row in rows.values() for column in row})
    cells = [[rows.get(name, {}).get(column, NOT_SCORED) for column in columns] for name in splits]
    return pd.DataFrame(cells, index=pd.Index(list(splits), name="split"), columns=columns)


def answer_type_table(metrics: Mapping[str, Any], split: str | None = None) -> pd.DataFrame:
    """Scores per answer type, in percent.

    Args:
        split: "validation" or "test"; by default the one that was scored last (test, if it was).
    """
    scores = metrics[split] if split else scored_split(metrics)[1]
    types = scores["per_answer_type"]
    order = [name for name in ANSWER_TYPES if name in types]
    order += sorted(name for name in types if name not in ANSWER_TYPES)
    return _type_table({name: types[name] for name in order}, "answer type", scores)


def question_type_table(
    metrics: Mapping[str, Any], min_questions: int = 10, split: str | None = None
) -> pd.DataFrame:
    """Scores per question type, in percent, best top-1 first.

    Args:
        min_questions: types with fewer questions are left out: their score is mostly luck.
        split: as in `answer_type_table`.
    """
    scores = metrics[split] if split else scored_split(metrics)[1]
    types = {
        name: entry
        for name, entry in scores["per_question_type"].items()
        if entry["questions"] >= min_questions
    }
    order = sorted(types, key=lambda name: (-number(types[name]["top1"]), name))
    return _type_table({name: types[name] for name in order}, "question type", scores)


def number(score: Any) -> float:
    """The value of a score, with an interval or without: `43.6` or `{"value": 43.6, …}`."""
    return float(score["value"] if isinstance(score, Mapping) else score)


def _score(entry: Mapping[str, float] | None) -> Score | str:
    if entry is None:
        return NOT_DEFINED
    return Score(entry["value"], entry["low"], entry["high"])


def _or_not_defined(value: float | None) -> str:
    return NOT_DEFINED if value is None else f"{value:.1f}"


def _score_row(scores: Mapping[str, Any], with_vqa: bool) -> dict[str, Any]:
    row = {
        "questions": scores["questions"],
        "images": scores["images"],
        "top-1": str(_score(scores["top1"])),
        "top-5": str(_score(scores["top5"])),
        "VQA accuracy": str(_score(scores["vqa"])),
        "top-1 ceiling": _or_not_defined(scores["ceiling"]["top1"]),
    }
    for name, baseline in scores["baselines"].items():
        row[f"blind top-1, {name}"] = _or_not_defined(baseline["top1"])
    if with_vqa:
        row["VQA normaliser"] = scores["vqa_normaliser"]
        row["VQA accuracy ceiling"] = _or_not_defined(scores["ceiling"]["vqa"])
        for name, baseline in scores["baselines"].items():
            row[f"blind VQA accuracy, {name}"] = _or_not_defined(baseline["vqa"])
    return row


def _type_table(
    types: Mapping[str, Mapping[str, Any]], label: str, scores: Mapping[str, Any]
) -> pd.DataFrame:
    """A row a type; the intervals stand in columns of their own, so that values stay numbers."""
    rows = [
        {
            label: name,
            "questions": entry["questions"],
            "hits": round(entry["questions"] * number(entry["top1"]) / 100),
            "top-1": number(entry["top1"]),
            "top-1 interval": _interval(entry["top1"]),
            "top-5 hits": round(entry["questions"] * number(entry["top5"]) / 100),
            "top-5": number(entry["top5"]),
            "VQA accuracy": NOT_DEFINED if entry["vqa"] is None else number(entry["vqa"]),
            "VQA interval": _interval(entry["vqa"]),
            "VQA normaliser": None if entry["vqa"] is None else scores["vqa_normaliser"],
        }
        for name, entry in types.items()
    ]
    columns = ["questions", "hits", "top-1", "top-1 interval", "top-5 hits", "top-5"]
    columns += ["VQA accuracy", "VQA interval", "VQA normaliser"]
    return pd.DataFrame(rows, columns=[label, *columns]).set_index(label)


def _interval(score: Any) -> str | None:
    """ "[42.1, 45.0]"; None without one."""
    if not isinstance(score, Mapping):
        return None
    return f"[{score['low']:.1f}, {score['high']:.1f}]"


# All runs


def results_table(runs_root: Path, dataset: str | None = None) -> pd.DataFrame:
    """All finished runs below `runs_root`, a row each; no runs, no rows, the same columns.

    Where test could not be scored, "test top-1" says so, and the columns after "scored on" are
    those of validation. Cells with an interval are `Score`s, which read "43.6 [42.1, 45.0]". The
    "verdict" is on the gain over the best blind guess, question by question: "better", "worse" or
    "cannot tell"; None for runs of old versions, which did not compare.
    """
    rows = [_result_row(run) for run in find_runs(runs_root, dataset)]
    return pd.DataFrame(rows, columns=list(RESULT_COLUMNS))


def _result_row(run: Run) -> dict[str, Any]:
    config, metrics, timing = run.config, run.metrics, run.timing
    split, scores = scored_split(metrics)
    blind = best_blind(scores)
    against = scores.get("against_blind") or {}
    return {
        "dataset": config["dataset"],
        "preset": config["preset"],
        "seed": config["seed"],
        "weights": config.get("weights"),
        "stand-ins": ", ".join(config.get("stand_ins") or []) or "none",
        "epochs": config.get("epochs"),
        "validation top-1": _score(metrics["validation"]["top1"]),
        "test top-1": _score(scores["top1"]) if split == "test" else NOT_SCORED,
        "scored on": split,
        "top-5": _score(scores["top5"]),
        "VQA accuracy": _score(scores["vqa"]),
        "VQA normaliser": scores["vqa_normaliser"] if scores["vqa"] else None,
        "ceiling": scores["ceiling"]["top1"],
        "best blind guess": blind[0] if blind else None,
        "blind top-1": blind[1] if blind else None,
        "gain over blind": scores["top1"]["value"] - blind[1] if blind else None,
        "verdict": against.get("verdict"),
        "train s": timing.get("train_s"),
        "samples/s": timing.get("samples_per_s"),
    }


# Text


def to_markdown(table: pd.DataFrame) -> str:
    """A table in GitHub's Markdown: floats to one decimal, numbers right-aligned.

    The index is shown where it has a name.
    """
    if table.index.name is not None:
        table = table.reset_index()
    cells = [[_cell(value) for value in row] for row in table.itertuples(index=False, name=None)]
    ruler = ["---:" if _is_numeric(table[name]) else "---" for name in table.columns]
    head = [_cell(str(name)) for name in table.columns]
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ruler, *cells]) + "\n"


def to_text(table: pd.DataFrame) -> str:
    """A table for a terminal: columns aligned, numbers to the right."""
    columns = []
    for name in table.columns:
        cells = [str(name), *map(_cell, table[name])]
        width = max(map(len, cells))
        pad = str.rjust if _is_numeric(table[name]) else str.ljust
        columns.append([pad(cell, width) for cell in cells])
    return "\n".join("  ".join(row).rstrip() for row in zip(*columns, strict=True)) + "\n"


def _is_numeric(column: pd.Series) -> bool:
    """Whether a column holds numbers, beside at most the words that stand for a missing one."""
    values = [value for value in column if not _is_absent(value)]
    return any(isinstance(value, Real | Score) for value in values) and all(
        isinstance(value, Real | Score) or value in (NOT_DEFINED, NOT_SCORED) for value in values
    )


def _is_absent(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _cell(value: Any) -> str:
    if _is_absent(value):
        return "–"
    if isinstance(value, Integral) and not isinstance(value, bool):
        return f"{value:,}" if abs(value) >= 10_000 else str(value)
    if isinstance(value, Real) and not isinstance(value, bool):
        return f"{value:,.1f}"
    return " ".join(str(value).split()).translate(MARKDOWN)
