"""Balanced pairs: found by the release's lists or by rare questions, and counted."""

import numpy as np
import pandas as pd
import pytest

from tests.builders import write_dataset, write_json
from tests.data.making import refusal
from vqa_helpers.data.folder import read_folder
from vqa_helpers.data.pairs import NO_PAIRS, Pairs, find_pairs, same_wording

RARE = "rare questions that photographs share"


def table(*rows, first=0):
    """(image, question, answer) a row; question ids from `first` on."""
    made = pd.DataFrame(rows, columns=["image_id", "question", "answer"], dtype=object)
    return made.assign(question_id=range(first, first + len(rows)))


def mirrored(pairs, opposite=1.0):
    """Yes/no questions of two photographs each, that share of them with opposite answers."""
    rows = []
    for n in range(pairs):
        other = "no" if n < opposite * pairs else "yes"
        rows += [(2 * n, f"Is it {n}?", "yes"), (2 * n + 1, f"Is it {n}?", other)]
    return table(*rows)


def found(folder, **tables):
    return find_pairs(folder, tables).ids.tolist()


def test_photographs_that_share_a_rare_question(tmp_path):
    (tmp_path / "v2_OpenEnded_mscoco_train2014_questions.json").touch()
    train = table(
        (1, "What is it?", "a"), (2, " what is IT?", "b"),  # case and white space around
        (1, "What is it?", "c"),  # the photograph is asked again
        (3, "what  is it?", "d"),  # another text
        (4, "Who?", "x"), (5, "Who?", "y"), (6, "Who?", "x"), (7, "Who?", "y"),
        *[(image, "How many?", "1") for image in range(5)],  # too frequent
    )  # fmt: skip
    six = [[4, 5], [4, 6], [4, 7], [5, 6], [5, 7], [6, 7]]
    assert found(tmp_path, train=train) == [[0, 1], *six]
    # A question of another split counts too, answered or not.
    test = table((9, "What is it?", None), first=100).drop(columns="answer")
    pairs = find_pairs(tmp_path, {"train": train, "test": test})
    assert [0, 100] in pairs.ids.tolist() and pairs.known_by == RARE
    assert pairs.within(test).tolist() == [] and len(pairs.within(train)) == 7
    assert pairs.balanced(train).tolist() == [[0, 1], [4, 5], [4, 7], [5, 6], [6, 7]]
    assert pairs.count([train, test]) == (5, 0)
    assert pairs.count([train[:5], test, train[5:]]) == (5, 2) and pairs.count([test]) == (0, 0)


def test_photographs_that_hang_together_are_one_group():
    chain = table(*[(image, "Who?", "") for image in (50, 10, 30, 30, 10, 20)])
    pairs = Pairs(np.array([[0, 2], [3, 4], [0, 99]]))
    assert pairs.groups(chain).tolist() == [0, 0, 0, 0, 0, 1]
    assert NO_PAIRS.groups(chain).tolist() == [3, 0, 2, 2, 0, 1]


@pytest.mark.parametrize(
    ("pairs", "opposite", "known"),
    [(400, 0.65, True), (400, 0.5, False), (400, 0.3, False), (20, 1.0, True), (15, 1.0, False)],
)
def test_without_a_name_opposite_answers_tell(tmp_path, pairs, opposite, known):
    assert len(found(tmp_path, train=mirrored(pairs, opposite))) == known * pairs
    others = mirrored(pairs, opposite).replace({"yes": "red", "no": "blue"})
    assert found(tmp_path, train=others) == []


@pytest.mark.parametrize(
    ("info", "known"),
    [({"version": "2.0"}, True), ({"version": "1.0"}, False), ({}, False), (None, False)],
)
def test_the_header_tells(tmp_path, info, known):
    questions = [{"question_id": n, "image_id": n, "question": "Who is it?"} for n in (1, 2)]
    head = {} if info is None else {"info": info}
    write_json(tmp_path / "questions_train.json", {"questions": questions, **head})
    (tmp_path / "questions_val.json").write_text("{")  # refused where it is read
    train = table((1, "Who is it?", "a"), (2, "Who is it?", "b"), first=1)
    assert found(tmp_path, train=train) == known * [[1, 2]]


def test_the_release_s_lists_come_first(tmp_path):
    folder = write_dataset(tmp_path / "own", images=5)
    write_json(folder / "v2_mscoco_train2014_complementary_pairs.json", [[20, 10], [10, 20]])
    write_json(folder / "v2_mscoco_val2014_complementary_pairs.json", [[10010, 10020], [7, 8]])
    pairs = read_folder(folder).pairs
    assert pairs.ids.tolist() == [[10, 20], [7, 8], [10010, 10020]]
    assert pairs.known_by == "as listed"


@pytest.mark.parametrize("listed", [[], [[7, 8]]])
def test_lists_of_other_questions_leave_it_to_rare_ones(tmp_path, listed):
    (tmp_path / "v2_OpenEnded_mscoco_val2014_questions.json").touch()
    write_json(tmp_path / "v2_mscoco_train2014_complementary_pairs.json", listed)
    pairs = find_pairs(tmp_path, {"train": mirrored(2)})
    assert pairs.ids.tolist() == [[0, 1], [2, 3]] and pairs.known_by == RARE


@pytest.mark.parametrize("content", ["[[1]]", '[["1", 2]]', "{}", "[[1, 2]", ""])
def test_a_malformed_list_is_one_line(tmp_path, content):
    path = tmp_path / "v2_mscoco_val2014_complementary_pairs.json"
    path.write_text(content)
    assert refusal(find_pairs, tmp_path, {"train": mirrored(2)}).startswith(f"{path}: ")


def test_neighbours_that_are_asked_the_same_words():
    asked = table(
        (3, "Who?", "x"), (1, "who? ", "y"), (2, "Who?", "x"), (2, "What?", "z"), (3, "Why?", "z"),
        (3, "who?", "q"),  # of one photograph, both
    )  # fmt: skip
    pairs = same_wording(asked.sample(frac=1, random_state=1))
    assert pairs.ids.tolist() == [[1, 2], [2, 0]]
    assert asked["question_id"].to_numpy()[pairs.balanced(asked)].tolist() == [[1, 2]]
    assert not len(same_wording(asked[:0]).ids)
