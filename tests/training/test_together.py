"""Two processes train a run together: the model of one, one writer, exact resume."""

import os
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

import pandas as pd
import pytest

from tests.builders import write_dataset
from tests.training.conftest import quick
from vqa_helpers.errors import InputError
from vqa_helpers.runs import Run
from vqa_helpers.training.train import train_recipe

LAUNCH = [
    sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
    "-m", "tests.training.together",
]  # fmt: skip
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def runs(folder, tmp_path_factory) -> Path:
    """The folder of the runs that two processes trained."""
    out = tmp_path_factory.mktemp("together")
    holed = write_dataset(out / "data" / "tiny", images=24, questions_per_image=1)
    for image_id in (3, 20):  # each process decodes photographs of its own
        (holed / "images" / f"{image_id:012d}.png").write_bytes(b"not a photograph")
    words = [folder, holed, out / "features", out]
    words = [*LAUNCH, *map(str, words)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    return out


@pytest.mark.slow
def test_two_processes_train_what_one_trains(runs, train, tmp_path):
    # Neither dropout nor batch norm: the gradient of two processes is that of one.
    # Half floats would round the parts of a sum.
    alone = train(quick("1.c", precision="float32"), tmp_path / "alone")
    shared = Run(runs / "shared")
    pd.testing.assert_frame_equal(shared.history, alone.history, rtol=1e-4, atol=1e-4)
    assert shared.config == alone.config  # it is the same experiment
    assert (alone.environment["processes"], shared.environment["processes"]) == (1, 2)
    expected, found = alone.predictions, shared.predictions
    assert found["question_id"].tolist() == expected["question_id"].tolist()
    for mine, theirs in zip(found["probabilities"], expected["probabilities"], strict=True):
        assert mine == pytest.approx(theirs, abs=2e-3)


@pytest.mark.slow
def test_a_run_that_two_began_is_gone_on_with_bit_for_bit(runs):
    # Vision in the loop, dropout, batch norm, augmentation, accumulation, two rates.
    complete, resumed = Run(runs / "complete"), Run(runs / "resumed")
    assert len(complete.history) == complete.environment["processes"] == 2
    assert resumed.timing["unseen_images"] == 2
    for name in ("model.safetensors", "history.csv", "predictions.jsonl", "metrics.json"):
        assert (complete.folder / name).read_bytes() == (resumed.folder / name).read_bytes(), name


def test_processes_that_were_launched_wrongly_are_refused(opened, tmp_path, monkeypatch):
    from accelerate.state import AcceleratorState, PartialState

    for state in (AcceleratorState, PartialState):
        monkeypatch.setattr(state, "_shared_state", {})
    # Nothing says where the other one is. Accelerate adds variables of its own, which go again.
    alone = patch.dict(os.environ, WORLD_SIZE="2")
    with alone, pytest.raises(InputError, match="the processes cannot be brought together"):
        train_recipe(quick("Question_Only"), opened(), tmp_path / "run")
