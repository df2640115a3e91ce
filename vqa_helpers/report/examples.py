"""Single questions worth showing, chosen by rule: the surest hit, the nearest miss, the surest miss.

Knows predictions, question tables and image files; runs no model.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from vqa_helpers.data.build import DATA, open_dataset
from vqa_helpers.data.folder import MANIFEST, Dataset
from vqa_helpers.errors import InputError
from vqa_helpers.report.cards import load_square, outcome
from vqa_helpers.report.tables import scored_split
from vqa_helpers.runs import Run, find_runs

log = logging.getLogger(__name__)

RULES = {
    "hit": "the surest right answer that the best blind guess gets wrong",
    "top five": "the truth came second, with the highest probability",
    "miss": "the surest wrong answer",
}
SHOWN_PX = 320


@dataclass(frozen=True)
class Example:
    """A question about an image, and what a model answered.

    Attributes:
        outcome: as `cards.outcome` names it.
        rule: why this one is shown.
        answers: the five most probable, first one first, with their probabilities.
        picture: (S, S, 3) uint8; None where the image is not at hand.
    """

    preset: str
    outcome: str
    rule: str
    question: str
    truth: str
    answers: tuple[str, ...]
    probabilities: tuple[float, ...]
    picture: np.ndarray | None


def choose_examples(run: Run, dataset: Dataset) -> list[Example]:
    """One example for each rule that some prediction fits, each about another image."""
    split, _ = scored_split(run.metrics)
    rows = run.predictions[run.predictions["split"] == split].sort_values("question_id")
    rows = rows[rows["truth"].notna()]
    asked = dataset.splits[split].drop_duplicates("question_id").set_index("question_id")
    rows = rows[rows["question_id"].isin(asked.index)]
    outcomes = pd.Series(
        [outcome(row.answers, row.truth) for row in rows.itertuples()], index=rows.index
    )
    sureness: Mapping[str, Callable[[pd.Series], float]] = {
        "hit": lambda row: row["probabilities"][0],
        "top five": lambda row: (
            row["probabilities"][1] if row["answers"][1] == row["truth"] else -1.0
        ),
        "miss": lambda row: row["probabilities"][0],
    }
    chosen, seen = [], set()
    for name, rule in RULES.items():
        fits = outcomes == name
        if name == "hit" and (fits & (rows["blind"] != rows["truth"])).any():
            fits &= rows["blind"] != rows["truth"]
        candidates = rows[fits]
        ranked = candidates.apply(sureness[name], axis=1) if len(candidates) else pd.Series()
        for place in ranked.sort_values(ascending=False, kind="stable").index:
            row = rows.loc[place]
            image = int(asked.loc[row["question_id"], "image_id"])
            if image not in seen:
                seen.add(image)
                question = str(asked.loc[row["question_id"], "question"])
                square = load_square(dataset.images.get(image), SHOWN_PX)
                chosen.append(_example(run, name, rule, question, row, square))
                break
    return chosen


def by_weight(runs: Iterable[tuple[str, str]]) -> list[str]:
    """The datasets of some runs, those first that no other is cut from, then by presets and name.

    A cut is named after what it was cut from ("demo-D"). It can have more runs than that, but what
    is said of all models is said of the whole.

    Args:
        runs: dataset and preset of each.
    """
    presets: dict[str, set[str]] = {}
    for dataset, preset in runs:
        presets.setdefault(dataset, set()).add(preset)

    def rank(name: str) -> tuple[bool, int, str]:
        is_cut = any(name.startswith(f"{other}-") for other in presets)
        return is_cut, -len(presets[name]), name

    return sorted(presets, key=rank)


def best_run(runs: Sequence[Run]) -> Run:
    """The run that validation puts first; test has no say."""
    return max(runs, key=lambda run: run.metrics["validation"]["top1"]["value"])


def examples_of(runs_root: Path, root: Path = DATA) -> list[Example]:
    """Examples of the best run on the first dataset by weight; [] where that is not at hand.

    Args:
        root: where datasets lie by name.
    """
    runs = find_runs(runs_root)
    datasets = by_weight((run.config["dataset"], run.config["preset"]) for run in runs)
    if not datasets:
        return []
    dataset = datasets[0]
    if not (root / dataset / MANIFEST).is_file():  # a folder that was named by its path
        log.info("%s is not in %s: the front page shows no example", dataset, root)
        return []
    best = best_run([run for run in runs if run.config["dataset"] == dataset])
    try:
        return choose_examples(best, open_dataset(dataset, root=root))
    except InputError as error:
        log.warning("the front page shows no example: %s", error)
        return []


def _example(
    run: Run, name: str, rule: str, question: str, row: pd.Series, square: np.ndarray | None
) -> Example:
    answers = tuple(map(str, row["answers"][:5]))
    probabilities = tuple(map(float, row["probabilities"][:5]))
    preset = run.config["preset"]
    truth = str(row["truth"])
    return Example(preset, name, rule, question, truth, answers, probabilities, square)
