"""What a user may choose, what "auto" means, and what is refused."""

import dataclasses

import pandas as pd
import pytest

from vqa_helpers.data.folder import Dataset
from vqa_helpers.errors import InputError
from vqa_helpers.experiment.options import Options
from vqa_helpers.model.config import Augmentation
from vqa_helpers.model.presets import PRESETS

PRESET = PRESETS["GUSE_VGG"]


def dataset(tmp_path, questions: int = 10, drawn: int | None = None) -> Dataset:
    splits = {"train": pd.DataFrame({"question_id": range(questions)})}
    return Dataset("mine", tmp_path, splits, {}, "mine", 0, drawn=drawn)


@pytest.mark.parametrize(
    ("source", "offline", "asked", "weights", "size_px"),
    [
        (None, False, "auto", "imagenet", 512),
        (None, True, "auto", "random", 64),
        (0, False, "auto", "random", 64),
        (0, False, "imagenet", "imagenet", 512),
        (None, True, "imagenet", "imagenet", 512),
        (None, False, "net.pth", "net.pth", 512),
        (None, False, "random", "random", 64),
    ],
)
def test_weights_and_size(tmp_path, source, offline, asked, weights, size_px):
    options = Options(weights=asked, offline=offline, device="cpu")
    resolved = options.resolved(dataset(tmp_path, drawn=source), PRESET)
    assert (resolved.weights, resolved.image_size_px) == (weights, size_px)
    assert resolved.offline == (offline or source is not None)


def test_a_size_that_is_named_stays(tmp_path):
    assert Options(image_size_px=224).resolved(dataset(tmp_path)).image_size_px == 224


@pytest.mark.parametrize("size_px", [-1, 1, 31, 2049, 10**9])
def test_a_size_beyond_reason_is_refused(tmp_path, size_px):
    with pytest.raises(InputError, match=f"image size {size_px} px: use 32 to 2048"):
        Options(image_size_px=size_px).resolved(dataset(tmp_path))


@pytest.mark.parametrize(
    ("questions", "asked", "schedule", "epochs"),
    [
        (19_999, "auto", "small", PRESET.small.epochs),
        (20_000, "auto", "study", 100),
        (10, "study", "study", 100),
        (20_000, "small", "small", PRESET.small.epochs),
    ],
)
def test_schedule_and_epochs(tmp_path, questions, asked, schedule, epochs):
    resolved = Options(schedule=asked).resolved(dataset(tmp_path, questions), PRESET)
    assert (resolved.schedule, resolved.epochs) == (schedule, epochs)


def test_epochs_that_are_named_stay(tmp_path):
    assert Options(epochs=1).resolved(dataset(tmp_path), PRESET).epochs == 1


def test_without_a_preset_there_is_no_schedule(tmp_path):
    resolved = Options().resolved(dataset(tmp_path))
    assert (resolved.schedule, resolved.epochs) == ("auto", 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": -1}, "-1 epochs: use 1 or more"),
        ({"schedule": "fast"}, "'fast': use study, small or auto"),
        ({"seed": -1}, "seed -1: use 0 to"),
        ({"seed": 2**32}, "seed 4294967296: use 0 to 4294967295"),
        ({"device": "gpu"}, "device 'gpu' cannot be used"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        Options(**change).resolved(dataset(tmp_path), PRESET)


def test_resolving_changes_nothing_that_was_decided(tmp_path):
    once = Options(device="cpu").resolved(dataset(tmp_path), PRESET)
    assert once.resolved(dataset(tmp_path), PRESET) == once
    assert dataclasses.asdict(Options()) == dataclasses.asdict(Options())


# Fine-tuning --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("preset", "chosen", "message"),
    [
        ("1.e", dict(augmentation=Augmentation(crop=0.2)), "1.e sees stored features"),
        ("Question_Only", dict(augmentation=Augmentation(flip=True)), "sees stored features"),
        ("Model100", dict(vision_rate=1e-4), "Model100 trains no part of its vision channel"),
        ("1.fB", dict(recompute=True), "1.fB trains no part"),
        ("1.f", dict(vision_rate=-1.0), "vision rate -1.0: use a number above 0"),
        ("1.f", dict(vision_rate=float("nan")), "vision rate nan"),
        ("1.f", dict(accumulate=-2), "a batch in -2 parts: use 1 or more"),
        ("1.f", dict(augmentation=Augmentation(crop=1.0)), "crop 1.0, jitter 0.0: use 0 to 0.9"),
        ("1.f", dict(augmentation=Augmentation(jitter=-0.1)), "jitter -0.1"),
    ],
)
def test_what_a_preset_cannot_follow_is_refused(tmp_path, preset, chosen, message):
    with pytest.raises(InputError, match=message):
        Options(**chosen).resolved(dataset(tmp_path), PRESETS[preset])


@pytest.mark.parametrize("preset", ["1.f", "1.fC"])
def test_what_was_chosen_takes_the_schedules_place(tmp_path, preset):
    how = Augmentation(crop=0.2)
    options = Options(vision_rate=1e-5, accumulate=4, augmentation=how, recompute=True)
    schedule = PRESETS[preset].schedule
    tuned = options.resolved(dataset(tmp_path), PRESETS[preset]).tuned(schedule)
    expected = dataclasses.replace(schedule, vision_rate=1e-5, accumulate=4, augmentation=how)
    assert tuned == expected
    assert Options().tuned(schedule) == schedule


def test_a_batch_in_parts_is_for_any_preset(tmp_path):
    assert Options(accumulate=2).resolved(dataset(tmp_path), PRESET).accumulate == 2


def test_a_precision_that_is_none_is_refused(tmp_path):
    with pytest.raises(InputError, match="precision 'half': use auto, float32, bfloat16"):
        Options(precision="half").resolved(dataset(tmp_path))
