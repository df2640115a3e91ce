"""Nearest neighbours in question space, on questions few enough to compare by eye."""

import numpy as np
import pandas as pd
import pytest

from vqa_helpers.evaluation import neighbours
from vqa_helpers.evaluation.neighbours import (
    QuestionSpace,
    nearest_question,
    nearest_question_and_image,
)


def table(rows):
    """(question, answer) or (question, answer, image) a row."""
    return pd.DataFrame(
        {
            "question": pd.Series([row[0] for row in rows], dtype=object),
            "answer": pd.Series([row[1] for row in rows], dtype=object),
            "image_id": [row[2] if len(row) > 2 else 0 for row in rows],
        }
    )


TRAIN = table(
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


def nearest(text, train=TRAIN):
    space = QuestionSpace(train)
    ((_, found),) = space.nearest(np.array([text], dtype=object))
    return {space.texts[i] for i in found.indices}


def test_the_four_nearest_texts():
    assert nearest("what color is the cow?") == {
        "what color is the cat?", "what color is the dog?", "what color is the bus?",
        "what color is the big dog?",
    }  # fmt: skip


def test_all_that_are_as_near_as_the_fourth_are_taken():
    train = table(
        [(f"is it a {word}?", "no") for word in ("cat", "dog", "cow", "pig", "hen", "emu")]
    )
    assert len(nearest("is it a bus?", train)) == 6
    assert nearest("is it a cat?", train) == set(train["question"])  # one, then five as near


def test_the_cosine_is_the_one_of_word_counts():
    space = QuestionSpace(table([("a a b", "x"), ("b c", "y")]))
    (near,) = space._similarities(np.array(["a b"], dtype=object))
    # (1, 1, 0)·(2, 1, 0) / (√2 √5), and ·(0, 1, 1) / (√2 √2).
    assert near == pytest.approx([3 / 10**0.5, 0.5], abs=1e-5)


def test_neighbours_vote_with_all_their_targets():
    # cat: black, white; dog: white; big dog: white; bus: red.
    assert nearest_question(TRAIN)(table([("What color is the cow?", "?")])) == ["white"]


def test_ties_go_to_the_answer_that_train_has_more_often_then_to_the_alphabet():
    train = table([("what is it?", "b"), ("what is this?", "a"), ("x y", "b"), ("z", "c")] * 1)
    asked = table([("what is that?", "?")])
    assert nearest_question(train.iloc[:2])(asked) == ["a"]
    far = table([("zebra", "b"), ("zoo", "b"), ("zen", "b"), ("zip", "b"), ("zag", "b")])
    train = pd.concat([table([("what is it now?", "b"), ("what is it?", "a"), ("what is a?", "b"),
                              ("what is b?", "a")]), far], ignore_index=True)  # fmt: skip
    assert nearest_question(train)(table([("what is it now?", "?")])) == ["b"]  # 2 to 2


def test_a_question_without_a_known_word_gets_the_most_frequent_answer():
    assert nearest_question(TRAIN)(table([("Pourquoi?", "?"), ("???", "?")])) == ["white"] * 2


def test_train_without_a_word():
    assert nearest_question(table([("?", "b"), ("!", "b"), ("…", "a")]))(TRAIN) == ["b"] * 7


def test_the_chunks_and_repeated_questions_change_nothing(monkeypatch):
    asked = pd.concat([TRAIN, TRAIN.iloc[::-1], table([("what?", "?")])])
    once = nearest_question(TRAIN)(asked)
    monkeypatch.setattr(neighbours, "CHUNK_CELLS", 1)
    assert nearest_question(TRAIN)(asked) == once
    assert once[:7] == once[7:14][::-1]


VECTORS = np.array([[1.0, 0], [10, 1], [0, 1], [3, 3], [0, 0]])
IDS = np.array([7, 3, 5, 2, 9])


def test_of_the_nearest_questions_the_most_similar_image_answers():
    train = table([("what color is it?", "red", 7), ("what color is it?", "blue", 5),
                   ("what color is it?", "green", 2), ("how many?", "2", 3)] )  # fmt: skip
    # Only one text is asked thrice; with four texts or fewer all are near, so "how many" too.
    asked = table([("what color is it?", "?", 3)])
    guess = nearest_question_and_image(train, IDS, VECTORS)
    assert guess(asked) == ["2"]  # image 3 itself
    others = [("what color is this?", "a", 9), ("what color is that?", "b", 9),
              ("what color is the?", "c", 9)]  # fmt: skip
    train = pd.concat([train, table(others)], ignore_index=True)
    guess = nearest_question_and_image(train, IDS, VECTORS)
    # "how many" is no neighbour now. Image 3, (10, 1), is nearest to 7, (1, 0), by its direction.
    assert guess(asked) == ["red"]
    assert guess(table([("what color is it?", "?", i) for i in (5, 2, 7)])) == [
        "blue",
        "green",
        "red",
    ]


def test_of_equally_similar_images_the_first_of_the_table_answers():
    train = table([("q one", "second", 5), ("q one", "first", 7), ("q one", "again", 7)])
    guess = nearest_question_and_image(train, IDS, VECTORS)
    assert guess(table([("q one", "?", 7)])) == ["first"]


def test_an_image_without_a_vector_is_similar_to_none():
    train = table([("q one", "lost", 1000), ("q one", "seen", 7)])
    guess = nearest_question_and_image(train, IDS, VECTORS)
    assert guess(table([("q one", "?", 3)])) == ["seen"]
    assert guess(table([("q one", "?", 2000)])) == ["lost"]  # all are 0: the first
