"""Official VQA JSON to checked tables, and answers to the results JSON of the evaluation server.

One question is one row. Knows nothing of folders, splits or images; a file that breaks the format
is refused with the file, the entry and the field.
"""

import codecs
import gzip
import json
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd

from vqa_helpers.data.decode import DecodeError, decode_entries
from vqa_helpers.data.text import answer_type_of, question_type_of
from vqa_helpers.errors import InputError
from vqa_helpers.files import write_text

OFFICIAL_ANSWERS = 10
Entry = TypeVar("Entry")


@dataclass(slots=True)
class Question:
    question_id: int
    image_id: int
    question: str


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
    if not data or data.isspace():
        raise InputError(f"{path}: is empty; copy or download it again")
    return data


def _read_entries(path: Path, field: str, shape: type[Entry]) -> Iterator[Entry]:
    """The entries of a file, one by one; the first that breaks the format ends it."""
    try:
        for entry in decode_entries(read_bytes(path), field, shape):
            if isinstance(entry, DecodeError):
                raise entry
            yield entry
    except DecodeError as error:
        raise InputError(f"{path}: {error}; the official VQA JSON layout is expected") from None


def question_columns(entries: Iterable[Question]) -> dict[str, list]:
    """question_id, image_id and question of each entry."""
    columns = {"question_id": [], "image_id": [], "question": []}
    once: dict[str, str] = {}  # one copy of each text, however often it is asked
    for entry in entries:
        columns["question_id"].append(entry.question_id)
        columns["image_id"].append(entry.image_id)
        columns["question"].append(once.setdefault(entry.question, entry.question))
    return columns


def annotation_columns(entries: Iterable[Annotation]) -> dict[str, list]:
    """question_id, image_id, question_type, answer_type, answer and answers of each entry.

    The target is the most frequent of the answers where it is absent, and None where they are
    absent too; an absent answer type is derived from the target. An absent question type is None.
    """
    ids, image_ids, types, answer_types, targets, answers = [], [], [], [], [], []
    once: dict[str, str] = {}  # answers repeat millions of times
    for entry in entries:
        given = tuple([once.setdefault(a.answer, a.answer) for a in entry.answers or ()])
        target = entry.multiple_choice_answer
        if target is None and given:
            target = max(given, key=given.count)  # the first of the most frequent
        kind = entry.question_type or None
        answer_type = entry.answer_type or (answer_type_of(target) if target is not None else None)
        ids.append(entry.question_id)
        image_ids.append(entry.image_id)
        types.append(once.setdefault(kind, kind))
        answer_types.append(once.setdefault(answer_type, answer_type))
        targets.append(once.setdefault(target, target))
        answers.append(given or (target,))
    return {
        "question_id": ids, "image_id": image_ids, "question_type": types,
        "answer_type": answer_types, "answer": targets, "answers": answers,
    }  # fmt: skip


def read_questions(path: Path) -> pd.DataFrame:
    """Read a questions file: question_id, image_id, question.

    Raises:
        InputError: naming the file, the entry and the field that breaks the format.
    """
    columns = question_columns(_read_entries(path, "questions", Question))
    table = pd.DataFrame(
        {
            "question_id": _ids(path, "questions", columns["question_id"]),
            "image_id": _ids(path, "questions", columns["image_id"]),
            "question": object_column(columns["question"]),
        }
    )
    if table.empty:
        raise InputError(f"{path}: holds no question; `questions` must list at least one")
    _refuse_duplicates(path, "questions", table["question_id"].to_numpy())
    for entry, text in enumerate(columns["question"]):
        if not text or text.isspace():
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
    columns = annotation_columns(_read_entries(path, "annotations", Annotation))
    ids = _ids(path, "annotations", columns.pop("question_id"))
    image_ids = _ids(path, "annotations", columns.pop("image_id"))
    _refuse_duplicates(path, "annotations", ids)
    order = _match(path, questions["question_id"].to_numpy(), ids)
    wrong = np.flatnonzero(image_ids[order] != questions["image_id"].to_numpy())
    if wrong.size:
        entry, row = order[wrong[0]], questions.iloc[wrong[0]]
        raise InputError(
            f"{path}: annotations[{entry}] says image {image_ids[entry]} but its question "
            f"{row.question_id} is about image {row.image_id}; are the two files of one release?"
        )
    table = questions.assign(
        **{name: object_column(values, order) for name, values in columns.items()}
    )
    for row in np.flatnonzero(table["answer"].isna())[:1]:
        raise InputError(
            f"{path}: annotations[{order[row]}] has neither multiple_choice_answer nor answers; "
            "leave the whole file away if the split has no answers"
        )
    untyped = table["question_type"].isna()
    derived = table["question"][untyped].map(question_type_of)
    return table.assign(question_type=table["question_type"].where(~untyped, derived))


def write_results(path: Path, question_ids: Iterable[int], answers: Iterable[str]) -> None:
    """Write the JSON that the VQA evaluation server takes: a list of question_id and answer."""
    rows = [
        {"question_id": int(question_id), "answer": str(answer)}
        for question_id, answer in zip(question_ids, answers, strict=True)
    ]
    write_text(path, json.dumps(rows, ensure_ascii=False))


def write_split(folder: Path, split: str, table: pd.DataFrame, description: str) -> None:
    """Write the rows of a table as `questions_<split>.json` and, where they are answered,
    `annotations_<split>.json`; a row at a time, since a full release is large."""
    info = {"info": {"description": description}, "data_subtype": split}
    kinds = {"questions": _question_entry}
    if "answer" in table.columns:
        kinds["annotations"] = _annotation_entry
    for name, entry in kinds.items():
        with (folder / f"{name}_{split}.json").open("w", encoding="utf-8") as file:
            head = json.dumps({**info, name: []}, ensure_ascii=False)
            file.write(head.removesuffix("]}"))
            for number, row in enumerate(table.itertuples(index=False)):
                file.write(",\n" if number else "\n")
                file.write(json.dumps(entry(row), ensure_ascii=False))
            file.write("]}")


def _question_entry(row: tuple) -> dict:
    return {
        "question_id": int(row.question_id),
        "image_id": int(row.image_id),
        "question": row.question,
    }


def _annotation_entry(row: tuple) -> dict:
    return {
        "question_id": int(row.question_id),
        "image_id": int(row.image_id),
        "question_type": row.question_type,
        "answer_type": row.answer_type,
        "multiple_choice_answer": row.answer,
        "answers": [
            {"answer": answer, "answer_id": number}
            for number, answer in enumerate(row.answers, start=1)
        ],
    }


def has_official_answers(table: pd.DataFrame) -> bool:
    """Whether every question has the ten answers that the official VQA accuracy needs."""
    return bool((table["answers"].map(len) >= OFFICIAL_ANSWERS).all())


def object_column(values: list, order: np.ndarray | None = None) -> pd.Series:
    """Texts or tuples, as they are or in another order, in one dtype under pandas 2 and 3."""
    array = np.fromiter(values, dtype=object, count=len(values))
    return pd.Series(array if order is None else array[order], dtype=object)


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
