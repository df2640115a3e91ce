"""A full disk: one line with the remedy, the old state kept, and on it goes once there is room."""

import os
import time
import zipfile
from functools import partial
from pathlib import Path

import pytest

from benchmarks import kills
from benchmarks.kills import sums
from tests.builders import write_json
from tests.data.public.server import Server
from tests.robustness.conftest import CHECKPOINT, FEATURES, TRAIN

PARTS = (0.02, 0.3, 0.6, 0.9)
SAYS = ("No space left on device", "File too large", "are free")


def fills_and_goes_on(vqa, disk, monkeypatch, words: list) -> None:
    """Run a command on a disk with too little room, then with enough: it leaves what it leaves
    undisturbed."""

    def enter(name: object) -> Path:
        folder = disk.path / str(name)
        folder.mkdir()
        monkeypatch.chdir(folder)
        return folder

    undisturbed = enter("undisturbed")
    assert vqa(*words) == (0, [])
    expected, failures = sums(undisturbed), 0
    sizes = [path.stat().st_size for path in undisturbed.rglob("*") if path.is_file()]
    for part in PARTS:
        here = enter(part)
        disk.leave(part, sizes)
        code, said = vqa(*words)
        disk.free()
        if code:
            failures += 1
            [line] = said
            assert code in (1, 2) and len(line) < 600
            assert any(words in line for words in SAYS) and "free some space" in line
        assert not list(here.rglob("*.partial"))
        assert vqa(*words) == (0, []), part
        assert sums(here) == expected, part
    assert failures >= 2


BUILD = ["data", "build", "A", "--root", "data", "--from"]


@pytest.mark.slow
@pytest.mark.parametrize("words", [FEATURES, TRAIN, BUILD])
def test_a_command(vqa, disk, monkeypatch, data, words):
    fills_and_goes_on(vqa, disk, monkeypatch, [*words, data])


@pytest.mark.slow
def test_the_old_checkpoint_outlives_a_full_disk(vqa, interrupted, disk, monkeypatch, data):
    monkeypatch.chdir(disk.path)
    words = [*TRAIN, data, "--epochs", "3"]  # the last checkpoint would fit
    interrupted(*words)
    checkpoint = disk.path / "run" / CHECKPOINT
    before = checkpoint.read_bytes()
    disk.leave(0.5, [len(before)])
    code, [line] = vqa(*words)
    assert code == 1 and "free some space" in line and "what was finished is kept" in line
    assert checkpoint.read_bytes() == before
    disk.free()
    assert vqa(*words) == (0, [])


def test_the_drawn_dataset(vqa, disk, monkeypatch):
    from vqa_helpers.data.demo import dataset

    monkeypatch.setattr(dataset, "make_demo", partial(dataset.make_demo, images=20))
    fills_and_goes_on(vqa, disk, monkeypatch, ["data", "build", "demo", "--root", "data"])


@pytest.mark.slow
def test_a_batch(vqa, disk, monkeypatch, tmp_path):
    if not disk.mounted:
        pytest.skip("a limit on files binds the notebook as well, and mounting is not permitted")
    kills.batch(tmp_path)
    monkeypatch.chdir(disk.path)
    words = ["batch", "--notebooks", tmp_path / "notebooks", "--out", "out", "--only", "0"]
    disk.leave(1, [4096])
    code, [line] = vqa(*words)
    assert code == 1 and "free some space" in line
    disk.free()
    assert vqa(*words) == (0, [])
    assert kills.results_of_notebooks(disk.path) == dict.fromkeys(range(10), 1)


@pytest.mark.parametrize("told", [True, False])
def test_download(vqa, disk, monkeypatch, tmp_path, told):
    monkeypatch.setattr(time, "sleep", lambda _: None)  # between two tries
    with zipfile.ZipFile(tmp_path / "many.zip", "w") as archive:
        for number in range(40):
            archive.writestr(f"many/{number}.bin", os.urandom(20_000))
    with Server() as server:
        file = server.file("/many.zip", (tmp_path / "many.zip").read_bytes(), told=told)
        listed = {"url": file.url, "bytes": file.bytes, "sha256": file.sha256}
        source = {"name": "many", "about": "", "licence": "", "folder": "many", "unpack": True,
                  "files": [listed]}  # fmt: skip
        listed = {"single_image": f"{server.base}/{{subset}}/{{name}}", "sources": [source]}
        sources = write_json(tmp_path / "sources.json", listed)
        words = ["data", "download", "many", "--sources", sources, "--root", "data"]
        fills_and_goes_on(vqa, disk, monkeypatch, words)
