"""The named datasets as data."""

import pytest

from vqa_helpers.data.catalogue import CUTS, DEMO, ENTRIES, RELEASES


def test_every_dataset_is_described():
    assert set(ENTRIES) == {DEMO, *CUTS, *RELEASES}
    assert all(entry.about and entry.licence and entry.questions for entry in ENTRIES.values())


def test_the_rules_of_the_study():
    assert {name: (rule.answers, rule.questions) for name, rule in CUTS.items()} == {
        "A": ("numbers 1-20", 100), "B": ("numbers 1-20", 1_000), "C": ("numbers 1-20", 5_000),
        "D": ("numbers 1-20", 10_000), "E": ("yes/no", 10_000), "100k": ("open", None),
    }  # fmt: skip
    for rule in CUTS.values():
        assert sum(rule.shares) == pytest.approx(1) and all(share > 0 for share in rule.shares)
