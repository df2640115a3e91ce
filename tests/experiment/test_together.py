"""Two processes train a run together: the result of one, whole files, exact resume."""

import json

import pandas as pd
import pytest

from tests.training.test_team import run_together
from vqa_helpers.runs import Run

SAME = ("model.safetensors", "history.csv", "predictions.jsonl", "metrics.json", "config.json")


@pytest.fixture(scope="module")
def runs(folder, options, tmp_path_factory) -> dict:
    """What the worker trained: by name, the run folder."""
    out = tmp_path_factory.mktemp("together")
    return json.loads(run_together("tests.experiment.worker", folder, options.features, out))


@pytest.mark.slow
def test_two_processes_train_what_one_trains(runs):
    alone, shared = Run(runs["alone"]), Run(runs["shared"])
    pd.testing.assert_frame_equal(shared.history, alone.history, rtol=1e-4, atol=1e-4)
    assert shared.config == alone.config  # it is the same experiment
    assert (alone.environment["processes"], shared.environment["processes"]) == (1, 2)
    expected, found = alone.predictions, shared.predictions
    assert len(found) == len(expected) == 144
    assert found["question_id"].tolist() == expected["question_id"].tolist()
    for mine, theirs in zip(found["probabilities"], expected["probabilities"], strict=True):
        assert mine == pytest.approx(theirs, abs=2e-3)
    assert shared.metrics["test"]["questions"] == alone.metrics["test"]["questions"] == 72
    assert {p.name for p in shared.folder.iterdir()} == {p.name for p in alone.folder.iterdir()}


@pytest.mark.slow
def test_a_run_that_two_began_is_gone_on_with_bit_for_bit(runs):
    # Vision in the loop, dropout, batch norm, augmentation, accumulation, two rates, recomputing.
    whole, resumed = Run(runs["whole"]), Run(runs["resumed"])
    assert runs["stopped after"] == 1
    for name in SAME:
        left, right = (run.folder / name for run in (whole, resumed))
        assert left.read_bytes() == right.read_bytes(), name
    assert len(whole.history) == 3
    training = whole.config["training"]
    assert (training["accumulate"], training["vision_rate"]) == (2, 1e-4)
    assert training["augmentation"] == {"flip": False, "crop": 0.2, "jitter": 0.2}
    assert whole.environment["processes"] == 2
    assert not (whole.folder / "checkpoint.pt").exists()


@pytest.mark.slow
def test_unreadable_photographs_of_all_processes_are_named(runs):
    assert runs["unseen"] == [3, 20]
