"""What a model answered, question by question, as a page of the site lists it.

A run keeps no questions: they are read from the dataset where it is still at hand, as it was. Else
questions go by their number. Runs no model.
"""

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from vqa_helpers.data.folder import DATA, Dataset, open_dataset
from vqa_helpers.data.images import names_of
from vqa_helpers.errors import InputError
from vqa_helpers.report.cards import judged, outcome
from vqa_helpers.report.verdicts import as_one
from vqa_helpers.runs import Experiment, Run

log = logging.getLogger(__name__)

MOST = 20_000  # rows of a page: a phone has to hold them


@dataclass(frozen=True)
class AnswersPage:
    """The answers of an experiment's first run to the questions of the scored split.

    Attributes:
        rows: a row a question: question, image_id (as the questions have it), answer_type, truth,
            answers and probabilities (lists, most probable first), blind, and outcome, as
            `cards.outcome`. At most `MOST`, drawn by chance.
        questions: how many there are.
        known: whether the dataset was at hand; else `question` is a number, `answer_type` None.
    """

    href: str
    name: str
    dataset: str
    seed: int
    split: str
    rows: pd.DataFrame
    questions: int
    known: bool

    @property
    def title(self) -> str:
        return f"{self.name} on {self.dataset}: its answers"


def answers_page(experiment: Experiment, dataset: Dataset | None, href: str) -> AnswersPage:
    """The page of an experiment, whose address on the site is `href`.

    Args:
        dataset: from `find_dataset`.
    """
    run = experiment.runs[0]
    split, _ = run.scored
    if dataset is not None:
        called, rows = names_of([dataset.splits[split]]), judged(experiment, dataset)
        rows["image_id"] = [called.get(image_id, image_id) for image_id in rows["image_id"]]
    else:
        rows = run.predictions[run.predictions["split"] == split]
        rows = rows.assign(question="Question " + rows["question_id"].astype(str), answer_type=None)
    shown = rows.sample(MOST, random_state=0).sort_index() if len(rows) > MOST else rows
    shown = shown.assign(outcome=[outcome(row.answers, row.truth) for row in shown.itertuples()])
    which = experiment.name, experiment.dataset, run.config["seed"], split
    return AnswersPage(href, *which, shown, len(rows), dataset is not None)


def find_dataset(
    run: Run, given: Sequence[str | Path] = (), open_at: Callable[..., Dataset] = open_dataset
) -> Dataset | None:
    """The dataset that a run learnt from, as it was then; None where it is not at hand. Of one that
    was cut from another, as demo-D from demo, the questions that were scored.

    It is looked for in `given`, where it lay when the run was trained, and below `data` by name.

    Args:
        open_at: who looks for several gives one that opens a folder once.

    Raises:
        InputError: for one of `given` that is no dataset.
    """
    name = run.config["dataset"]
    kept = [DATA / name]
    with suppress(InputError):  # an environment may be lacking: nothing else asks for it
        kept.insert(0, Path(str(run.environment.get("data") or kept[0])))
    for place in (*given, *filter(Path.exists, kept)):
        try:
            dataset = open_at(place, int(run.split.get("seed") or 0))
        except InputError as error:
            if place in given:
                raise
            log.warning("%s", error)
            continue
        if dataset.name == name and run.config.get("data_sha256") in (None, dataset.sha256()):
            if not dataset.images:
                log.warning("%s: has no images; examples are shown without", dataset.folder)
            return dataset
        if name.startswith(f"{dataset.name}-") and (part := _scored_part(dataset, run)):
            return part
    return None


def _scored_part(dataset: Dataset, run: Run) -> Dataset | None:
    """The questions that a run was scored on, where the dataset it was cut from still has them."""
    split, _ = run.scored
    ids = run.predictions.query("split == @split")["question_id"]
    table = pd.concat(dataset.splits.values(), ignore_index=True)
    table = table[table["question_id"].isin(ids)]
    part = replace(dataset, name=run.config["dataset"], splits={split: table})
    with suppress(InputError):  # another answer than the run's
        return part if len(judged(as_one(run), part)) == len(ids) else None
