"""Flipped bits in whatever is kept: noticed, and computed again or named in one line."""

import random
import shutil
from pathlib import Path

import pytest
import torch

from benchmarks.kills import sums
from tests.cli.calling import QUICK
from vqa_helpers.data.folder import read_folder
from vqa_helpers.errors import InputError
from vqa_helpers.experiment import conduct
from vqa_helpers.runs import Run
from vqa_helpers.training.checkpoint import (
    CHECKPOINT,
    MODEL,
    load_model,
    model_is_whole,
    save_model,
)

FLIPS = 60


def flips(path: Path, count: int, seed: int = 0):
    """Flip one bit after another, each in the whole file: in its head, its tail and anywhere."""
    whole, draw = path.read_bytes(), random.Random(seed)
    for number in range(count):
        most = min(len(whole), 600) if number % 3 == 0 else len(whole)
        place = (
            draw.randrange(most) if number % 3 < 2 else len(whole) - 1 - draw.randrange(most // 4)
        )
        changed = bytearray(whole)
        changed[place] ^= 1 << draw.randrange(8)
        path.write_bytes(changed)
        yield place
    path.write_bytes(whole)


@pytest.fixture
def words(data):
    return ["train", "Bag_Of_Words", "--data", data, "--epochs", "2", "--out", "run", *QUICK]


@pytest.fixture
def trained(vqa, words, place) -> Path:
    assert vqa(*words) == (0, [])
    return place / "run"


@pytest.mark.slow
def test_a_shard_is_computed_again_and_that_one_alone(vqa, data, place):
    words = ["features", "--data", data, "--encoder", "resnet18", *QUICK]
    assert vqa(*words) == (0, [])
    whole = sums(place)
    shards = sorted(place.rglob("shard-*"))
    assert len(shards) >= 4
    for number, _ in enumerate(flips(shards[2], 12)):
        before = {path: path.stat() for path in shards}
        assert vqa(*words) == (0, [])
        assert sums(place) == whole, number
        again = {
            path for path in shards
            if (path.stat().st_ino, path.stat().st_mtime_ns)
            != (before[path].st_ino, before[path].st_mtime_ns)
        }  # fmt: skip
        assert again <= {shards[2]}
        if not again:  # white space of the header, or a bit the header does not use
            shards[2].write_bytes(shards[2].read_bytes())


@pytest.mark.parametrize(
    "name", ["predictions.jsonl", "metrics.json", "history.csv", "config.json"]
)
def test_a_finished_run_says_which_file_has_changed(trained, name):
    read = {"predictions.jsonl": "predictions", "metrics.json": "metrics",
            "history.csv": "history", "config.json": "config"}[name]  # fmt: skip
    for place in flips(trained / name, FLIPS):
        with pytest.raises(InputError, match=f"{name}: .*(checksum|cannot be read)") as error:
            getattr(Run(trained), read)
        assert "\n" not in str(error.value), place
        with pytest.raises(InputError, match=f"{name}: does not match its checksum"):
            Run(trained).verify()
    Run(trained).verify()


@pytest.mark.parametrize("name", [MODEL, "vocabulary.json"])
def test_a_changed_run_does_not_answer(vqa, trained, data, name):
    image = next((data / "images").glob("*.png"))
    ask = ["ask", trained, image, "What color is the ground?", "--device", "cpu", "--offline"]
    assert vqa(*ask) == (0, [])
    for _ in flips(trained / name, 5):
        code, [line] = vqa(*ask)
        assert code == 2 and f"{name}: does not match its checksum" in line


def test_a_changed_model_is_not_loaded(tmp_path):
    """Also where the run is not finished, so that no list of sums knows it."""
    from tests.training.test_checkpoint import small_model

    save_model(tmp_path, small_model())
    path, harmless = tmp_path / MODEL, 0
    for place in flips(path, 300):
        fresh = small_model()
        try:
            load_model(tmp_path, fresh)
        except InputError as error:
            assert "\n" not in str(error)
            assert not model_is_whole(tmp_path)
            continue
        harmless += 1  # the name of the checksum's entry, or white space
        whole = small_model()
        load_model(tmp_path, whole)
        for name, tensor in whole.state_dict().items():
            assert torch.equal(fresh.state_dict()[name], tensor), place
    assert harmless < 30 and model_is_whole(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", [CHECKPOINT, MODEL])
def test_an_interrupted_run_goes_on_or_starts_again(vqa, words, place, monkeypatch, name):
    whole = place / "whole"
    whole.mkdir()
    monkeypatch.chdir(whole)
    assert vqa(*words) == (0, [])
    stopped = place / "stopped"
    stopped.mkdir()
    monkeypatch.chdir(stopped)
    with monkeypatch.context() as patch:
        patch.setattr(conduct, "_record_events", interrupt)
        assert vqa(*words)[0] == 130
    for number, _ in enumerate(flips(stopped / "run" / name, 6)):
        again = place / str(number)
        shutil.copytree(stopped, again)
        monkeypatch.chdir(again)
        assert vqa(*words) == (0, [])
        assert sums(again) == sums(whole)


def interrupt(*_):
    raise KeyboardInterrupt


def test_kept_guesses_are_made_again(trained, place, data):
    from vqa_helpers.experiment.guesses import blind_guesses

    [folder] = place.rglob("guesses")
    dataset = read_folder(data)
    kept = sums(folder)
    given = blind_guesses(dataset, ["validation", "test"], folder)
    for path in sorted(folder.glob("*.json")):
        for _ in flips(path, 4):
            assert blind_guesses(dataset, ["validation", "test"], folder) == given
            assert sums(folder) == kept


@pytest.mark.slow
def test_learned_word_vectors_are_learned_again(vqa, place, data):
    words = ["train", "GloVe_ResNet", "--data", data, "--epochs", "1", *QUICK]
    assert vqa(*words, "--out", "run") == (0, [])
    [path] = place.rglob("learned-*.txt")
    whole = path.read_bytes()
    for number, _ in enumerate(flips(path, 2)):
        assert vqa(*words, "--out", str(number)) == (0, [])
        assert path.read_bytes() == whole
        assert (place / str(number) / "DONE").read_bytes() == (place / "run" / "DONE").read_bytes()
