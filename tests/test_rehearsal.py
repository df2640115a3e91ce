"""The study on its own data, rehearsed: from downloads to scores, on public files cut small."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.builders import read_json
from tests.rehearsal import make_mirror, served
from vqa_helpers.runs import Run

ROOT = Path(__file__).parents[1]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("tensorflow") is None,
        reason="the sentence encoder on the mirror is made by, and runs in, TensorFlow",
    ),
]


@pytest.fixture(scope="module")
def vqa(tmp_path_factory):
    """The command in a folder of its own, on a network that is one small mirror."""
    place = tmp_path_factory.mktemp("rehearsal")
    mirror = make_mirror(place / "mirror")
    with served(mirror) as network:
        environment = {
            **os.environ, **network, "PYTHONPATH": str(ROOT), "NO_PROXY": "127.0.0.1",
            "TFHUB_CACHE_DIR": str(place / "hub"),
        }  # fmt: skip

        def call(*words) -> str:
            command = [sys.executable, "-m", "vqa_helpers", *map(str, words)]
            done = subprocess.run(
                command, capture_output=True, text=True, cwd=place, env=environment, timeout=300
            )
            assert done.returncode == 0, done.stderr
            return done.stdout

        call.place = place
        yield call


def test_the_study_from_download_to_scores(vqa):
    assert vqa("data", "build", "100k").strip() == "data/100k"
    vqa("data", "download", "glove", "use")
    assert "40" in vqa("data", "check", "data/100k")
    assert any("100k" in line and "built" in line for line in vqa("data", "list").splitlines())
    words = ["--data", "100k", "--weights", "imagenet", "--image-size", "32", "--epochs", "2"]
    vqa("train", "1.e", *words)
    run = Run(vqa.place / "runs" / "100k" / "1.e" / "0")
    assert run.config["stand_ins"] == []  # every piece came from where the real one would
    assert run.config["weights_source"].startswith("imagenet, resnet18-")
    assert 0 <= run.metrics["test"]["vqa"]["value"] <= 100
    assert not list((vqa.place / "data" / "raw" / "v1").glob("*.zip"))  # unpacked, and gone


def test_a_small_dataset_fetches_its_own_images_alone(vqa):
    vqa("data", "build", "A", "--root", "small")
    split = read_json(vqa.place / "small" / "A" / "split.json")
    wanted = sum(part["images"] for part in split["counts"].values())
    folder = vqa.place / "small" / "raw" / "coco" / "val2014"
    assert len(list(folder.glob("*.jpg"))) == wanted > 0


def test_the_field_s_protocol_exports_the_server_s_test(vqa):
    vqa("data", "download", "coco-test2015")
    vqa("data", "build", "v2")
    vqa("train", "Bag_Of_Words", "--data", "v2", "--epochs", "1", "--out", "bag")
    folder = vqa.place / "bag"
    asked = read_json(
        vqa.place / "data" / "raw" / "v2" / "v2_OpenEnded_mscoco_test2015_questions.json"
    )
    given = read_json(folder / "results_export.json")
    assert {row["question_id"] for row in given} == {q["question_id"] for q in asked["questions"]}
    assert Run(folder).metrics.keys() == {"validation", "test"}
