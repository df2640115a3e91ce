"""What `test_together` launches in two processes: runs together, interrupted, and with holes."""

import sys
from pathlib import Path

from accelerate import PartialState

from tests.training.conftest import quick
from vqa_helpers.data.folder import read_folder
from vqa_helpers.runs import Run
from vqa_helpers.training import checkpoint, measuring, train
from vqa_helpers.training.inputs import open_data
from vqa_helpers.training.loop import Trainer


class Stop(Exception):
    """As a kill would, in every process."""


def stop_after(epoch: int):
    def run_epoch(self, *given):
        if self.epoch == epoch:
            raise Stop
        return original(self, *given)

    original, Trainer.run_epoch = Trainer.run_epoch, run_epoch
    return original


def main(folder: Path, holed: Path, features: Path, out: Path) -> None:
    if not PartialState(cpu=True).is_main_process:  # nothing is written but by the main one

        def refuse(*_, **__):
            raise AssertionError("this is not the main process")

        checkpoint.write_bytes = train.write_json = measuring.write_predictions = refuse
        train.write_history = train.open_writer = train.mark_done = refuse

    def run(recipe, name: str, place: Path = folder, epochs: int = 3) -> None:
        data = open_data(read_folder(place), weights="random", image_size=32, offline=True,
                         features=features, device="cpu")  # fmt: skip
        train.train_recipe(recipe, data, out / name, epochs=epochs)

    tuned = quick("1.fC", accumulate=2, vision_rate=1e-4, crop=0.2, jitter=0.2)
    run(quick("1.c"), "shared")
    run(tuned, "complete")
    original = stop_after(1)
    try:
        run(tuned, "resumed")
    except Stop:
        Trainer.run_epoch = original
    if PartialState().is_main_process:
        left = checkpoint.load_checkpoint(out / "resumed", Run(out / "resumed").config)
        assert left["trainer"]["epoch"] == 1
    run(tuned, "resumed")
    run(quick("Model100", vision__network="resnet18"), "holed", holed, 1)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
