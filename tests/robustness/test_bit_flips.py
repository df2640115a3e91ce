"""Flipped bits in whatever is kept: noticed, and computed again or named in one line."""

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.kills import sums
from tests.calling import QUICK
from tests.robustness.conftest import CHECKPOINT, FEATURES, TRAIN
from vqa_helpers.cli import main
from vqa_helpers.errors import InputError
from vqa_helpers.runs import Run

MODEL = "model.safetensors"


def flips(path: Path, count: int) -> Iterator[int]:
    """Flip one bit after another, each in the file as it was: in its head, its tail, anywhere."""
    content, draw = path.read_bytes(), random.Random(0)
    for number in range(count):
        most = min(len(content), 600) if number % 3 == 0 else len(content)
        place = draw.randrange(most)
        if number % 3 == 2:
            place = len(content) - 1 - draw.randrange(most // 4)
        changed = bytearray(content)
        changed[place] ^= 1 << draw.randrange(8)
        path.write_bytes(changed)
        yield number
    path.write_bytes(content)


@pytest.fixture(scope="module")
def trained_once(data, tmp_path_factory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("once"))
        assert main([*TRAIN, str(data)]) == 0
        return Path.cwd() / "run"


@pytest.fixture
def trained(trained_once, place) -> Path:
    return shutil.copytree(trained_once, place / "run")


@pytest.mark.slow
def test_a_shard_is_computed_again_and_that_one_alone(vqa, data, place):
    assert vqa(*FEATURES, data) == (0, [])
    kept, shards = sums(place), sorted(place.rglob("shard-*"))
    assert len(shards) >= 4

    def states() -> dict[Path, tuple]:
        return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in shards}

    for number in flips(shards[2], 12):
        before = states()
        assert vqa(*FEATURES, data) == (0, [])
        assert sums(place) == kept, number
        again = {path for path, state in states().items() if state != before[path]}
        assert again <= {shards[2]}
        if not again:  # white space of the header, or a bit the header does not use
            shards[2].write_bytes(shards[2].read_bytes())


@pytest.mark.parametrize(
    "name", ["predictions.jsonl", "metrics.json", "history.csv", "config.json"]
)
def test_a_finished_run_says_which_file_has_changed(trained, name):
    for _ in flips(trained / name, 60):
        with pytest.raises(InputError, match=f"{name}: .*(checksum|cannot be read)") as error:
            getattr(Run(trained), Path(name).stem)
        assert "\n" not in str(error.value)
        with pytest.raises(InputError, match=f"{name}: does not match its checksum"):
            Run(trained).verify()
    Run(trained).verify()


@pytest.mark.parametrize("name", [MODEL, "vocabulary.json"])
def test_a_changed_run_does_not_answer(vqa, trained, data, name):
    image = next((data / "images").glob("*.png"))
    ask = ["ask", trained, image, "What color is the ground?", "--device", "cpu"]
    assert vqa(*ask) == (0, [])
    for _ in flips(trained / name, 5):
        code, [line] = vqa(*ask)
        assert code == 2 and f"{name}: does not match its checksum" in line


@pytest.mark.slow
@pytest.mark.parametrize("name", [CHECKPOINT, MODEL])
def test_an_interrupted_run_goes_on_or_starts_again(
    vqa, interrupted, data, place, monkeypatch, name
):
    for folder, run in (("undisturbed", vqa), ("stopped", interrupted)):
        (place / folder).mkdir()
        monkeypatch.chdir(place / folder)
        run(*TRAIN, data)
    for number in flips(place / "stopped" / "run" / name, 6):
        again = place / str(number)
        shutil.copytree(place / "stopped", again)
        monkeypatch.chdir(again)
        assert vqa(*TRAIN, data) == (0, [])
        assert sums(again) == sums(place / "undisturbed")


@pytest.mark.slow
def test_learned_word_vectors_and_blind_guesses_are_made_again(vqa, place, data):
    words = [
        "train",
        "GloVe_ResNet",
        "--data",
        data,
        "--epochs",
        "1",
        "--vision",
        "resnet18",
        *QUICK,
    ]
    words += ["--set", "language.hidden=16", "--set", "fusion.width=32"]
    assert vqa(*words, "--out", "run") == (0, [])
    kept = [*place.rglob("learned-*.txt"), *sorted(place.rglob("guesses/*.json"))]
    assert len(kept) >= 3
    for path in kept:
        content = path.read_bytes()
        for number in flips(path, 1):
            run = place / f"{path.stem}-{number}"
            assert vqa(*words, "--out", run) == (0, [])
            assert path.read_bytes() == content
            assert (run / "DONE").read_bytes() == (place / "run" / "DONE").read_bytes()
