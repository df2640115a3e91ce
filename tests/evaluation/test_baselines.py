"""What a blind guesser gets, on six rows that fit on a sheet of paper."""

import pandas as pd
import pytest

from vqa_helpers.evaluation.baselines import (
    GUESSERS,
    always_yes,
    best_guesser,
    hits,
    learn_guessers,
    measure_baselines,
    measure_guesses,
    most_frequent,
    most_frequent_per_question,
    most_frequent_per_question_type,
)


def table(rows, answers=10):
    columns = ["question", "question_type", "answer"]
    made = pd.DataFrame(rows, columns=columns).astype(object)
    given = [(answer,) * answers for answer in made["answer"]]
    return made.assign(
        question_id=range(len(made)), image_id=0, answers=pd.Series(given, dtype=object)
    )


TRAIN = table(
    [
        ("How many cats?", "how many", "2"),
        ("How many cats?", "how many", "3"),
        ("how many CATS?", "how many", "3"),
        ("How many dogs?", "how many", "2"),
        ("Is it red?", "is it", "yes"),
        ("Is it red?", "is it", "no"),
    ]
)
TEST = table(
    [
        ("HOW MANY CATS?", "how many", "3"),  # per question: 3
        ("How many cows?", "how many", "2"),  # not seen; per type: 2 and 3 tie, so 2
        ("Is it red?", "is it", "no"),  # yes and no tie: no
        ("Why is it?", "why", "because"),  # neither seen: the most frequent, 2
    ]
)


def test_the_most_frequent_answer_ties_by_alphabet():
    assert most_frequent(TRAIN)(TEST) == ["2"] * 4  # 2 and 3 twice each


def test_per_question_type():
    assert most_frequent_per_question_type(TRAIN)(TEST) == ["2", "2", "no", "2"]


def test_per_question_without_regard_to_case():
    assert most_frequent_per_question(TRAIN)(TEST) == ["3", "2", "no", "2"]


def test_frequency_goes_before_the_alphabet():
    train = table([("q", "t", "a"), ("q", "t", "z"), ("q", "t", "z"), ("r", "u", "b")])
    for name in GUESSERS.keys() - {"always yes"}:
        assert GUESSERS[name](train)(train.iloc[:1]) == ["z"], name


def test_always_yes_needs_no_yes_in_train():
    train = table([("q", "t", "a")])
    assert always_yes(train)(TEST) == ["yes"] * 4


def test_measured():
    expected = {
        "most frequent answer": 25.0,
        "always yes": 0.0,
        "most frequent per question type": 50.0,
        "most frequent per question": 75.0,
        # The six rows are four texts, so all are among the four nearest, and 2 beats 3.
        "nearest questions": 25.0,
    }
    # Unanimous annotators: the VQA accuracy is that of the target.
    assert measure_baselines(TRAIN, TEST) == {
        name: {"top1": value, "vqa": value} for name, value in expected.items()
    }


def test_vqa_accuracy_is_the_annotators():
    given = ("3",) * 7 + ("2",) * 3
    test = TEST.iloc[:1].assign(answers=pd.Series([given], dtype=object))
    assert measure_baselines(TRAIN, test)["most frequent answer"] == {"top1": 0.0, "vqa": 90.0}


def test_vqa_accuracy_is_not_defined_below_ten_answers():
    scores = measure_baselines(TRAIN, table([("q", "how many", "2")], answers=9))
    assert scores["most frequent answer"] == {"top1": 100.0, "vqa": None}


def test_the_normaliser_is_passed_on():
    # A unanimous "Yes" is met by "Yes" since 2021; before, the prediction alone was lower-cased.
    train = table([("q", "t", "Yes")])
    scores = [measure_baselines(train, train, version) for version in ("2021", "2015")]
    assert [s["most frequent answer"]["vqa"] for s in scores] == [100.0, 0.0]


def test_the_test_split_teaches_nothing():
    guess = most_frequent_per_question(TRAIN)
    assert guess(TEST.drop(columns=["answer", "answers"])) == guess(TEST)


def test_rows_with_any_index():
    shuffled = TEST.iloc[[3, 0, 2]]
    assert most_frequent_per_question(TRAIN)(shuffled) == ["2", "3", "no"]
    assert measure_baselines(TRAIN, shuffled)["most frequent per question"]["top1"] == (
        pytest.approx(66.67)
    )


def test_the_best_guesser_is_the_first_of_equals():
    guesses = {
        "one": ["x", "2", "x", "x"],
        "two": ["3", "2", "no", "x"],
        "three": ["3", "2", "no", "y"],
    }
    assert best_guesser(guesses, TEST) == "two"
    assert hits(guesses["two"], TEST).tolist() == [1, 1, 1, 0]
    assert measure_guesses(guesses, TEST)["two"] == {"top1": 75.0, "vqa": 75.0}


def test_what_is_learnt_once_answers_every_split():
    guessers = learn_guessers(TRAIN)
    assert list(guessers) == list(GUESSERS)
    for name, guess in guessers.items():
        assert guess(TEST) == GUESSERS[name](TRAIN)(TEST)
        assert len(guess(TRAIN)) == len(TRAIN)
