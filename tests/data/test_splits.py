"""Splits that share no image."""

import pandas as pd
import pytest

from vqa_helpers.data.splits import arrange, cut_by_image, keep_apart
from vqa_helpers.errors import InputError


def table(*image_ids, first=0):
    ids = range(first, first + len(image_ids))
    return pd.DataFrame({"question_id": ids, "image_id": list(image_ids), "answer": "yes"})


def test_a_share_of_the_images_is_cut_off_in_order():
    every = table(*[image for image in range(20) for _ in range(3)])
    stay, go = cut_by_image(every, 0.1, seed=0, name="test")
    assert go["image_id"].nunique() == 2 and len(go) == 6 and len(stay) == 54
    assert not set(stay["image_id"]) & set(go["image_id"])
    assert stay["question_id"].is_monotonic_increasing and go["question_id"].is_monotonic_increasing
    assert stay.index.tolist() == list(range(54)) and go.index.tolist() == list(range(6))


def test_at_least_one_image_is_cut_and_one_stays():
    stay, go = cut_by_image(table(5, 6), 0.1, seed=0, name="test")
    assert len(stay) == len(go) == 1
    with pytest.raises(InputError, match="the validation split cannot be cut .* of 1 image"):
        cut_by_image(table(5, 5, 5), 0.1, seed=0, name="validation")


def test_the_earlier_split_loses_what_a_later_one_holds(tmp_path):
    splits = {
        "test": table(3, 4, first=200),
        "train": table(1, 2, 2, 3, 5),
        "validation": table(2, 4, 6, first=100),
    }
    assert arrange(tmp_path, dict(splits), "study", seed=0) == []  # by row: they may share images
    notes = keep_apart(splits)
    assert splits["train"]["image_id"].tolist() == [1, 5]
    assert splits["train"].index.tolist() == [0, 1]
    assert splits["validation"]["image_id"].tolist() == [2, 6]
    assert splits["test"]["image_id"].tolist() == [3, 4]
    assert notes == [
        "2 train questions about 1 images that validation holds too were left out of train",
        "1 train questions about 1 images that test holds too were left out of train",
        "1 validation questions about 1 images that test holds too were left out of validation",
    ]
    assert keep_apart(splits) == []


def test_a_split_that_would_be_emptied_is_an_error():
    with pytest.raises(InputError, match="every image of the train split .* test split"):
        keep_apart({"train": table(1, 1), "test": table(1, 2)})
