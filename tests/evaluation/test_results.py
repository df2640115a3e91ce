"""A results file against annotations: the official report, and results that do not fit."""

import codecs
import gzip
import json

import pandas as pd
import pytest

from tests.evaluation.official import write_split
from vqa_helpers.data.formats import write_results
from vqa_helpers.errors import InputError
from vqa_helpers.evaluation.results import evaluate_results, validate_results

ROWS = [  # question, type, answer type, target, ten answers
    (5, "is it", "yes/no", "yes", ["yes"] * 10),
    (6, "is it", "yes/no", "no", ["no"] * 8 + ["yes"] * 2),
    (7, "how many", "number", "2", ["2"] * 5 + ["two"] * 4 + ["1"]),
]


@pytest.fixture
def files(tmp_path):
    """Paths of questions, annotations and a results file yet to be written."""
    return *write_split(tmp_path, ROWS), tmp_path / "r.json"


@pytest.fixture
def one_answer(tmp_path):
    """The same, but nobody answered a question except for its target."""
    return *write_split(tmp_path, [(*row[:4], []) for row in ROWS]), tmp_path / "r.json"


def report_of(files, said: dict[int, str], **options) -> dict:
    """The report on what was said to each question."""
    write_results(files[2], pd.DataFrame({"question_id": list(said)}), list(said.values()))
    return evaluate_results(*files, **options)


def test_the_report(files):
    # 5: 1. 6: two of ten, 0.6. 7: normalised nine say 2: 1, though it is not the target's text.
    assert report_of(files, {7: "Two", 5: "yes", 6: "yes"}) == {  # in any order
        "overall": 86.67,
        "per_answer_type": {"number": 100.0, "yes/no": 80.0},
        "per_question_type": {"how many": 100.0, "is it": 80.0},
        "top1": 33.33,
        "top1_normalised": 66.67,
        "questions": 3,
        "normaliser": "2021",
    }


def test_the_report_before_2021(files):
    report = report_of(files, {5: "Yes", 6: "the no.", 7: "one"}, normaliser="2015")
    # The prediction is always normalised: yes 1, no 1; "1" once: 0.3.
    assert report["overall"] == 76.67 and report["per_answer_type"]["number"] == 30.0
    assert report["top1"] == 0.0 and report["normaliser"] == "2015"
    # Since 2021 a unanimous "yes" is not "Yes".
    assert evaluate_results(*files)["per_answer_type"]["yes/no"] == 50.0


def test_fewer_than_ten_answers_have_no_vqa_accuracy(one_answer):
    report = report_of(one_answer, {5: "Yes.", 6: "no", 7: "3"})
    assert report["overall"] is report["per_answer_type"] is report["per_question_type"] is None
    assert (report["top1"], report["top1_normalised"]) == (33.33, 66.67)
    report = report_of(one_answer, {5: " the YES!", 6: "No", 7: "two"})
    assert (report["top1"], report["top1_normalised"]) == (0.0, 100.0)


def test_one_human_s_answers_have_wups_where_wordnet_is(one_answer, nouns_known):
    nouns_known("entity", "digit < entity", "1 one < digit", "2 two < digit")
    report = report_of(one_answer, {5: "yes", 6: "yes", 7: "1"})
    assert report["overall"] is None and report["top1"] == 33.33
    # 1, 0, and of 1 and 2 two thirds, by digit: 2 * 2 / (3 + 3)
    values = [report[name]["value"] for name in ("wups_0.0", "wups_0.9")]
    assert values == [55.56, 35.56] and report["one_thing"] is None


def refusal(files, content) -> str:
    """The one line with which results are refused, by validation and evaluation alike."""
    text = content if isinstance(content, str) else json.dumps(content)
    files[2].write_text(text, encoding="utf-8")
    lines = []
    for refuse in (lambda: validate_results(files[2], files[0]), lambda: evaluate_results(*files)):
        with pytest.raises(InputError) as caught:
            refuse()
        lines.append(str(caught.value))
    assert lines[0] == lines[1] and "\n" not in lines[0] and lines[0].startswith(str(files[2]))
    return lines[0]


def rows(*ids):
    return [{"question_id": number, "answer": "yes"} for number in ids]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (rows(5, 6), "has no answer to question 7; every question needs one"),
        (rows(5, 6, 7, 8, 9), "q.json does not ask (and 1 more like it); are they of one split?"),
        (rows(5, 6, 7, 7, 5, 7), "results[3] repeats question_id 7 (and 2 more like it)"),
        ('{"question_id": 5, "answer": "yes"}', "is expected"), ("", "is empty"),
        ('[{"question_id": 5, "answer": "yes"', "is expected"),
        ('[{"question_id": NaN, "answer": "yes"}]', "malformed"), ("[" * 100_000, "malformed"),
    ],
)  # fmt: skip
def test_results_that_do_not_fit(files, content, expected):
    assert expected in refusal(files, content)


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"question_id": 6}, "required field `answer`"),
        ({"question_id": True, "answer": "yes"}, "results[1].question_id: "),
        ({"question_id": 6, "answer": None}, "results[1].answer: "),
        ("yes", "results[1]: "),
    ],
)
def test_entries_of_another_form(files, entry, expected):
    line = refusal(files, [*rows(5), entry, *rows(7)])
    assert expected in line and "is expected" in line and "more like it" not in line
    assert "(and 1 more like it)" in refusal(files, [*rows(5), entry, entry, *rows(7)])


def test_what_is_scored_here_and_refused_by_the_server(files):
    write_results(files[2], pd.DataFrame({"question_id": [7, 5, 6]}), ["2", "yes", "no"])
    plain = files[2].read_bytes()
    packed = files[2].with_suffix(".json.gz")
    packed.write_bytes(gzip.compress(plain))
    files[2].write_bytes(codecs.BOM_UTF8 + plain)  # as some editors begin
    for path, said in ((files[2], "begins with a byte order mark"), (packed, "is packed")):
        assert evaluate_results(*files[:2], path)["top1"] == 100.0
        with pytest.raises(InputError, match=said):
            validate_results(path, files[0])
