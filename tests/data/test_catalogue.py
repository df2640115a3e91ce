"""The named datasets as data."""

import pytest

from vqa_helpers.data.catalogue import ABOUT, CUTS, DEMO


def test_every_cut_is_described_and_the_demo_too():
    assert set(ABOUT) == {DEMO, *CUTS}
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
