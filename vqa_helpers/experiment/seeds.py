"""One preset trained with several seeds: each seed is a unit of work, done here or elsewhere.

Where that is, a `cluster.Map` knows. Run folders are written by whoever trains, so a seed whose worker
died goes on after its last epoch.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from vqa_helpers.cluster import Map
from vqa_helpers.data.folder import Dataset
from vqa_helpers.experiment.conduct import conduct
from vqa_helpers.experiment.options import Options
from vqa_helpers.experiment.prepare import prepare
from vqa_helpers.model.config import Preset
from vqa_helpers.runs import Run, run_folder
from vqa_helpers.training.team import ALONE, Team


@dataclass(frozen=True)
class Trained:
    """A finished run, and the images it asks about that could not be seen."""

    run: Run
    unseen: list[int]


def train_seeds(
    preset: Preset,
    dataset: Dataset,
    options: Options,
    seeds: Sequence[int],
    *,
    map_units: Map,
    out: Path | None = None,
    team: Team = ALONE,
) -> Iterator[Trained]:
    """Train and measure with each seed; yields the runs in the order in which they end.

    Args:
        options: their seed gives way to each of `seeds`.
        out: of one seed its run folder, of several the folder above; None:
            `runs/<dataset>/<preset>/<seed>`.
        team: the processes that share every batch, of each seed in turn.

    Raises:
        InputError: as `prepare` and `conduct`; a finished run with other settings is not moved.
    """
    folders = {seed: out / str(seed) if out and len(seeds) > 1 else out for seed in seeds}
    chosen = {seed: dataclasses.replace(options, seed=seed) for seed in seeds}
    last = chosen[seeds[-1]]  # refused before the first is trained
    team.main_first(lambda: last.resolved(dataset, preset))
    train = partial(_train, preset, dataset, chosen, folders, team)
    for _, trained in map_units(train, seeds):
        yield trained


def _train(
    preset: Preset,
    dataset: Dataset,
    chosen: dict[int, Options],
    folders: dict[int, Path | None],
    team: Team,
    seed: int,
) -> Trained:
    experiment = team.main_first(lambda: prepare(preset, dataset, chosen[seed], team))
    name = experiment.preset.name
    folder = folders[seed] or run_folder(Path("runs"), dataset.name, name, seed)
    return Trained(conduct(experiment, folder, set_aside=False), experiment.unseen())
