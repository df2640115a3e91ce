"""Datasets cut from larger ones by the study's rules."""

from dataclasses import replace

import pandas as pd
import pytest

from vqa_helpers.data.catalogue import CUTS
from vqa_helpers.data.folder import Dataset
from vqa_helpers.data.subset import cut, cut_or_open
from vqa_helpers.errors import InputError


def source_of(answers, per_image=2, tmp_path=None):
    """A dataset in memory, one row an answer, `per_image` rows an image, all in its train split."""
    n = len(answers)
    table = pd.DataFrame(
        {
            "question_id": range(n),
            "image_id": [row // per_image for row in range(n)],
            "question": "q?",
            "question_type": "none of the above",
            "answer_type": "other",
            "answer": pd.Series(answers, dtype=object),
            "answers": pd.Series([(answer,) for answer in answers], dtype=object),
        }
    )
    return Dataset("big", tmp_path, {"train": table}, {}, "big", seed=0)


def parts(dataset):
    return [dataset.splits[split] for split in ("train", "validation", "test")]


def test_numbers_1_to_20_and_nothing_else(tmp_path):
    odd = ["0", "21", "two", "2.5", "02", "yes", "1 cat", "-1", " 3"]
    numbers = [str(n) for n in range(1, 21)]
    made = cut(source_of((numbers + odd) * 10), "A")
    rows = pd.concat(parts(made))
    assert len(rows) == 100 and set(rows["answer"]) <= set(numbers)
    assert len(set(rows["answer"])) > 10


def test_shares_and_disjoint_images():
    made = cut(source_of(["yes", "no"] * 1000), "E")  # 1,000 images
    train, validation, test = parts(made)
    assert [t["image_id"].nunique() for t in (train, validation, test)] == [750, 50, 200]
    assert len(pd.concat([train, validation, test])["image_id"].unique()) == 1000
    assert [len(t) for t in (train, validation, test)] == [1500, 100, 400]


def test_a_small_source_is_scaled_and_says_so():
    made = cut(source_of(["1"] * 60), "B")
    assert sum(map(len, parts(made))) == 60
    assert made.notes == [
        "cut from big by the rule of dataset B (reference study, dataset B)",
        "scaled: 60 questions qualify where the study has 1,000",
    ]
    assert len(cut(source_of(["1"] * 100), "A").notes) == 1


def test_questions_are_drawn_by_the_seed():
    source = source_of(["1"] * 500)
    first, again, other = (
        set(pd.concat(parts(cut(source, "A", s)))["question_id"]) for s in (0, 0, 1)
    )
    assert first == again != other and len(first) == len(other) == 100
    assert max(first) > 250  # not merely the first ones


def test_everything_is_taken_where_the_rule_has_no_number():
    made = cut(source_of(["1", "yes", "猫"] * 40), "100k")
    assert sum(map(len, parts(made))) == 120 and len(made.notes) == 1
    assert made.name == "big-100k" and made.image_source == "big"


def test_every_answered_split_of_the_source_is_used():
    source = source_of(["yes"] * 40)
    table = source.splits["train"]
    later = table.assign(question_id=table["question_id"] + 100, image_id=table["image_id"] + 100)
    source.splits["validation"] = later
    source.splits["test"] = table.drop(columns="answer").assign(image_id=999)  # answerless
    rows = pd.concat(parts(cut(source, "E")))
    assert len(rows) == 80 and 999 not in set(rows["image_id"])


def test_a_source_without_what_the_rule_wants():
    with pytest.raises(InputError, match=r"dataset E \(yes/no answers\), 0; it needs them on"):
        cut(source_of(["red"] * 10), "E")
    with pytest.raises(InputError, match="at least three images"):
        cut(source_of(["yes"] * 4), "E")
    assert [len(t) for t in parts(cut(source_of(["yes"] * 6), "E"))] == [2, 2, 2]


@pytest.mark.parametrize("name", ["F", "a", "demo", ""])
def test_a_name_that_is_no_cut(name):
    with pytest.raises(
        InputError, match="no dataset that can be cut; there are A, B, C, D, E, 100k"
    ):
        cut(source_of(["1"] * 10), name)


def test_a_question_id_in_two_splits_is_refused():
    # Each split is in order by itself; cut together they would make a file that cannot be read.
    source = source_of(["yes"] * 40)
    source.splits["validation"] = source.splits["train"].assign(image_id=lambda t: t.image_id + 100)
    with pytest.raises(InputError, match="two splits have a question 0; give every question an id"):
        cut(source, "E")


def test_every_cut_has_a_rule_that_can_be_applied(monkeypatch):
    source = source_of(["1", "yes"] * 20, per_image=1)
    for name in CUTS:
        made = cut(source, name)
        assert set(pd.concat(parts(made))["answer"]) == {
            "numbers 1-20": {"1"}, "yes/no": {"yes"}, "open": {"1", "yes"}
        }[CUTS[name].answers]  # fmt: skip


def test_an_odd_number_of_wanted_questions(monkeypatch):
    rule = replace(CUTS["E"], questions=7)
    monkeypatch.setitem(CUTS, "E", rule)
    assert sum(map(len, parts(cut(source_of(["yes"] * 40), "E")))) == 7


def test_the_study_cuts_rows_in_the_order_of_the_file():
    source = source_of(["1", "yes", "red"] * 40, per_image=3)
    train, validation, test = parts(cut(source, "100k", rule="study"))
    assert [len(t) for t in (train, validation, test)] == [90, 6, 24]
    assert list(pd.concat([train, validation, test])["question_id"]) == list(range(120))


@pytest.mark.parametrize("questions", [3, 4, 6, 10, 11])
def test_no_split_by_row_is_empty(questions):
    source = source_of(["yes"] * questions, per_image=1)
    sizes = [len(table) for table in parts(cut(source, "E", rule="study"))]
    assert min(sizes) > 0 and sum(sizes) == questions


def test_the_study_cuts_its_own_sizes():
    rows = source_of(["1"] * 121_512, per_image=3)
    assert [len(t) for t in parts(cut(rows, "100k", rule="study"))] == [91_134, 6_076, 24_302]
    assert len(cut(rows, "B", rule="study").splits["train"]) == 750
    assert len(cut(rows, "D", rule="study").splits["train"]) == 7_500


def test_a_cut_that_can_be_made_is_as_the_study_wants_it():
    source = source_of(["1", "yes", "red"] * 40)
    by_rule, either = cut(source, "B"), cut_or_open(source, "B")
    assert (either.name, either.notes) == ("big-B", by_rule.notes)
    assert either.sha256() == by_rule.sha256()


def test_where_too_few_answers_are_right_any_will_do():
    made = cut_or_open(source_of(["red"] * 40), "E")
    assert made.name == "big-E-open" and sum(map(len, parts(made))) == 40
    assert "dataset E (yes/no answers), 0" in made.notes[0]
    assert made.notes[1].endswith(", but with open answers")
    with pytest.raises(InputError, match=r"dataset E \(open answers\), 4; .* three images"):
        cut_or_open(source_of(["red"] * 4), "E")
