"""What a blind guesser gets, on six rows that fit on a sheet of paper."""

import numpy as np
import pandas as pd
import pytest

from vqa_helpers.evaluation import baselines
from vqa_helpers.evaluation.baselines import (
    GUESSERS,
    QuestionSpace,
    always_yes,
    best_guesser,
    hits,
    learn_guessers,
    measure_baselines,
    measure_guesses,
    most_frequent,
    most_frequent_per_question,
    most_frequent_per_question_type,
    nearest_question,
    nearest_question_and_image,
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


def questions(rows):
    """(question, answer) or (question, answer, image) a row."""
    rows = [(*row, 0)[:3] for row in rows]
    return pd.DataFrame(rows, columns=["question", "answer", "image_id"])


ASKED_OF = questions(
    [
        ("What color is the cat?", "black"),
        ("what color is the CAT?", "white"),
        ("What color is the dog?", "white"),
        ("What color is the big dog?", "white"),
        ("What color is the bus?", "red"),
        ("How many cats are there?", "2"),
        ("Is it raining?", "yes"),
    ]
)


def nearest(text, train=ASKED_OF):
    space = QuestionSpace(train)
    ((_, found),) = space.nearest(np.array([text], dtype=object))
    return {space.texts[i] for i in found.indices}


def test_the_four_nearest_texts():
    assert nearest("what color is the cow?") == {
        "what color is the cat?", "what color is the dog?", "what color is the bus?",
        "what color is the big dog?",
    }  # fmt: skip


def test_all_that_are_as_near_as_the_fourth_are_taken():
    train = questions(
        [(f"is it a {word}?", "no") for word in ("cat", "dog", "cow", "pig", "hen", "emu")]
    )
    assert len(nearest("is it a bus?", train)) == 6
    assert nearest("is it a cat?", train) == set(train["question"])  # one, then five as near


def test_neighbours_vote_with_all_their_targets():
    # cat: black, white; dog: white; big dog: white; bus: red.
    assert nearest_question(ASKED_OF)(questions([("What color is the cow?", "?")])) == ["white"]


def test_ties_go_to_the_answer_that_train_has_more_often_then_to_the_alphabet():
    train = questions([("what is it?", "b"), ("what is this?", "a"), ("x y", "b"), ("z", "c")] * 1)
    asked = questions([("what is that?", "?")])
    assert nearest_question(train.iloc[:2])(asked) == ["a"]
    far = questions([("zebra", "b"), ("zoo", "b"), ("zen", "b"), ("zip", "b"), ("zag", "b")])
    train = pd.concat([questions([("what is it now?", "b"), ("what is it?", "a"), ("what is a?", "b"),
                              ("what is b?", "a")]), far], ignore_index=True)  # fmt: skip
    assert nearest_question(train)(questions([("what is it now?", "?")])) == ["b"]  # 2 to 2


def test_a_question_without_a_known_word_gets_the_most_frequent_answer():
    assert (
        nearest_question(ASKED_OF)(questions([("Pourquoi?", "?"), ("???", "?")])) == ["white"] * 2
    )


def test_train_without_a_word():
    assert nearest_question(questions([("?", "b"), ("!", "b"), ("…", "a")]))(ASKED_OF) == ["b"] * 7


def test_the_chunks_and_repeated_questions_change_nothing(monkeypatch):
    asked = pd.concat([ASKED_OF, ASKED_OF.iloc[::-1], questions([("what?", "?")])])
    once = nearest_question(ASKED_OF)(asked)
    monkeypatch.setattr(baselines, "CHUNK_CELLS", 1)
    assert nearest_question(ASKED_OF)(asked) == once
    assert once[:7] == once[7:14][::-1]


VECTORS = np.array([[1.0, 0], [10, 1], [0, 1], [3, 3], [0, 0]])
IDS = np.array([7, 3, 5, 2, 9])


def test_of_the_nearest_questions_the_most_similar_image_answers():
    train = questions([("what color is it?", "red", 7), ("what color is it?", "blue", 5),
                   ("what color is it?", "green", 2), ("how many?", "2", 3)] )  # fmt: skip
    # Only one text is asked thrice; with four texts or fewer all are near, so "how many" too.
    asked = questions([("what color is it?", "?", 3)])
    guess = nearest_question_and_image(train, IDS, VECTORS)
    assert guess(asked) == ["2"]  # image 3 itself
    others = [("what color is this?", "a", 9), ("what color is that?", "b", 9),
              ("what color is the?", "c", 9)]  # fmt: skip
    train = pd.concat([train, questions(others)], ignore_index=True)
    guess = nearest_question_and_image(train, IDS, VECTORS)
    # "how many" is no neighbour now. Image 3, (10, 1), is nearest to 7, (1, 0), by its direction.
    assert guess(asked) == ["red"]
    assert guess(questions([("what color is it?", "?", i) for i in (5, 2, 7)])) == [
        "blue",
        "green",
        "red",
    ]


def test_of_equally_similar_images_the_first_of_the_table_answers():
    train = questions([("q one", "second", 5), ("q one", "first", 7), ("q one", "again", 7)])
    guess = nearest_question_and_image(train, IDS, VECTORS)
    assert guess(questions([("q one", "?", 7)])) == ["first"]


def test_an_image_without_a_vector_is_similar_to_none():
    train = questions([("q one", "lost", 1000), ("q one", "seen", 7)])
    guess = nearest_question_and_image(train, IDS, VECTORS)
    assert guess(questions([("q one", "?", 3)])) == ["seen"]
    assert guess(questions([("q one", "?", 2000)])) == ["lost"]  # all are 0: the first
