"""The blind guesses that are kept for all runs on a dataset."""

import json
import os

import pytest

from tests.builders import read_json, write_dataset, write_json
from vqa_helpers.data.folder import Dataset, read_folder
from vqa_helpers.evaluation.baselines import GUESSERS
from vqa_helpers.evaluation.guesses import blind_guesses


@pytest.fixture
def dataset(tmp_path) -> Dataset:
    return read_folder(write_dataset(tmp_path / "d"))


@pytest.fixture
def kept(tmp_path):
    return tmp_path / "kept"


def test_they_are_what_the_guessers_say_and_are_kept(dataset, kept):
    given = blind_guesses(dataset, ["validation", "test"], kept)
    for name, learn in GUESSERS.items():
        guess = learn(dataset.splits["train"])
        assert given["test"][name] == guess(dataset.splits["test"])
        assert given["validation"][name] == guess(dataset.splits["validation"])
    files = sorted(kept.glob("*.json"))
    assert len(files) == len(GUESSERS)
    before = [path.stat().st_mtime_ns for path in files]
    assert blind_guesses(dataset, ["validation", "test"], kept) == given
    assert [path.stat().st_mtime_ns for path in files] == before


def test_an_empty_answer_is_never_guessed(tmp_path, kept):
    folder = write_dataset(tmp_path / "d")
    annotated = read_json(folder / "annotations_train.json")
    for annotation in annotated["annotations"][::2]:
        annotation["multiple_choice_answer"] = ""
    write_json(folder / "annotations_train.json", annotated)
    given = blind_guesses(read_folder(folder), ["validation"], kept)["validation"]
    assert given.keys() == GUESSERS.keys()
    assert all(all(answers) for answers in given.values())


def test_a_folder_that_cannot_be_written_to_is_read(dataset, kept, monkeypatch):
    given = blind_guesses(dataset, ["test"], kept)
    (kept / ".a.1.partial").touch()
    (kept / ".lock").unlink()
    monkeypatch.setattr(os, "access", lambda *_: False)
    before = sorted(kept.iterdir())
    assert blind_guesses(dataset, ["test"], kept) == given
    assert blind_guesses(dataset, ["test", "validation"], kept)["test"] == given["test"]
    assert sorted(kept.iterdir()) == before


def test_damaged_and_foreign_ones_are_made_anew(dataset, kept, tmp_path):
    given = blind_guesses(dataset, ["test"], kept)
    first, second, third, *_ = sorted(kept.glob("*.json"))
    first.write_text("{", encoding="utf-8")
    second.write_text(json.dumps({"test": ["yes"]}), encoding="utf-8")
    third.write_text(json.dumps({"test": [None] * len(dataset.splits["test"])}), encoding="utf-8")
    assert blind_guesses(dataset, ["test"], kept) == given
    other = read_folder(write_dataset(tmp_path / "other", seed=1))
    assert blind_guesses(other, ["test"], kept) != given


def test_other_question_types_are_another_dataset(dataset, kept):
    given = blind_guesses(dataset, ["test"], kept)
    for table in dataset.splits.values():
        table["question_type"] = "what"
    name = "most frequent per question type"
    alike = blind_guesses(dataset, ["test"], kept)["test"]
    assert alike[name] == alike["most frequent answer"] != given["test"][name]
