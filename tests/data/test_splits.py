"""Splits that share no image."""

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import GroupShuffleSplit

from tests.data.making import refusal
from vqa_helpers.data.pairs import Pairs
from vqa_helpers.data.splits import arrange, cut_by_image, cut_from_train, keep_apart


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
    line = refusal(cut_by_image, table(5, 5, 5), 0.1, seed=0, name="validation")
    assert line.startswith("the validation split cannot be cut") and "of 1 image; add" in line


def test_without_pairs_the_images_are_those_of_a_group_shuffle():
    every = table(*np.random.default_rng(0).integers(0, 500, 2000).tolist())
    for seed in (0, 7):
        splitter = GroupShuffleSplit(n_splits=1, test_size=49, random_state=seed)
        _, rows = next(splitter.split(every, groups=every["image_id"]))
        images = every["image_id"].nunique()
        _, go = cut_by_image(every, 49 / images, seed, "test")
        assert go["question_id"].tolist() == sorted(rows)


def paired(images, joined):
    """Two questions an image; `joined` lists (image, image): second of one, first of the other."""
    every = table(*[image for image in range(images) for _ in range(2)])
    every["answer"] = ["no", "yes"] * images
    return every, Pairs(np.array([(2 * one + 1, 2 * other) for one, other in joined]), "as told")


@pytest.mark.parametrize("seed", range(5))
def test_what_pairs_join_is_cut_together(tmp_path, seed):
    joined = [(n, n + 1) for n in range(0, 300, 3)] + [(n + 1, n + 2) for n in range(0, 150, 3)]
    every, pairs = paired(600, joined)  # fifty of three images, fifty of two, the others alone
    stay, go = cut_by_image(every, 0.1, seed, "test", pairs)
    assert go["image_id"].nunique() == 60 and len(stay) + len(go) == len(every)
    assert pairs.count([stay, go]) == (150, 0)
    assert go["question_id"].is_monotonic_increasing and go.index.tolist() == list(range(120))
    splits = {"train": every}
    first, second = arrange(tmp_path, splits, "by-image", seed, pairs)
    assert pairs.count(splits.values()) == (150, 0)
    rest, _ = pairs.count([splits["train"], splits["test"]])
    assert first.endswith(f"questions, seed {seed}; 150 balanced pairs kept together (as told)")
    assert second.endswith(f"questions, seed {seed}; {rest} balanced pairs kept together (as told)")


def test_a_group_larger_than_the_cut_loses_the_halves_that_stay():
    every, pairs = paired(400, [(n, (n + 1) % 300) for n in range(300)])  # a ring, and 100 alone
    splits = {"train": every}
    note = cut_from_train(splits, "test", 0.1, 0, pairs)
    stay, go = splits.values()
    assert go["image_id"].nunique() == 40 and 20 < go["image_id"].lt(300).sum() / 2 < 40
    assert pairs.count([stay, go])[1] == 0
    lost = every[~every["question_id"].isin([*stay["question_id"], *go["question_id"]])]
    twins = dict(pairs.ids.tolist()) | dict(pairs.ids[:, ::-1].tolist())
    assert lost["question_id"].map(twins).isin(go["question_id"]).all() and len(lost) > 40
    assert f"; {len(lost)} questions whose other half was cut off were left out: their" in note
    pair = Pairs(np.array([[0, 1]]))
    line = refusal(cut_by_image, table(1, 2).assign(answer=["yes", "no"]), 0.1, 0, "test", pair)
    assert "every train question has its other half in it; add" in line


def test_the_earlier_split_loses_what_a_later_one_holds(tmp_path):
    splits = {"test": table(3, 4, first=200), "train": table(1, 2, 2, 3, 5)}
    splits["validation"] = table(2, 4, 6, first=100)
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
    line = refusal(keep_apart, {"train": table(1, 1), "test": table(1, 2)})
    assert line.startswith("every image of the train split stands in the test split too")
