"""A full disk: one line with the remedy, the old state whole, and on it goes once there is room."""

import os
import zipfile
from pathlib import Path

import pytest

from benchmarks import kills
from benchmarks.kills import sums
from tests.builders import write_json
from tests.cli.calling import QUICK
from tests.data.public.server import Server
from vqa_helpers.data.public import web
from vqa_helpers.experiment import conduct
from vqa_helpers.training.checkpoint import CHECKPOINT, load_checkpoint

PARTS = (0.02, 0.3, 0.6, 0.9)


def sizes(folder: Path) -> list[int]:
    return [path.stat().st_size for path in folder.rglob("*") if path.is_file()]


def fills_and_goes_on(vqa, disk, monkeypatch, words: list) -> None:
    """Run a command on a disk with too little room, then with enough: it leaves what it leaves
    undisturbed."""
    whole = disk.path / "whole"
    whole.mkdir()
    monkeypatch.chdir(whole)
    assert vqa(*words) == (0, [])
    expected, failures = sums(whole), 0
    for number, part in enumerate(PARTS):
        here = disk.path / str(number)
        here.mkdir()
        monkeypatch.chdir(here)
        disk.leave(disk.share(sizes(whole), part))
        code, said = vqa(*words)
        disk.free()
        if code:
            failures += 1
            [line] = said
            assert code in (1, 2) and len(line) < 600
            assert (
                "No space left on device" in line or "File too large" in line or "are free" in line
            )
            assert "free some space" in line
        assert not list(here.rglob("*.partial"))
        code, said = vqa(*words)
        assert (code, said) == (0, []), part
        assert sums(here) == expected, part
    assert failures >= 2


def test_features(vqa, disk, monkeypatch, data):
    words = ["features", "--data", data, "--encoder", "resnet18", *QUICK]
    fills_and_goes_on(vqa, disk, monkeypatch, words)


@pytest.mark.slow
def test_training(vqa, disk, monkeypatch, data):
    words = ["train", "Bag_Of_Words", "--data", data, "--epochs", "2", "--out", "run", *QUICK]
    fills_and_goes_on(vqa, disk, monkeypatch, words)


@pytest.mark.slow
def test_the_old_checkpoint_outlives_a_full_disk(vqa, disk, monkeypatch, data):
    monkeypatch.chdir(disk.path)
    words = ["train", "Bag_Of_Words", "--data", data, "--epochs", "3", "--out", "run", *QUICK]
    with monkeypatch.context() as patch:
        patch.setattr(conduct, "_record_events", interrupt)
        assert vqa(*words)[0] == 130
    checkpoint = disk.path / "run" / CHECKPOINT
    before = checkpoint.read_bytes()
    disk.leave(len(before) // 2)
    code, [line] = vqa(*words)
    assert code == 1 and "free some space" in line and "what was finished is kept" in line
    assert checkpoint.read_bytes() == before
    assert load_checkpoint(disk.path / "run")["trainer"]["epoch"] == 1
    disk.free()
    assert vqa(*words) == (0, [])


def interrupt(*_):
    raise KeyboardInterrupt


def test_a_dataset_that_is_built(vqa, disk, monkeypatch, data):
    words = ["data", "build", "A", "--from", data, "--root", "data"]
    fills_and_goes_on(vqa, disk, monkeypatch, words)


def test_the_drawn_dataset(vqa, disk, monkeypatch):
    from vqa_helpers.data.demo import dataset

    drawn = dataset.make_demo
    monkeypatch.setattr(
        dataset, "make_demo", lambda folder, seed: drawn(folder, seed=seed, images=20)
    )
    fills_and_goes_on(vqa, disk, monkeypatch, ["data", "build", "demo", "--root", "data"])


@pytest.mark.slow
@pytest.mark.parametrize("disk", ["mounted"], indirect=True)  # a limit binds the notebook as well
@pytest.mark.parametrize("room", [0, 4096])
def test_a_batch(vqa, disk, monkeypatch, tmp_path, room):
    pytest.importorskip("papermill")
    kills.batch(tmp_path)
    monkeypatch.chdir(disk.path)
    words = ["batch", "--notebooks", tmp_path / "notebooks", "--out", "out", "--only", "0"]
    disk.leave(room)
    code, [line] = vqa(*words)
    assert code == 1 and "free some space" in line
    disk.free()
    assert vqa(*words) == (0, [])
    assert kills.results_of_notebooks(disk.path) == dict.fromkeys(range(10), 1)


@pytest.mark.parametrize("told", [True, False])
def test_download(vqa, disk, monkeypatch, tmp_path, told):
    monkeypatch.setattr(web, "PAUSE_S", 0.0)
    with zipfile.ZipFile(tmp_path / "many.zip", "w") as archive:
        for number in range(40):
            archive.writestr(f"many/{number}.bin", os.urandom(20_000))
    with Server() as server:
        file = server.file("/many.zip", (tmp_path / "many.zip").read_bytes(), told=told)
        listed = {"url": file.url, "bytes": file.bytes, "sha256": file.sha256}
        source = {"name": "many", "about": "", "licence": "", "folder": "many", "unpack": True,
                  "files": [listed]}  # fmt: skip
        sources = write_json(
            tmp_path / "sources.json",
            {"single_image": f"{server.base}/{{subset}}/{{name}}", "sources": [source]},
        )
        words = ["data", "download", "many", "--sources", sources, "--root", "data"]
        fills_and_goes_on(vqa, disk, monkeypatch, words)
