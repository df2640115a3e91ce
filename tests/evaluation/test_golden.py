"""The official metric against values that were worked out by hand, entry by entry and in sum."""

import json
from pathlib import Path

import pandas as pd
import pytest

from tests.evaluation.official import vqa_score, write_split
from vqa_helpers.data.formats import write_results
from vqa_helpers.evaluation.metrics import Annotators
from vqa_helpers.evaluation.results import evaluate_results

GOLDEN = json.loads(Path(__file__).with_name("golden.json").read_text(encoding="utf-8"))
ENTRIES = GOLDEN["entries"]
BOTH = ["2021", "2015"]


def annotators(entry) -> list[str]:
    return [answer for answer, count in entry["answers"].items() for _ in range(count)]


def test_the_report_is_of_ten_answers_each():
    assert {len(annotators(entry)) for entry in ENTRIES} == {10}


@pytest.mark.parametrize("normaliser", BOTH)
@pytest.mark.parametrize("entry", ENTRIES + GOLDEN["odd"], ids=lambda entry: entry["why"])
def test_each_entry(entry, normaliser):
    given = annotators(entry)
    assert vqa_score(entry["prediction"], given, normaliser) == pytest.approx(entry[normaliser])
    (at_once,) = Annotators([given], normaliser).score([entry["prediction"]])
    assert at_once == pytest.approx(entry[normaliser], abs=1e-12), entry["why"]


@pytest.mark.parametrize("normaliser", BOTH)
def test_the_report_agrees_to_a_hundredth_of_a_point(tmp_path, normaliser):
    ids = [entry["question_id"] for entry in ENTRIES]
    names = ("question_id", "question_type", "answer_type")
    rows = [(*map(e.get, names), annotators(e)[0], annotators(e)) for e in ENTRIES]
    results = tmp_path / "r.json"
    write_results(results, pd.DataFrame({"question_id": ids}), [e["prediction"] for e in ENTRIES])
    report = evaluate_results(*write_split(tmp_path, rows), results, normaliser)
    expected = GOLDEN["expected"][normaliser]
    assert report["overall"] == pytest.approx(expected["overall"], abs=0.01)
    for kind in ("per_answer_type", "per_question_type"):
        assert report[kind] == pytest.approx(expected[kind], abs=0.01)
    assert report["normaliser"] == normaliser
