"""A run from beginning to end: its files, its honesty, and that an interruption leaves no trace."""

import dataclasses
import logging
import shutil
from pathlib import Path
from threading import Thread

import pytest
import torch
import torchvision
from safetensors.torch import load_file
from torch import nn

from tests.builders import read_json, write_dataset, write_json
from tests.training.conftest import quick
from vqa_helpers.errors import InputError
from vqa_helpers.files import locked
from vqa_helpers.pieces.glove import LEARNED_STAND_IN
from vqa_helpers.pieces.sentences import HASHED_STAND_IN
from vqa_helpers.presets import PRESETS
from vqa_helpers.recipe import Recipe
from vqa_helpers.runs import HISTORY_COLUMNS, Run, find_runs
from vqa_helpers.training import measuring
from vqa_helpers.training import train as training
from vqa_helpers.training.batches import Batches
from vqa_helpers.training.checkpoint import CHECKPOINT, MODEL
from vqa_helpers.training.loop import Epoch, Trainer
from vqa_helpers.training.train import name_of, train_recipe, train_seeds

SAME = (MODEL, "history.csv", "predictions.jsonl", "metrics.json", "config.json")
WAITING = "another process is at work here"


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in SAME}


def changed_at(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir() if path.is_file()}


def fine_tuned(**changed) -> Recipe:
    """1.fC on a smaller network, with all that fine-tuning offers."""
    usual = dict(vision__recompute=True, vision_rate=1e-4, accumulate=2, flip=True, crop=0.3)
    return quick("1.fC", jitter=0.2, **{**usual, **changed})


# A finished run -----------------------------------------------------------------------------------


def test_a_run_folder_is_complete(trained):
    folder = trained("1.e")
    assert {path.name for path in folder.iterdir()} == {
        "config.json", "environment.json", "history.csv", MODEL, "vocabulary.json",
        "predictions.jsonl", "metrics.json", "timing.json", "split.json", "tensorboard",
        "results_validation.json", "results_test.json", "DONE",
    }  # fmt: skip
    newest = max(folder.iterdir(), key=lambda path: path.stat().st_mtime_ns)
    assert newest.name == "DONE"
    assert [path.name for path in folder.rglob("*.partial*")] == []
    Run(folder).verify()


def test_the_files_agree_with_one_another(trained):
    run = Run(trained("1.e"))
    assert tuple(run.history.columns) == HISTORY_COLUMNS
    assert run.history["epoch"].tolist() == [1, 2, 3]
    # The chosen epoch is the best one on validation.
    best = run.history["validation_top1"].max()
    assert run.metrics["validation"]["top1"]["value"] == pytest.approx(best, abs=0.005)
    for split, rows in run.predictions.groupby("split"):
        scores = run.metrics[split]
        assert len(rows) == scores["questions"] == 72
        assert rows["image_id"].nunique() == scores["images"] == 24
        for answers, chances in zip(rows["answers"], rows["probabilities"], strict=True):
            assert len(answers) == len(set(answers)) == len(chances) == 5
            assert chances == sorted(chances, reverse=True) and 0 < sum(chances) <= 1.00001
        first = rows["answers"].str[0]
        given = read_json(run.folder / f"results_{split}.json")
        assert [row["answer"] for row in given] == first.tolist()
        assert [row["question_id"] for row in given] == rows["question_id"].tolist()
        # Predictions are enough to score and compare the run.
        top1, vqa = scores["top1"], scores["vqa"]
        assert top1["value"] == pytest.approx(100 * (first == rows["truth"]).mean(), abs=0.005)
        assert top1["low"] <= top1["value"] <= top1["high"] and scores["ceiling"]["top1"] <= 100
        assert vqa["value"] == pytest.approx(100 * rows["vqa"].mean(), abs=0.005)
        blind, against = 100 * (rows["blind"] == rows["truth"]).mean(), scores["against_blind"]
        baselines = {name: baseline["top1"] for name, baseline in scores["baselines"].items()}
        assert blind == pytest.approx(max(baselines.values()), abs=0.005)
        assert blind == pytest.approx(baselines[against["baseline"]], abs=0.005)
        gain = against["difference"]
        assert gain["value"] == pytest.approx(top1["value"] - blind, abs=0.02)
        assert (against["verdict"] == "better") == (gain["low"] > 0)


def test_the_config_tells_what_was_decided(trained, opened):
    config = Run(trained("GloVe_ResNet")).config
    assert (config["name"], config["preset"], config["dataset"]) == (
        quick("GloVe_ResNet").name, "GloVe_ResNet", "tiny"
    )  # fmt: skip
    assert config["training"] == dataclasses.asdict(PRESETS["GloVe_ResNet"].small)
    assert config["epochs"] == 3 and config["loss"] == "cross entropy"
    assert config["weights_source"].startswith("random, seed 0")
    assert (config["image_size_px"], config["standardised"]) == (32, True)
    assert config["stand_ins"] == ["random-weight vision", LEARNED_STAND_IN]
    assert config["model"]["language"]["keywords"] == {"dim": 50, "hidden": 16}
    data = opened()
    assert (config["answers"], config["words"]) == (len(data.answers), len(data.words))
    assert config["data_sha256"] == data.dataset.sha256()
    vocabulary = read_json(trained("GloVe_ResNet") / "vocabulary.json")
    assert vocabulary == {"answers": [*data.answers.answers], "words": [*data.words.words]}
    blind = Run(trained("Question_Only")).config
    told = ("weights", "weights_source", "image_size_px")
    assert [blind[name] for name in told] == [None] * 3 and blind["stand_ins"] == []
    assert read_json(trained("1.e") / "vocabulary.json")["words"] is None
    assert Run(trained("1.e")).config["stand_ins"] == ["random-weight vision", HASHED_STAND_IN]


def test_a_model_sees_more_than_a_blind_guesser(train, tmp_path):
    # From pixels to the score on images never seen, all of the way carries a signal.
    run = train(quick("1.e", classifier__hidden="[256]"), tmp_path / "run", epochs=15)
    blind = run.metrics["test"]["baselines"]["most frequent per question"]["top1"]
    assert run.metrics["test"]["top1"]["value"] > blind + 10


def test_the_model_of_the_best_epoch_is_kept_the_first_of_equals(train, tmp_path, monkeypatch):
    def run_epoch(self, *_):
        self.epoch += 1
        with torch.no_grad():
            self.model.classifier.layers[-1].bias.fill_(self.epoch)
        top1 = [10.0, 30.0, 30.0][self.epoch - 1]
        return Epoch(self.epoch, 1.0, 1.0, 1.0, top1, None, 0.1, 0.5)

    monkeypatch.setattr(Trainer, "run_epoch", run_epoch)
    run = train("Question_Only", tmp_path / "run")
    assert load_file(run.folder / MODEL)["classifier.layers.3.bias"].unique().tolist() == [2.0]
    assert run.timing["train_s"] == 1.5
    assert run.timing["samples_per_s"] == pytest.approx(72 * 3 / 1.5)


def test_test_is_scored_once_and_not_looked_at_before(train, tmp_path, monkeypatch):
    seen, in_order = [], Batches.in_order
    history = tmp_path / "run" / "history.csv"

    def watched(self):
        first = self.examples.image_row.min() >= 48  # the rows of the test images
        if first:
            seen.append(history.read_text(encoding="utf-8"))
        return in_order(self)

    monkeypatch.setattr(Batches, "in_order", watched)
    train("Question_Only", tmp_path / "run")
    assert seen == [history.read_text(encoding="utf-8")]  # when every epoch was done


def test_what_is_frozen_stays_as_it_was_and_the_rest_learns(train, opened, small, tmp_path):
    before = opened(small).build(fine_tuned()).state_dict()
    after = load_file(train(fine_tuned(), tmp_path / "run", small, epochs=1).folder / MODEL)
    assert after.keys() == before.keys()
    network = "vision.encoder.network."
    frozen = {name for name in after if name.startswith(network) and "layer4" not in name}
    assert any(name.endswith("running_mean") for name in frozen)
    assert any(name.endswith("bn1.weight") for name in frozen)  # AdamW would make it decay
    for name in after.keys() - {"vision.mean", "vision.std"}:
        assert torch.equal(after[name], before[name]) == (name in frozen), name


# Interrupted --------------------------------------------------------------------------------------


class Interrupted(BaseException):
    """As a kill: nothing in the package may catch it."""


@pytest.fixture
def interrupted(train, tmp_path, monkeypatch):
    """Train a recipe and stop where a function is called for the n-th time, before its work."""

    def make(recipe, name: str, at: int, data: Path | None = None, **options) -> Path:
        place = training if hasattr(training, name) else measuring
        original, calls = getattr(place, name), []

        def stop(*arguments, **named):
            calls.append(1)
            if len(calls) == at:
                raise Interrupted
            return original(*arguments, **named)

        with monkeypatch.context() as patch:
            patch.setattr(place, name, stop)
            with pytest.raises(Interrupted):
                train(recipe, tmp_path / "run", data, **options)
        assert not Run(tmp_path / "run").finished
        torch.manual_seed(99)  # the second process has other random numbers behind it
        return tmp_path / "run"

    return make


@pytest.mark.parametrize(
    ("recipe", "function", "at"),
    [
        ("1.e", "record_epoch", 1),  # after the first checkpoint
        ("1.e", "save_checkpoint", 2),  # the second epoch is trained and its model kept
        ("1.e", "save_model", 1),  # nothing is kept yet
        ("1.e", "write_history", 3),
        ("1.e", "write_predictions", 1),  # while measuring
        ("1.e", "mark_done", 1),
        ("Original_VQA2015_ResNet", "record_epoch", 1),  # the LSTM carries its state
        ("Original_VQA2015_ResNet", "save_checkpoint", 3),
        ("GloVe_ResNet", "record_epoch", 2),
        ("Bag_Of_Words", "save_checkpoint", 2),
        *((quick("Question_Only", loss=f"{kind} cross entropy"), "record_epoch", 2)
          for kind in ("weighted", "binary")),
    ],
)  # fmt: skip
def test_an_interrupted_run_ends_in_the_same_bytes(
    train, trained, interrupted, recipe, function, at
):
    out = interrupted(recipe, function, at)
    train(recipe, out)
    assert contents(out) == contents(trained(recipe))
    assert not (out / CHECKPOINT).exists()


@pytest.mark.parametrize(
    "trained_part", ["last block", pytest.param("all", marks=pytest.mark.slow)]
)
def test_a_fine_tuned_run_resumes_in_the_same_bytes(train, interrupted, small, trained_part):
    recipe = fine_tuned(vision__trained=trained_part)
    out = interrupted(recipe, "record_epoch", 1, small, epochs=2)
    train(recipe, out, small, epochs=2)
    complete = train(recipe, out.with_name("complete"), small, epochs=2).folder
    assert contents(out) == contents(complete)
    # Recomputing saves memory alone: the run that kept its activations is the same one.
    kept = fine_tuned(vision__trained=trained_part, vision__recompute=False)
    kept = train(kept, out.with_name("kept"), small, epochs=2).folder
    assert [contents(kept)[n] for n in SAME[:-1]] == [contents(complete)[n] for n in SAME[:-1]]


@pytest.mark.parametrize("damaged", [None, CHECKPOINT, MODEL])
def test_only_what_is_left_is_trained_unless_it_is_damaged(
    train, trained, interrupted, caplog, damaged
):
    out = interrupted("Question_Only", "record_epoch", 2)
    if damaged:
        (out / damaged).write_bytes((out / damaged).read_bytes()[:-1000])
    with caplog.at_level(logging.INFO):
        train("Question_Only", out)
    epochs = [message[:9] for message in caplog.messages if message.startswith("epoch ")]
    assert epochs == ([f"epoch {i}/3" for i in (1, 2, 3)] if damaged else ["epoch 3/3"])
    assert ("is damaged" in caplog.text) == bool(damaged)
    assert contents(out) == contents(trained("Question_Only"))


@pytest.mark.parametrize("changed", [{"epochs": 4}, {"seed": 1}])
def test_other_settings_do_not_go_on_from_a_checkpoint(train, interrupted, caplog, changed):
    out = interrupted("Question_Only", "record_epoch", 2)
    with caplog.at_level(logging.INFO):
        train("Question_Only", out, **changed)
    assert "the settings have changed; the run starts again" in caplog.text
    fresh = train("Question_Only", out.with_name("fresh"), **changed)
    assert contents(out) == contents(fresh.folder)


# Which run a folder holds -------------------------------------------------------------------------


def test_a_finished_run_is_not_computed_again(train, trained, tmp_path, monkeypatch):
    out = shutil.copytree(trained("1.e"), tmp_path / "run")
    before = changed_at(out)
    (out / CHECKPOINT).write_bytes(b"of a run that was killed after it was done")
    monkeypatch.setattr(training, "Trainer", None)  # nothing may train
    assert train("1.e", out).finished
    assert changed_at(out) == before  # and the checkpoint is gone


def test_two_at_once_train_once(train, trained, tmp_path, monkeypatch, caplog):
    out, found = tmp_path / "run", []
    monkeypatch.setattr(training, "Trainer", None)
    with caplog.at_level(logging.INFO), locked(out.with_name(".run.lock"), out):
        second = Thread(target=lambda: found.append(train("Question_Only", out)))
        second.start()
        while WAITING not in caplog.text:
            assert second.is_alive()
        assert not out.exists()
        shutil.copytree(trained("Question_Only"), out)  # what the first one leaves
    second.join(60)
    assert found[0].finished


class Swapped(nn.Module):
    """Concatenation the other way round: another fusion of the same widths."""

    out_dim = 1024

    def forward(self, image, question):
        return torch.cat([question, image], 1)


def doubled() -> nn.Module:
    class Swapped(nn.Module):
        out_dim = 1024

        def forward(self, image, question):
            return 2 * torch.cat([question, image], 1)

    return Swapped()


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    """ResNet18 with other weights, as a file."""
    torch.manual_seed(5)
    path = tmp_path_factory.mktemp("weights") / "net.pth"
    torch.save(torchvision.models.resnet18().state_dict(), path)
    return path


SMALL = quick("1.e")
LIVE = {
    "a fusion of one's own": lambda model: setattr(model, "fusion", Swapped()),
    "its code": lambda model: setattr(model, "fusion", doubled()),
    "an activation": lambda model: model.classifier.layers.__setitem__(1, nn.Tanh()),
    "a number of a layer": lambda model: setattr(model.classifier.layers[3], "p", 0.25),
    "a frozen part": lambda model: model.classifier.layers[0].requires_grad_(False),
}
OTHER = {
    "a keyword": {"recipe": quick("1.e", classifier__hidden="[17]")},
    "a network": {"recipe": SMALL.with_(vision="resnet50")},
    "a training number": {"recipe": SMALL.with_(set={"learning_rate": 0.01})},
    "image size": {"image_size": 40},
    "weights": {"weights": True},
    "data": {"data": True},
    "epochs": {"epochs": 2},
    "seed": {"seed": 3},
}


@pytest.mark.parametrize("what", [*LIVE, *OTHER])
def test_another_run_is_never_returned_as_this_one(opened, tmp_path, weights, what):
    out = tmp_path / "runs" / "tiny" / "1.e" / "0"
    train_recipe(SMALL, opened(), out, epochs=1)
    before, other = contents(out), dict(OTHER.get(what, {}))
    recipe = other.pop("recipe", SMALL)
    options = {"epochs": 1} | {key: other.pop(key) for key in ("epochs", "seed") if key in other}
    if "weights" in other:
        other["weights"] = str(weights)
    if "data" in other:
        other["data"] = write_dataset(tmp_path / "tiny", images=24, seed=1)
    data = opened(**other)

    def train(**more) -> Run:
        model = data.build(recipe)
        LIVE.get(what, lambda model: None)(model)
        return training.train(model, data, recipe.small, out, preset="1.e", **options, **more)

    with pytest.raises(InputError, match="holds a finished run with another .*choose another"):
        train(set_aside=False)
    assert contents(out) == before
    train()
    assert contents(out)["history.csv"] != before["history.csv"]
    assert contents(out.with_name("0.1")) == before
    assert [run.folder for run in find_runs(tmp_path / "runs")] == [out]
    assert changed_at(train().folder) == changed_at(out)  # this one is returned
    assert not out.with_name("0.2").exists()


def test_a_run_is_named_by_what_was_changed(opened):
    data = opened()
    swapped = PRESETS["GUSE_VGG"].with_(
        vision="resnet18", fusion="Concatenation", set={"learning_rate": 3e-4, "batch": 32}
    )
    names = {
        "GUSE_VGG": PRESETS["GUSE_VGG"],
        "1.e+classifier.hidden=32": SMALL,
        "GUSE_VGG+batch=32+fusion=Concatenation+learning_rate=0.0003+vision=resnet18": swapped,
    }
    for name, recipe in names.items():
        assert recipe.name == name
        preset = (recipe.preset or recipe).name
        assert name_of(data.build(recipe), data, recipe.small, preset) == name
    model = data.build(SMALL)
    model.fusion = Swapped()
    assert name_of(model, data, SMALL.small, "1.e") == "1.e+classifier.hidden=32+fusion=Swapped"
    assert name_of(model, data, SMALL.small, "mine") == "mine"
    classes = "StoredFeatures-SentenceVectors-Swapped-Funnel"
    assert name_of(model, data, SMALL.small, "") == classes


def test_without_a_folder_the_name_and_the_seed_give_it(opened, tmp_path):
    options = {"runs": tmp_path, "epochs": 1}
    run = train_recipe(
        PRESETS["Question_Only"].with_(set={"batch": 32}), opened(), seed=3, **options
    )
    assert run.folder == tmp_path / "tiny" / "Question_Only+batch=32" / "3"
    settings = {"classifier__hidden": str([16] * 50).replace(" ", "")}
    long = train_recipe(quick("Question_Only", **settings), opened(), **options).folder
    assert len(long.parent.name) < 140 and Run(long).config["name"].startswith(
        long.parent.name[:120]
    )


def test_seeds_give_different_models_of_one_experiment(opened, tmp_path, caplog):
    with caplog.at_level(logging.INFO, "vqa_helpers.training.train"):
        found = train_seeds(PRESETS["Question_Only"], opened(), (0, 1), runs=tmp_path, epochs=2)
    assert [run.config["seed"] for run in found.runs] == [0, 1]
    first, second = ((run.folder / MODEL).read_bytes() for run in found.runs)
    assert first != second
    assert "Question_Only on tiny, seed 1: validation top-1" in caplog.text
    assert "epoch 1/2" not in caplog.text


# Refused ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "settings", "options", "message"),
    [
        ("Question_Only", {}, {"seed": -1}, "seed -1: use 0 to"),
        ("Question_Only", {}, {"seed": 2**32}, "seed 4294967296: use 0 to"),
        ("Question_Only", {}, {"epochs": -1}, "-1 epochs: use 1 or more"),
        ("1.e", {"crop": 0.2}, {}, "vary photographs, and this model sees none"),
        ("Question_Only", {"flip": True}, {}, "vary photographs, and this model sees none"),
        ("1.fB", {"vision_rate": 1e-4}, {}, "no part of the vision piece is trained"),
    ],
)
def test_what_a_model_cannot_follow_is_refused(train, tmp_path, name, settings, options, message):
    with pytest.raises(InputError, match=message):
        train(quick(name, **settings), tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


def test_a_device_or_a_place_that_is_none_is_named(train, opened, tmp_path):
    with pytest.raises(InputError, match="device 'gpu'"):
        train("Question_Only", tmp_path / "other", opened(device="gpu"))
    (tmp_path / "run").write_text("in the way", encoding="utf-8")
    with pytest.raises(InputError, match="run: is a file; name a folder"):
        train("Question_Only", tmp_path / "run")


def test_training_that_diverges_is_refused_after_the_epoch(opened, tmp_path):
    data = opened()
    model = data.build(PRESETS["1.c"])
    nn.init.constant_(model.classifier.layers[0].weight, float("nan"))
    with pytest.raises(InputError, match="has diverged: the loss of epoch 1 is not finite"):
        training.train(model, data, PRESETS["1.c"].small, tmp_path / "run", epochs=2)
    assert not (tmp_path / "run" / CHECKPOINT).exists()


# Odd data -----------------------------------------------------------------------------------------


def test_a_split_without_answers_is_predicted_and_not_scored(train, opened, tmp_path):
    folder = write_dataset(tmp_path / "d", images=6)
    (folder / "annotations_test.json").unlink()
    data = opened(folder)
    export = data.dataset.splits["test"].assign(question_id=range(18))
    data.dataset.splits["export"] = export
    run = train("1.e", tmp_path / "run", data, epochs=1)
    assert list(run.metrics) == ["validation"]
    for name, table in (("test", data.dataset.splits["test"]), ("export", export)):
        given = read_json(run.folder / f"results_{name}.json")
        assert [row["question_id"] for row in given] == table["question_id"].tolist()
        assert {row["answer"] for row in given} <= {*data.answers.answers}
    rows = run.predictions[run.predictions["split"] == "test"]
    assert len(rows) == 18 and rows["truth"].tolist() == [None] * 18
    assert {*run.predictions["split"]} == {"validation", "test"}  # what is exported is for a server


def test_single_answers_leave_vqa_accuracy_undefined(train, tmp_path):
    data = write_dataset(tmp_path / "d", images=6, answers_per_question=1)
    run = train("Question_Only", tmp_path / "run", data, epochs=1)
    for scores in run.metrics.values():
        assert scores["vqa"] is None and scores["ceiling"]["vqa"] is None
        assert {row["vqa"] for row in scores["per_answer_type"].values()} == {None}
        assert scores["top1"]["value"] is not None
    assert run.history["validation_vqa"].isna().all()


@pytest.mark.parametrize("name", ["Question_Only", "1.e", "Improved_VQA2015_ResNet"])
def test_one_answer_three_images_one_epoch(train, tmp_path, name):
    # Three images in all, cut by image; fewer questions than a batch; one answer to choose from.
    data = write_dataset(tmp_path / "d", images=3, splits=("train",))
    answered(data, "train", "so ♥")
    run = train(name, tmp_path / "run", data, epochs=1)
    assert {split: scores["questions"] for split, scores in run.metrics.items()} == {
        "validation": 3, "test": 3,
    }  # fmt: skip
    assert run.metrics["test"]["top1"]["value"] == 100.0
    assert run.predictions["answers"].tolist() == [["so ♥"]] * 6
    assert run.predictions["probabilities"].tolist() == [[1.0]] * 6


def answered(data: Path, split: str, answer: str) -> None:
    """Give every question of a split the same answer."""
    content = read_json(data / f"annotations_{split}.json")
    for annotation in content["annotations"]:
        annotation["multiple_choice_answer"] = answer
        annotation["answers"] = [{"answer": answer}] * 10
    write_json(data / f"annotations_{split}.json", content)


def test_validation_without_any_known_answer_and_no_images(train, tmp_path):
    data = write_dataset(tmp_path / "d", images=4)
    answered(data, "val", "never heard of")
    shutil.rmtree(data / "images")
    run = train("Question_Only", tmp_path / "run", data, epochs=2)
    assert run.history["validation_loss"].isna().all()
    assert run.history["validation_top1"].tolist() == [0.0, 0.0]
    assert run.metrics["validation"]["ceiling"]["top1"] == 0.0
    assert run.timing["features_s"] is None and len(run.predictions) == 24
