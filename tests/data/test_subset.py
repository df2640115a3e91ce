"""Datasets of several sizes that are measured on the same questions."""

import dataclasses
from functools import partial

import pandas as pd
import pytest

from tests.builders import write_dataset
from vqa_helpers.data.folder import read_folder
from vqa_helpers.data.subset import cuts, keep_train, nested, sizes
from vqa_helpers.errors import InputError


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return read_folder(write_dataset(tmp_path_factory.mktemp("data") / "mine", images=30))


def test_fewer_train_questions_and_the_same_held_out_ones(source):
    small = keep_train(source, 20)
    assert small.name == "mine-20"
    assert len(small.splits["train"]) == 20
    assert small.splits["test"] is source.splits["test"]
    assert small.sha256() != source.sha256()
    assert "20 of 90 train questions drawn, seed 0" in small.notes
    assert len(source.splits["train"]) == 90, "the source is left alone"


def test_smaller_draws_lie_within_larger_ones_and_seeds_differ(source):
    ids = [set(keep_train(source, n, seed=3).splits["train"]["question_id"]) for n in (10, 40, 90)]
    assert ids[0] < ids[1] < ids[2]
    assert ids[0] != set(keep_train(source, 10, seed=4).splits["train"]["question_id"])


@pytest.mark.parametrize("questions", [1, 91])
def test_what_cannot_be_drawn_is_refused(source, questions):
    with pytest.raises(InputError, match="use 2 to 90"):
        keep_train(source, questions)


@pytest.mark.parametrize(
    ("total", "expected"),
    [
        (91_134, [100, 300, 1000, 3000, 10_000, 30_000, 91_134]),
        (3600, [100, 300, 1000, 3600]),
        (120, [60, 120]),
        (150, [100, 150]),
        (3, [2, 3]),
    ],
)
def test_the_sizes_of_a_learning_curve(total, expected):
    assert sizes(total) == expected


def test_a_c_and_d_share_their_held_out_questions(source):
    made = nested(source)
    assert [len(made[name].splits["train"]) for name in "ACD"] == sorted(
        len(made[name].splits["train"]) for name in "ACD"
    )
    assert made["A"].name == "mine-A-of-D" and made["D"].name == "mine-D"
    numbers = {str(number) for number in range(1, 21)}
    for dataset in made.values():
        pd.testing.assert_frame_equal(dataset.splits["test"], made["D"].splits["test"])
        assert set(dataset.splits["train"]["answer"]) <= numbers
    part = made["A"].splits["train"]["question_id"]
    assert set(part) < set(made["C"].splits["train"]["question_id"])


def test_a_large_source_gives_the_sizes_of_the_study(source):
    table = pd.concat([source.splits["train"]] * 1000, ignore_index=True)
    table = table.assign(question_id=range(len(table)), answer="7")
    table["image_id"] = table["question_id"] // 3
    large = dataclasses.replace(source, splits={"train": table})
    made = nested(large)
    counts = {name: len(dataset.splits["train"]) for name, dataset in made.items()}
    assert counts["A"] == 75
    # Whole images are cut, of which some bring more questions than others.
    assert counts["D"] == pytest.approx(7500, rel=0.02)
    assert counts["C"] == counts["D"] // 2


def only(source, kind: str):
    """The source with the questions of one answer type alone."""
    splits = {
        split: table[table["answer_type"] == kind].reset_index(drop=True)
        for split, table in source.splits.items()
    }
    return dataclasses.replace(source, splits=splits)


@pytest.mark.parametrize("kind", ["yes/no", "other"])
def test_without_numbers_any_answer_qualifies(source, kind):
    made = nested(only(source, kind))
    assert list(made) == ["A-open", "C-open", "D-open"]
    assert [dataset.name for dataset in made.values()] == [
        "mine-A-of-D-open", "mine-C-of-D-open", "mine-D-open",
    ]  # fmt: skip
    for dataset in made.values():
        assert set(dataset.splits["train"]["answer_type"]) == {kind}
        assert "numbers 1-20" in dataset.notes[0]
        assert dataset.notes[1].endswith(", but with open answers")


@pytest.mark.parametrize("make", [nested, partial(cuts, names="DE")])
def test_too_few_images_whatever_the_answers(source, make):
    split = {"train": source.splits["train"].iloc[:1]}
    with pytest.raises(
        InputError, match=r"too few questions .*\(open answers\), 1; .* three images"
    ):
        make(dataclasses.replace(source, splits=split))


def test_what_cannot_be_cut_is_said_and_the_rest_is_cut(source):
    made, problems = cuts(only(source, "number"), "DE")
    assert list(made) == ["D"]
    assert len(problems) == 1 and "yes/no" in problems[0]
    made, problems = cuts(source, "DE")
    assert list(made) == ["D", "E"] and problems == []


def test_where_none_can_be_cut_any_answer_qualifies(source):
    made, problems = cuts(only(source, "other"), "DE")
    assert list(made) == ["D-open"] and made["D-open"].name == "mine-D-open"
    assert set(made["D-open"].splits["train"]["answer_type"]) == {"other"}
    assert made["D-open"].notes[0].endswith(", but with open answers")  # why is told by problems
    assert ["numbers 1-20" in problems[0], "yes/no" in problems[1]] == [True, True]
