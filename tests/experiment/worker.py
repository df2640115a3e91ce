"""What `test_together` runs in two processes: runs alone, together, and interrupted."""

import dataclasses
import json
import shutil
import sys
from pathlib import Path

from vqa_helpers.data.folder import read_folder
from vqa_helpers.experiment.conduct import conduct
from vqa_helpers.experiment.options import Options
from vqa_helpers.experiment.prepare import Experiment, prepare
from vqa_helpers.model.config import Augmentation, Images, Preset
from vqa_helpers.model.presets import find_preset
from vqa_helpers.training.loop import Trainer
from vqa_helpers.training.team import ALONE, Team, assemble


class Stop(Exception):
    """As a kill would."""


def tuned() -> Preset:
    """1.fC, small enough for a test."""
    images = Images("resnet18", in_loop=True, trained="last block")
    return dataclasses.replace(find_preset("1.fC"), images=images)


def train(experiment: Experiment, folder: Path) -> str:
    conduct(experiment, folder)
    return str(folder)


def interrupted(experiment: Experiment, folder: Path, after: int) -> int:
    """Conduct until so many epochs are done; how many the main process left on disk."""
    real = Trainer.fit

    def fit(self, *given):
        for epoch in real(self, *given):
            yield epoch
            if epoch.epoch == after:
                raise Stop

    Trainer.fit = fit
    try:
        conduct(experiment, folder)
    except Stop:
        main = experiment.team.main
        return len((folder / "history.csv").read_text().splitlines()) - 1 if main else 0
    finally:
        Trainer.fit = real


def main(data: Path, features: Path, out: Path) -> None:
    team = assemble("cpu")
    options = Options(
        weights="random", image_size_px=32, epochs=3, offline=True, features=features, device="cpu"
    )
    fine = dataclasses.replace(
        options, accumulate=2, vision_rate=1e-4, recompute=True,
        augmentation=Augmentation(crop=0.2, jitter=0.2),
    )  # fmt: skip

    def ready(preset: Preset, chosen: Options, team: Team, folder: Path = data) -> Experiment:
        return team.main_first(lambda: prepare(preset, read_folder(folder), chosen, team))

    plain = find_preset("1.c")  # neither dropout nor batch norm: exactly what one process does
    runs = {}
    if team.main:
        runs["alone"] = train(ready(plain, options, ALONE), out / "alone")
    runs["shared"] = train(ready(plain, options, team), out / "shared")
    runs["whole"] = train(ready(tuned(), fine, team), out / "whole")
    runs["stopped after"] = interrupted(ready(tuned(), fine, team), out / "resumed", 1)
    runs["resumed"] = train(ready(tuned(), fine, team), out / "resumed")
    holed = out / "data"
    if team.main:
        shutil.copytree(data, holed)
        for image_id in (3, 20):
            (holed / "images" / f"{image_id:012d}.png").write_bytes(b"not a photograph")
    team.from_main(lambda: None)  # until the copy is there
    short = dataclasses.replace(options, epochs=1)
    experiment = ready(tuned(), short, team, holed)
    train(experiment, out / "holed")
    runs["unseen"] = experiment.unseen()
    if team.main:
        print(json.dumps(runs))
    team.leave()


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
