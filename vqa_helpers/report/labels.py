"""Names for experiments shown together: their preset, and what differs.

An experiment's own name says all that differs from its preset. Among others that have the same
setting it is told apart by less; where two have one name, by more. Knows what a run records.
"""

import re
from collections.abc import Sequence

import pandas as pd

from vqa_helpers.runs import Experiment

SETTING = re.compile(r"\+(?=[a-z_.]+=)")  # begins each setting in a name
# Entries of a run's config that are no part of its name, told where names are equal.
FURTHER = ("epochs", "weights", "image_size_px", "precision", "split_rule", "data_sha256", "seed")


def preset_of(experiment: Experiment) -> str:
    """The preset that an experiment is or changes; without one, its name."""
    return SETTING.split(experiment.name)[0]


def settings_of(experiment: Experiment) -> dict[str, str]:
    """What an experiment has otherwise than its preset, as the command line spells it."""
    return dict(part.split("=", 1) for part in SETTING.split(experiment.name)[1:])


def shared_settings(experiments: Sequence[Experiment]) -> dict[str, str]:
    """The settings that two or more experiments all have alike."""
    if len(experiments) < 2:
        return {}
    each = [settings_of(one) for one in experiments]
    return {k: v for k, v in each[0].items() if all(one.get(k) == v for one in each)}


def labels(experiments: Sequence[Experiment]) -> list[str]:
    """For each experiment its preset, the settings that not all of them share, and its dataset
    where there are several.

    Two that would read the same are told apart by the first entry of `FURTHER` in which they
    differ, or by the folder of their first run.
    """
    shared, texts = shared_settings(experiments), []
    for one in experiments:
        own = {k: v for k, v in settings_of(one).items() if k not in shared}
        where = [f"on {one.dataset}"] if len({other.dataset for other in experiments}) > 1 else []
        texts.append(" ".join([preset_of(one), *(f"{k}={v}" for k, v in own.items()), *where]))
    firsts = [one.runs[0] for one in experiments]
    entries = [r.config.get("training", {}) | r.config | {"run": r.folder} for r in firsts]
    told = pd.Series(texts, dtype=object)
    for name in (*FURTHER, "run"):
        values = pd.Series([str(entry.get(name)) for entry in entries], dtype=object)
        differ = values.groupby(told).transform("nunique") > 1
        told[differ] += f" {name}=" + values[differ]
    return told.tolist()
