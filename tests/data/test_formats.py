"""Official VQA JSON: what is read, what is derived, and how each malformed file is refused."""

import gzip
import json

import pandas as pd
import pytest

from tests.builders import read_json, write_json
from tests.data.making import refusal
from vqa_helpers.data import formats
from vqa_helpers.data.formats import read_annotations, read_questions

QUESTIONS = [
    {"question_id": 10, "image_id": 1, "question": "How many cats?"},
    {"question_id": 11, "image_id": 1, "question": "Is the cat in?"},
    {"question_id": 20, "image_id": 2, "question": "Say what?"},
]
LABELS = [("how many", "number", "2"), ("is the", "yes/no", "yes"), ("what", "other", "that")]
ANNOTATIONS = [
    {
        "question_id": question["question_id"], "image_id": question["image_id"],
        "question_type": kind, "answer_type": answer_type, "multiple_choice_answer": answer,
        "answers": [{"answer": answer, "answer_id": i} for i in range(10)],
    }
    for question, (kind, answer_type, answer) in zip(QUESTIONS, LABELS, strict=True)
]  # fmt: skip
PACKED = gzip.compress(json.dumps({"questions": QUESTIONS}).encode(), mtime=0)


def changed(rows, entry, **fields):
    """Rows with fields of one entry replaced, or removed where the value is Ellipsis."""
    rows = [dict(row) for row in rows]
    rows[entry] |= fields
    rows[entry] = {name: value for name, value in rows[entry].items() if value is not ...}
    return rows


def read(tmp_path, questions=QUESTIONS, annotations=ANNOTATIONS):
    asked = write_json(tmp_path / "q.json", {"questions": questions})
    answered = write_json(tmp_path / "a.json", {"annotations": annotations})
    return read_annotations(answered, read_questions(asked))


def test_the_table(tmp_path):
    table = read(tmp_path)
    assert table.columns.tolist() == [
        "question_id", "image_id", "question", "question_type", "answer_type", "answer", "answers"
    ]  # fmt: skip
    expected = [10, 1, "How many cats?", "how many", "number", "2", ("2",) * 10]
    assert table.iloc[0].tolist() == expected
    assert table["question_id"].dtype == table["image_id"].dtype == "int64"
    assert {str(dtype) for dtype in table.dtypes[2:]} == {"object"}
    assert formats.has_official_answers(table)
    pd.testing.assert_frame_equal(read(tmp_path, annotations=ANNOTATIONS[::-1]), table)


def test_absent_fields_are_derived(tmp_path):
    rows = changed(ANNOTATIONS, 0, question_type=..., answer_type=..., multiple_choice_answer=...)
    rows = changed(rows, 1, answers=..., question_type=None)
    rows[0]["answers"] = [{"answer": a} for a in ("3", "2", "2", "3", "1")]
    table = read(tmp_path, annotations=changed(rows, 2, answers=[]))
    # Of "3" and "2", both given twice, the first stands.
    derived = table.loc[0, ["question_type", "answer_type", "answer"]].tolist()
    assert derived == ["how many", "number", "3"]
    assert table["answers"].tolist() == [("3", "2", "2", "3", "1"), ("yes",), ("that",)]
    assert table.loc[1, "question_type"] == "is the" and table["question_type"].dtype == object
    assert not formats.has_official_answers(table)
    many = [{"answer": str(i)} for i in range(12)]
    table = read(tmp_path, annotations=changed(ANNOTATIONS, 0, answers=many))
    assert len(table.loc[0, "answers"]) == 12 and formats.has_official_answers(table)


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("a.json", lambda text: b"\xef\xbb\xbf" + text), ("c.json.gz", gzip.compress),
        ("b.json", lambda text: text.replace(b"\n", b"\r\n") + b"\r\n"),
    ],
)  # fmt: skip
def test_unicode_negative_ids_byte_order_mark_windows_line_ends_and_gzip(tmp_path, name, make):
    odd = {"question_id": -(2**63), "image_id": 2**63 - 1, "question": "Où est «le» 猫?"}
    rows = [odd, *QUESTIONS[1:]]
    text = json.dumps({"questions": rows}, indent=1, ensure_ascii=False).encode()
    (tmp_path / name).write_bytes(make(text))
    table = read_questions(tmp_path / name)
    assert table.iloc[0].tolist() == [*odd.values()] and len(table) == 3


@pytest.mark.parametrize(
    ("asked", "said", "expected"),
    [
        (changed(QUESTIONS, 1, question_id=[11]), None, "questions[1].question_id: Expected `"),
        (changed(QUESTIONS, 1, question_id=1.5), None, "questions[1]: its id is 1.5; an id is a whole"),
        (changed(QUESTIONS, 2, question=" \t"), None, "questions[2].question is empty"),
        (changed(QUESTIONS, 0, image_id=...), None, "questions[0]: Object missing required field `im"),
        (changed(QUESTIONS, 2, question_id=10), None, "questions[2] repeats question_id 10 of questions[0]"),
        (changed(QUESTIONS, 1, question_id=2**63), None, "questions[1].question_id: Expected `int` <= 9"),
        ({"10": "x"}, None, "questions: Expected `array`, got `object`"),
        (None, ANNOTATIONS[:2], "question 20 has no usable annotation"),
        (None, [*ANNOTATIONS, {**ANNOTATIONS[0], "question_id": 99}], "annotations[3] has question_id 99, which no"),
        (None, [*ANNOTATIONS, ANNOTATIONS[1]], "annotations[3] repeats question_id 11 of annotations[1]"),
        (None, changed(ANNOTATIONS, 2, image_id=1), "annotations[2] says image 1 but its question 20"),
        (None, changed(ANNOTATIONS, 1, answers=[{"answer": "a"}, {"answer": []}]),
         "annotations[1].answers[1].answer: Expected `"),
        (None, changed(ANNOTATIONS, 1, answers=[], multiple_choice_answer=...), "annotations[1] has neither"),
    ],
)  # fmt: skip
def test_malformed_entries_name_file_entry_and_field(tmp_path, asked, said, expected):
    message = refusal(read, tmp_path, asked or QUESTIONS, said or ANNOTATIONS)
    assert message.startswith(f"{tmp_path / ('q.json' if asked else 'a.json')}: {expected}")


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("q.json", b" \n\t ", "is empty"), ("q.json.gz", gzip.compress(b"", mtime=0), "is empty"),
        ("q.json", b"question_id,image_id\n", "JSON is malformed"), ("q.json", b'{"que', ""),
        *[("q.json", b'{"questions": [' + end, "JSON is malformed") for end in (b"],}", b"]} more", b"NaN]}")],
        *[("q.json", text, "JSON is malformed") for text in (b"{'questions': []}", b"PK\3\4")],
        ("q.json", b"\0\1\2", "begins as UTF-16 and is not"),
        ("q.json", b'{"annotations": []}', "missing required field `questions`"),
        ("q.json", b'{"questions": []}', "`questions` lists nothing"),
        ("q.json", PACKED, "JSON is malformed"),
        ("q.json.gz", PACKED[:40] + bytes([PACKED[40] ^ 255]) + PACKED[41:], "is not a complete gzip"),
        ("q.json.gz", PACKED[:-8] + bytes(8), "is not a complete gzip file"),  # wrong checksum
        ("q.json.gz", PACKED + b"tail", "is not a complete gzip file"),
    ],
)  # fmt: skip
def test_damaged_files(tmp_path, name, content, expected):
    (tmp_path / name).write_bytes(content)
    message = refusal(read_questions, tmp_path / name)
    assert message.startswith(f"{tmp_path / name}: ") and expected in message


def test_every_truncation_of_a_gzip_file_is_refused(tmp_path):
    path = tmp_path / "q.json.gz"
    for length in range(len(PACKED)):
        path.write_bytes(PACKED[:length])
        refusal(formats.read_bytes, path)
    for path in (tmp_path / "absent.json", tmp_path):
        assert "cannot be read" in refusal(read_questions, path)


def test_results_are_a_list_of_ids_and_answers(tmp_path):
    path = tmp_path / "new" / "r.json"
    table = pd.DataFrame({"question_id": [3, 1, 2**40]})
    formats.write_results(path, table, ["yes", "猫", 'a "b"'])
    answers = {row["question_id"]: row["answer"] for row in read_json(path)}
    assert answers == {3: "yes", 1: "猫", 2**40: 'a "b"'}
    with pytest.raises(ValueError, match="shorter"):
        formats.write_results(path.with_name("s.json"), table, ["a"])
    assert [p.name for p in path.parent.iterdir()] == ["r.json"]


def test_a_split_written_is_the_split_read(tmp_path):
    table = read(tmp_path)
    formats.write_split(tmp_path, "val", table, "a test")
    questions = read_questions(tmp_path / "questions_val.json")
    again = read_annotations(tmp_path / "annotations_val.json", questions)
    pd.testing.assert_frame_equal(again, table)
    formats.write_split(tmp_path, "test", questions, "a test")
    assert not (tmp_path / "annotations_test.json").exists()
