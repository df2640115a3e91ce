"""Several presets on several datasets, each trained with several seeds.

What a notebook that compares begins with. Runs are shared: a notebook that needs what another has
trained finds it, and two that ask at once train it once. Knows no tables and no figures.
"""

import dataclasses
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vqa_helpers.data.folder import Dataset
from vqa_helpers.experiment.conduct import conduct
from vqa_helpers.experiment.options import Options
from vqa_helpers.experiment.prepare import prepare
from vqa_helpers.model.config import Preset
from vqa_helpers.runs import Run, run_folder

log = logging.getLogger(__name__)

SMALLEST_PX, LARGEST_PX = 32, 2048  # what `Options` allows
STORED = "-stored"  # ends the name of a preset whose network runs once per image


@dataclass(frozen=True)
class Trial:
    """One preset on one dataset, trained once for each seed.

    Attributes:
        data: what the dataset is called in tables, such as "A".
        preset: its name.
        train_questions: that it learnt from.
        runs: one a seed.
    """

    data: str
    preset: str
    train_questions: int
    runs: tuple[Run, ...]

    def __str__(self) -> str:
        return f"{self.preset} on {self.data}"


def train_trial(
    data: str,
    preset: Preset,
    datasets: Sequence[Dataset],
    options: Options,
    seeds: Sequence[int],
    root: Path,
) -> Trial:
    """Train one preset once for each seed, or find the runs already made.

    Args:
        data: what the dataset is called in tables.
        datasets: for each seed the dataset to learn from: the same for all, or one draw each.
        root: of the run folders.
    """
    runs = []
    for dataset, seed in zip(datasets, seeds, strict=True):
        chosen = preset.with_loss(options.loss or preset.loss)
        folder = run_folder(root, dataset.name, chosen.name, seed)
        experiment = prepare(preset, dataset, dataclasses.replace(options, seed=seed))
        with _without_epochs():
            run = conduct(experiment, folder)
        runs.append(run)
        best = run.history["validation_top1"].max()
        log.info("%s on %s, seed %d: validation top-1 %.1f %%", chosen.name, data, seed, best)
    return Trial(data, runs[0].config["preset"], len(datasets[0].splits["train"]), tuple(runs))


@contextmanager
def _without_epochs() -> Iterator[None]:
    """A line an epoch is for one run; of a dozen it buries what a reader looks for."""
    teller = logging.getLogger(conduct.__module__)
    level = teller.level
    teller.setLevel(logging.WARNING)
    try:
        yield
    finally:
        teller.setLevel(level)


def train_series(
    presets: Iterable[Preset],
    datasets: Mapping[str, Dataset],
    options: Options,
    seeds: Sequence[int],
    root: Path,
) -> list[Trial]:
    """Train every preset on every dataset with every seed.

    Args:
        datasets: by what they are called in tables.

    Returns:
        A trial for each preset and dataset, presets in turn for each dataset.
    """
    return [
        train_trial(data, preset, [dataset] * len(seeds), options, seeds, root)
        for data, dataset in datasets.items()
        for preset in presets
    ]


def features_stored(preset: Preset) -> Preset:
    """The preset with its frozen network run once per image instead of once per question.

    The same function of the same weights: what differs is the time it takes.

    Raises:
        ValueError: where the network learns, and so cannot be stored.
    """
    if preset.images is None or preset.images.trained != "none":
        raise ValueError(f"{preset.name}: has no frozen network whose features could be stored")
    images = dataclasses.replace(preset.images, in_loop=False)
    return dataclasses.replace(preset, name=f"{preset.name}{STORED}", images=images)


def at_sizes(
    preset: Preset, options: Options, dataset: Dataset, factors: Sequence[float]
) -> list[tuple[Preset, Options]]:
    """The preset at several image sizes, each with the options that give it.

    Args:
        factors: of the size that the options mean for the dataset; sizes outside 32 to 2,048 px
            are brought to the limit, and none is taken twice. A preset at another size than that
            one is named after it: "1.e-128px".

    Returns:
        Pairs, in the order of the sizes, the smallest first.
    """
    middle = options.resolved(dataset).image_size_px
    wanted = {min(max(round(middle * factor), SMALLEST_PX), LARGEST_PX) for factor in factors}
    return [
        (
            preset if px == middle else dataclasses.replace(preset, name=f"{preset.name}-{px}px"),
            dataclasses.replace(options, image_size_px=px),
        )
        for px in sorted(wanted)
    ]
