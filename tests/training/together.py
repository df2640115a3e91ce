"""What `test_together` launches in two processes: a run, and one that is interrupted."""

import sys
from contextlib import suppress
from pathlib import Path
from unittest.mock import Mock, patch

from accelerate import PartialState

from tests.builders import open_small
from tests.training.conftest import quick
from vqa_helpers.training import checkpoint, measuring, train
from vqa_helpers.training.loop import Trainer


def main(folder: Path, holed: Path, features: Path, out: Path) -> None:
    alone = PartialState(cpu=True).is_main_process
    if not alone:  # nothing is written but by the main one
        refuse = Mock(side_effect=AssertionError("this is not the main process"))
        checkpoint.write_bytes = train.write_json = measuring.write_predictions = refuse
        train.write_history = train.open_writer = train.mark_done = refuse

    def run(recipe, name: str, place: Path, epochs: int) -> None:
        train.train_recipe(recipe, open_small(place, features), out / name, epochs=epochs)

    run_epoch = Trainer.run_epoch

    def stop(self, *given):
        if self.epoch == 1:
            raise KeyboardInterrupt
        return run_epoch(self, *given)

    run(quick("1.c", precision="float32"), "shared", folder, 3)
    tuned = quick("1.fC", accumulate=2, vision_rate=1e-4, crop=0.2, jitter=0.2)
    run(tuned, "complete", holed, 2)
    with patch.object(Trainer, "run_epoch", stop), suppress(KeyboardInterrupt):
        run(tuned, "resumed", holed, 2)
    assert not alone or (out / "resumed" / checkpoint.CHECKPOINT).exists()
    run(tuned, "resumed", holed, 2)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
