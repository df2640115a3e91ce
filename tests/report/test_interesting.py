"""Samples chosen by rule, their galleries, and the examples of the front page."""

import pandas as pd
import pytest

from tests.report import samples
from tests.report.samples import judged, texts
from vqa_helpers.data.folder import Dataset
from vqa_helpers.errors import InputError
from vqa_helpers.report import interesting
from vqa_helpers.runs import Run


def ids(table: pd.DataFrame) -> list[int]:
    return table["question_id"].tolist()


def asked(tmp_path, preset: str, rows: list[tuple]) -> tuple[Run, Dataset]:
    """A run that answered rows (question, truth, answers, probabilities, blind), and its data."""
    table = judged(*rows)
    table["blind"] = [row[4] for row in rows]
    table["image_id"] = [(*row[5:], n)[0] for n, row in enumerate(rows, start=1)]
    made = table.assign(split="test", vqa=None).to_dict("records")
    table = table.rename(columns={"truth": "answer"}).drop(columns=["answers"])
    run = Run(samples.write_run(tmp_path, preset, predictions=made))
    return run, Dataset("demo", tmp_path, {"test": table}, {}, "demo", 0)


def test_confident_misses_are_the_surest_that_no_annotator_gave():
    rows = [("what?", "a", ["b"], [p]) for p in (0.5, 0.9, 0.8)] + [("what?", "a", ["a"], [1.0])]
    assert ids(interesting.confident_misses(judged(*rows))) == [2, 3, 1]
    assert ids(interesting.confident_misses(judged(*rows, vqa=[0.0, 0.3, 0.0, 1.0]))) == [3, 1]


def test_narrow_hits_have_the_smallest_lead():
    rows = [("what?", "a", ["a", "b"], [p, 1 - p]) for p in (0.9, 0.55, 0.7)]
    assert ids(interesting.narrow_hits(judged(*rows, ("what?", "a", ["a"], [0.1])))) == [2, 3, 1]


def test_second_best_counts_are_counts_alone():
    rows = [
        ("How many dogs?", "3", ["2", "3"], [0.6, 0.4]), ("How many cats?", "2", ["1", "2"], [0.5, 0.4]),
        ("What number?", "3", ["2", "3"], [0.5, 0.4]), ("How many?", "many", ["2", "many"], [0.5, 0.4]),
    ]  # fmt: skip
    assert ids(interesting.second_best_counts(judged(*rows))) == [2, 1]


def test_disagreements_have_one_model_right_and_both_sure():
    ours = judged(*[("q", "a", [a], [p]) for a, p in (("a", 0.9), ("b", 0.8), ("a", 0.7))])
    theirs = judged(*[("q", "a", [a], [p]) for a, p in (("b", 0.5), ("a", 0.9), ("a", 0.7))])
    assert ids(interesting.disagreements(ours, theirs)) == [2, 1]
    with pytest.raises(InputError, match="same questions"):
        interesting.disagreements(ours, theirs.head(2))


def test_a_gallery_shows_one_card_an_image_while_there_are_enough(tmp_path):
    rows = [(f"q{n}", "a", ["b"], [0.9 - n / 10], "b", n // 2) for n in range(4)]
    run, dataset = asked(tmp_path, "1.e", rows)
    found = texts(interesting.gallery(interesting.confident_misses, run, dataset, count=2))
    assert "q0" in found and "q2" in found and "q1" not in found
    none = interesting.gallery(interesting.narrow_hits, run, dataset)
    assert texts(none) == ["No question is of this kind."]


def test_two_models_stand_side_by_side_and_are_right_in_turn(tmp_path):
    ours = [("what?", str(n), [str(n) if n % 2 else "x", "y"], [0.9, 0.1], "z") for n in range(4)]
    theirs = [("what?", str(n), ["x" if n % 2 else str(n), "y"], [0.9, 0.1], "z") for n in range(4)]
    (one, dataset), (other, _) = asked(tmp_path, "1.e", ours), asked(tmp_path, "1.f", theirs)
    found = texts(interesting.versus(one, other, dataset, count=2))
    assert "1.e" in found and "1.f" in found
    assert found.count("hit") == 2 and found.count("miss") >= 2
    assert {"truth: 1", "truth: 0"} <= set(found)
    assert texts(interesting.versus(one, one, dataset)) == ["Both are right on the same questions."]


ROWS = [  # question, truth, answers, probabilities, blind guess, image
    ("question 1", "yes", ["yes", "no"], [0.9, 0.1], "yes", 1),  # a blind guess gets it too
    ("question 2", "red", ["red", "blue"], [0.7, 0.2], "blue", 2),
    ("question 3", "blue", ["red", "blue"], [0.6, 0.3], "red", 2),  # an image shown already
    ("question 4", "blue", ["red", "blue"], [0.65, 0.25], "red", 3),
    ("question 5", "green", ["red", "blue"], [0.8, 0.1], "red", 4),
    ("question 6", "green", ["red", "blue"], [0.5, 0.4], "red", 5),
]


def test_each_rule_finds_its_example(tmp_path):
    chosen = interesting.choose_examples(*asked(tmp_path, "1.e", ROWS))
    assert [(one.outcome, one.question, one.truth) for one in chosen] == [
        ("hit", "question 2", "red"), ("top five", "question 4", "blue"),
        ("miss", "question 5", "green"),
    ]  # fmt: skip
    assert chosen[0].answers == ("red", "blue") and chosen[0].picture is None
    [only] = interesting.choose_examples(*asked(tmp_path / "other", "1.e", ROWS[:1]))
    assert (only.name, only.outcome, only.question) == ("1.e", "hit", "question 1")
    assert only.rule == "the surest right answer; the best blind guess has it too"
    assert "the best blind guess gets wrong" in chosen[0].rule


def test_images_at_hand_are_preferred(tmp_path):
    run, dataset = asked(tmp_path, "1.e", ROWS)
    dataset.images[5] = tmp_path / "5.png"  # is shown without, since it cannot be read
    [only] = interesting.choose_examples(run, dataset)
    assert (only.question, only.dataset, only.picture) == ("question 6", "demo", None)


@pytest.mark.parametrize("wrong", [0, -1, 2.5, "3"])
def test_a_count_below_one_is_refused(run, dataset, wrong):
    with pytest.raises(InputError, match=rf"count is {wrong!r}; give a whole number from 1 on"):
        interesting.gallery(interesting.narrow_hits, run, dataset, count=wrong)
    with pytest.raises(InputError, match="count is"):
        interesting.versus(run, run, dataset, count=wrong)
