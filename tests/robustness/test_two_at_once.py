"""Two processes at the same work: one waits for the other, and nothing is spoilt."""

import os
import signal

import pytest

from benchmarks.kills import sums
from tests.cli.calling import QUICK
from tests.robustness.conftest import CHECKPOINT, begin

# The first holds its lock for long: with a shard or a checkpoint written it stops, and says so.
FIRST = """
import os, time
from pathlib import Path
replace = os.replace
def slow(source, target):
    replace(source, target)
    if Path(target).name.startswith({name!r}):
        Path("inside").touch()
        while not Path("on").exists():
            time.sleep(0.02)
os.replace = slow
"""
SECOND = """
import time, vqa_helpers.cli
from pathlib import Path
while not Path("inside").exists():
    time.sleep(0.02)
"""
# What it writes, and the words of the command.
WORK = {
    "features": ("shard-", ["features", "--encoder", "resnet18", *QUICK]),
    "train": (CHECKPOINT, ["train", "Bag_Of_Words", "--epochs", "2", "--out", "run", *QUICK]),
}


@pytest.mark.slow
@pytest.mark.parametrize("work", WORK)
@pytest.mark.parametrize("killed", [False, True])
def test_the_second_waits_and_both_leave_the_same(tmp_path, monkeypatch, vqa, data, work, killed):
    name, words = WORK[work]
    words = [*words, "--data", data]
    place, undisturbed = tmp_path / "place", tmp_path / "undisturbed"
    place.mkdir()
    undisturbed.mkdir()
    first = begin(FIRST.format(name=name), words, place)
    second = begin(SECOND, words, place)
    assert any("another process is at work here; waiting for it" in line for line in second.stderr)
    if killed:
        os.killpg(first.pid, signal.SIGKILL)
        first.communicate()
    (place / "on").touch()
    if not killed:
        first.communicate(timeout=120)
        assert first.returncode == 0
    second.communicate(timeout=120)
    assert second.returncode == 0
    (place / "inside").unlink()
    (place / "on").unlink()
    monkeypatch.chdir(undisturbed)
    assert vqa(*words) == (0, [])
    assert sums(place) == sums(undisturbed)


def test_a_run_that_is_set_aside_leaves_the_lock_where_it_was(tmp_path, data):
    """Else a third process would lock another file than the second."""
    from vqa_helpers.data.folder import read_folder
    from vqa_helpers.experiment.conduct import conduct
    from vqa_helpers.experiment.options import Options
    from vqa_helpers.experiment.prepare import prepare
    from vqa_helpers.model.presets import find_preset

    for epochs in (1, 2):
        options = Options(
            weights="random", image_size_px=32, epochs=epochs, offline=True, device="cpu",
            features=tmp_path / "features",
        )  # fmt: skip
        ready = prepare(find_preset("Bag_Of_Words"), read_folder(data), options)
        conduct(ready, tmp_path / "runs" / "0")
    names = {path.name for path in (tmp_path / "runs").iterdir()}
    assert names == {".0.lock", "0", "0.1"}
