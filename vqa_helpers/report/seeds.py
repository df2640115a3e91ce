"""Presets as tables where each was trained with several seeds: spread, intervals and verdicts.

Runs belong together when all but the seed is the same. Knows run folders, no models.
"""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from vqa_helpers.errors import InputError
from vqa_helpers.evaluation.compare import Difference, paired_difference
from vqa_helpers.evaluation.metrics import with_interval
from vqa_helpers.report.compare import Answered, compare_answered, read_answered
from vqa_helpers.report.tables import NOT_DEFINED, Score, best_blind, scored_split
from vqa_helpers.runs import Run, find_runs

log = logging.getLogger(__name__)

SEED_COLUMNS = (
    "dataset", "preset", "settings", "seeds", "scored on", "questions", "top-1", "top-1 sd",
    "VQA accuracy", "VQA sd", "VQA normaliser", "blind top-1", "gain over blind", "verdict",
)  # fmt: skip
OTHER_QUESTIONS = "other questions"


@dataclass(frozen=True)
class Model:
    """The runs of one preset on one dataset that differ in their seed alone.

    Attributes:
        settings: what tells it from other models of that preset, such as "loss=soft cross
            entropy"; empty where there is but one.
    """

    dataset: str
    preset: str
    settings: str
    runs: tuple[Run, ...]

    def __str__(self) -> str:
        return f"{self.preset} ({self.settings})" if self.settings else self.preset


def find_models(runs_root: Path, dataset: str | None = None) -> list[Model]:
    """The finished runs below `runs_root`, those of one model together, in order of name."""
    presets: dict[tuple[str, str], dict[str, list[Run]]] = {}
    for run in find_runs(runs_root, dataset):
        fixed = {name: value for name, value in run.config.items() if name != "seed"}
        models = presets.setdefault((run.config["dataset"], run.config["preset"]), {})
        models.setdefault(json.dumps(fixed, sort_keys=True), []).append(run)
    return [
        Model(name, preset, settings, tuple(runs))
        for (name, preset), models in presets.items()
        for settings, runs in zip(_told_apart(list(models)), models.values(), strict=True)
    ]


def seed_table(runs_root: Path, dataset: str | None = None) -> pd.DataFrame:
    """A row for each model: its mean over seeds, their spread, and the verdict against blind.

    Intervals come from a bootstrap that draws images and, from two seeds on, seeds. "sd" is the
    standard deviation over the seeds, in points, None for one. Models whose runs kept too little
    to be compared are left out and logged.
    """
    rows = []
    for model in find_models(runs_root, dataset):
        answered = _read(model)
        if answered is not None:
            rows.append(_seed_row(model, answered))
    return pd.DataFrame(rows, columns=list(SEED_COLUMNS))


def summary_table(runs: Sequence[Run]) -> pd.DataFrame:
    """The row of `seed_table` for runs that differ in their seed alone.

    Raises:
        InputError: when they were not scored on the same questions.
    """
    config = runs[0].config
    model = Model(config["dataset"], config["preset"], "", tuple(runs))
    return pd.DataFrame([_seed_row(model, read_answered(runs))], columns=list(SEED_COLUMNS))


def verdict_table(runs_root: Path, dataset: str, metric: str = "top1") -> pd.DataFrame:
    """Every model against every other: how many points the row has over the column.

    Cells read "better +3.1 [+1.0, +5.2]"; the 95 % interval is of each pair by itself, so of
    twenty pairs that do not differ about one is expected to look as if it did (fewer where seeds
    agree, more where they are few and far apart, see `bootstrap.interval`).

    Args:
        metric: "top1", or "vqa" where that is defined.
    """
    models = [(str(model), _read(model)) for model in find_models(runs_root, dataset)]
    models = [(name, answered) for name, answered in models if answered is not None]
    names = [name for name, _ in models]
    table = pd.DataFrame("", index=pd.Index(names, name="points over"), columns=names, dtype=object)
    for i, j in combinations(range(len(models)), 2):
        one, other = models[i][1], models[j][1]
        if not one.same_questions(other):  # runs on an older state of the data
            table.iat[i, j] = table.iat[j, i] = OTHER_QUESTIONS
            continue
        difference = getattr(compare_answered(one, other), metric)
        table.iat[i, j] = _cell(difference)
        table.iat[j, i] = _cell(None if difference is None else -difference)
    return table


def _cell(difference: Difference | None) -> str:
    return NOT_DEFINED if difference is None else f"{difference.verdict} {difference}"


def _told_apart(configs: Sequence[str]) -> list[str]:
    """For each configuration the settings in which it differs from the others, as text."""
    known = [json.loads(text) for text in configs]
    names = list(dict.fromkeys(name for config in known for name in config))
    differing = [
        name for name in names if len({json.dumps(config.get(name)) for config in known}) > 1
    ]
    return [
        ", ".join(f"{name}={_short(config.get(name))}" for name in differing) for config in known
    ]


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 24 else text[:12] + "…"


def _read(model: Model) -> Answered | None:
    try:
        return read_answered(model.runs)
    except InputError as error:
        log.warning("%s on %s is left out: %s", model, model.dataset, error)
        return None


def _seed_row(model: Model, answered: Answered) -> dict:
    split, scores = scored_split(model.runs[0].metrics)
    gain = paired_difference(answered.top1, answered.blind, answered.images)
    blind = best_blind(scores)
    vqa = answered.vqa
    return {
        "dataset": model.dataset,
        "preset": model.preset,
        "settings": model.settings,
        "seeds": len(model.runs),
        "scored on": split,
        "questions": len(answered.question_ids),
        "top-1": Score(**with_interval(answered.top1, answered.images)),
        "top-1 sd": _deviation(answered.top1),
        "VQA accuracy": NOT_DEFINED
        if vqa is None
        else Score(**with_interval(vqa, answered.images)),
        "VQA sd": None if vqa is None else _deviation(vqa),
        "VQA normaliser": None if vqa is None else scores["vqa_normaliser"],
        "blind top-1": blind[1] if blind else None,
        "gain over blind": str(gain),
        "verdict": gain.verdict,
    }


def _deviation(scores: np.ndarray) -> float | None:
    """Standard deviation over seeds of the mean score (S, N), in points; None for one seed."""
    if len(scores) < 2:
        return None
    return round(100 * float(scores.mean(axis=1).std(ddof=1)), 2)
