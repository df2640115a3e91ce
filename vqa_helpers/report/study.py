"""What the reference study published, beside our own runs of the same experiments.

Its numbers and curves are data files (`study_results.csv`, `study_curves.csv`), copied from its
notebooks. Ours were measured on the study's datasets cut from whatever we have, so the two numbers
are never one measurement. Knows run folders; scores nothing.
"""

from pathlib import Path

import pandas as pd

from vqa_helpers.report.tables import results_table
from vqa_helpers.report.verdicts import Runs, as_list

HUNDRED_K = "100k"  # what the study's curves and most of its models were trained on
NOT_RUN = "not run"
STORED = "+vision=StoredFeatures"  # ends a name: the network ran once per image
OURS = (
    "seeds", "train top-1", "scored on", "questions", "top-1", "top-1 sd", "best blind guess",
    "blind top-1", "gain over blind", "verdict", "ceiling", "VQA accuracy", "train questions",
    "weights", "px", "epochs", "stand-ins", "train s",
)  # fmt: skip


def study_curves() -> pd.DataFrame:
    """The study's eight runs on 100k: preset, epoch, train_top1 and eval_top1 in percent."""
    return pd.read_csv(Path(__file__).with_name("study_curves.csv"), comment="#")


def published() -> pd.DataFrame:
    """What the study published, a row a result: experiment, data, top1 and train_top1 (percent,
    NaN where it gave no number), the split it was measured on, and what to know before comparing.
    """
    return pd.read_csv(Path(__file__).with_name("study_results.csv"), comment="#")


def is_study_data(dataset: str) -> bool:
    """Whether a dataset's name says that it is the one the study's curves come from.

    The split may be another: the study cut by row, `vqa data build 100k` cuts by image.
    """
    return dataset in (HUNDRED_K, f"{HUNDRED_K}-study")


def study_table(experiments: Runs, dataset: str) -> pd.DataFrame:
    """The study's summary table with ours beside it, a row one of its experiments on its data.

    The study's number is the maximum over the epochs of its test split, or held-out rows; ours is
    test accuracy at the epoch that validation chose, with its 95 % interval.

    Args:
        dataset: takes the place of the study's 100k; its A to E are looked for in what was cut
            from this one. Of several experiments that fit the one with most seeds counts.
    """
    ours = sorted(as_list(experiments), key=lambda one: -len(one.runs))
    rows = []
    for cell in published().to_dict("records"):
        name, cut = cell["experiment"], f"{dataset}-{cell['data']}"
        cuts = [dataset] if cell["data"] == HUNDRED_K else [cut, f"{cut}-of-D"]
        fitting = [e for e in ours if e.name in (name, name + STORED) and e.dataset in cuts]
        found = results_table(fitting[:1]).to_dict("records") or [{"dataset": NOT_RUN}]
        row = {"experiment": name, "study's data": cell["data"], "study's top-1": cell["top1"],
               "study's train top-1": cell["train_top1"], "our data": found[0]["dataset"]}  # fmt: skip
        row |= {column: found[0].get(column) for column in OURS}
        rows.append(row | {"about the study's": cell["caveat"]})
    return pd.DataFrame(rows, dtype=object)
