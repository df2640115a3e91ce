"""What a blind guesser gets, and nearest neighbours, on rows few enough to compare by eye."""

import numpy as np
import pandas as pd
import pytest

from tests.evaluation.official import table
from vqa_helpers.evaluation import baselines

TRAIN = table(
    ("How many cats?", "2", 0, "how many"),
    ("How many cats?", "3", 0, "how many"),
    ("how many CATS?", "3", 0, "how many"),
    ("How many dogs?", "2", 0, "how many"),
    ("Is it red?", "yes", 0, "is it"),
    ("Is it red?", "no", 0, "is it"),
)
TEST = table(
    ("HOW MANY CATS?", "3", 0, "how many"),  # per question, without regard to case: 3
    ("How many cows?", "2", 0, "how many"),  # not seen; per type: 2 and 3 tie, so 2
    ("Is it red?", "no", 0, "is it"),  # yes and no tie: no, by the alphabet
    ("Why is it?", "because", 0, "why"),  # neither seen: the most frequent, 2 and 3 tie, so 2
)
GUESSES = {
    "most frequent answer": ["2"] * 4,
    "always yes": ["yes"] * 4,
    "most frequent per question type": ["2", "2", "no", "2"],
    "most frequent per question": ["3", "2", "no", "2"],
    # The six rows are four texts, so all are among the four nearest, and 2 beats 3.
    "nearest questions": ["2"] * 4,
}


def test_what_each_guesser_says_and_gets():
    guessers = {name: learn(TRAIN) for name, learn in baselines.GUESSERS.items()}
    unanswered = TEST.drop(columns=["answer", "answers"])
    assert {name: guess(unanswered) for name, guess in guessers.items()} == GUESSES
    assert all(len(guess(TRAIN)) == len(TRAIN) for guess in guessers.values())
    # Unanimous annotators: the VQA accuracy is that of the target.
    scores = baselines.measure_guesses(GUESSES, TEST)
    assert [score["top1"] for score in scores.values()] == [25, 0, 50, 75, 25]
    assert all(score["vqa"] == score["top1"] for score in scores.values())
    shuffled = guessers["most frequent per question"](TEST.iloc[[3, 0, 2]])  # rows with any index
    assert shuffled == ["2", "3", "no"]


@pytest.mark.parametrize("name", sorted(baselines.GUESSERS.keys() - {"always yes"}))
def test_an_empty_answer_is_not_learnt(name):
    train = table(("q", ""), ("q", " "), ("q", ""), ("q", "a"), ("r", "b", 0, "u"))
    assert baselines.GUESSERS[name](baselines.answered(train))(train.iloc[:1]) == ["a"]


@pytest.mark.parametrize("name", sorted(baselines.GUESSERS.keys() - {"always yes"}))
def test_frequency_goes_before_the_alphabet(name):
    train = table(("q", "a"), ("q", "z"), ("q", "z"), ("r", "b", 0, "u"))
    assert baselines.GUESSERS[name](train)(train.iloc[:1]) == ["z"]


def test_vqa_accuracy_is_the_annotators():
    given = pd.Series([("3",) * 7 + ("2",) * 3], dtype=object)
    scores = baselines.measure_guesses({"two": ["2"]}, TEST.iloc[:1].assign(answers=given))
    assert scores["two"] == {"top1": 0.0, "vqa": 90.0}
    scores = baselines.measure_guesses({"two": ["2"]}, table(("q", "2"), answers=9))  # from ten on
    assert scores["two"] == {"top1": 100.0, "vqa": None}


def test_the_best_guesser_is_the_first_of_equals():
    guesses = {"one": ["x", "2", "x", "x"], "two": ["3", "2", "no", "x"]}
    guesses["three"] = ["3", "2", "no", "y"]
    assert baselines.best_guesser(guesses, TEST) == "two"
    assert baselines.hits(guesses["two"], TEST).tolist() == [1, 1, 1, 0]


COLOURS = table(
    ("What color is the cat?", "black"), ("what color is the CAT?", "white"),
    ("What color is the dog?", "white"), ("What color is the big dog?", "white"),
    ("What color is the bus?", "red"), ("How many cats are there?", "2"), ("Is it raining?", "yes"),
)  # fmt: skip
KINDS = table(*[(f"is it a {word}?", word) for word in ("cat", "dog", "cow", "pig", "hen", "emu")])


@pytest.mark.parametrize(
    ("train", "question", "expected"),
    [
        # cat: black, white; dog: white; big dog: white; bus: red.
        (COLOURS, "What color is the cow?", "white"),
        # All that are as near as the fourth vote: here all six, once each.
        (KINDS, "is it a bus?", "cat"),
        # Without a known word the most frequent answer.
        (COLOURS, "Pourquoi?", "white"),
        (COLOURS, "???", "white"),
        (table(("?", "b"), ("!", "b"), ("…", "a")), "what?", "b"),
        # Ties go to the alphabet, but first to the answer that train has more often.
        (table(("what is it?", "b"), ("what is this?", "a")), "what is that?", "a"),
        (table(("what is it now?", "b"), ("what is it?", "a"), ("what is a?", "b"),
               ("what is b?", "a"), ("zoo", "b")), "what is it now?", "b"),
    ],
)  # fmt: skip
def test_the_nearest_questions_vote(train, question, expected):
    assert baselines.nearest_question(train)(table((question, "?"))) == [expected]


SAME, OTHERS = "what color is it?", ("what color is this?", "what color is that?", "what color is?")
SEEN = [(SAME, "red", 7), (SAME, "blue", 5), (SAME, "green", 2), ("how many?", "2", 3)]


@pytest.mark.parametrize(
    ("train", "question", "images", "expected"),
    [
        # With four texts or fewer all are near, so "how many" too, and it is about image 3 itself.
        (SEEN, SAME, [3], ["2"]),
        # Now "how many" is no neighbour: image 3, (10, 1), is nearest to 7, (1, 0), by direction.
        ([*SEEN, *[(text, "x", 9) for text in OTHERS]], SAME, [3, 5, 2, 7],
         ["red", "blue", "green", "red"]),
        # Of equally similar images the first of the table.
        ([("q", "second", 5), ("q", "first", 7), ("q", "again", 7)], "q", [7], ["first"]),
        # An image without a vector is similar to none.
        ([("q", "lost", 1000), ("q", "seen", 7)], "q", [3, 2000], ["seen", "lost"]),
    ],
)  # fmt: skip
def test_of_the_nearest_questions_the_most_similar_image_answers(train, question, images, expected):
    vectors = np.array([[1.0, 0], [10, 1], [0, 1], [3, 3], [0, 0]])
    guess = baselines.nearest_question_and_image(table(*train), np.array([7, 3, 5, 2, 9]), vectors)
    assert guess(table(*[(question, "?", image) for image in images])) == expected
