"""The command line: exit codes, one line for what went wrong, and output others can read."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
import torch

from tests.builders import write_dataset
from vqa_helpers.cli import main
from vqa_helpers.errors import InputError
from vqa_helpers.runs import Run

ROOT = Path(__file__).parents[1]
QUICK = ["--weights", "random", "--image-size", "32", "--offline", "--device", "cpu"]
COMMANDS = [
    [], ["data"], ["data", "list"], ["data", "build"], ["features"], ["train"], ["predict"],
    ["evaluate"], ["ask"], ["batch"], ["report"],
]  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def place(tmp_path_factory):
    """A folder of our own to work in; nothing of this machine is found by chance."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("place")
        patch.chdir(folder)
        patch.setenv("TFHUB_CACHE_DIR", str(folder / "hub"))
        patch.setenv("PYTHONPATH", str(ROOT))
        yield folder


@pytest.fixture(scope="module")
def data(place) -> Path:
    return write_dataset(place / "tiny", images=12)


@pytest.fixture(scope="module")
def run(place, data) -> Path:
    """A run of 1.e, trained by the command."""
    arguments = ["train", "1.e", "--data", str(data), "--epochs", "2", *QUICK]
    assert main(arguments) == 0
    return place / "runs" / "tiny" / "1.e" / "0"


@pytest.fixture(scope="module")
def blind(place, data) -> Path:
    """A run of Question_Only."""
    out = place / "blind"
    assert main(["train", "Question_Only", "--data", str(data), "--out", str(out),
                 "--epochs", "2", *QUICK]) == 0  # fmt: skip
    return out


@pytest.fixture
def vqa(capsys):
    """Run the command: exit code, standard output, standard error."""

    def call(*words) -> tuple[int, str, str]:
        capsys.readouterr()
        try:
            code = main([str(word) for word in words])
        except SystemExit as end:  # of argparse
            code = end.code
        given = capsys.readouterr()
        return code, given.out, given.err

    return call


def refused(result: tuple[int, str, str], code: int = 2) -> str:
    """The one line that says what went wrong."""
    given, out, error = result
    assert given == code, error
    assert out == ""
    [line] = error.splitlines()
    assert line.startswith("vqa: ")
    assert len(line) < 800
    return line


def python(*words, **options) -> subprocess.Popen:
    command = [sys.executable, "-m", "vqa_helpers", *map(str, words)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"}, **options,
    )  # fmt: skip


# Help and wrong words -------------------------------------------------------------------------


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(vqa, words):
    code, out, _ = vqa(*words, "--help")
    assert code == 0
    assert out.startswith(" ".join(["usage: vqa", *words]))


def test_every_command_is_tested_above(vqa):
    from vqa_helpers.cli import _parser

    commands = _parser()._subparsers._group_actions[0].choices
    assert set(commands) == {words[0] for words in COMMANDS if words}


def test_help_answers_at_once():
    began = time.monotonic()
    process = python("train", "--help")
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0 and "PRESET" in out.upper()
    assert time.monotonic() - began < 3  # half a second where nothing else runs


@pytest.mark.parametrize(
    "words", [[], ["fly"], ["train"], ["train", "1.e"], ["data"], ["data", "burn"],
              ["train", "1.e", "--data", "demo", "--epochs", "many"], ["ask", "run", "a.jpg"],
              ["train", "1.e", "--data", "demo", "--schedule", "fast"], ["evaluate"]],
    ids=" ".join,
)  # fmt: skip
def test_wrong_words_are_wrong_use(vqa, words):
    code, _, error = vqa(*words)
    assert code == 2
    assert "usage: vqa" in error and "Traceback" not in error


# Errors ---------------------------------------------------------------------------------------


def test_an_unknown_preset_names_the_nearest(vqa, data):
    line = refused(vqa("train", "Improved_VQA2015_Resnet50", "--data", data, *QUICK))
    assert "did you mean Improved_VQA2015_ResNet?" in line


@pytest.mark.parametrize("what", ["empty folder", "nothing", "file"])
def test_what_is_no_dataset_is_refused(vqa, tmp_path, what):
    path = tmp_path / "data"
    if what == "empty folder":
        path.mkdir()
    elif what == "file":
        path.write_text("hello", encoding="utf-8")
    for words in (["train", "Question_Only", *QUICK], ["features", "--weights", "random"]):
        assert str(path) in refused(vqa(*words, "--data", path))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--device", "gpu"], "device 'gpu' cannot be used"),
        (["--device", "meta"], "device 'meta' cannot be used"),
        (["--epochs", "-3"], "-3 epochs: use 1 or more"),
        (["--seed", "-1"], "seed -1: use 0 to"),
        (["--seed", str(2**80)], f"seed {2**80}: use 0 to"),
        (["--image-size", "8"], "image size 8 px"),
        (["--weights", "net.pth"], "net.pth: is no weights file"),
        (["--sentence-encoder", "nowhere"], "is not a SavedModel folder"),
    ],
)
def test_options_out_of_their_limits(vqa, data, words, message):
    rest = QUICK if words[0] != "--weights" else QUICK[2:]
    assert message in refused(vqa("train", "1.e", "--data", data, *rest, *words))


def test_a_negative_seed_of_a_dataset_that_must_be_cut(vqa, tmp_path):
    data = write_dataset(tmp_path / "d", images=5, splits=("train",))
    line = refused(vqa("train", "Question_Only", "--data", data, "--seed", "-1", *QUICK))
    assert "seed -1" in line


def test_wrong_weights_are_refused(vqa, data, tmp_path):
    for name, content in (
        ("text.pth", b"hello"),
        ("half.safetensors", b"\x08\0\0\0"),
        ("e.pth", b""),
    ):
        (tmp_path / name).write_bytes(content)
        words = ["--weights", tmp_path / name, "--image-size", "32", "--offline"]
        line = refused(vqa("train", "1.e", "--data", data, *words))
        assert f"{name}: is not a readable state dict" in line
    torch.save({"conv1.weight": torch.zeros(64, 3, 7, 7)}, tmp_path / "part.pth")
    words = ["--weights", tmp_path / "part.pth", "--image-size", "32", "--offline"]
    assert "does not fit resnet18" in refused(vqa("train", "1.e", "--data", data, *words))


def test_wrong_glove_files_are_refused(vqa, data, tmp_path):
    with zipfile.ZipFile(tmp_path / "wrong.zip", "w") as archive:
        archive.writestr("readme.md", "hello")
    (tmp_path / "no.zip").write_bytes(b"hello")
    numbers = " ".join(["0.1"] * 50)
    (tmp_path / "narrow.txt").write_text(f"what {numbers}\nis {numbers[4:]}\n", encoding="utf-8")
    for name, message in (
        ("wrong.zip", "no .txt member"),
        ("no.zip", "cannot be read"),
        ("narrow.txt", "line 2: expected 50 numbers"),
        ("none.txt", "no such file"),
    ):
        words = ["--glove", tmp_path / name, *QUICK]
        line = refused(vqa("train", "GloVe_ResNet", "--data", data, *words))
        assert name in line and message in line


def test_an_unknown_encoder_is_refused(vqa, data):
    for weights in ("random", "imagenet"):
        words = ["--encoder", "vgg19", "--weights", weights]
        line = refused(vqa("features", "--data", data, *words))
        assert "'vgg19' is no vision encoder; there are vgg16" in line


def test_debug_shows_where_it_came_from(data):
    with pytest.raises(InputError, match="is no preset"):
        main(["train", "nothing", "--data", str(data), "--debug"])


def test_a_folder_in_the_way_is_named(vqa, data, tmp_path):
    (tmp_path / "run").write_text("in the way", encoding="utf-8")
    code, _, error = vqa("train", "Question_Only", "--data", data, "--out", tmp_path / "run",
                         "--epochs", "1", *QUICK)  # fmt: skip
    assert code in (1, 2)
    assert "run" in error.splitlines()[-1] and "Traceback" not in error


# Datasets and features ------------------------------------------------------------------------


def test_the_named_datasets_are_listed(vqa):
    code, out, _ = vqa("data", "list")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == ["demo", *"ABCDE", "100k"]


def test_a_dataset_is_cut_and_trained_on(vqa, data, tmp_path):
    code, out, error = vqa("data", "build", "A", "--from", data, "--out", tmp_path / "A")
    assert (code, out.strip()) == (0, str(tmp_path / "A"))
    assert "scaled: 36 questions qualify where the study has 100" in error
    code, out, _ = vqa("train", "Question_Only", "--data", tmp_path / "A", "--out",
                       tmp_path / "run", "--epochs", "1", *QUICK)  # fmt: skip
    assert code == 0
    assert Run(tmp_path / "run").config["dataset"] == "A"


def test_building_without_a_source_is_refused(vqa):
    assert "--from" in refused(vqa("data", "build", "A"))


def test_features_name_a_truncated_photograph(vqa, tmp_path, caplog):
    data = write_dataset(tmp_path / "d", images=4)
    broken = data / "images" / f"{2:012d}.png"
    broken.write_bytes(broken.read_bytes()[:60])
    words = ["features", "--data", data, "--encoder", "resnet18", "--features", tmp_path / "f"]
    code, out, error = vqa(*words, *QUICK[:4], "--device", "cpu")
    assert code == 1
    assert str(broken) in caplog.text + error
    assert out.strip() == str(tmp_path / "f" / "d" / "resnet18-random-32")
    # Mended, it is computed and nothing is left to complain of.
    shutil.copy(data / "images" / f"{3:012d}.png", broken)
    assert vqa(*words, *QUICK[:4], "--device", "cpu")[0] == 0


def test_features_name_a_missing_photograph(vqa, tmp_path):
    data = write_dataset(tmp_path / "d", images=4)
    (data / "images" / f"{2:012d}.png").unlink()
    words = ["--encoder", "resnet18", "--features", tmp_path / "f", *QUICK[:4]]
    code, _, error = vqa("features", "--data", data, *words)
    assert code == 1
    assert "image 2 has no file" in error


# Training -------------------------------------------------------------------------------------


def test_training_prints_scores_and_stand_ins(vqa, run, data):
    code, out, _ = vqa("train", "1.e", "--data", data, "--epochs", "2", *QUICK)
    assert code == 0
    assert out.startswith("stand-ins: random-weight vision, hashed n-grams")
    assert "test" in out
    assert out.splitlines()[-1] == str(Path("runs", "tiny", "1.e", "0"))


def test_a_finished_run_is_returned_and_other_settings_are_refused(vqa, run, data):
    before = (run / "model.safetensors").stat().st_mtime_ns
    assert vqa("train", "1.e", "--data", data, "--epochs", "2", *QUICK)[0] == 0
    line = refused(vqa("train", "1.e", "--data", data, "--epochs", "3", *QUICK))
    assert "holds a finished run with another epochs (2, not 3)" in line
    assert (run / "model.safetensors").stat().st_mtime_ns == before


def test_without_images_the_remedy_is_named(vqa, tmp_path):
    data = write_dataset(tmp_path / "d", images=4)
    shutil.rmtree(data / "images")
    assert "Question_Only" in refused(vqa("train", "1.e", "--data", data, *QUICK))
    out = tmp_path / "run"
    words = ["--data", data, "--out", out, "--epochs", "1", *QUICK]
    assert vqa("train", "Question_Only", *words)[0] == 0


@pytest.mark.slow
def test_a_killed_training_ends_in_the_same_bytes(vqa, data, tmp_path):
    def words(out: Path) -> list:
        return ["train", "1.e", "--data", data, "--out", out, "--epochs", "12", *QUICK]

    whole, killed = tmp_path / "whole", tmp_path / "killed"
    process = python(*words(killed))
    assert vqa(*words(whole))[0] == 0
    deadline = time.monotonic() + 120
    history = killed / "history.csv"
    while not (history.exists() and len(history.read_text(encoding="utf-8").splitlines()) > 3):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (killed / "DONE").exists() and (killed / "checkpoint.pt").exists()
    assert vqa(*words(killed))[0] == 0
    for name in ("model.safetensors", "history.csv", "predictions.jsonl", "metrics.json"):
        assert (killed / name).read_bytes() == (whole / name).read_bytes(), name


# Predicting, evaluating, asking ---------------------------------------------------------------


def test_predictions_are_scored_as_the_run_was(vqa, run, data, tmp_path):
    results = tmp_path / "new" / "results.json"
    questions, annotations = data / "questions_test.json", data / "annotations_test.json"
    words = ["--questions", questions, "--images", data, "--out", results, "--offline"]
    code, out, error = vqa("predict", run, *words, "--features", "features/tiny")
    assert (code, out.strip()) == (0, str(results)), error
    given = json.loads(results.read_text(encoding="utf-8"))
    asked = json.loads(questions.read_text(encoding="utf-8"))["questions"]
    assert [row["question_id"] for row in given] == [row["question_id"] for row in asked]
    assert all(row["answer"] for row in given)
    code, out, _ = vqa("evaluate", "--questions", questions, "--annotations", annotations,
                       "--results", results)  # fmt: skip
    report = json.loads(out)
    assert code == 0
    measured = Run(run).metrics["test"]
    assert report["overall"] == measured["vqa"]["value"]
    for kind in ("per_answer_type", "per_question_type"):
        assert report[kind] == {name: row["vqa"] for name, row in measured[kind].items()}
    assert report["top1"] == measured["top1"]["value"]


def test_evaluation_follows_the_normaliser(vqa, data, tmp_path):
    questions, annotations = data / "questions_test.json", data / "annotations_test.json"
    asked = json.loads(annotations.read_text(encoding="utf-8"))["annotations"]
    rows = [
        {"question_id": a["question_id"], "answer": a["multiple_choice_answer"] + "."}
        for a in asked
    ]
    (tmp_path / "r.json").write_text(json.dumps(rows), encoding="utf-8")
    words = ["evaluate", "--questions", questions, "--annotations", annotations,
             "--results", tmp_path / "r.json"]  # fmt: skip
    old = json.loads(vqa(*words, "--normaliser", "2015")[1])
    new = json.loads(vqa(*words)[1])
    assert old["overall"] == 100.0  # the full stop is always stripped
    assert new["overall"] < 100.0  # where all agree the answer must be the same word for word
    assert (new["normaliser"], old["normaliser"]) == ("2021", "2015")


@pytest.mark.parametrize(
    ("content", "message"),
    [("[]", "has no answer to question"), ("{}", "array"), ("", "is empty"),
     ('[{"question_id": 1}]', "answer")],
)  # fmt: skip
def test_broken_results_are_refused(vqa, data, tmp_path, content, message):
    (tmp_path / "r.json").write_text(content, encoding="utf-8")
    line = refused(
        vqa("evaluate", "--questions", data / "questions_test.json", "--annotations",
            data / "annotations_test.json", "--results", tmp_path / "r.json")
    )  # fmt: skip
    assert "r.json" in line and message in line


def test_prediction_names_what_it_could_not_see(vqa, run, data, tmp_path, caplog):
    images = shutil.copytree(data / "images", tmp_path / "images")
    questions = data / "questions_test.json"
    words = ["predict", run, "--questions", questions, "--images", images, "--offline"]
    broken = images / f"{2001:012d}.png"
    broken.write_bytes(broken.read_bytes()[:60])
    code, _, error = vqa(*words, "--out", tmp_path / "a.json")
    assert code == 1
    assert str(broken) in caplog.text + error
    broken.unlink()
    code, _, error = vqa(*words, "--out", tmp_path / "b.json")
    assert code == 1
    assert "image 2001 has no file" in error
    for name in ("a.json", "b.json"):
        assert len(json.loads((tmp_path / name).read_text(encoding="utf-8"))) == 36


def test_prediction_without_images(vqa, run, blind, data, tmp_path):
    words = ["--questions", data / "questions_test.json", "--out", tmp_path / "r.json"]
    assert "--images" in refused(vqa("predict", run, *words))
    assert vqa("predict", blind, *words)[0] == 0
    assert len(json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))) == 36


def test_prediction_of_no_run(vqa, data, tmp_path):
    words = ["--questions", data / "questions_test.json", "--out", tmp_path / "r.json"]
    assert "holds no finished run" in refused(vqa("predict", tmp_path, *words))
    assert "no.json" in refused(vqa("predict", tmp_path, "--questions", tmp_path / "no.json",
                                    "--out", tmp_path / "r.json"))  # fmt: skip


@pytest.mark.parametrize("question", ["What color is the ground?", "???", "字 🤖?"])
def test_asking_prints_five_answers(vqa, run, data, question):
    code, out, _ = vqa("ask", run, data / "images" / f"{1:012d}.png", question, "--offline")
    assert code == 0
    chances = [float(line.split(" %  ")[0]) for line in out.splitlines()]
    assert len(chances) == 5 and chances == sorted(chances, reverse=True)
    answers = [line.split(" %  ")[1] for line in out.splitlines()]
    assert set(answers) <= set(json.loads((run / "vocabulary.json").read_text("utf-8"))["answers"])


def test_asking_in_vain(vqa, run, data, tmp_path):
    photograph = data / "images" / f"{1:012d}.png"
    assert "the question is empty" in refused(vqa("ask", run, photograph, " "))
    assert "the file is missing" in refused(vqa("ask", run, tmp_path / "no.png", "What?"))
    assert "holds no finished run" in refused(vqa("ask", tmp_path, photograph, "What?"))


# Batch and report -----------------------------------------------------------------------------


def test_the_results_are_a_table(vqa, run):
    code, out, _ = vqa("report", "--table", "--runs", "runs")
    assert code == 0
    assert "1.e" in out


def test_batch_without_notebooks_is_refused(vqa, tmp_path):
    assert "no notebooks" in refused(vqa("batch", "--notebooks", tmp_path))


@pytest.mark.parametrize("content", ["{}", "[]", "hello", '{"cells": 3}'])
def test_a_broken_notebook_is_named(vqa, tmp_path, content):
    (tmp_path / "one.ipynb").write_text(content, encoding="utf-8")
    line = refused(vqa("batch", "--notebooks", tmp_path, "-p", "EPOCHS=1"))
    assert "one.ipynb: cannot be read as a notebook" in line


def test_a_reader_that_goes_away_is_no_error(data):
    process = python("data", "list")
    process.stdout.close()
    process.wait(timeout=60)
    assert "Traceback" not in process.stderr.read()
