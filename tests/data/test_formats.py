"""Official VQA JSON: what is read, what is derived, and how each malformed file is refused."""

import gzip
import json
import sys

import pandas as pd
import pytest

from tests.builders import write_json
from vqa_helpers.data.formats import (
    has_official_answers,
    read_annotations,
    read_questions,
    write_results,
    write_split,
)
from vqa_helpers.errors import InputError

QUESTIONS = [
    {"question_id": 10, "image_id": 1, "question": "How many cats?"},
    {"question_id": 11, "image_id": 1, "question": "Is the cat in?"},
    {"question_id": 20, "image_id": 2, "question": "Say what?"},
]
ANNOTATIONS = [
    {
        "question_id": q["question_id"],
        "image_id": q["image_id"],
        "question_type": kind,
        "answer_type": answer_type,
        "multiple_choice_answer": answer,
        "answers": [{"answer": answer, "answer_id": i} for i in range(10)],
    }
    for q, kind, answer_type, answer in zip(
        QUESTIONS,
        ["how many", "is the", "none of the above"],
        ["number", "yes/no", "other"],
        ["2", "yes", "that"],
        strict=True,
    )
]


@pytest.fixture(params=["msgspec", "plain"])
def decoder(request, monkeypatch):
    if request.param == "plain":
        monkeypatch.setitem(sys.modules, "msgspec", None)
    else:
        pytest.importorskip("msgspec", reason="not part of every installation")


def changed(rows, entry, **fields):
    """Rows with fields of one entry replaced, or removed where the value is Ellipsis."""
    rows = [dict(row) for row in rows]
    for name, value in fields.items():
        if value is ...:
            del rows[entry][name]
        else:
            rows[entry][name] = value
    return rows


def read(tmp_path, questions=QUESTIONS, annotations=ANNOTATIONS):
    asked = write_json(tmp_path / "q.json", {"questions": questions})
    answered = write_json(tmp_path / "a.json", {"annotations": annotations})
    return read_annotations(answered, read_questions(asked))


def refusal(read_it, *arguments):
    with pytest.raises(InputError) as caught:
        read_it(*arguments)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_the_table(tmp_path, decoder):
    table = read(tmp_path)
    assert table.columns.tolist() == [
        "question_id", "image_id", "question", "question_type", "answer_type", "answer", "answers"
    ]  # fmt: skip
    assert table.iloc[0].tolist() == [
        10, 1, "How many cats?", "how many", "number", "2", ("2",) * 10
    ]  # fmt: skip
    assert table["question_id"].dtype == table["image_id"].dtype == "int64"
    assert {str(dtype) for dtype in table.dtypes[2:]} == {"object"}
    assert has_official_answers(table)


def test_annotations_in_another_order_meet_their_questions(tmp_path):
    table = read(tmp_path, annotations=ANNOTATIONS[::-1])
    assert table["answer"].tolist() == ["2", "yes", "that"]
    assert table["question_id"].tolist() == [10, 11, 20]


def test_absent_fields_are_derived(tmp_path):
    rows = changed(ANNOTATIONS, 0, question_type=..., answer_type=..., multiple_choice_answer=...)
    rows = changed(rows, 1, answers=..., question_type=None)
    rows[0]["answers"] = [{"answer": a} for a in ("3", "2", "2", "3", "1")]
    table = read(tmp_path, annotations=rows)
    # Of "3" and "2", both given twice, the first stands.
    assert table.loc[0, ["question_type", "answer_type", "answer"]].tolist() == [
        "how many", "number", "3"
    ]  # fmt: skip
    assert table.loc[0, "answers"] == ("3", "2", "2", "3", "1")
    assert table.loc[1, "answers"] == ("yes",) and table.loc[1, "question_type"] == "is the"
    assert table["question_type"].dtype == object
    assert not has_official_answers(table)


@pytest.mark.parametrize("answers", [[], None])
def test_no_annotators_leave_the_target_alone(tmp_path, decoder, answers):
    table = read(tmp_path, annotations=changed(ANNOTATIONS, 2, answers=answers))
    assert table.loc[2, "answers"] == ("that",)


def test_more_than_ten_annotators_are_kept(tmp_path):
    many = [{"answer": str(i)} for i in range(12)]
    table = read(tmp_path, annotations=changed(ANNOTATIONS, 0, answers=many))
    assert len(table.loc[0, "answers"]) == 12 and has_official_answers(table)


def test_unicode_negative_and_64_bit_ids(tmp_path, decoder):
    ids = {"question_id": -(2**63), "image_id": 2**63 - 1}
    questions = changed(QUESTIONS, 0, question="Où est «le» 猫?", **ids)
    table = read(tmp_path, questions, changed(ANNOTATIONS, 0, multiple_choice_answer="猫", **ids))
    assert table.loc[0, ["question_id", "image_id", "question", "answer"]].tolist() == [
        -(2**63), 2**63 - 1, "Où est «le» 猫?", "猫"
    ]  # fmt: skip


@pytest.mark.parametrize("encode", [lambda t: b"\xef\xbb\xbf" + t, lambda t: t + b"\r\n"])
def test_byte_order_mark_and_windows_line_ends(tmp_path, decoder, encode):
    text = json.dumps({"questions": QUESTIONS}, indent=1).replace("\n", "\r\n").encode()
    (tmp_path / "q.json").write_bytes(encode(text))
    assert len(read_questions(tmp_path / "q.json")) == 3


def test_gzip(tmp_path):
    path = tmp_path / "q.json.gz"
    path.write_bytes(gzip.compress(json.dumps({"questions": QUESTIONS}).encode()))
    assert read_questions(path)["question_id"].tolist() == [10, 11, 20]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (changed(QUESTIONS, 1, question_id="11"), "questions[1].question_id: Expected `int`"),
        (changed(QUESTIONS, 1, image_id=1.5), "questions[1].image_id: Expected `int`"),
        (changed(QUESTIONS, 2, question=7), "questions[2].question: Expected `str`, got `int`"),
        (changed(QUESTIONS, 2, question=None), "questions[2].question: Expected `str`"),
        (changed(QUESTIONS, 2, question=" \t"), "questions[2].question is empty"),
        (changed(QUESTIONS, 0, image_id=...), "questions[0]: Object missing required field `ima"),
        (changed(QUESTIONS, 2, question_id=10), "questions[2] repeats question_id 10 of quest"),
        (changed(QUESTIONS, 1, question_id=2**63), "questions[1] has an id beyond 64 bits"),
        (changed(QUESTIONS, 1, image_id=-(10**30)), "questions[1] has an id beyond 64 bits"),
        ([], "holds no question"),
        (["x"], "questions[0]: Expected `object`, got `str`"),
        ({"10": "x"}, "questions: Expected `array`, got `object`"),
    ],
)
def test_malformed_questions_name_file_entry_and_field(tmp_path, decoder, rows, expected):
    message = refusal(read, tmp_path, rows)
    assert message.startswith(f"{tmp_path / 'q.json'}: ") and expected in message


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (ANNOTATIONS[:2], "question 20 has no annotation"),
        (
            [*ANNOTATIONS, {**ANNOTATIONS[0], "question_id": 99}],
            "annotations[3] has question_id 99, which no question has",
        ),
        ([*ANNOTATIONS, ANNOTATIONS[1]], "annotations[3] repeats question_id 11 of annotations[1]"),
        (
            changed(ANNOTATIONS, 2, image_id=7),
            "annotations[2] says image 7 but its question 20 is about image 2",
        ),
        (
            changed(ANNOTATIONS, 2, image_id=1),
            "annotations[2] says image 1 but its question 20 is about image 2",
        ),
        (changed(ANNOTATIONS, 1, question_id="x"), "annotations[1].question_id: Expected `int`"),
        (
            changed(ANNOTATIONS, 1, multiple_choice_answer=1),
            "annotations[1].multiple_choice_answer: Expected `str | null`, got `int`",
        ),
        (
            changed(ANNOTATIONS, 1, answers=[{"answer": "a"}, {"answer": 3}]),
            "annotations[1].answers[1].answer: Expected `str`, got `int`",
        ),
        (
            changed(ANNOTATIONS, 1, answers=[{"answer": None}]),
            "annotations[1].answers[0].answer: Expected `str`, got `null`",
        ),
        (
            changed(ANNOTATIONS, 1, answers=["yes"]),
            "annotations[1].answers[0]: Expected `object`, got `str`",
        ),
        (
            changed(ANNOTATIONS, 1, answers=[], multiple_choice_answer=...),
            "annotations[1] has neither multiple_choice_answer nor answers",
        ),
        ([], "question 10 has no annotation"),
    ],
)
def test_malformed_annotations_name_file_entry_and_field(tmp_path, decoder, rows, expected):
    message = refusal(read, tmp_path, QUESTIONS, rows)
    assert message.startswith(f"{tmp_path / 'a.json'}: ") and expected in message


def test_questions_and_annotations_swapped(tmp_path, decoder):
    path = write_json(tmp_path / "q.json", {"annotations": ANNOTATIONS})
    assert "missing required field `questions`" in refusal(read_questions, path)


WHOLE = gzip.compress(json.dumps({"questions": QUESTIONS}).encode(), mtime=0)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("q.json", b"", "is empty"),
        ("q.json", b" \n\t ", "is empty"),
        ("q.json", b"\xef\xbb\xbf", "is empty"),
        ("q.json.gz", b"", "is empty"),
        ("q.json.gz", gzip.compress(b"", mtime=0), "is empty"),
        ("q.json", b"question_id,image_id\n", "JSON is malformed"),
        ("q.json", b'{"questions": [', ""),
        ("q.json", WHOLE, "JSON is malformed"),
        ("q.json", b"PK\x03\x04\x14\x00", "JSON is malformed"),
        ("q.json.gz", b'{"questions": []}', "is not a whole gzip file"),
        ("q.json.gz", WHOLE[:-9], "is not a whole gzip file"),
        ("q.json.gz", WHOLE[:40] + bytes([WHOLE[40] ^ 255]) + WHOLE[41:], "is not a whole gzip"),
        ("q.json.gz", WHOLE[:-8] + bytes(8), "is not a whole gzip file"),  # wrong checksum
        ("q.json.gz", WHOLE + b"tail", "is not a whole gzip file"),
    ],
)
def test_damaged_files(tmp_path, decoder, name, content, expected):
    path = tmp_path / name
    path.write_bytes(content)
    message = refusal(read_questions, path)
    assert message.startswith(f"{path}: ") and expected in message


def test_every_truncation_of_a_gzip_file_is_refused(tmp_path):
    path = tmp_path / "q.json.gz"
    for length in range(len(WHOLE)):
        path.write_bytes(WHOLE[:length])
        refusal(read_questions, path)


def test_a_file_that_cannot_be_opened(tmp_path):
    assert "cannot be read" in refusal(read_questions, tmp_path / "absent.json")
    (tmp_path / "q.json").mkdir()
    assert "cannot be read" in refusal(read_questions, tmp_path / "q.json")


def test_results_are_a_list_of_ids_and_answers(tmp_path):
    path = tmp_path / "new" / "r.json"
    write_results(path, [3, 1, 2**40], ["yes", "猫", 'a "b"'])
    assert json.loads(path.read_text(encoding="utf-8")) == [
        {"question_id": 3, "answer": "yes"},
        {"question_id": 1, "answer": "猫"},
        {"question_id": 2**40, "answer": 'a "b"'},
    ]
    assert [p.name for p in path.parent.iterdir()] == ["r.json"]


def test_results_of_unequal_length_are_a_mistake_and_leave_no_file(tmp_path):
    with pytest.raises(ValueError, match="shorter"):
        write_results(tmp_path / "r.json", [1, 2], ["a"])
    assert not list(tmp_path.iterdir())


def test_a_split_written_is_the_split_read(tmp_path):
    table = read(tmp_path)
    write_split(tmp_path, "val", table, "a test")
    questions = read_questions(tmp_path / "questions_val.json")
    again = read_annotations(tmp_path / "annotations_val.json", questions)
    pd.testing.assert_frame_equal(again, table)
