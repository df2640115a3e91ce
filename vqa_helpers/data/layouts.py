"""Other dataset layouts, read as they are: each becomes the same tables as the official one.

A layout is known by the files of a folder. What is neither official nor DAQUAR's nor COCO-QA's text is
taken for records, one a question: VizWiz, GQA, TextVQA, A-OKVQA, Visual7W, Visual Genome, the Hugging Face
hub's folders, and what people write for themselves differ in little more than the names of their columns.
"""

import ast
import hashlib
import json
import logging
import os
import re
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd

from vqa_helpers.data import formats
from vqa_helpers.data.daquar import daquar_files, read_daquar
from vqa_helpers.data.formats import Report, Tables, refuse
from vqa_helpers.data.json_files import read_bytes
from vqa_helpers.data.records import PICKLED, PICKLES, NoQuestions, read_records, record_files
from vqa_helpers.data.text import answer_type_of, question_type_of
from vqa_helpers.errors import InputError
from vqa_helpers.files import write_bytes
from vqa_helpers.pictures import SUFFIXES

log = logging.getLogger(__name__)

PICTURES = "pictures"  # where those are put that a parquet file holds
_USUAL = {  # column: what people call it, without marks and capitals
    "question_id": ("questionid", "qid", "qaid", "id", "questionindex", "index"),
    "image": ("imagefilename", "imagename", "imagepath", "imagefile", "filename", "imgname", "imgpath",
              "image", "img", "picture", "photo", "imageid", "imgid", "imageindex", "images"),  # names first
    "question": ("question", "questiontext", "sent", "query", "q"),
    "answer": ("directanswers", "answers", "answer", "answertext", "label", "labels", "a",
               "multiplechoiceanswer"),
    "target": ("multiplechoiceanswer", "mostfrequentanswer", "answer"),
    "question_type": ("questiontype",),
    "answer_type": ("answertype",),
    "split": ("split", "set", "setname", "subset", "partition"),
}  # fmt: skip
_NUMBERED = re.compile(r"answers?[ _-]?\d+", re.IGNORECASE)  # answer_1 to answer_10
_OWN_SPLIT_IDS = 10**9  # question ids that are made: a billion for each split


# What the columns "image", "question", "answer" and "question_id" of records are called, where it is
# not guessed.
Columns = Mapping[str, str] | None


def read_layout(folder: Path, columns: Columns = None, report: Report = refuse) -> Tables:
    """The splits of a folder, or of one file of records, whatever their layout.

    Args:
        columns: see `Columns`.

    Returns:
        Split to table, in the order of `SPLITS`; where faults are only reported, the sound rows.
    """
    if folder.is_dir():
        if formats.official_files(folder):
            return formats.read_tables(folder, report)
        if files := daquar_files(folder):
            return {split: read_daquar(path, report) for split, path in files.items()}
        if files := _coco_qa_files(folder):
            return {split: _read_coco_qa(path, split, report) for split, path in files.items()}
    files = record_files(folder)
    if not files:
        if pickled := sorted(path for path in folder.rglob("*") if path.suffix in PICKLES):
            report("pickle", pickled[0], PICKLED)
            return {}
        return formats.read_tables(folder, report)  # says what is expected
    found: dict[str, tuple[Path, list[tuple]]] = {}
    for label, candidates in files.items():
        start = formats.SPLITS.index(label or "train") * _OWN_SPLIT_IDS
        try:
            path, read = _read_first(candidates, start, columns or {}, report)
        except InputError as error:
            if label is None and len(files) > 1 and isinstance(error, NoQuestions):
                continue  # something beside the splits
            place, _, line = str(error).partition(": ")
            report("unreadable file", Path(place), line)
            continue
        said = {split for split, _ in read if split}
        if label and len(said) == 1 and said != {label}:
            line = "%s: its records say %s, its name says %s, which counts"
            log.warning(line, path, *said, label)
        unsaid = sum(split is None for split, _ in read)
        if len(said) > (label is not None) and unsaid:
            line = "%s: %d records are of no known split, and so of %s"
            log.warning(line, path, unsaid, label or "train")
        for split, row in read:
            if label and len(said) < 2:  # a file of one split is of the one in its name
                split = label
            found.setdefault(split or label or "train", (path, []))[1].append(row)
    return formats.in_order({split: _table(*found[split], report) for split in found})


# ---------------------------------------------------------------- records


def _read_first(
    candidates: list[list[Path]], start: int, columns: Mapping[str, str], report: Report
) -> tuple[Path, list[tuple[str | None, tuple]]]:
    """The first of several files that holds questions, its rows, and the split that each says."""
    refused = None
    for number, parts in enumerate(candidates, start=1):
        read: list[tuple[str | None, tuple]] = []
        try:
            for path in parts:
                read += _rows_of(path, start + len(read), columns, report)
        except NoQuestions as error:  # a vocabulary, scene graphs, …
            refused = refused or error
            continue
        where = parts[0].parent
        if others := ", ".join(os.path.relpath(other, where) for other, *_ in candidates[number:]):
            log.info("%s: holds what is asked; not read: %s", parts[0], others)
        return parts[0], read
    raise refused


def _rows_of(
    path: Path, start: int, columns: Mapping[str, str], report: Report
) -> list[tuple[str | None, tuple]]:
    """The rows of a file, and the split that each says; those without an id are numbered from
    `start`."""
    records, rows = read_records(path), []
    keys = dict.fromkeys(key for record in records for key in record)
    numbered = [key for key in keys if _NUMBERED.fullmatch(str(key))]
    if len(numbered) > 1 and "answers" not in keys:
        records = [record | {"answers": [*map(record.get, numbered)]} for record in records]
        keys["answers"] = None
    field = _fields(path, keys, columns)
    log.info("%s: read as records, %s", path, ", ".join(f"{c}={key}" for c, key in field.items()))
    for number, record in enumerate(records):
        try:
            split = formats.split_of(str(record.get(field.get("split"))))
            rows.append((split, _row(path, record, field, start + number)))
        except ValueError as error:
            report("broken entry", path, f"record {number}: {error}")
    return rows


def _row(path: Path, record: dict[str, Any], field: Mapping[str, str], usual_id: int) -> tuple:
    """A record as a row of `_table`.

    Raises:
        ValueError: what is wrong with it.
    """
    given = {column: record.get(key) for column, key in field.items()}
    given = {column: None if value != value else value for column, value in given.items()}  # NaN
    question, image, id_ = given["question"], given.get("image"), given.get("question_id")
    image = image[0] if isinstance(image, list) and len(image) == 1 else image
    image = image.strip() if isinstance(image, str) else image
    if any(record.get(None, ())):  # of a line, whose columns are shifted perhaps
        raise ValueError("has more values than the header has names; put texts in quotes")
    if not isinstance(question, str) or not question.strip():
        raise ValueError(f"{field['question']} is {question!r:.80}; write the question")
    id_ = usual_id if id_ in (None, "") else id_
    if isinstance(image, dict | bytes):
        image = _keep_picture(path, image if isinstance(image, dict) else {"bytes": image})
    elif "image" not in field:  # text alone: no picture may pass for a question's
        image = f"no image of {path.name} {id_}"
    if image in (None, ""):
        raise ValueError(f"{field['image']} is empty; name the image")
    try:
        ids = formats.as_id(id_), formats.as_id(image)
    except (TypeError, ValueError):
        line = f"{id_!r:.80} or {image!r:.80} is no id; use a whole number or a text"
        raise ValueError(line) from None
    names = [one if isinstance(one, str) else None for one in (id_, image)]
    choices, right = record.get("choices"), record.get("correct_choice_idx")  # A-OKVQA
    if isinstance(choices, list) and isinstance(given.get("answer"), int):  # ScienceQA
        right, given["answer"] = given["answer"], None
    many = given.get("answer")
    if isinstance(many, str) and field["answer"].lower() == "answers" and many[:1] != "[":
        given["answer"] = [one.strip() for one in re.split(r"[;|]", many)]
    answers, target = _answers(given.get("answer")), _answers(given.get("target"))
    if not target and isinstance(choices, list) and isinstance(right, int):
        target = tuple(map(str, choices[right : right + 1] if right >= 0 else ()))
    target = target[0] if target else Counter(answers).most_common(1)[0][0] if answers else None
    kind = _type(given, "question_type") or question_type_of(question)
    answer_type = _type(given, "answer_type") or answer_type_of(target or "")
    return (*ids, question, *names, kind, answer_type, target, answers or (target,))


def _type(given: Mapping[str, Any], column: str) -> str:
    """A type that a record names, as a text; empty where it names none."""
    named = given.get(column)
    if isinstance(named, list | dict | bytes):
        raise ValueError(f"{column} {named!r:.80} is no text; name one type")
    return "" if named is None else str(named)


def _fields(path: Path, keys: Mapping[str, Any], columns: Mapping[str, str]) -> dict[str, str]:
    """Which key of the records each column is."""
    spelt = {re.sub(r"[^a-z]", "", str(key).lower()): key for key in reversed(keys)}
    has = f"{', '.join(map(str, keys)):.200}"
    for key in columns.values():
        if key not in keys:
            raise NoQuestions(f"{path}: has no column {key!r}; it has {has}")
    guessed = {c: [spelt[name] for name in usual if name in spelt] for c, usual in _USUAL.items()}
    field = {column: likely[0] for column, likely in guessed.items() if likely} | dict(columns)
    if "answer" in columns or field.get("target") == field.get("answer"):
        field.pop("target", None)
    if "question" not in field:
        remedy = "say so with --columns image=…,question=…,answer=…"
        raise NoQuestions(f"{path}: which column holds the questions? It has {has}; {remedy}")
    return field


def _answers(given: Any) -> tuple[str, ...]:
    """The answers of a record: a text, a number, a list of them or of objects, or an object of lists.

    Raises:
        ValueError: they are none of these.
    """
    if isinstance(given, str) and given.startswith("["):
        try:
            given = json.loads(given)
        except (ValueError, RecursionError):  # as Python prints a list, or NumPy, without commas
            with suppress(ValueError, SyntaxError, MemoryError, RecursionError):
                given = ast.literal_eval(re.sub(r"(?<=['\"}])\s+(?=['\"{])", ", ", given))
    if isinstance(given, dict):  # as the hub keeps a list of objects
        given = given.get("answer", given.get("text"))
    if given in (None, ""):
        return ()
    many = given if isinstance(given, list) else [given]
    texts = [one.get("answer") if isinstance(one, dict) else one for one in many]
    if not all(isinstance(one, str | int | float | None) for one in texts):
        raise ValueError(f"the answer is {given!r:.80}; write a text, or a list of texts")
    return tuple(formats.as_text(one) for one in texts if one not in (None, ""))


def _keep_picture(path: Path, image: Mapping[str, Any]) -> str | None:
    """The name of a picture that a record holds as bytes, put beside the file."""
    content, name = image.get("bytes"), image.get("path")
    if not isinstance(content, bytes):
        return name if isinstance(name, str) else None
    suffix = Path(str(name)).suffix.lower()
    if suffix not in SUFFIXES:
        suffix = ".png" if content[:4] == b"\x89PNG" else ".jpg"
    kept = path.parent / PICTURES / f"{hashlib.sha256(content).hexdigest()[:16]}{suffix}"
    if not kept.is_file():
        write_bytes(kept, content)
    return kept.name


def _table(path: Path, rows: list[tuple], report: Report) -> pd.DataFrame:
    """A table of the rows; without answers where none has one."""
    table = formats.table_of(rows)
    unanswered = table["answer"].isna()
    if unanswered.all():
        return table.drop(columns=["question_type", "answer_type", "answer", "answers"])
    if unanswered.any():
        first = table["question"][unanswered].iloc[0]
        line = f"{unanswered.sum():,} questions have no answer (the first is {first!r}); leave them out"
        report("no answer", path, line)
    repeated = table["question_id"].duplicated() & ~unanswered
    if repeated.any():
        id_ = table["question_id"][repeated].iloc[0]
        line = f"{repeated.sum():,} records repeat a question id (the first is {id_})"
        report("repeated question id", path, f"{line}; every question needs its own id")
    return table[~unanswered & ~repeated].reset_index(drop=True)


# ---------------------------------------------------------------- COCO-QA


def _coco_qa_files(folder: Path) -> dict[str, Path]:
    """Split to the folder of its text files."""
    listed = folder.glob("*/img_ids.txt")
    return formats.in_order({formats.split_of(path.parent.name): path.parent for path in listed})


def _read_coco_qa(folder: Path, split: str, report: Report) -> pd.DataFrame:
    """COCO-QA's text files, a line a question (Ren et al., 2015)."""
    names = ("img_ids.txt", "questions.txt", "answers.txt", "types.txt")
    texts = [read_bytes(folder / name).decode("utf-8", "replace").splitlines() for name in names]
    if len({*map(len, texts)}) > 1:
        line = f"the lines of {', '.join(names)} differ in number; copy the files again"
        report("broken line", folder, line)
    start = formats.SPLITS.index(split) * _OWN_SPLIT_IDS
    kinds = {"0": "object", "1": "number", "2": "color", "3": "location"}
    rows = []
    for number, (image, question, answer, kind) in enumerate(zip(*texts, strict=False)):
        if not image.strip().isdecimal():
            report("broken line", folder / "img_ids.txt", f"line {number + 1} is no image id")
            continue
        text, answer = question.strip().rstrip("?").strip() + "?", answer.strip()
        types = kinds.get(kind.strip()) or question_type_of(text), answer_type_of(answer)
        rows.append((start + number, int(image), text, None, None, *types, answer, (answer,)))
    return _table(folder, rows, report)
