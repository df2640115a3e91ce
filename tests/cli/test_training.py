"""`vqa features` and `vqa train`."""

import shutil
import signal
import time
import zipfile
from pathlib import Path

import pytest
import torch

from tests.builders import write_dataset
from tests.cli.calling import QUICK, python, refused
from vqa_helpers.runs import Run


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


def test_a_folder_in_the_way_is_named(vqa, data, tmp_path):
    (tmp_path / "run").write_text("in the way", encoding="utf-8")
    code, _, error = vqa("train", "Question_Only", "--data", data, "--out", tmp_path / "run",
                         "--epochs", "1", *QUICK)  # fmt: skip
    assert code in (1, 2)
    assert "run" in error.splitlines()[-1] and "Traceback" not in error


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


def test_several_seeds_give_mean_and_spread(vqa, data, tmp_path):
    out = tmp_path / "seeds"
    words = ["--data", data, "--out", out, "--epochs", "1", "--seeds", "2", *QUICK]
    code, text, _ = vqa("train", "Bag_Of_Words", *words)
    assert code == 0
    assert (
        Run(out / "0").metrics["test"]["questions"] == Run(out / "1").metrics["test"]["questions"]
    )
    assert Run(out / "0").config["data_sha256"] == Run(out / "1").config["data_sha256"]
    summary = text.rstrip().splitlines()[-1]
    assert "Bag_Of_Words" in summary and any(
        verdict in summary for verdict in ("better", "worse", "cannot tell")
    )
    beyond = ["--seed", str(2**32 - 1), "--seeds", "2", *QUICK]
    assert "seed 4294967296: use 0 to" in refused(
        vqa("train", "Bag_Of_Words", "--data", data, *beyond)
    )
    assert "0 seeds: use 1 or more" in refused(
        vqa("train", "Bag_Of_Words", "--data", data, "--seeds", "0")
    )


def test_a_loss_names_its_run(vqa, data):
    words = ["--data", data, "--epochs", "1", "--loss", "soft-cross-entropy", *QUICK]
    code, out, _ = vqa("train", "Bag_Of_Words", *words)
    assert code == 0
    folder = Path("runs", "tiny", "Bag_Of_Words-soft-cross-entropy", "0")
    assert out.splitlines()[-1] == str(folder)
    assert Run(folder).config["loss"] == "soft cross entropy"
