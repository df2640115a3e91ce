"""What experiments are called beside each other: enough to tell them apart, and no more."""

from pathlib import Path

from vqa_helpers.report import labels
from vqa_helpers.runs import Experiment, Run


def named(name: str, folder: str = "", **config) -> Experiment:
    """An experiment of one run, of which there is no more than the config."""
    run = Run(Path(folder))
    run.__dict__["config"] = {"dataset": "demo", "seed": 0, **config}
    return Experiment(name, run.config["dataset"], (run,))


def test_only_what_differs_is_named():
    found = [named(f"V+fusion=Sum+learning_rate={rate}") for rate in ("1e+06", "0.5")]
    assert labels.labels(found) == ["V learning_rate=1e+06", "V learning_rate=0.5"]
    assert labels.shared_settings(found) == {"fusion": "Sum"}
    assert labels.settings_of(found[0]) == {"fusion": "Sum", "learning_rate": "1e+06"}
    mixed = [*found, named("R+fusion=Sum"), named("my own+net")]
    assert labels.labels(mixed)[2:] == ["R fusion=Sum", "my own+net"]
    assert labels.shared_settings(mixed) == {}


def test_one_by_itself_is_called_all_that_it_is():
    assert labels.labels([named("V+batch=8")]) == ["V batch=8"]
    assert labels.shared_settings([named("V+batch=8")]) == {}
    assert labels.labels([]) == []


def test_two_of_one_name_are_told_apart_by_what_their_runs_record():
    three = [named("V", epochs=3), named("V", epochs=5), named("R")]
    assert labels.labels(three) == ["V epochs=3", "V epochs=5", "R"]
    assert labels.labels([named("V"), named("V", seed=1)]) == ["V seed=0", "V seed=1"]
    half = {"precision": "bfloat16"}, {"precision": "float32"}
    assert labels.labels([named("V", training=one) for one in half]) == [
        "V precision=bfloat16", "V precision=float32"
    ]  # fmt: skip
    assert labels.labels([named("V"), named("R", dataset="A")]) == ["V on demo", "R on A"]
    assert labels.labels([named("V", "a"), named("V", "b")]) == ["V run=a", "V run=b"]
