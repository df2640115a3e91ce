"""What experiments are called beside each other: enough to tell them apart, and no more."""

import json

import pytest

from tests.report.samples import write_run
from vqa_helpers.report import labels
from vqa_helpers.runs import CONFIG, Experiment, Run


@pytest.fixture
def named(tmp_path):
    """An experiment of a name, in a folder of its own; `changes` are entries of its config."""

    def make(name: str, **changes) -> Experiment:
        root = tmp_path / str(len(list(tmp_path.iterdir())))
        folder = write_run(root, name.split("+")[0], changes.pop("seed", 0))
        config = json.loads((folder / CONFIG).read_text()) | {"name": name, **changes}
        (folder / CONFIG).write_text(json.dumps(config))
        (folder / "DONE").write_text("done\n")
        return Experiment(name, config["dataset"], (Run(folder),))

    return make


def test_only_what_differs_is_named(named):
    found = [named(f"V+fusion=Sum+learning_rate={rate}") for rate in ("1e+06", "0.5")]
    assert labels.labels(found) == ["V learning_rate=1e+06", "V learning_rate=0.5"]
    assert labels.shared_settings(found) == {"fusion": "Sum"}
    assert labels.settings_of(found[0]) == {"fusion": "Sum", "learning_rate": "1e+06"}
    mixed = [*found, named("R+fusion=Sum"), named("my own+net")]
    assert labels.labels(mixed)[2:] == ["R fusion=Sum", "my own+net"]
    assert labels.shared_settings(mixed) == {}


def test_one_by_itself_is_called_all_that_it_is(named):
    assert labels.labels([named("V+batch=8")]) == ["V batch=8"]
    assert labels.shared_settings([named("V+batch=8")]) == {}
    assert labels.labels([]) == []


def test_two_of_one_name_are_told_apart_by_what_their_runs_record(named):
    three = [named("V", epochs=3), named("V", epochs=5), named("R")]
    assert labels.labels(three) == ["V epochs=3", "V epochs=5", "R"]
    assert labels.labels([named("V"), named("V", seed=1)]) == ["V seed=0", "V seed=1"]
    copies = [named("V"), named("V")]
    assert labels.labels(copies) == [f"V run={one.runs[0].folder}"[:70] for one in copies]
