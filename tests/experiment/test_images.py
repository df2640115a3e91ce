"""What a model sees: stored features and their statistics; images that are missing or unreadable."""

import logging
import shutil

import numpy as np
import pytest
import torch

from tests.builders import write_dataset
from vqa_helpers.errors import InputError


def test_a_feature_row_is_that_of_its_image(ready):
    experiment = ready("1.e")
    batches, table = experiment.batches["test"], experiment.dataset.splits["test"]
    ids = experiment.dataset.image_ids()
    assert ids[batches.image_row.numpy()].tolist() == table["image_id"].tolist()
    assert batches.images.features.shape == (72, 512)
    assert batches.images is experiment.batches["train"].images


def test_statistics_come_from_train_images_alone(ready):
    experiment = ready("1.e")
    ids = experiment.dataset.image_ids()
    train = np.isin(ids, experiment.dataset.splits["train"]["image_id"])
    features = experiment.batches["train"].images.features.float()
    assert 0 < train.sum() < len(ids)
    torch.testing.assert_close(experiment.model.vision.mean, features[train].mean(0))
    std = features[train].std(0, correction=0)
    constant = std < 1e-6  # which carries nothing and is left as it is
    torch.testing.assert_close(experiment.model.vision.std, std.where(~constant, torch.ones(512)))


@pytest.mark.parametrize(("preset", "standardised"), [("1.e", True), ("1.fC", False)])
def test_standardised_is_said_only_where_it_is_so(ready, preset, standardised):
    experiment = ready(preset)
    normaliser = experiment.model.vision if preset == "1.e" else experiment.model.vision[1]
    assert experiment.config()["standardised"] is standardised
    assert bool((normaliser.std != 1).any()) == standardised


def test_an_image_store_is_filled_once(ready, tmp_path):
    first, second = (ready("1.e", features=tmp_path) for _ in range(2))
    assert (tmp_path / "tiny" / "resnet18-random-32" / "manifest.json").is_file()
    features = [e.batches["train"].images.features for e in (first, second)]
    assert torch.equal(*features)
    assert second.seen.seconds < first.seen.seconds


def test_no_images_names_the_preset_that_needs_none(ready, tmp_path):
    data = write_dataset(tmp_path / "text", images=4)
    shutil.rmtree(data / "images")
    for preset in ("1.e", "Model100"):
        with pytest.raises(InputError, match="has no images.*Question_Only"):
            ready(preset, data)
    assert len(ready("Question_Only", data).batches["train"]) == 12


def test_a_few_missing_images_are_named_and_survived(ready, tmp_path, caplog):
    data = write_dataset(tmp_path / "d", images=8)
    (data / "images" / f"{1003:012d}.png").unlink()
    with caplog.at_level(logging.WARNING):
        experiment = ready("1.e", data)
    assert "no file for 1 of 24 images (1003)" in caplog.text
    row = experiment.dataset.image_ids().tolist().index(1003)
    assert not experiment.batches["validation"].images.features[row].any()
    assert len(experiment.batches["validation"]) == 24


@pytest.mark.parametrize("preset", ["1.e", "Model100"])
def test_many_missing_images_are_refused(ready, tmp_path, preset):
    data = write_dataset(tmp_path / "d", images=8)
    for image_id in (1, 2, 1003):
        (data / "images" / f"{image_id:012d}.png").unlink()
    with pytest.raises(InputError, match=r"no file for 3 of 24 images \(1, 2, 1003\)"):
        ready(preset, data)


def test_many_unreadable_images_are_refused(ready, tmp_path):
    data = write_dataset(tmp_path / "d", images=8)
    for image_id in (1, 2, 1003):
        (data / "images" / f"{image_id:012d}.png").write_bytes(b"not a picture")
    with pytest.raises(InputError, match=r"3 of 24 images cannot be read.*0001\.png"):
        ready("1.e", data, features=tmp_path / "features")


def test_weights_that_are_not_there_are_refused(ready, tmp_path):
    with pytest.raises(InputError, match="is no weights file"):
        ready("1.e", weights=str(tmp_path / "net.pth"))


def test_weights_of_another_network_are_refused(ready, tmp_path):
    torch.save({"layer.weight": torch.zeros(3)}, tmp_path / "net.pth")
    with pytest.raises(InputError, match=r"net\.pth: does not fit resnet18") as error:
        ready("1.e", weights=str(tmp_path / "net.pth"), features=tmp_path / "features")
    assert "\n" not in str(error.value)
