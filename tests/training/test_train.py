"""A run from beginning to end: its files, its honesty, and that an interruption leaves no trace."""

import dataclasses
import json
import logging
import math
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from safetensors.torch import load_file
from torch import nn

from tests.builders import COLOURS, read_json, retell, write_dataset, write_json
from tests.training.conftest import quick
from vqa_helpers.environment import pick_precision
from vqa_helpers.errors import InputError
from vqa_helpers.features import store
from vqa_helpers.pieces.choice import Piece
from vqa_helpers.pieces.sentences import MULTILINGUAL_STAND_IN
from vqa_helpers.presets import PRESETS
from vqa_helpers.runs import HISTORY_COLUMNS, Run, find_runs, group_runs, mark_done
from vqa_helpers.training import checkpoint, measuring
from vqa_helpers.training import train as training
from vqa_helpers.training.batches import Batches
from vqa_helpers.training.checkpoint import CHECKPOINT, MODEL
from vqa_helpers.training.loop import Epoch, Trainer
from vqa_helpers.training.train import name_of, train_seeds

SAME = (MODEL, "history.csv", "predictions.jsonl", "metrics.json", "config.json")


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in SAME}


# A finished run -----------------------------------------------------------------------------------


def test_a_run_folder_is_complete_and_its_files_agree(trained):
    run = Run(trained("1.e"))
    assert {path.name for path in run.folder.iterdir()} == {
        "config.json", "environment.json", "history.csv", MODEL, "vocabulary.json",
        "predictions.jsonl", "metrics.json", "timing.json", "split.json", "tensorboard",
        "results_validation.json", "results_test.json", "DONE",
    }  # fmt: skip
    run.verify()
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
        given = [tuple(row.values()) for row in read_json(run.folder / f"results_{split}.json")]
        assert given == list(zip(rows["question_id"], first, strict=True))
        # Predictions are enough to score and compare the run.
        top1, vqa = scores["top1"], scores["vqa"]
        assert top1["value"] == pytest.approx(100 * (first == rows["truth"]).mean(), abs=0.005)
        assert top1["low"] <= top1["value"] <= top1["high"] and scores["ceiling"]["top1"] <= 100
        assert vqa["value"] == pytest.approx(100 * rows["vqa"].mean(), abs=0.005)
        blind, against = 100 * (rows["blind"] == rows["truth"]).mean(), scores["against_blind"]
        best = max(baseline["top1"] for baseline in scores["baselines"].values())
        assert blind == pytest.approx(best, abs=0.005)
        gain = against["difference"]
        assert gain["value"] == pytest.approx(top1["value"] - blind, abs=0.02)
        assert (against["verdict"] == "better") == (gain["low"] > 0)


def test_questions_told_apart_by_vowel_signs_alone_are_learnt(train, tmp_path):
    folder, words = write_dataset(tmp_path / "d", images=24), ("यह कि है", "यह को है", "यह कु है")
    for split in ("train", "val", "test"):
        retell(folder, split, asked=lambda n, _: words[n % 3], answered=lambda n, _: "abc"[n % 3])
    recipe = quick("Question_Only", learning_rate=0.02)
    assert train(recipe, tmp_path / "run", folder, epochs=8).metrics["test"]["top1"]["value"] == 100


@pytest.mark.parametrize(("words", "warned"), [("is quelle couleur", 1), ("is the couleur", 0)])
def test_validation_in_words_that_train_does_not_have_is_said_once(
    train, tmp_path, caplog, words, warned
):
    retell(write_dataset(tmp_path / "d", images=4), "val", asked=lambda *_: words)
    train("Question_Only", tmp_path / "run", tmp_path / "d")
    said = [message for message in caplog.messages if "read as unknown" in message]
    assert len(said) == warned and all("train has 33 % of the words" in line for line in said)


def test_the_config_tells_what_was_decided(trained, opened):
    config = Run(trained("GloVe_ResNet")).config
    told = quick("GloVe_ResNet").name, "GloVe_ResNet", "tiny"
    assert (config["name"], config["preset"], config["dataset"]) == told
    precision = pick_precision("cpu")
    small = dataclasses.replace(PRESETS["GloVe_ResNet"].small, precision=precision)
    assert config["training"] == dataclasses.asdict(small)
    assert config["features_precision"] == precision
    assert config["epochs"] == 3
    assert config["weights_source"].startswith("random, seed 0")
    assert (config["image_size_px"], config["standardised"]) == (32, True)
    assert config["stand_ins"] == ["random-weight vision"]
    assert config["model"]["language"]["keywords"] == {"dim": 50, "hidden": 16}
    data = opened()
    assert config["data_sha256"] == data.dataset.sha256()
    vocabulary = read_json(trained("GloVe_ResNet") / "vocabulary.json")
    assert vocabulary == {"answers": [*data.answers.answers], "words": [*data.words.words]}
    blind = Run(trained("Question_Only")).config
    told = ("weights", "weights_source", "image_size_px")
    assert [blind[name] for name in told] == [None] * 3 and blind["stand_ins"] == []
    assert read_json(trained("1.e") / "vocabulary.json")["words"] is None
    stand_ins = Run(trained("1.e")).config["stand_ins"]
    assert stand_ins == ["random-weight vision", MULTILINGUAL_STAND_IN]


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


def test_features_that_stay_on_disk_teach_the_same(train, trained, tmp_path, monkeypatch):
    def plainly(_, rows, generator):
        return torch.randperm(len(rows), generator=generator)

    monkeypatch.setattr(store, "MOST_IN_MEMORY", 0)
    other = train("GUSE_ResNet", tmp_path / "other").folder
    monkeypatch.setattr(store.RowsOnDisk, "shuffle", plainly)  # else the order alone differs
    run = train("GUSE_ResNet", tmp_path / "run").folder
    assert contents(run) == contents(trained("GUSE_ResNet")) != contents(other)


# Interrupted --------------------------------------------------------------------------------------


@pytest.fixture
def interrupted(train, tmp_path, monkeypatch):
    """Train a recipe and stop where a function is called for the n-th time, before its work."""

    def make(recipe, name: str, at: int, data: Path | None = None, **options) -> Path:
        place = next(m for m in (training, measuring, checkpoint) if hasattr(m, name))
        original, calls = getattr(place, name), []

        def stop(*arguments, **named):
            calls.append(1)
            if len(calls) == at:
                raise KeyboardInterrupt
            return original(*arguments, **named)

        with monkeypatch.context() as patch:
            patch.setattr(training, "PAUSE", 0)  # every epoch has its checkpoint
            patch.setattr(place, name, stop)
            with pytest.raises(KeyboardInterrupt):
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
        ("Original_VQA2015_ResNet", "write_predictions", 1),
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


@pytest.mark.slow
def test_a_fine_tuned_run_resumes_in_the_same_bytes_and_what_is_frozen_stays(
    train, opened, interrupted, tmp_path
):
    recipe = quick("1.fC", vision__recompute=True, vision_rate=1e-4, accumulate=2, flip=True,
                   crop=0.3, jitter=0.2)  # fmt: skip
    small = write_dataset(tmp_path / "tiny", images=6)
    before = opened(small).build(recipe).state_dict()
    out = interrupted(recipe, "record_epoch", 1, small, epochs=2)
    train(recipe, out, small, epochs=2)
    complete = train(recipe, out.with_name("complete"), small, epochs=2).folder
    assert contents(out) == contents(complete)
    after = load_file(complete / MODEL)
    assert after.keys() == before.keys()
    network = "vision.encoder.network."
    frozen = {name for name in after if name.startswith(network) and "layer4" not in name}
    assert any(name.endswith("running_mean") for name in frozen)
    assert any(name.endswith("bn1.weight") for name in frozen)  # AdamW would make it decay
    for name in after.keys() - {"vision.mean", "vision.std"}:
        assert torch.equal(after[name], before[name]) == (name in frozen), name


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


def test_checkpoints_that_take_long_are_few(train, trained, tmp_path, monkeypatch):
    written, save = [], checkpoint.save_checkpoint

    def counted(folder, state):
        written.append(len(json.loads(state["history"])))
        save(folder, state)

    monkeypatch.setattr(checkpoint, "save_checkpoint", counted)
    monkeypatch.setattr(training, "PAUSE", 1e12)
    run = train("Question_Only", tmp_path / "run")
    assert written == [1, 3]  # the first epoch and the last
    assert contents(run.folder) == contents(trained("Question_Only"))


@pytest.mark.parametrize("changed", [{"epochs": 4}, {"seed": 1}])
def test_other_settings_do_not_go_on_from_a_checkpoint(train, interrupted, caplog, changed):
    out = interrupted("Question_Only", "record_epoch", 2)
    with caplog.at_level(logging.INFO):
        train("Question_Only", out, **changed)
    begun, [what] = out.with_name(f"{out.name}.1"), changed
    assert f"the run that differs in {what} is kept as {begun}" in caplog.text
    fresh = train("Question_Only", out.with_name("fresh"), **changed)
    assert contents(out) == contents(fresh.folder)
    assert train("Question_Only", begun).finished  # where it stopped
    assert contents(begun) == contents(train("Question_Only", out.with_name("whole")).folder)


def test_an_interrupted_run_of_other_settings_is_not_overwritten(train, interrupted):
    out = interrupted("Question_Only", "record_epoch", 2)
    kept = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    line = "an interrupted run that differs in epochs .*choose another"
    with pytest.raises(InputError, match=line):
        train("Question_Only", out, epochs=4, set_aside=False)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == kept


@pytest.mark.parametrize("name", ["notes.txt", "config.json"])
def test_a_folder_of_other_files_is_refused(train, tmp_path, name):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / name).write_text('{"mine": 1}', encoding="utf-8")
    with pytest.raises(InputError, match=f"mine: holds {name} and no run; name a new folder"):
        train("Question_Only", tmp_path / "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == [name]


@pytest.fixture
def machine(monkeypatch):
    """Let the machine be one that is best at float32 or at bfloat16."""
    from vqa_helpers.features import extract

    def make(precision: str) -> None:
        for module in (extract, training):
            monkeypatch.setattr(module, "pick_precision", lambda _: precision)

    return make


def precisions(run: Run) -> tuple[str, str]:
    found = run.config["training"]["precision"], run.config["features_precision"]
    assert found == (run.environment["precision"], run.environment["features_precision"])
    return found


HALF = ("bfloat16", "bfloat16")
IMPROVED = quick("Improved_VQA2015_ResNet")


@pytest.mark.slow
def test_a_run_that_was_begun_keeps_its_precision_on_another_machine(
    machine, train, opened, interrupted, tmp_path
):
    machine("bfloat16")
    data = opened(features=tmp_path / "f")
    complete = train(IMPROVED, tmp_path / "complete", data)
    assert precisions(complete) == HALF and complete.name == IMPROVED.name
    out = interrupted(IMPROVED, "record_epoch", 1, data)
    machine("float32")
    train(IMPROVED, out, opened(features=tmp_path / "g"))  # with no store there either
    assert contents(out) == contents(complete.folder)
    plain = train(IMPROVED, tmp_path / "plain", opened(features=tmp_path / "h"))
    assert precisions(plain) == ("float32", "float32")
    assert contents(plain.folder)[MODEL] != contents(out)[MODEL]
    # What is stored is read on; the machine decides what is new.
    assert precisions(train(IMPROVED, tmp_path / "c", data)) == ("float32", "bfloat16")


@pytest.mark.parametrize(
    ("recipe", "chosen", "expected"),
    [
        (IMPROVED, "auto", HALF),
        (IMPROVED, "float32", ("float32", "float32")),
        (IMPROVED.with_(set={"precision": "float32"}), "auto", ("float32", "bfloat16")),
        (quick("1.fC"), "auto", ("bfloat16", "float32")),
        (quick("Question_Only"), "auto", ("bfloat16", "float32")),
    ],
)
def test_the_machine_decides_what_nobody_chose(
    machine, train, opened, tmp_path, recipe, chosen, expected
):
    machine("bfloat16")
    data = opened(features=tmp_path / "f", precision=chosen)
    assert precisions(train(recipe, tmp_path / "run", data, epochs=1)) == expected


def test_runs_of_two_precisions_are_not_one(machine, train, opened, tmp_path):
    machine("bfloat16")
    data = opened(features=tmp_path / "f")
    half = train(IMPROVED, tmp_path / "runs" / "0", data)
    with pytest.raises(InputError, match="run that differs in training .*float32.*choose another"):
        train(IMPROVED, half.folder, opened(features=tmp_path / "f", precision="float32"),
              set_aside=False)  # fmt: skip
    machine("float32")
    data = opened(features=tmp_path / "g")
    other = train(IMPROVED, tmp_path / "runs" / "1", data, seed=1)
    assert [one.runs for one in group_runs([half, other])] == [(half,), (other,)]
    # A run of before, which does not say, is one of float32.
    config = read_json(other.folder / "config.json")
    del config["training"]["precision"], config["features_precision"]
    write_json(other.folder / "config.json", config)
    mark_done(other.folder)
    machine("bfloat16")
    assert train(IMPROVED, other.folder, data, seed=1, set_aside=False).finished


# Which run a folder holds -------------------------------------------------------------------------


def test_a_finished_run_is_not_computed_again(train, trained, tmp_path, monkeypatch):
    out = shutil.copytree(trained("1.e"), tmp_path / "run")
    before = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    (out / CHECKPOINT).write_bytes(b"of a run that was killed after it was done")
    monkeypatch.setattr(training, "Trainer", None)  # nothing may train
    assert train("1.e", out).finished
    assert {path: path.stat().st_mtime_ns for path in out.iterdir()} == before


class Swapped(nn.Module):
    """Concatenation the other way round: another fusion of the same widths."""

    out_dim = 1024

    def forward(self, image, question):
        return torch.cat([question, image], 1)


SMALL = quick("1.e")
LIVE = {
    "a fusion of one's own": lambda model: setattr(model, "fusion", Swapped()),
    "an activation": lambda model: model.classifier.layers.__setitem__(1, nn.Tanh()),
    "a number of a layer": lambda model: setattr(model.classifier.layers[3], "p", 0.25),
    "a frozen part": lambda model: model.classifier.layers[0].requires_grad_(False),
}
OTHER = {
    "a keyword": {"recipe": quick("1.e", classifier__hidden="[17]")},
    "a network": {"recipe": SMALL.with_(vision="resnet50")},
    "a training number": {"recipe": SMALL.with_(set={"learning_rate": 0.01})},
    "image size": {"image_size": 40},
    "weights": {"weights": "net.pth"},
    "data": {"data": Path("other", "tiny")},
    "epochs": {"epochs": 2},
    "seed": {"seed": 3},
}


@pytest.mark.parametrize("record", ["older", "none", "damaged"])
def test_a_keyword_that_came_to_a_class_since_is_no_other_run(
    opened, trained, tmp_path, monkeypatch, record
):
    out = shutil.copytree(trained(SMALL), tmp_path / "0")
    config = read_json(out / "config.json")
    if record == "older":
        del config["model"]["classifier"]["keywords"]["activation"]
        del config["training"]["step_decay"], config["training"]["clamp"]  # of all schedules
    else:
        config["model"]["classifier"] = None if record == "none" else {"keywords": 3}
    write_json(out / "config.json", config)
    mark_done(out)
    monkeypatch.setattr(training, "Trainer", None)

    def train(recipe):
        return training.train_recipe(recipe, opened(), out, epochs=3, set_aside=False)

    changed = SMALL.with_(set={"classifier.activation": "tanh"})
    for recipe in [changed] if record == "older" else [SMALL, changed]:
        with pytest.raises(InputError, match="holds a finished run that differs in"):
            train(recipe)
    if record == "older":
        assert train(SMALL).finished


@pytest.mark.parametrize("what", [*LIVE, *OTHER])
def test_another_run_is_never_returned_as_this_one(opened, trained, tmp_path, monkeypatch, what):
    monkeypatch.chdir(tmp_path)
    if what == "weights":
        torch.save(torchvision.models.resnet18().state_dict(), "net.pth")
    if what == "data":
        write_dataset(OTHER["data"]["data"], images=24, seed=1)
    out = shutil.copytree(trained(SMALL), tmp_path / "runs" / "tiny" / "1.e" / "0")
    before, other = contents(out), dict(OTHER.get(what, {}))
    recipe = other.pop("recipe", SMALL)
    options = {"epochs": 3} | {key: other.pop(key) for key in ("epochs", "seed") if key in other}
    data = opened(**other)

    def train(**more) -> Run:
        model = data.build(recipe)
        LIVE.get(what, lambda model: None)(model)
        return training.train(model, data, recipe.small, out, preset="1.e", **options, **more)

    with pytest.raises(InputError, match="holds a finished run that differs in .*choose another"):
        train(set_aside=False)
    assert contents(out) == before
    train()
    assert contents(out)["history.csv"] != before["history.csv"]
    assert contents(out.with_name("0.1")) == before
    assert [run.folder for run in find_runs(tmp_path / "runs")] == [out]
    monkeypatch.setattr(training, "Trainer", None)
    assert train().folder == out  # this one is returned


def test_a_run_is_named_by_what_was_changed(opened, train, tmp_path):
    data = opened()
    changes = {"learning_rate": 3e-4, "batch": 32}
    swapped = PRESETS["GUSE_VGG"].with_(vision="resnet18", fusion="Concatenation", set=changes)
    for recipe in (PRESETS["GUSE_VGG"], SMALL, swapped):
        preset = (recipe.preset or recipe).name
        assert name_of(data.build(recipe), data, recipe.small, preset) == recipe.name
    model = data.build(SMALL)
    model.fusion = Swapped()
    assert name_of(model, data, SMALL.small, "1.e") == "1.e+classifier.hidden=32+fusion=Swapped"
    assert name_of(model, data, SMALL.small, "mine") == "mine"
    classes = "StoredFeatures-SentenceVectors-Swapped-Funnel"
    assert name_of(model, data, SMALL.small, "") == classes
    deep = str([16] * 50).replace(" ", "")  # a name too long for a folder
    recipe = quick("Question_Only", classifier__hidden=deep)
    long = train(recipe, None, data, runs=tmp_path, epochs=1)
    name = long.folder.parent.name
    assert len(name) < 140 and long.config["name"].startswith(name[:120])


def test_seeds_give_different_models_of_one_experiment(opened, tmp_path, caplog):
    recipe = PRESETS["Question_Only"].with_(set={"batch": 32})
    with caplog.at_level(logging.INFO, "vqa_helpers.training.train"):
        found = train_seeds(recipe, opened(), (0, 1), name="blind", runs=tmp_path, epochs=2)
    for seed, run in enumerate(found.runs):
        assert run.folder == tmp_path / "tiny" / "Question_Only+batch=32" / str(seed)
        assert run.config["seed"] == seed
    first, second = ((run.folder / MODEL).read_bytes() for run in found.runs)
    assert first != second
    assert found.name == "blind" and found.runs[0].name == "Question_Only+batch=32"
    [line] = caplog.messages
    assert re.fullmatch(r"blind on tiny: validation top-1 [\d.]+, [\d.]+ % \(seeds 0, 1\)", line)
    with pytest.raises(InputError, match="no seeds: use 1 or more"):
        train_seeds(recipe, opened(), (), runs=tmp_path)


# Refused ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        (quick("1.e", crop=0.2), "vary photographs, and this model sees none"),
        (quick("Question_Only", flip=True), "vary photographs, and this model sees none"),
        (quick("1.fB", batch=1), "batch normalisation cannot learn from batches of one question"),
        (quick("1.fB", vision_rate=1e-4), "no part of the vision piece is trained"),
        *((PRESETS[name].with_(**{slot: piece}), message) for name, slot, piece, message in (
            ("1.e", "vision", "StoredGrid", "one vector of an image; try AttendedProduct"),
            ("1.e", "fusion", "StackedAttention", "places of an image; try --vision StoredGrid"),
            ("1.e", "fusion", "WordAttention", "vector of each word; try --language WordStates"),
            ("GloVe_ResNet", "language", "WordStates", "of each word; try --fusion CoAttention"),
            ("Image_Only", "fusion", "Product", "takes an image and a question; try OneSide"),
            ("Question_Only", "fusion", "ImageFirst", "takes an image and a question; try OneSide"),
        )),
    ],
)  # fmt: skip
def test_what_a_model_cannot_follow_is_refused(train, tmp_path, recipe, message):
    with pytest.raises(InputError, match=message):
        train(recipe, tmp_path / "run")
    assert not (tmp_path / "run").exists()


class Unkept(nn.Module):
    """Concatenation and something that is not recorded."""

    def __init__(self, image_dim, question_dim, power=1, last=None):
        super().__init__()
        self.steps, self.last = [2] * power, last
        self.out_dim = image_dim + question_dim


class Kept(Unkept, Piece):
    pass


@pytest.mark.parametrize(
    "fusion",
    [Unkept(512, 512, power=2), Kept(512, 512, last=nn.Tanh()),
     Kept(512, 512).apply(lambda piece: piece.steps.append(3))],
)  # fmt: skip
def test_an_own_piece_that_its_record_does_not_build_is_refused(opened, tmp_path, fusion):
    model = opened().build(SMALL)
    model.fusion = fusion
    with pytest.raises(InputError, match=f"{type(fusion).__name__}: its recorded keywords build"):
        training.train(model, opened(), SMALL.small, tmp_path / "run")


class Remembers(Piece):
    """A product that keeps what it computes at its first call."""

    def __init__(self, image_dim, question_dim):
        super().__init__()
        self.image, self.out_dim = nn.Linear(image_dim, question_dim), question_dim
        self.places = None

    def forward(self, image, question):
        if self.places is None:
            self.places = torch.linspace(0, 1, self.out_dim)
        return self.image(image) * question * self.places


def test_an_own_piece_may_keep_what_it_computes(opened, tmp_path):
    recipe = SMALL.with_(fusion="Remembers", own={"Remembers": Remembers})
    model = opened().build(recipe)
    assert training.train(model, opened(), recipe.small, tmp_path / "run", epochs=1).finished


class Fails(Piece):
    """A concatenation that fails at one of its calls, or is not as wide as it says."""

    calls, last = 0, math.inf

    def __init__(self, image_dim, question_dim, narrow: bool = False):
        super().__init__()
        self.narrow, self.out_dim = narrow, image_dim + question_dim * (not narrow)

    def forward(self, image, question):
        Fails.calls += 1
        if Fails.calls == Fails.last:
            raise KeyError("tired")
        return torch.cat([image, question], dim=1)


def test_an_own_piece_that_fails_is_named(opened, tmp_path, monkeypatch):
    def train(last=math.inf, **settings):
        monkeypatch.setattr(Fails, "calls", 0)
        monkeypatch.setattr(Fails, "last", last)
        recipe = SMALL.with_(fusion="Fails", own={"Fails": Fails}, set=settings)
        model = opened().build(recipe)
        training.train(model, opened(), recipe.small, tmp_path / str(last), epochs=1)

    train()
    for begun, reason, options in (
        (False, "RuntimeError", {"fusion.narrow": True}),
        (False, "KeyError: 'tired'", {"last": 1}),
        (True, "KeyError: 'tired'", {"last": Fails.calls}),  # while measuring
    ):
        shutil.rmtree(tmp_path / "inf", ignore_errors=True)
        line = f"^Fails: does not fit the other pieces, .*{reason}"
        with pytest.raises(InputError, match=line) as caught:
            train(**options)
        assert "\n" not in str(caught.value)
        assert (tmp_path / str(Fails.last)).exists() == begun


class OneMore(Piece):
    """A classifier of an answer too many, or one that gives two things."""

    def __init__(self, in_dim, answers, two: bool = False):
        super().__init__()
        self.two, self.last = two, nn.Linear(in_dim, answers + 1)

    def forward(self, joint):
        return (self.last(joint), joint) if self.two else self.last(joint)


def test_an_own_classifier_of_other_answers_is_refused_before_it_learns(opened, tmp_path):
    data = opened()
    count = len(data.answers)
    for two, given in (False, rf"\(\d+, {count + 1}\)"), (True, "a tuple"):
        settings = {"classifier.two": two}
        recipe = SMALL.with_(classifier="OneMore", own={"OneMore": OneMore}, set=settings)
        line = rf"^OneMore: gives {given} for .*a logit for each of the {count} answers"
        with pytest.raises(InputError, match=line):
            training.train(data.build(recipe), data, SMALL.small, tmp_path / "run")


def test_what_is_another_in_a_model_is_said(train, tmp_path):
    train(quick("1.e"), tmp_path / "run", epochs=1)
    with pytest.raises(InputError) as caught:
        train(quick("1.e", classifier__dropout=0.1), tmp_path / "run", epochs=1, set_aside=False)
    each = ({"classifier": {"keywords": {"dropout": rate}}} for rate in (0.5, 0.1))
    was, wanted = map(json.dumps, each)
    assert f"that differs in model ({was}, not {wanted}); choose" in str(caught.value)


def test_training_that_diverges_is_refused_after_the_epoch(opened, tmp_path):
    data = opened()
    model = data.build(PRESETS["1.c"])
    nn.init.constant_(model.classifier.layers[0].weight, float("nan"))
    with pytest.raises(InputError, match="has diverged: the loss of epoch 1 is not finite"):
        training.train(model, data, PRESETS["1.c"].small, tmp_path / "run", epochs=2)
    assert not (tmp_path / "run" / CHECKPOINT).exists()


def test_one_step_so_large_that_no_answer_is_a_number_is_refused(train, tmp_path):
    with pytest.raises(InputError, match="has diverged: the loss of epoch 1 is not finite"):
        train(quick("1.e", learning_rate=1e30, batch=1000), tmp_path / "run", epochs=1)


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


@pytest.mark.parametrize("name", ["Question_Only", "1.e", "Improved_VQA2015_ResNet"])
def test_one_answer_three_images_one_epoch(train, tmp_path, name):
    # Three images in all, cut by image; fewer questions than a batch; one answer to choose from.
    data = write_dataset(tmp_path / "d", images=3, splits=("train",))
    retell(data, "train", answered=lambda *_: "so ♥")
    run = train(name, tmp_path / "run", data, epochs=1)
    counts = {split: scores["questions"] for split, scores in run.metrics.items()}
    assert counts == {"validation": 3, "test": 3}
    assert run.metrics["test"]["top1"]["value"] == 100.0
    assert run.predictions["answers"].tolist() == [["so ♥"]] * 6
    assert run.predictions["probabilities"].tolist() == [[1.0]] * 6


def test_single_answers_no_images_and_validation_without_any_known_answer(train, tmp_path):
    data = write_dataset(tmp_path / "d", images=4, answers_per_question=1)
    retell(data, "val", answered=lambda *_: "never heard of")
    shutil.rmtree(data / "images")
    run = train("Question_Only", tmp_path / "run", data, epochs=2)
    assert run.history["validation_loss"].isna().all()
    assert run.history["validation_top1"].tolist() == [0.0, 0.0]
    assert run.metrics["validation"]["ceiling"]["top1"] == 0.0
    assert run.timing["features_s"] is None and len(run.predictions) == 24
    test = run.metrics["test"]  # VQA accuracy is not defined
    assert test["vqa"] is test["ceiling"]["vqa"] is None and test["top1"]["value"] is not None
    assert {row["vqa"] for row in test["per_answer_type"].values()} == {None}
    assert "wups_0.9" not in test  # there is no WordNet


def test_single_answers_are_scored_by_wordnet(train, tmp_path, nouns_known):
    colours = [f"{colour} < colour" for colour in COLOURS]
    nouns_known("entity", "colour < entity", *colours, "digit < entity", *[f"{n} < digit" for n in range(1, 5)])  # fmt: skip
    data = write_dataset(tmp_path / "d", images=8, answers_per_question=1)
    run = train("Question_Only", tmp_path / "run", data, epochs=4)

    def expected(said: str, truth: str) -> float:
        kinds = [one in COLOURS or one.isdecimal() and "digit" for one in (said, truth)]
        if said == truth or not all(kinds):  # yes and no are not known
            return float(said == truth)
        return 4 / 6 if kinds[0] == kinds[1] else 2 / 6

    for split, rows in run.predictions.groupby("split"):
        scores = [expected(*pair) for pair in zip(rows["answers"].str[0], rows["truth"], strict=True)]  # fmt: skip
        at_9 = [one if one == 1 else one / 10 for one in scores]
        for name, each in (("wups_0.0", scores), ("wups_0.9", at_9)):
            value = run.metrics[split][name]["value"]
            assert value == pytest.approx(100 * np.mean(each), abs=0.01)
        assert len(set(scores)) > 2
        assert run.metrics[split]["one_thing"] is None  # none is a list
