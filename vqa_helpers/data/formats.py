"""Official VQA JSON to checked tables, and answers to the results JSON of the evaluation server.

One question is one row. Knows nothing of folders, splits or images; a file that breaks the format
is refused with the file, the entry and the field.
"""

import codecs
import gzip
import json
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from vqa_helpers.data.decode import DecodeError, decode
from vqa_helpers.data.text import answer_type_of, question_type_of
from vqa_helpers.errors import InputError
from vqa_helpers.files import write_text

OFFICIAL_ANSWERS = 10


@dataclass(slots=True)
class Question:
    question_id: int
    image_id: int
    question: str


@dataclass(slots=True)
class QuestionFile:
    questions: list[Question]


@dataclass(slots=True)
class Answer:
    answer: str


@dataclass(slots=True)
class Annotation:
    question_id: int
    image_id: int
    multiple_choice_answer: str | None = None
    question_type: str | None = None
    answer_type: str | None = None
    answers: list[Answer] | None = None


@dataclass(slots=True)
class AnnotationFile:
    annotations: list[Annotation]


@dataclass(slots=True)
class Result:
    question_id: int
    answer: str


def read_bytes(path: Path) -> bytes:
    """The contents of a JSON file, unpacked where the name ends in `.gz`, without a mark of order."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None
    if path.suffix == ".gz" and data:
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(
                f"{path}: is not a whole gzip file ({error}); copy or download it again"
            ) from None
    data = data.removeprefix(codecs.BOM_UTF8)  # some editors begin a file with it
    if not data.strip():
        raise InputError(f"{path}: is empty; copy or download it again")
    return data


def _decode_file(path: Path, shape: type) -> object:
    try:
        return decode(read_bytes(path), shape)
    except DecodeError as error:
        raise InputError(f"{path}: {error}; the official VQA JSON layout is expected") from None


def read_questions(path: Path) -> pd.DataFrame:
    """Read a questions file: question_id, image_id, question.

    Raises:
        InputError: naming the file, the entry and the field that breaks the format.
    """
    questions = _decode_file(path, QuestionFile).questions
    table = pd.DataFrame(
        {
            "question_id": _ids(path, "questions", [q.question_id for q in questions]),
            "image_id": _ids(path, "questions", [q.image_id for q in questions]),
            "question": _text_column([q.question for q in questions]),
        }
    )
    if table.empty:
        raise InputError(f"{path}: holds no question; `questions` must list at least one")
    _refuse_duplicates(path, "questions", table["question_id"].to_numpy())
    for entry, text in enumerate(table["question"]):
        if not text.strip():
            raise InputError(f"{path}: questions[{entry}].question is empty; write the question")
    return table


def read_annotations(path: Path, questions: pd.DataFrame) -> pd.DataFrame:
    """Read the annotations of `questions`, row for row: the full table.

    The target `answer` is `multiple_choice_answer`, or the most frequent of the answers where that
    field is absent; absent types are derived from the question and the answer.

    Args:
        questions: as `read_questions` returns it.

    Raises:
        InputError: naming the file and entry; also for an annotation without its question, a
            question without its annotation, and two files that name different images.
    """
    annotations = _decode_file(path, AnnotationFile).annotations
    ids = _ids(path, "annotations", [a.question_id for a in annotations])
    _refuse_duplicates(path, "annotations", ids)
    order = _match(path, questions["question_id"].to_numpy(), ids)
    image_ids = _ids(path, "annotations", [a.image_id for a in annotations])[order]
    wrong = np.flatnonzero(image_ids != questions["image_id"].to_numpy())
    if wrong.size:
        entry, row = order[wrong[0]], questions.iloc[wrong[0]]
        raise InputError(
            f"{path}: annotations[{entry}] says image {image_ids[wrong[0]]} but its question "
            f"{row.question_id} is about image {row.image_id}; are the two files of one release?"
        )
    pool: dict[str, str] = {}  # one copy of each distinct text: answers repeat millions of times
    targets, types, answer_types, answers = [], [], [], []
    for entry, question in zip(order, questions["question"], strict=True):
        annotation = annotations[entry]
        given = tuple(pool.setdefault(a.answer, a.answer) for a in annotation.answers or ())
        target = _target(path, entry, annotation, given)
        targets.append(pool.setdefault(target, target))
        kind = annotation.question_type or question_type_of(question)
        types.append(pool.setdefault(kind, kind))
        kind = annotation.answer_type or answer_type_of(target)
        answer_types.append(pool.setdefault(kind, kind))
        answers.append(given or (targets[-1],))
    return questions.assign(
        question_type=_text_column(types),
        answer_type=_text_column(answer_types),
        answer=_text_column(targets),
        answers=pd.Series(answers, dtype=object),
    )


def read_results(path: Path) -> pd.DataFrame:
    """Read a results file: question_id, answer.

    Raises:
        InputError: naming the entry; also for two answers to one question.
    """
    results = _decode_file(path, list[Result])
    ids = _ids(path, "results", [r.question_id for r in results])
    _refuse_duplicates(path, "results", ids)
    return pd.DataFrame({"question_id": ids, "answer": _text_column([r.answer for r in results])})


def write_results(path: Path, question_ids: Iterable[int], answers: Iterable[str]) -> None:
    """Write the JSON that the VQA evaluation server takes: a list of question_id and answer."""
    rows = [
        {"question_id": int(question_id), "answer": str(answer)}
        for question_id, answer in zip(question_ids, answers, strict=True)
    ]
    write_text(path, json.dumps(rows, ensure_ascii=False))


def write_split(folder: Path, split: str, table: pd.DataFrame, description: str) -> None:
    """Write the rows of a table as `questions_<split>.json` and `annotations_<split>.json`."""
    questions, annotations = [], []
    for row in table.itertuples(index=False):
        ids = {"question_id": int(row.question_id), "image_id": int(row.image_id)}
        questions.append({**ids, "question": row.question})
        annotations.append(
            {
                **ids,
                "question_type": row.question_type,
                "answer_type": row.answer_type,
                "multiple_choice_answer": row.answer,
                "answers": [
                    {"answer": answer, "answer_confidence": "yes", "answer_id": number}
                    for number, answer in enumerate(row.answers, start=1)
                ],
            }
        )
    info = {"info": {"description": description}, "data_subtype": split}
    for name, rows in (("questions", questions), ("annotations", annotations)):
        text = json.dumps({**info, name: rows}, ensure_ascii=False)
        (folder / f"{name}_{split}.json").write_text(text, encoding="utf-8")


def has_official_answers(table: pd.DataFrame) -> bool:
    """Whether every question has the ten answers that the official VQA accuracy needs."""
    return bool((table["answers"].map(len) >= OFFICIAL_ANSWERS).all())


def _text_column(values: list[str]) -> pd.Series:
    # One dtype under pandas 2 and 3.
    return pd.Series(values, dtype=object)


def _ids(path: Path, field: str, values: list[int]) -> np.ndarray:
    try:
        return np.array(values, dtype=np.int64)
    except OverflowError:
        entry = next(i for i, value in enumerate(values) if not -(2**63) <= value < 2**63)
        raise InputError(f"{path}: {field}[{entry}] has an id beyond 64 bits") from None


def _refuse_duplicates(path: Path, field: str, ids: np.ndarray) -> None:
    duplicated = pd.Series(ids).duplicated().to_numpy()
    if duplicated.any():
        entry = int(np.flatnonzero(duplicated)[0])
        first = int(np.flatnonzero(ids == ids[entry])[0])
        raise InputError(
            f"{path}: {field}[{entry}] repeats question_id {ids[entry]} of {field}[{first}]; "
            "every question needs an id of its own"
        )


def _match(path: Path, question_ids: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """For each question the entry of its annotation."""
    index = pd.Index(ids)
    order = index.get_indexer(question_ids)
    if (order < 0).any():
        lost = question_ids[order < 0][0]
        raise InputError(
            f"{path}: question {lost} has no annotation; are the two files of one release?"
        )
    if len(ids) > len(question_ids):
        entry = int(np.flatnonzero(pd.Index(question_ids).get_indexer(ids) < 0)[0])
        raise InputError(
            f"{path}: annotations[{entry}] has question_id {ids[entry]}, which no question has; "
            "are the two files of one release?"
        )
    return order


def _target(path: Path, entry: int, annotation: Annotation, given: tuple[str, ...]) -> str:
    if annotation.multiple_choice_answer is not None:
        return annotation.multiple_choice_answer
    if given:
        return max(given, key=given.count)  # the first of the most frequent
    raise InputError(
        f"{path}: annotations[{entry}] has neither multiple_choice_answer nor answers; "
        "leave the whole file away if the split has no answers"
    )
