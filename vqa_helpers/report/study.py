"""The study's summary table with every cell filled: ours beside its own.

A cell is one of its experiments on one of its datasets. Ours was measured on that dataset cut from
whatever we have, scaled to it, so a cell says which; the two numbers are never one measurement.
Knows run folders and what the study published.
"""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import pandas as pd

from vqa_helpers.errors import InputError
from vqa_helpers.experiment.conduct import SPLIT
from vqa_helpers.experiment.series import STORED, Trial
from vqa_helpers.report.published import HUNDRED_K, PUBLISHED, Published
from vqa_helpers.report.seeds import Model, find_models
from vqa_helpers.report.series import compare_trials, read_trial, trial_table
from vqa_helpers.runs import Run

log = logging.getLogger(__name__)

NOT_RUN = "not run"
NO_NUMBER = "no number"  # what the study left empty, at 00.00 %, or showed as a plot alone
SCORE_COLUMNS = (
    "experiment", "study's data", "study, top-1", "study, train", "our data",
    "scored on", "top-1", "train top-1", "best blind guess", "gain over blind", "verdict", "ceiling", "VQA accuracy",
)  # fmt: skip
MEANS_COLUMNS = (
    "experiment", "study's data", "our data", "train questions", "questions", "seeds", "top-1 sd",
    "weights", "image px", "epochs", "stand-ins", "train s", "samples/s",
    "about the study's",
)  # fmt: skip
WHOLE_NUMBERS = ("train questions", "questions", "seeds", "image px", "epochs", "samples/s")


@dataclass(frozen=True)
class Cell:
    """One experiment on one dataset of the study's, and what we have of it.

    Attributes:
        ours: its runs; None where there is none. Its `data` is our dataset's name.
    """

    preset: str
    published: Published
    ours: Trial | None


def study_cells(runs_root: Path, dataset: str) -> list[Cell]:
    """Every cell of the study's table, with our runs on a dataset and on what was cut from it.

    Where a preset was run with several settings on one dataset, the model with most seeds counts.

    Args:
        dataset: what takes the place of the study's 100k; its A to E are looked for under the
            names that `cut` and `nested` give.
    """
    found: dict[tuple[str, str], Model] = {}
    for model in find_models(runs_root):
        held = found.get((model.dataset, model.preset))
        if held is None or len(model.runs) > len(held.runs):
            found[model.dataset, model.preset] = model
    cells = []
    for preset, results in PUBLISHED.items():
        for published in results:
            names = _our_names(dataset, published.data)
            models = [found.get((n, p)) for n in names for p in (preset, f"{preset}{STORED}")]
            ours = next((trial for m in models if m and (trial := _trial(m))), None)
            cells.append(Cell(preset, published, ours))
    return cells


def _our_names(dataset: str, data: str) -> list[str]:
    if data == HUNDRED_K:
        return [dataset]
    return [f"{dataset}-{data}", f"{dataset}-{data}-of-D"]


def _trial(model: Model) -> Trial | None:
    trial = Trial(model.dataset, model.preset, _train_questions(model.runs[0]), model.runs)
    try:
        read_trial(trial)
    except InputError as error:
        log.warning("%s on %s is left out: %s", model, model.dataset, error)
        return None
    return trial


def _train_questions(run: Run) -> int:
    """As the run's split says; 0 where it kept none."""
    try:
        record = json.loads((run.folder / SPLIT).read_text(encoding="utf-8"))
        return int(record["counts"]["train"]["questions"])
    except (OSError, ValueError, LookupError, TypeError):
        return 0


def score_table(cells: Sequence[Cell]) -> pd.DataFrame:
    """A row a cell: the study's number and ours, each with what it must be read beside.

    The study's is the maximum over the epochs of its test split, or held-out rows; ours is test
    accuracy at the epoch that validation chose, with its 95 % interval.
    """
    return pd.DataFrame([_scores(cell) for cell in cells], columns=list(SCORE_COLUMNS))


def _scores(cell: Cell) -> dict:
    row = {
        "experiment": cell.preset,
        "study's data": cell.published.data,
        "study, top-1": _or(cell.published.eval_top1, NO_NUMBER),
        "study, train": _or(cell.published.train_top1, NO_NUMBER),
        "our data": NOT_RUN if cell.ours is None else cell.ours.data,
    }
    if cell.ours is not None:
        (ours,) = trial_table([cell.ours]).to_dict("records")
        row |= {name: ours[name] for name in SCORE_COLUMNS if name in ours}
        row["best blind guess"] = ours["blind top-1"]
    return row


def _or(value: float | None, otherwise: str) -> str:
    return otherwise if value is None else f"{value:.2f}"


def means_table(cells: Sequence[Cell]) -> pd.DataFrame:
    """A row a cell: by what means our number came about, and what to know of the study's."""
    table = pd.DataFrame([_means(cell) for cell in cells], columns=list(MEANS_COLUMNS))
    return table.astype(dict.fromkeys(WHOLE_NUMBERS, "Int64"))  # which know missing ones


def _means(cell: Cell) -> dict:
    row = {
        "experiment": cell.preset,
        "study's data": cell.published.data,
        "our data": NOT_RUN,
        "about the study's": cell.published.caveat,
    }
    if cell.ours is None:
        return row
    (ours,) = trial_table([cell.ours]).to_dict("records")
    config = cell.ours.runs[0].config
    return row | {
        **{name: ours[name] for name in MEANS_COLUMNS if name in ours},
        "our data": cell.ours.data,
        "weights": config.get("weights"),
        "image px": config.get("image_size_px"),
        "epochs": config.get("epochs"),
        "stand-ins": ", ".join(config.get("stand_ins") or []) or "none",
    }


# Sentences


def say_cells(cells: Sequence[Cell]) -> list[str]:
    """What the table says: how much of it is filled, by what, and whether the order agrees."""
    filled = [cell for cell in cells if cell.ours is not None]
    empty = [cell for cell in cells if cell.published.eval_top1 is None]
    now = [cell for cell in empty if cell.ours is not None]
    lines = [
        f"{len(filled)} of the {len(cells)} cells of the study's table have a number of ours; of "
        f"the {len(empty)} that it left without one, {len(now)} have one now."
    ]
    if not filled:
        return lines
    better = sum(trial_table([cell.ours])["verdict"].iloc[0] == "better" for cell in filled)
    lines.append(
        f"{better} of {len(filled)} are better than the best blind guess beyond doubt (paired, "
        "95 %); the study names no such line."
    )
    standing = [cell for cell in filled if cell.ours.runs[0].config.get("stand_ins")]
    if standing:
        lines.append(
            f"In {len(standing)} of them a stand-in took part: they show that the pieces work "
            "together, not what the study's own would reach."
        )
    return [*lines, *_say_order(filled)]


def _say_order(cells: Sequence[Cell]) -> list[str]:
    """Whether the models of the study's largest dataset come in its order."""
    scored = [cell for cell in cells if cell.published.data == HUNDRED_K]
    pairs = [
        (one, other)
        for one, other in combinations(scored, 2)
        if read_trial(one.ours).same_questions(read_trial(other.ours))
    ]
    decided = agreeing = 0
    for one, other in pairs:
        ahead = one.published.eval_top1 - other.published.eval_top1
        difference = compare_trials(one.ours, other.ours)
        if difference.verdict != "cannot tell" and ahead:
            decided += 1
            agreeing += (difference.value > 0) == (ahead > 0)
    if not pairs:
        return []
    if not decided:
        return [f"Of {len(pairs)} pairs of its 100k models none can be told apart here."]
    return [
        f"Of {len(pairs)} pairs of its 100k models {decided} can be told apart here; "
        f"{agreeing} of those come in the study's order."
    ]
