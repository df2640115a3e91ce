"""Two processes at the same work: one waits for the other, and nothing is spoilt."""

import os
import signal

import pytest

from benchmarks.kills import sums
from tests.calling import wait_until
from tests.robustness.conftest import CHECKPOINT, FEATURES, TRAIN, begin

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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "words", "killed"), [("shard-", FEATURES, False), (CHECKPOINT, TRAIN, True)]
)
def test_the_second_waits_and_both_leave_the_same(
    tmp_path, monkeypatch, vqa, data, name, words, killed
):
    words = [*words, data]
    place, undisturbed = tmp_path / "place", tmp_path / "undisturbed"
    place.mkdir()
    undisturbed.mkdir()
    first = begin(FIRST.format(name=name), words, place)
    second = begin(SECOND, words, place)
    wait_until(lambda: (place / "inside").exists() or first.poll() is not None, 120)
    if first.poll() is not None:
        second.kill()
        pytest.fail(f"the first ended: {first.stderr.read()}")
    assert any("another process is at work here; waiting for it" in line for line in second.stderr)
    if killed:
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()
    (place / "on").touch()
    for process, code in ((first, -signal.SIGKILL if killed else 0), (second, 0)):
        process.communicate(timeout=120)
        assert process.returncode == code
    for name in ("inside", "on"):
        (place / name).unlink()
    monkeypatch.chdir(undisturbed)
    assert vqa(*words) == (0, [])
    assert sums(place) == sums(undisturbed)
