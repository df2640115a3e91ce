"""Splits that share no image."""

import pandas as pd
import pytest

from vqa_helpers.data.splits import cut_by_image, keep_apart
from vqa_helpers.errors import InputError


def table(*image_ids, first=0):
    return pd.DataFrame(
        {"question_id": range(first, first + len(image_ids)), "image_id": list(image_ids)}
    )


def test_a_share_of_the_images_is_cut_whole_and_in_order():
    whole = table(*[image for image in range(20) for _ in range(3)])
    stay, go = cut_by_image(whole, 0.1, seed=0, name="test")
    assert go["image_id"].nunique() == 2 and len(go) == 6 and len(stay) == 54
    assert not set(stay["image_id"]) & set(go["image_id"])
    assert stay["question_id"].is_monotonic_increasing and go["question_id"].is_monotonic_increasing
    assert stay.index.tolist() == list(range(54)) and go.index.tolist() == list(range(6))


def test_the_seed_decides():
    whole = table(*range(50))
    cut = [cut_by_image(whole, 0.2, seed, "test")[1]["image_id"].tolist() for seed in (1, 1, 2)]
    assert cut[0] == cut[1] != cut[2]


def test_at_least_one_image_is_cut():
    stay, go = cut_by_image(table(5, 6), 0.1, seed=0, name="test")
    assert len(stay) == len(go) == 1


def test_one_image_cannot_be_cut():
    with pytest.raises(InputError, match="the validation split cannot be cut .* of 1 image"):
        cut_by_image(table(5, 5, 5), 0.1, seed=0, name="validation")


def test_the_earlier_split_loses_what_a_later_one_holds():
    splits = {
        "test": table(3, 4, first=200),
        "train": table(1, 2, 2, 3, 5),
        "validation": table(2, 4, 6, first=100),
    }
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


def test_splits_apart_are_left_alone():
    splits = {"train": table(1, 2), "test": table(3)}
    assert keep_apart(splits) == [] and len(splits["train"]) == 2


def test_a_split_that_would_be_emptied_is_an_error():
    with pytest.raises(InputError, match="every image of the train split .* test split"):
        keep_apart({"train": table(1, 1), "test": table(1, 2)})
