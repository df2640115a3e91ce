"""The demo dataset: layout, determinism, biases, disagreement, pictures."""

import hashlib
import statistics
from collections import Counter, defaultdict

import numpy as np
import pytest
from PIL import Image

from tests.builders import read_json
from tests.data.making import refusal
from vqa_helpers.data.check import check_folder
from vqa_helpers.data.demo.asking import ANNOTATORS, PER_IMAGE, most_common
from vqa_helpers.data.demo.dataset import make_demo, make_image
from vqa_helpers.data.demo.drawing import draw_scene
from vqa_helpers.data.demo.scenes import HERO_KINDS, MOST, PLACES, PLURALS, Scene
from vqa_helpers.data.folder import read_folder
from vqa_helpers.data.text import QUESTION_TYPES, question_type_of

SMALL = {"seed": 3, "images": 20, "size_px": 32}


def questions(folder, split):
    return read_json(folder / f"questions_{split}.json")["questions"]


def content(folder):
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo") / "demo"
    make_demo(folder, **SMALL)
    return folder


@pytest.fixture(scope="module")
def asked():
    """(split, scene, question) of 1,500 images, none of them drawn."""
    made = [make_image(0, k) for k in range(1500)]
    return [(split, scene, one) for _, split, scene, questions in made for one in questions]


def test_same_seed_same_bytes_another_seed_another_dataset(small, tmp_path):
    make_demo(tmp_path / "again", **SMALL)
    assert content(tmp_path / "again") == content(small)
    make_demo(tmp_path / "other", **{**SMALL, "seed": 4})
    assert content(tmp_path / "other") != content(small)


def test_the_demo_is_the_one_it_has_always_been():
    """So that scores of the demo can be compared between versions of this package; another numpy
    may draw other random numbers."""
    asked = repr([make_image(0, k) for k in range(100)])
    assert hashlib.sha256(asked.encode()).hexdigest()[:16] == "3be06c6fc1155424"


def test_an_image_does_not_depend_on_how_many_there_are(small, tmp_path):
    make_demo(tmp_path / "fewer", **{**SMALL, "images": 10})
    fewer, more = content(tmp_path / "fewer"), content(small)
    pictures = [name for name in fewer if name.endswith(".jpg")]
    assert len(pictures) == 10
    assert all(fewer[name] == more[name] for name in pictures)
    assert questions(small, "val")[:PER_IMAGE] == questions(tmp_path / "fewer", "val")


def test_official_layout_and_splits_that_share_no_image(small):
    check = check_folder(small)
    assert check.problems == check.notes == []
    assert [counts["images"] for counts in check.splits.values()] == [16, 2, 2]
    for table in read_folder(small).splits.values():
        assert (table["image_id"] == table["question_id"] // 1000).all()
        assert (table["question_type"] == table["question"].map(question_type_of)).all()
        assert (table.groupby("image_id")["question"].nunique() == PER_IMAGE).all()
        assert (table["answers"].map(len) == ANNOTATORS).all()
        for row in table.itertuples():
            assert row.answer in statistics.multimode(row.answers)
    pictures = list(small.glob("*/*.jpg"))
    assert len(pictures) == 20  # of no other image
    for path in pictures:
        with Image.open(path) as picture:
            assert picture.size == (32, 32) and np.asarray(picture).std() > 10


def test_train_alone_is_cut_and_the_rest_is_what_it_was(small, tmp_path):
    make_demo(tmp_path / "cut", **SMALL, train_images=5)
    cut, whole = content(tmp_path / "cut"), content(small)
    measured = {name for name in whole if "train" not in name}
    assert measured == {name for name in cut if "train" not in name}
    assert all(cut[name] == whole[name] for name in measured)
    assert questions(tmp_path / "cut", "train") == questions(small, "train")[: 5 * PER_IMAGE]
    assert len(list((tmp_path / "cut" / "train").iterdir())) == 5


def test_types_answers_and_numbers_have_the_shares_of_the_study(asked):
    types = {question_type_of(one.question) for _, _, one in asked}
    assert types <= set(QUESTION_TYPES) and len(types) >= 15
    counts = Counter(one.answer_type for _, _, one in asked)
    assert 0.36 < counts["yes/no"] / len(asked) < 0.41
    assert 0.25 < counts["number"] / len(asked) < 0.285
    said = Counter(one.answer for _, _, one in asked if one.answer_type == "yes/no")
    assert 0.53 < said["yes"] / said.total() < 0.61
    numbers = Counter(int(one.answer) for _, _, one in asked if one.answer_type == "number")
    assert min(numbers) == 0 and max(numbers) == MOST
    assert [number for number, _ in numbers.most_common(3)] == [1, 2, 3]


@pytest.mark.parametrize(("kind", "most"), [("yes/no", 0.8), ("other", 0.75)])
def test_no_question_has_one_usual_answer(asked, kind, most):
    answers = defaultdict(Counter)
    for _, _, one in asked:
        answers[one.question][one.truth] += one.answer_type == kind
    usual = [counts for counts in answers.values() if counts.total() >= 30]
    assert len(usual) >= 8
    assert all(max(counts.values()) / counts.total() < most for counts in usual)


def test_annotators_disagree_sometimes_and_more_about_large_counts(asked):
    agreement = [one.answers.count(one.answer) / ANNOTATORS for _, _, one in asked]
    assert 0.8 < np.mean(agreement) < 0.95 and min(agreement) < 0.6
    assert np.mean([one.answer == one.truth for _, _, one in asked]) > 0.95
    numbers = [(scene, one) for _, scene, one in asked if one.answer_type == "number"]
    for scene, one in numbers:  # each tells the scene
        assert int(one.truth) == scene.count * (scene.items in one.question)

    def wrong(counts):
        asked = [one for _, one in numbers if int(one.truth) in counts]
        return np.mean([answer != one.truth for one in asked for answer in one.answers])

    assert wrong(range(10, 21)) > 2 * wrong(range(1, 4))


@pytest.mark.parametrize(
    ("answers", "truth", "expected"), [("abba", "a", "a"), ("abba", "b", "b"), ("abb", "a", "b")]
)
def test_ties_go_to_the_truth(answers, truth, expected):
    assert most_common(tuple(answers), truth) == expected


@pytest.mark.parametrize("size_px", [16, 48])
@pytest.mark.parametrize("place", PLACES)
def test_everything_can_be_drawn_and_more_things_change_the_picture(place, size_px):
    sky, wall = ("", "blue") if PLACES[place]["indoors"] else ("sunny", "")

    def drawn(count, hero="cat", item="ball", sport=""):
        scene = Scene(place, sky, wall, hero, "black", "left", sport, item, "red", count)
        return np.asarray(draw_scene(scene, np.random.default_rng(0), size_px)).astype(int)

    assert drawn(1).shape == (size_px, size_px, 3)
    assert (np.abs(drawn(MOST) - drawn(1)).sum(axis=2) > 60).mean() > 0.15
    shown = [{"hero": hero} for hero in HERO_KINDS] + [{"item": item} for item in PLURALS]
    shown += [{"sport": sport} for sport in PLACES[place].get("sports", ())]
    pictures = {drawn(3, **one).tobytes() for one in shown}
    assert len(pictures) == len(shown) - 1  # the cat and the ball are there anyway


def test_an_empty_folder_is_filled_and_a_full_one_refused(tmp_path):
    folder = tmp_path / "demo"
    folder.mkdir()
    make_demo(folder, seed=0, images=10, size_px=16)
    before = content(folder)
    assert before
    assert "in the way" in refusal(make_demo, folder, seed=1, images=10, size_px=16)
    assert content(folder) == before
