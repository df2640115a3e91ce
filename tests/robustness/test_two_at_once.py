"""Two processes at the same work: one waits for the other, and nothing is spoilt."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.kills import sums
from tests.cli.calling import QUICK

ROOT = Path(__file__).parents[2]
WAITED = "another process is at work here; waiting for it"
# What a process does that holds a lock for long: it stops inside, and says so.
SLOW = """
import sys, time
from pathlib import Path
from vqa_helpers.cli import main
from {module} import {name}
import {owner} as owner
def slow(*given, **named):
    made = original(*given, **named)
    Path("inside").touch()
    while not Path("on").exists():
        time.sleep(0.02)
    return made
original = owner.{name}
owner.{name} = slow
from vqa_helpers.features import extract
extract.SHARD_IMAGES = 8
sys.exit(main(sys.argv[1:]))
"""
LATER = """
import sys, time
from pathlib import Path
from vqa_helpers.cli import main
from vqa_helpers.experiment import conduct
from vqa_helpers.features import extract
extract.SHARD_IMAGES = 8
while not Path("inside").exists():
    time.sleep(0.02)
sys.exit(main(sys.argv[1:]))
"""
INSIDE = {
    "features": SLOW.format(
        module="vqa_helpers.features.store", name="write_shard",
        owner="vqa_helpers.features.extract",
    ),
    "train": SLOW.format(
        module="vqa_helpers.training.checkpoint", name="save_checkpoint",
        owner="vqa_helpers.experiment.conduct",
    ),
}  # fmt: skip


def words_of(work: str, data: Path) -> list[str]:
    if work == "features":
        return ["features", "--data", str(data), "--encoder", "resnet18", *QUICK]
    return ["train", "Bag_Of_Words", "--data", str(data), "--epochs", "2", "--out", "run", *QUICK]


def begin(code: str, words: list[str], place: Path) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", code, *words], cwd=place, text=True, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip


def wait_for_word(process: subprocess.Popen, word: str) -> None:
    for line in process.stderr:
        if word in line:
            return
    raise AssertionError(f"never said {word!r}")


@pytest.mark.slow
@pytest.mark.parametrize("work", ["features", "train"])
@pytest.mark.parametrize("killed", [False, True])
def test_the_second_waits_and_both_leave_the_same(tmp_path, monkeypatch, vqa, data, work, killed):
    words = words_of(work, data)
    place, whole = tmp_path / "place", tmp_path / "whole"
    place.mkdir()
    whole.mkdir()
    first = begin(INSIDE[work], words, place)
    second = begin(LATER, words, place)  # once the first holds the lock, with a shard or an epoch
    wait_for_word(second, WAITED)
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
    monkeypatch.chdir(whole)
    assert vqa(*words) == (0, [])
    assert sums(place) == sums(whole)


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
