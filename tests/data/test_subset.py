"""Datasets cut from larger ones, and several sizes measured on the same questions."""

import dataclasses
from functools import partial

import numpy as np
import pandas as pd
import pytest

from tests.builders import write_dataset
from tests.data.making import refusal
from vqa_helpers.data.catalogue import CUTS
from vqa_helpers.data.folder import Dataset, read_folder
from vqa_helpers.data.pairs import Pairs
from vqa_helpers.data.subset import cut, cut_or_open, cuts, keep_train, nested, sizes


def source_of(answers, per_image=2):
    """A dataset in memory, one row an answer, `per_image` rows an image, all in its train split."""
    rows = range(len(answers))
    table = pd.DataFrame({"question_id": rows, "image_id": [row // per_image for row in rows]})
    table = table.assign(question="q?", question_type="what", answer_type="other")
    table["answer"] = pd.Series(answers, dtype=object)
    table["answers"] = pd.Series([(answer,) for answer in answers], dtype=object)
    return Dataset("big", None, {"train": table}, {}, "big", seed=0)


def parts(dataset):
    return [dataset.splits[split] for split in ("train", "validation", "test")]


def lengths(dataset):
    return [len(table) for table in parts(dataset)]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return read_folder(write_dataset(tmp_path_factory.mktemp("data") / "mine", images=30))


# ---------------------------------------------------------------- by the study's rules


def test_the_rules_of_the_study():
    assert {name: (rule.answers, rule.questions) for name, rule in CUTS.items()} == {
        "A": ("numbers 1-20", 100), "B": ("numbers 1-20", 1_000), "C": ("numbers 1-20", 5_000),
        "D": ("numbers 1-20", 10_000), "E": ("yes/no", 10_000), "100k": ("open", None),
    }  # fmt: skip
    assert all(sum(rule.shares) == pytest.approx(1) for rule in CUTS.values())


def test_every_rule_takes_its_answers_and_nothing_else():
    odd = ["0", "21", "two", "2.5", "02", "yes", "1 cat", "-1", " 3"]
    numbers = [str(n) for n in range(1, 21)]
    expected = {"numbers 1-20": set(numbers), "yes/no": {"yes"}, "open": {*numbers, *odd}}
    for name, rule in CUTS.items():
        rows = pd.concat(parts(cut(source_of((numbers + odd) * 100), name)))
        assert set(rows["answer"]) == expected[rule.answers]


def test_questions_are_drawn_by_the_seed_and_a_small_source_says_so():
    made = [cut(source_of(["1"] * 500), "A", seed) for seed in (0, 0, 1)]
    first, again, other = (set(pd.concat(parts(dataset))["question_id"]) for dataset in made)
    assert first == again != other and len(first) == len(other) == 100
    assert max(first) > 250  # not merely the first ones
    rule = "cut from big by the rule of dataset B (reference study, dataset B)"
    scaled = "scaled: 60 questions qualify where the study has 1,000"
    assert cut(source_of(["1"] * 60), "B").notes == [rule, scaled]
    assert cut(source_of(["1"] * 1000), "B").notes == [rule]


def test_every_answered_split_of_the_source_is_used():
    source = source_of(["yes"] * 40)
    table = source.splits["train"]
    later = table.assign(question_id=table["question_id"] + 100, image_id=table["image_id"] + 100)
    source.splits["validation"] = later
    source.splits["test"] = table.drop(columns="answer").assign(image_id=999)  # answerless
    rows = pd.concat(parts(cut(source, "E")))
    assert len(rows) == 80 and 999 not in set(rows["image_id"])
    source.splits["validation"] = later.assign(question_id=table["question_id"])
    expected = "two splits have a question 0; give every question an id"
    assert expected in refusal(cut, source, "E")


@pytest.mark.parametrize(
    ("answer", "make", "message"),
    [
        ("red", partial(cut, name="E"), "E (yes/no answers), 0; it needs them on at least three images"),
        ("1", partial(cut, name="F"), "no dataset that can be cut; there are A, B, C, D, E, 100k"),
        ("yes", partial(cut, name="E"), "(yes/no answers), 4; it needs them on at least three images"),
        ("red", nested, "(open answers), 4; it needs them on at least three images"),
        ("red", partial(cuts, names="DE"), "(open answers), 4; it needs them on at least three images"),
        ("red", partial(cut_or_open, name="D"), "(open answers), 4; it needs them on at least three"),
    ],
)  # fmt: skip
def test_what_cannot_be_cut(answer, make, message):
    assert message in refusal(make, source_of([answer] * 4))


def test_the_study_cuts_rows_in_the_order_of_the_file():
    made = cut(source_of(["1", "yes", "red"] * 40, per_image=3), "100k", rule="study")
    assert lengths(made) == [90, 6, 24]
    assert list(pd.concat(parts(made))["question_id"]) == list(range(120))
    assert made.name == "big-100k" and made.rule == "study"
    shared = cut(source_of(["yes"] * 120, per_image=4), "100k", rule="study")
    assert "1 of 30 images stand in more than one split, so its scores" in shared.notes[-1]


def test_pairs_stay_together_but_where_rows_are_cut():
    source = source_of(["yes", "no"] * 200, per_image=1)
    source.pairs = Pairs(np.arange(400).reshape(200, 2), "as told")
    made = cut(source, "E")
    assert source.pairs.count(parts(made)) == (200, 0)
    assert made.notes[-1] == "200 balanced pairs kept together (as told)"
    assert keep_train(made, 30).pairs is made.pairs is source.pairs
    study = cut(source_of(["yes", "no"] * 200, per_image=1), "E", rule="study")
    assert "pairs" not in study.notes[-1]
    paired = cut(source, "E", rule="study")
    apart = source.pairs.count(parts(paired))[1]
    assert paired.sha256() == study.sha256() and apart > 0
    assert paired.notes[-1] == f"{study.notes[-1]}; {apart} of 200 balanced pairs are cut apart"


def test_shares_as_the_study_has_them_and_no_split_empty():
    made = cut(source_of(["yes", "no"] * 1000), "E")  # 1,000 images
    assert [t["image_id"].nunique() for t in parts(made)] == [750, 50, 200]
    assert pd.concat(parts(made))["image_id"].nunique() == 1000
    rows = source_of(["1"] * 121_512, per_image=3)
    assert lengths(cut(rows, "100k", rule="study")) == [91_134, 6_076, 24_302]
    assert len(cut(rows, "D", rule="study").splits["train"]) == 7_500
    for questions in (3, 4, 6, 10, 11):
        source = source_of(["yes"] * questions, per_image=1)
        assert min(lengths(cut(source, "E", rule="study"))) > 0
        assert min(lengths(cut(source, "E"))) > 0


# ---------------------------------------------------------------- several sizes, one test


def test_fewer_train_questions_and_the_same_held_out_ones(source):
    small = keep_train(source, 20)
    assert small.name == "mine-20" and len(small.splits["train"]) == 20
    assert small.splits["test"] is source.splits["test"] and small.sha256() != source.sha256()
    assert "20 of 90 train questions drawn, seed 0" in small.notes
    assert len(source.splits["train"]) == 90, "the source is left alone"
    ids = [set(keep_train(source, n, seed=3).splits["train"]["question_id"]) for n in (10, 40, 90)]
    assert ids[0] < ids[1] < ids[2]
    assert ids[0] != set(keep_train(source, 10, seed=4).splits["train"]["question_id"])
    for questions in (1, 91):
        assert "use 2 to 90" in refusal(keep_train, source, questions)


@pytest.mark.parametrize(
    ("total", "expected"),
    [
        (91_134, [100, 300, 1000, 3000, 10_000, 30_000, 91_134]),
        (3600, [100, 300, 1000, 3600]), (120, [60, 120]), (150, [100, 150]), (3, [2, 3]),
    ],
)  # fmt: skip
def test_the_sizes_of_a_learning_curve(total, expected):
    assert sizes(total) == expected


def test_a_c_and_d_share_their_held_out_questions(source):
    made = nested(source)
    assert list(made) == ["A", "C", "D"]
    assert made["A"].name == "mine-A-of-D" and made["D"].name == "mine-D"
    numbers = {str(number) for number in range(1, 21)}
    for dataset in made.values():
        pd.testing.assert_frame_equal(dataset.splits["test"], made["D"].splits["test"])
        assert set(dataset.splits["train"]["answer"]) <= numbers
    ids = [set(dataset.splits["train"]["question_id"]) for dataset in made.values()]
    assert ids[0] < ids[1] < ids[2]
    large = nested(source_of(["7"] * 45_000, per_image=3))
    few, half, most = (len(dataset.splits["train"]) for dataset in large.values())
    # Whole images are cut, of which some bring more questions than others.
    assert few == 75 and most == pytest.approx(7500, rel=0.02) and half == most // 2
    made = nested(only(source, "other"))  # without numbers any answer qualifies
    assert list(made) == ["A-open", "C-open", "D-open"]
    assert made["A-open"].name == "mine-A-of-D-open"
    assert "numbers 1-20" in made["A-open"].notes[0]


def only(source, kind):
    """The source with the questions of one answer type alone."""
    kept = {s: t[t["answer_type"] == kind].reset_index(drop=True) for s, t in source.splits.items()}
    return dataclasses.replace(source, splits=kept)


def test_what_cannot_be_cut_is_said_and_the_rest_is_cut(source):
    made, problems = cuts(source, "DE")
    assert list(made) == ["D", "E"] and problems == []
    made, problems = cuts(only(source, "number"), "DE")
    assert list(made) == ["D"] and len(problems) == 1 and "yes/no" in problems[0]
    made, problems = cuts(only(source, "other"), "DE")
    assert list(made) == ["D-open"] and made["D-open"].name == "mine-D-open"
    alone = cut_or_open(source_of(["red"] * 40), "E")
    assert alone.name == "big-E-open" and sum(lengths(alone)) == 40
    assert made["D-open"].notes[0].endswith(", but with open answers")  # why is told by problems
    assert ["numbers 1-20" in problems[0], "yes/no" in problems[1]] == [True, True]
