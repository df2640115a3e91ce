"""The named datasets as data."""

import pytest

from vqa_helpers.data.catalogue import CUTS, DEMO, ENTRIES, RELEASES


def test_every_dataset_is_described():
    assert set(ENTRIES) == {DEMO, *CUTS, *RELEASES}
    assert all(entry.about and entry.licence and entry.questions for entry in ENTRIES.values())
    assert list(CUTS) == ["A", "B", "C", "D", "E", "100k"]


@pytest.mark.parametrize(
    ("name", "answers", "questions"),
    [
        ("A", "numbers 1-20", 100),
        ("B", "numbers 1-20", 1_000),
        ("C", "numbers 1-20", 5_000),
        ("D", "numbers 1-20", 10_000),
        ("E", "yes/no", 10_000),
        ("100k", "open", None),
    ],
)
def test_the_rules_of_the_study(name, answers, questions):
    assert (CUTS[name].answers, CUTS[name].questions) == (answers, questions)
    assert sum(CUTS[name].shares) == pytest.approx(1) and all(s > 0 for s in CUTS[name].shares)
    assert CUTS[name].source


def test_the_official_names():
    assert RELEASES["v1"].questions("val2014") == "OpenEnded_mscoco_val2014_questions.json"
    assert RELEASES["v2"].annotations("train2014") == "v2_mscoco_train2014_annotations.json"
