"""WUPS by hand, on a small WordNet; what a split keeps of it."""

import pandas as pd
import pytest

from tests.builders import write_wordnet
from tests.evaluation.official import table
from vqa_helpers.evaluation import wups as measured
from vqa_helpers.evaluation.wordnet import WordNet
from vqa_helpers.evaluation.wups import is_one_thing, measure_wups, wups

# Depths: seat 3, chair and sofa 4, armchair 5, rocker 6; fork and knife 3 below utensil 2.
NOUNS = ("entity", "furniture < entity", "seat < furniture", "chair < seat", "sofa couch < seat",
         "armchair < chair", "rocker < armchair", "utensil < entity", "fork < utensil",
         "knife < utensil")  # fmt: skip


@pytest.fixture(scope="module")
def net(tmp_path_factory):
    return WordNet(write_wordnet(tmp_path_factory.mktemp("wordnet") / "dict", NOUNS))


@pytest.mark.parametrize(
    ("answer", "truth", "at_0", "at_9"),
    [
        ("chair", "sofa", 3 / 4, 3 / 40),
        ("couch", "sofa", 1, 1),
        ("armchair", "chair", 8 / 9, 8 / 90),
        ("armchair", "rocker", 10 / 11, 10 / 11),  # not below 0.9: nothing is taken off
        ("fork", "chair", 2 / 7, 2 / 70),
        ("window_blind", "window_blind", 1, 1),  # the same text, known or not
        ("window_blind", "chair", 0, 0),
        # min(2/3 of knife times 1 of fork, 1 of fork)
        ("knife, fork", "fork", 2 / 3, 2 / 30),
        ("fork", "knife, fork", 2 / 3, 2 / 30),
        ("fork,  knife", "knife, fork", 1, 1),  # in any order
        ("fork, chair", "fork, sofa", 3 / 4, 3 / 40),
        # Of the answer 3/4 and 2/3; of the truth 3/4, 2/3 and 0.
        ("chair, knife", "sofa, fork, window_blind", 0, 0),
        # Of the answer 3/4 and 3/4, twice; of the truth 3/4.
        ("chair, armchair", "sofa", 3 / 4 * 6 / 9, 3 / 40 * 6 / 90),
        ("", "chair", 0, 0),
        (", ", "chair", 0, 0),
    ],
)
def test_by_hand(net, answer, truth, at_0, at_9):
    scores = wups([answer, "chair"], [truth, "chair"], net)
    assert scores["wups_0.0"] == pytest.approx([at_0, 1], abs=1e-12)
    assert scores["wups_0.9"] == pytest.approx([at_9, 1], abs=1e-12)


def test_each_pair_of_things_is_looked_up_once():
    asked = []

    class Counting:
        def similarity(self, first, second):
            asked.append((first, second))
            return 0.5

    scores = wups(["a", "b", "a, b", "a"] * 500, ["b", "b", "b, c", "c"] * 500, Counting())
    assert sorted(asked) == [("a", "b"), ("a", "c"), ("b", "c")]
    # a, b against b, c: 1/2 and 1; 1 and 1/2
    assert scores["wups_0.0"].tolist() == [0.5, 1, 0.5, 0.5] * 500


def test_one_thing_is_no_list():
    said = ["chair", "garbage_bin", "chair, table", "chair,", "dining table", ""]
    assert is_one_thing(said).tolist() == [True, True, False, True, True, False]


def one_by_one(truths, answers=1):
    """A question a truth, two about each image."""
    return table(*[("?", truth, n // 2) for n, truth in enumerate(truths)], answers=answers)


SAID, TRUTHS = ["couch", "chair", "fork", "fork"], ["sofa", "sofa", "fork", "fork, knife"]


def test_a_split_keeps_both_and_those_of_one_thing(net, monkeypatch):
    monkeypatch.setattr(measured, "find_wordnet", lambda: net)
    kept = measure_wups(SAID, one_by_one(TRUTHS))
    values = {name: score["value"] for name, score in kept.items() if name != "one_thing"}
    # 1, 3/4, 1 and 2/3; at 0.9 1, 3/40, 1 and 2/30
    assert values == {"wups_0.9": 53.54, "wups_0.0": 85.42}
    for name in values:
        assert kept[name]["low"] < kept[name]["value"] < kept[name]["high"]
    single = kept["one_thing"]
    assert single["questions"] == 3 and single["top1"]["value"] == 33.33  # couch is not sofa
    assert single["wups_0.9"]["value"] == 69.17 and single["wups_0.0"]["value"] == 91.67
    assert measure_wups(SAID[:3], one_by_one(TRUTHS[:3]))["one_thing"] is None  # all are
    assert measure_wups(SAID[3:], one_by_one(TRUTHS[3:]))["one_thing"] is None  # none is


def test_it_is_left_out_where_ten_answered_or_no_wordnet_is(net, monkeypatch):
    monkeypatch.setattr(measured, "find_wordnet", lambda: net)
    assert measure_wups(SAID, one_by_one(TRUTHS, answers=9)).keys() >= {"wups_0.9", "wups_0.0"}
    monkeypatch.setattr(measured, "find_wordnet", pytest.fail)  # not even looked for
    assert measure_wups(SAID, one_by_one(TRUTHS, answers=10)) == {}
    mixed = pd.concat([one_by_one(TRUTHS), one_by_one(TRUTHS, answers=10)], ignore_index=True)
    assert measure_wups(SAID * 2, mixed) == {}
    monkeypatch.setattr(measured, "find_wordnet", lambda: None)
    assert measure_wups(SAID, one_by_one(TRUTHS)) == {}
