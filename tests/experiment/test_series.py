"""Several presets on several datasets with several seeds."""

import dataclasses
import logging

import pytest

from vqa_helpers.data.folder import read_folder
from vqa_helpers.data.subset import keep_train
from vqa_helpers.experiment.series import at_sizes, features_stored, train_series, train_trial
from vqa_helpers.model.presets import find_preset
from vqa_helpers.runs import find_runs


@pytest.fixture(scope="module")
def dataset(folder):
    return read_folder(folder)


@pytest.fixture(scope="module")
def series(dataset, options, tmp_path_factory):
    """The trials of two presets on two datasets, and where they lie."""
    root = tmp_path_factory.mktemp("series")
    datasets = {"few": keep_train(dataset, 30), "all": dataset}
    presets = [find_preset("1.b"), find_preset("1.e")]
    options = dataclasses.replace(options, epochs=1)
    return train_series(presets, datasets, options, (0, 1), root), root


def test_every_preset_on_every_dataset_with_every_seed(series):
    trials, root = series
    assert [str(trial) for trial in trials] == [
        "1.b on few", "1.e on few", "1.b on all", "1.e on all"
    ]  # fmt: skip
    assert [trial.train_questions for trial in trials] == [30, 30, 72, 72]
    assert all([run.config["seed"] for run in trial.runs] == [0, 1] for trial in trials)
    assert {run.folder for trial in trials for run in trial.runs} == {
        run.folder for run in find_runs(root)
    }


def test_what_is_trained_is_found_again(series, dataset, options):
    trials, root = series
    before = (trials[3].runs[0].folder / "DONE").stat().st_mtime_ns
    options = dataclasses.replace(options, epochs=1)
    again = train_trial("all", find_preset("1.e"), [dataset], options, [0], root)
    assert again.runs[0].folder == trials[3].runs[0].folder
    assert (again.runs[0].folder / "DONE").stat().st_mtime_ns == before


def test_a_line_a_run_and_none_an_epoch(dataset, options, tmp_path, caplog):
    caplog.set_level(logging.INFO, "vqa_helpers.experiment")
    options = dataclasses.replace(options, epochs=2)
    train_trial("all", find_preset("1.b"), [dataset], options, [7], tmp_path)
    assert "1.b on all, seed 7: validation top-1" in caplog.text
    assert "epoch 1/2" not in caplog.text
    assert logging.getLogger("vqa_helpers.experiment.conduct").level == logging.NOTSET


def test_a_draw_for_each_seed(dataset, options, tmp_path):
    draws = [keep_train(dataset, 20, seed) for seed in (0, 1)]
    options = dataclasses.replace(options, epochs=1)
    trial = train_trial("20", find_preset("1.b"), draws, options, (0, 1), tmp_path)
    hashes = [run.config["data_sha256"] for run in trial.runs]
    assert hashes == [draw.sha256() for draw in draws] and hashes[0] != hashes[1]


def test_a_loss_is_told_by_the_folder(dataset, options, tmp_path):
    options = dataclasses.replace(options, epochs=1, loss="weighted cross entropy")
    trial = train_trial("all", find_preset("1.b"), [dataset], options, [0], tmp_path)
    assert trial.preset == "1.b-weighted-cross-entropy"
    assert trial.runs[0].folder.parent.name == trial.preset


def test_frozen_features_can_be_stored_and_others_not():
    stored = features_stored(find_preset("Model100"))
    assert stored.name == "Model100-stored"
    assert not stored.images.in_loop and stored.images.encoder == "vgg16"
    assert stored.classifier == find_preset("Model100").classifier
    for name in ("1.f", "1.fC", "Question_Only"):
        with pytest.raises(ValueError, match="no frozen network"):
            features_stored(find_preset(name))


def test_image_sizes_are_relative_within_limits_and_named(dataset, options):
    preset = find_preset("1.e")
    at = at_sizes(preset, dataclasses.replace(options, image_size_px=64), dataset, (0.5, 1, 2))
    assert [(p.name, o.image_size_px) for p, o in at] == [
        ("1.e-32px", 32), ("1.e", 64), ("1.e-128px", 128)
    ]  # fmt: skip
    assert all(p.images == preset.images for p, _ in at)
    at = at_sizes(preset, options, dataset, (0.25, 0.5, 1))
    assert [(p.name, o.image_size_px) for p, o in at] == [("1.e", 32)]
    at = at_sizes(preset, dataclasses.replace(options, image_size_px=0), dataset, (1,))
    assert at[0][1].image_size_px == 64, "the default of random weights"
