"""A results file against annotations: the official report, and results that do not fit."""

import pytest

from tests.builders import write_json
from vqa_helpers.data.formats import write_results
from vqa_helpers.errors import InputError
from vqa_helpers.evaluation.results import evaluate_results

ROWS = [  # question, type, answer type, target, ten answers
    (5, "is it", "yes/no", "yes", ["yes"] * 10),
    (6, "is it", "yes/no", "no", ["no"] * 8 + ["yes"] * 2),
    (7, "how many", "number", "2", ["2"] * 5 + ["two"] * 4 + ["1"]),
]


@pytest.fixture
def files(tmp_path):
    """Paths of questions, annotations and a results file yet to be written."""
    questions = [{"question_id": r[0], "image_id": 1, "question": "q?"} for r in ROWS]
    annotations = [
        {
            "question_id": r[0],
            "image_id": 1,
            "question_type": r[1],
            "answer_type": r[2],
            "multiple_choice_answer": r[3],
            "answers": [{"answer": a} for a in r[4]],
        }
        for r in ROWS
    ]
    return (
        write_json(tmp_path / "q.json", {"questions": questions}),
        write_json(tmp_path / "a.json", {"annotations": annotations}),
        tmp_path / "r.json",
    )


def test_the_report(files):
    write_results(files[2], [7, 5, 6], ["Two", "yes", "yes"])  # in any order
    # 5: 1. 6: two of ten, 0.6. 7: normalised nine say 2: 1, though it is not the target's text.
    assert evaluate_results(*files) == {
        "overall": 86.67,
        "per_answer_type": {"number": 100.0, "yes/no": 80.0},
        "per_question_type": {"how many": 100.0, "is it": 80.0},
        "top1": 33.33,
        "questions": 3,
        "normaliser": "2021",
    }


def test_the_report_before_2021(files):
    write_results(files[2], [5, 6, 7], ["Yes", "the no.", "one"])
    report = evaluate_results(*files, normaliser="2015")
    # The prediction is always normalised: yes 1, no 1; "1" once: 0.3.
    assert report["overall"] == 76.67 and report["per_answer_type"]["number"] == 30.0
    assert report["top1"] == 0.0 and report["normaliser"] == "2015"
    # Since 2021 a unanimous "yes" is not "Yes".
    assert evaluate_results(*files)["per_answer_type"]["yes/no"] == 50.0


def test_fewer_than_ten_answers_have_no_vqa_accuracy(files):
    annotations = [
        {"question_id": r[0], "image_id": 1, "multiple_choice_answer": r[3]} for r in ROWS
    ]
    write_json(files[1], {"annotations": annotations})
    write_results(files[2], [5, 6, 7], ["yes", "no", "3"])
    report = evaluate_results(*files)
    assert report["overall"] is report["per_answer_type"] is report["per_question_type"] is None
    assert report["top1"] == 66.67


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ([5, 6], "r.json: has no answer to question 7 \\(1 are missing\\)"),
        ([], "r.json: has no answer to question 5 \\(3 are missing\\)"),
        ([5, 6, 7, 8], "r.json: answers question 8, which .*q.json does not ask"),
        ([5, 6, 7, 7], "results\\[3\\] repeats question_id 7"),
    ],
)
def test_results_that_do_not_fit(files, ids, expected):
    write_results(files[2], ids, ["yes"] * len(ids))
    with pytest.raises(InputError, match=expected):
        evaluate_results(*files)
