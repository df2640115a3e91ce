"""A run from beginning to end: its files, its honesty, and that an interruption leaves no trace."""

import dataclasses
import json
import logging
import shutil

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from tests.builders import write_dataset, write_json
from vqa_helpers.errors import InputError
from vqa_helpers.experiment import conduct as conducting
from vqa_helpers.experiment.conduct import conduct
from vqa_helpers.experiment.prepare import RANDOM_VISION
from vqa_helpers.experiment.questions import HASHED_SENTENCES
from vqa_helpers.model.config import Augmentation, Images
from vqa_helpers.model.presets import find_preset
from vqa_helpers.runs import HISTORY_COLUMNS, Run, find_runs, mark_done
from vqa_helpers.training.checkpoint import CHECKPOINT

SAME = ("model.safetensors", "history.csv", "predictions.jsonl", "metrics.json", "config.json")


def contents(folder) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in SAME}


def changed_at(folder) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir() if path.is_file()}


# A finished run -------------------------------------------------------------------------------


def test_a_run_folder_is_complete(trained):
    folder = trained("1.e")
    assert {path.name for path in folder.iterdir()} == {
        "config.json", "environment.json", "history.csv", "model.safetensors", "vocabulary.json",
        "predictions.jsonl", "metrics.json", "timing.json", "split.json", "tensorboard",
        "results_validation.json", "results_test.json", "DONE",
    }  # fmt: skip
    newest = max(folder.iterdir(), key=lambda path: path.stat().st_mtime_ns)
    assert newest.name == "DONE"


def test_the_files_agree_with_one_another(trained):
    run = Run(trained("1.e"))
    assert tuple(run.history.columns) == HISTORY_COLUMNS
    assert run.history["epoch"].tolist() == [1, 2, 3]
    assert run.config["stand_ins"] == [RANDOM_VISION, HASHED_SENTENCES]
    assert run.environment["precision"] == "float32"
    predictions = run.predictions
    assert predictions["split"].value_counts().to_dict() == {"validation": 72, "test": 72}
    for split, rows in predictions.groupby("split"):
        first = rows["answers"].str[0]
        hits = 100 * (first == rows["truth"]).mean()
        assert run.metrics[split]["top1"]["value"] == pytest.approx(hits, abs=0.005)
        given = json.loads((run.folder / f"results_{split}.json").read_text(encoding="utf-8"))
        assert [row["answer"] for row in given] == first.tolist()
        assert [row["question_id"] for row in given] == rows["question_id"].tolist()
    # The chosen epoch is the best one on validation, the first of equals.
    best = run.history["validation_top1"].max()
    assert run.metrics["validation"]["top1"]["value"] == pytest.approx(best, abs=0.005)


def test_probabilities_fall_and_are_a_part_of_one(trained):
    for row in Run(trained("1.e")).predictions.itertuples():
        assert len(row.answers) == len(set(row.answers)) == len(row.probabilities) == 5
        assert row.probabilities == sorted(row.probabilities, reverse=True)
        assert 0 < sum(row.probabilities) <= 1.00001


def test_predictions_are_enough_to_score_and_compare_the_run(trained):
    run = Run(trained("1.e"))
    for split, rows in run.predictions.groupby("split"):
        scores = run.metrics[split]
        assert rows["image_id"].nunique() == scores["images"]
        assert 100 * rows["vqa"].mean() == pytest.approx(scores["vqa"]["value"], abs=0.005)
        against = scores["against_blind"]
        blind = 100 * (rows["blind"] == rows["truth"]).mean()
        assert blind == pytest.approx(scores["baselines"][against["baseline"]]["top1"], abs=0.005)
        assert blind == pytest.approx(
            max(b["top1"] for b in scores["baselines"].values()), abs=0.005
        )
        gain = against["difference"]
        assert gain["value"] == pytest.approx(scores["top1"]["value"] - blind, abs=0.02)
        assert (against["verdict"] == "better") == (gain["low"] > 0)
        sure = sum(row["questions"] * (row["confidence"] or 0)
                   for row in scores["calibration"]["bins"])  # fmt: skip
        first = rows["probabilities"].str[0].astype(float)
        assert sure / len(rows) == pytest.approx(100 * first.mean(), abs=0.01)


def test_metrics_stand_beside_ceiling_and_blind_guesses(trained):
    for scores in Run(trained("1.e")).metrics.values():
        assert scores["questions"] == 72 and scores["images"] == 24
        assert scores["top1"]["low"] <= scores["top1"]["value"] <= scores["top1"]["high"]
        assert scores["vqa"]["value"] is not None
        assert scores["ceiling"]["top1"] <= 100
        assert "most frequent per question" in scores["baselines"]


def test_a_model_sees_more_than_a_blind_guesser(ready, tmp_path):
    # The whole path, from pixels to the score on images never seen, carries a signal.
    run = conduct(ready("1.e", epochs=15), tmp_path / "run")
    blind = run.metrics["test"]["baselines"]["most frequent per question"]["top1"]
    assert run.metrics["test"]["top1"]["value"] > blind + 10


def test_the_model_of_the_best_epoch_is_the_one_kept(ready, tmp_path, monkeypatch):
    accuracies = iter([10.0, 30.0, 30.0])
    states = []

    def fit(self, *_):
        for epoch, accuracy in enumerate(accuracies, start=1):
            with torch.no_grad():
                self.model.classifier.layers[0].bias.fill_(epoch)
            self.epoch = epoch
            states.append(epoch)
            yield conducting.Epoch(epoch, 1.0, 1.0, 1.0, accuracy, None, 0.1, 0.5)

    monkeypatch.setattr(conducting.Trainer, "fit", fit)
    run = conduct(ready("Question_Only"), tmp_path / "run")
    assert states == [1, 2, 3]
    kept = load_file(run.folder / "model.safetensors")["classifier.layers.0.bias"]
    assert kept.unique().tolist() == [2.0]
    assert run.timing["train_s"] == 1.5
    assert run.timing["samples_per_s"] == pytest.approx(72 * 3 / 1.5)


def test_test_is_scored_once_and_not_looked_at_before(ready, tmp_path, monkeypatch):
    experiment = ready("Question_Only")
    seen = []
    watched = experiment.batches["test"]
    original = type(watched)._batches

    def made(self, *given, **more):
        for batch in original(self, *given, **more):
            if self is watched:
                seen.append((tmp_path / "run" / "history.csv").read_text(encoding="utf-8"))
            yield batch

    monkeypatch.setattr(type(watched), "_batches", made)
    run = conduct(experiment, tmp_path / "run")
    assert len(seen) == watched.count()  # each batch once, when every epoch was done
    assert set(seen) == {(run.folder / "history.csv").read_text(encoding="utf-8")}


# Interrupted ----------------------------------------------------------------------------------


class Interrupted(BaseException):
    """As a kill: nothing in the package may catch it."""


def interrupt(monkeypatch, name: str, at: int) -> None:
    """Stop the run where `name` is called for the `at`-th time, before it does its work."""
    original, calls = getattr(conducting, name), []

    def stop(*arguments, **named):
        calls.append(1)
        if len(calls) == at:
            raise Interrupted
        return original(*arguments, **named)

    monkeypatch.setattr(conducting, name, stop)


@pytest.mark.parametrize(
    ("preset", "name", "at"),
    [
        ("1.e", "_record_events", 1),  # after the first checkpoint
        ("1.e", "save_checkpoint", 2),  # the second epoch is trained and its model kept
        ("1.e", "save_model", 1),  # nothing is kept yet
        ("1.e", "write_history", 3),
        ("1.e", "write_predictions", 1),  # while measuring
        ("1.e", "mark_done", 1),
        ("Question_Only", "_record_events", 2),
        ("Original_VQA2015_ResNet", "_record_events", 1),  # the LSTM carries its state
        ("Original_VQA2015_ResNet", "save_checkpoint", 3),
        ("GloVe_ResNet", "_record_events", 2),
        ("Bag_Of_Words", "save_checkpoint", 2),
    ],
)
def test_an_interrupted_run_ends_in_the_same_bytes(
    ready, trained, tmp_path, monkeypatch, preset, name, at
):
    whole = trained(preset)
    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        interrupt(patch, name, at)
        with pytest.raises(Interrupted):
            conduct(ready(preset), out)
    assert not Run(out).finished
    torch.manual_seed(99)  # the second process has other random numbers behind it
    conduct(ready(preset), out)
    assert contents(out) == contents(whole)
    assert not (out / CHECKPOINT).exists()


@pytest.mark.parametrize("trained_part", ["last block", "all"])
def test_a_network_that_learns_in_the_loop_resumes_too(ready, tmp_path, monkeypatch, trained_part):
    images = Images("resnet18", in_loop=True, trained=trained_part)
    preset = dataclasses.replace(find_preset("1.fC"), images=images)
    small = write_dataset(tmp_path / "d", images=6)
    whole = conduct(ready(preset, small, epochs=2), tmp_path / "whole").folder
    with monkeypatch.context() as patch:
        interrupt(patch, "_record_events", 1)
        with pytest.raises(Interrupted):
            conduct(ready(preset, small, epochs=2), tmp_path / "run")
    conduct(ready(preset, small, epochs=2), tmp_path / "run")
    assert contents(tmp_path / "run") == contents(whole)


def fine_tuned(ready, data, **changes):
    """1.fC on a smaller network, with all that fine-tuning offers."""
    images = Images("resnet18", in_loop=True, trained="last block")
    preset = dataclasses.replace(find_preset("1.fC"), images=images)
    how = Augmentation(flip=True, crop=0.3, jitter=0.2)
    chosen = dict(vision_rate=1e-4, accumulate=2, augmentation=how, recompute=True, epochs=2)
    return ready(preset, data, **{**chosen, **changes})


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("small") / "d", images=6)


def test_a_fine_tuned_run_resumes_in_the_same_bytes(ready, small, tmp_path, monkeypatch):
    whole = conduct(fine_tuned(ready, small), tmp_path / "whole")
    training = whole.config["training"]
    assert training["augmentation"] == {"flip": True, "crop": 0.3, "jitter": 0.2}
    assert (training["accumulate"], training["vision_rate"]) == (2, 1e-4)
    with monkeypatch.context() as patch:
        interrupt(patch, "_record_events", 1)
        with pytest.raises(Interrupted):
            conduct(fine_tuned(ready, small), tmp_path / "run")
    conduct(fine_tuned(ready, small), tmp_path / "run")
    assert contents(tmp_path / "run") == contents(whole.folder)
    # Memory alone: the run that kept its activations is the same one.
    conduct(fine_tuned(ready, small, recompute=False), tmp_path / "kept")
    assert contents(tmp_path / "kept") == contents(whole.folder)


def test_what_is_frozen_stays_as_it_was_and_the_rest_learns(ready, small, tmp_path):
    experiment = fine_tuned(ready, small, epochs=1)
    before = {name: value.clone() for name, value in experiment.model.state_dict().items()}
    conduct(experiment, tmp_path / "run")
    after = load_file(tmp_path / "run" / "model.safetensors")
    assert after.keys() == before.keys()
    vision = "vision.0.network."
    frozen = [name for name in after if name.startswith(vision) and "layer4" not in name]
    assert any(name.endswith("running_mean") for name in frozen)
    assert any(name.endswith("bn1.weight") for name in frozen)  # AdamW would make it decay
    for name in frozen:
        assert torch.equal(after[name], before[name]), name
    for name in after.keys() - set(frozen):
        if not name.startswith("vision.1."):  # the normaliser learns nothing
            assert not torch.equal(after[name], before[name]), name


def test_a_finished_run_of_before_there_was_fine_tuning_is_returned(trained, ready, tmp_path):
    old = tmp_path / "run"
    shutil.copytree(trained("1.e"), old)
    config = json.loads((old / "config.json").read_text(encoding="utf-8"))
    for name in ("accumulate", "vision_rate", "augmentation"):
        del config["training"][name]
    write_json(old / "config.json", config)
    mark_done(old)
    before = changed_at(old)
    conduct(ready("1.e"), old, set_aside=False)
    assert changed_at(old) == before
    with pytest.raises(InputError, match="another training"):
        conduct(ready("1.e", accumulate=2), old, set_aside=False)


def test_a_resumed_run_trains_only_what_is_left(ready, tmp_path, monkeypatch, caplog):
    with monkeypatch.context() as patch:
        interrupt(patch, "_record_events", 2)
        with pytest.raises(Interrupted):
            conduct(ready("Question_Only"), tmp_path / "run")
    with caplog.at_level(logging.INFO):
        conduct(ready("Question_Only"), tmp_path / "run")
    assert "goes on after epoch 2" in caplog.text
    assert [m[:9] for m in caplog.messages if m.startswith("epoch ")] == ["epoch 3/3"]


def test_a_damaged_checkpoint_starts_again_with_a_warning(
    ready, trained, tmp_path, monkeypatch, caplog
):
    with monkeypatch.context() as patch:
        interrupt(patch, "_record_events", 2)
        with pytest.raises(Interrupted):
            conduct(ready("Question_Only"), tmp_path / "run")
    checkpoint = tmp_path / "run" / CHECKPOINT
    checkpoint.write_bytes(checkpoint.read_bytes()[:-1000])
    with caplog.at_level(logging.WARNING):
        conduct(ready("Question_Only"), tmp_path / "run")
    assert "is damaged" in caplog.text
    assert contents(tmp_path / "run") == contents(trained("Question_Only"))


@pytest.mark.parametrize("change", [{"epochs": 4}, {"seed": 1}])
def test_other_settings_do_not_go_on_from_a_checkpoint(
    ready, tmp_path, monkeypatch, caplog, change
):
    with monkeypatch.context() as patch:
        interrupt(patch, "_record_events", 2)
        with pytest.raises(Interrupted):
            conduct(ready("Question_Only"), tmp_path / "run")
    with caplog.at_level(logging.INFO):
        conduct(ready("Question_Only", **change), tmp_path / "run")
    assert "the settings have changed; the run starts again" in caplog.text
    fresh = conduct(ready("Question_Only", **change), tmp_path / "fresh")
    assert contents(tmp_path / "run") == contents(fresh.folder)


# Finished -------------------------------------------------------------------------------------


def test_a_finished_run_is_not_computed_again(ready, tmp_path, trained, monkeypatch):
    folder = shutil.copytree(trained("Question_Only"), tmp_path / "run")
    before = changed_at(folder)
    monkeypatch.setattr(conducting, "Trainer", None)  # nothing may train
    assert conduct(ready("Question_Only"), folder).finished
    assert changed_at(folder) == before


def test_a_finished_run_from_before_there_were_losses_is_kept(ready, tmp_path, trained):
    folder = shutil.copytree(trained("Question_Only"), tmp_path / "run")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    del config["loss"]
    write_json(folder / "config.json", config)
    (folder / "DONE").write_text("done\n")  # nor were there sums
    before = changed_at(folder)
    conduct(ready("Question_Only", loss="cross entropy"), folder, set_aside=False)
    assert changed_at(folder) == before
    with pytest.raises(InputError, match="another preset .*soft-cross-entropy"):
        conduct(ready("Question_Only", loss="soft cross entropy"), folder, set_aside=False)


@pytest.mark.parametrize("loss", ["weighted cross entropy", "binary cross entropy"])
def test_an_interrupted_run_of_another_loss_resumes_too(ready, tmp_path, monkeypatch, loss):
    whole = conduct(ready("Question_Only", loss=loss), tmp_path / "whole").folder
    with monkeypatch.context() as patch:
        interrupt(patch, "_record_events", 2)
        with pytest.raises(Interrupted):
            conduct(ready("Question_Only", loss=loss), tmp_path / "run")
    conduct(ready("Question_Only", loss=loss), tmp_path / "run")
    assert contents(tmp_path / "run") == contents(whole)


@pytest.mark.parametrize(("change", "field"), [({"epochs": 5}, "epochs"), ({"seed": 3}, "seed")])
def test_a_finished_run_with_other_settings_is_refused(ready, trained, change, field):
    folder = trained("Question_Only")
    before = changed_at(folder)
    with pytest.raises(InputError, match=f"finished run with another {field} .*choose another"):
        conduct(ready("Question_Only", **change), folder, set_aside=False)
    assert changed_at(folder) == before


def test_a_finished_run_on_other_data_or_of_another_preset_is_refused(ready, trained, tmp_path):
    other = write_dataset(tmp_path / "tiny", images=24, seed=1)
    with pytest.raises(InputError, match="another data_sha256"):
        conduct(ready("Question_Only", other), trained("Question_Only"), set_aside=False)
    with pytest.raises(InputError, match="another preset .*Question_Only"):
        conduct(ready("1.e"), trained("Question_Only"), set_aside=False)


def test_a_run_with_other_settings_is_set_aside_for_the_new_one(ready, tmp_path):
    folder = tmp_path / "runs" / "tiny" / "Question_Only" / "0"
    assert conduct(ready("Question_Only", epochs=1), folder).config["epochs"] == 1
    kept = (folder / "model.safetensors").read_bytes()
    new = conduct(ready("Question_Only", epochs=2), folder)
    assert new.config["epochs"] == 2
    assert (folder.with_name("0.1") / "model.safetensors").read_bytes() == kept
    assert [run.folder for run in find_runs(tmp_path / "runs")] == [folder]
    # The lock stays where it was: else a third process would lock another file than the second.
    assert {path.name for path in folder.parent.iterdir()} == {".0.lock", "0", "0.1"}


def test_seeds_give_different_models(ready, trained, tmp_path):
    conduct(ready("Question_Only", seed=1), tmp_path / "1")
    name = "model.safetensors"
    assert (tmp_path / "1" / name).read_bytes() != (trained("Question_Only") / name).read_bytes()


# Odd data -------------------------------------------------------------------------------------


def test_an_answerless_test_split_is_predicted_and_not_scored(ready, tmp_path):
    data = write_dataset(tmp_path / "d", images=6)
    (data / "annotations_test.json").unlink()
    run = conduct(ready("1.e", data, epochs=1), tmp_path / "run")
    assert list(run.metrics) == ["validation"]
    given = json.loads((run.folder / "results_test.json").read_text(encoding="utf-8"))
    asked = json.loads((data / "questions_test.json").read_text(encoding="utf-8"))["questions"]
    assert [row["question_id"] for row in given] == [row["question_id"] for row in asked]
    known = set(json.loads((run.folder / "vocabulary.json").read_text("utf-8"))["answers"])
    assert {row["answer"] for row in given} <= known
    rows = run.predictions[run.predictions["split"] == "test"]
    assert len(rows) == 18 and rows["truth"].tolist() == [None] * 18


def test_single_answers_leave_vqa_accuracy_undefined(ready, tmp_path):
    data = write_dataset(tmp_path / "d", images=6, answers_per_question=1)
    run = conduct(ready("Question_Only", data, epochs=1), tmp_path / "run")
    for scores in run.metrics.values():
        assert scores["vqa"] is None and scores["ceiling"]["vqa"] is None
        assert {row["vqa"] for row in scores["per_answer_type"].values()} == {None}
        assert scores["top1"]["value"] is not None
    assert run.history["validation_vqa"].isna().all()
    assert ",,0.001\n" in (run.folder / "history.csv").read_text(encoding="utf-8")


@pytest.mark.parametrize("preset", ["Question_Only", "1.e", "Improved_VQA2015_ResNet"])
def test_one_answer_three_images_one_epoch(ready, tmp_path, preset):
    # Three images in all, cut by image; fewer questions than a batch; one answer to choose from.
    data = write_dataset(tmp_path / "d", images=3, splits=("train",))
    path = data / "annotations_train.json"
    annotations = json.loads(path.read_text(encoding="utf-8"))
    for annotation in annotations["annotations"]:
        annotation["multiple_choice_answer"] = "so ♥"
        annotation["answers"] = [{"answer": "so ♥"}] * 10
    write_json(path, annotations)
    run = conduct(ready(preset, data, epochs=1), tmp_path / "run")
    assert {split: scores["questions"] for split, scores in run.metrics.items()} == {
        "validation": 3, "test": 3,
    }  # fmt: skip
    assert run.metrics["test"]["top1"]["value"] == 100.0
    assert run.predictions["answers"].tolist() == [["so ♥"]] * 6
    assert run.predictions["probabilities"].tolist() == [[1.0]] * 6


def test_validation_without_any_known_answer(ready, tmp_path):
    data = write_dataset(tmp_path / "d", images=4)
    path = data / "annotations_val.json"
    annotations = json.loads(path.read_text(encoding="utf-8"))
    for annotation in annotations["annotations"]:
        annotation["multiple_choice_answer"] = "never heard of"
    write_json(path, annotations)
    run = conduct(ready("Question_Only", data, epochs=2), tmp_path / "run")
    assert run.history["validation_loss"].isna().all()
    assert run.history["validation_top1"].tolist() == [0.0, 0.0]
    assert run.metrics["validation"]["ceiling"]["top1"] == 0.0


def test_question_only_runs_without_images(ready, tmp_path):
    data = write_dataset(tmp_path / "d", images=4)
    shutil.rmtree(data / "images")
    run = conduct(ready("Question_Only", data, epochs=1), tmp_path / "run")
    assert run.timing["features_s"] is None
    assert isinstance(run.predictions, pd.DataFrame) and len(run.predictions) == 24


def test_a_run_leaves_nothing_half_written(trained):
    assert [path.name for path in trained("1.e").rglob("*.partial*")] == []


def test_training_that_diverges_is_refused_after_the_epoch(ready, tmp_path):
    experiment = ready("1.c")
    with torch.no_grad():
        for weights in experiment.model.parameters():
            weights.fill_(float("nan"))
    with pytest.raises(InputError, match="has diverged: the loss of epoch 1 is not finite"):
        conduct(experiment, tmp_path / "run")
    assert not (tmp_path / "run" / CHECKPOINT).exists()


def test_a_checkpoint_left_at_the_very_end_goes(ready, trained, tmp_path):
    folder = shutil.copytree(trained("1.e"), tmp_path / "run")
    (folder / CHECKPOINT).write_bytes(b"of a run that was killed after it was done")
    conduct(ready("1.e"), folder)
    assert not (folder / CHECKPOINT).exists()
