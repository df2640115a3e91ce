"""Other people's data, read as they lie: each layout becomes the tables that the official one gives.

A layout is known by the files of a folder. What is neither official nor DAQUAR's nor COCO-QA's text is
taken for records, one a question, in JSON, JSON lines, CSV, TSV or parquet: VizWiz, GQA, TextVQA,
A-OKVQA, the Hugging Face hub's folders, and what people write for themselves differ in little more than
the names of their columns.
"""

import hashlib
import io
import json
import logging
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd

from vqa_helpers.data.daquar import daquar_files, read_daquar
from vqa_helpers.data.formats import (
    NAMES,
    SPLIT_NAMES,
    SPLITS,
    Report,
    as_id,
    is_official,
    read_tables,
    refuse,
    split_of,
)
from vqa_helpers.data.json_files import read_bytes
from vqa_helpers.data.text import answer_type_of, question_type_of
from vqa_helpers.errors import InputError
from vqa_helpers.files import write_bytes

log = logging.getLogger(__name__)

PICTURES = "pictures"  # where those are put that a parquet file holds
RECORDS = {".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".parquet"}
_USUAL = {  # column: what people call it, without marks and capitals
    "question_id": ("questionid", "qid", "id", "questionindex", "index"),
    "image": ("imagefilename", "imagename", "imagepath", "imagefile", "filename", "imgname", "imgpath",
              "image", "img", "picture", "photo", "imageid", "imgid", "imageindex"),  # names first
    "question": ("question", "questiontext", "sent", "query", "q"),
    "answer": ("directanswers", "answers", "answer", "answertext", "label", "labels", "a",
               "multiplechoiceanswer"),
    "target": ("multiplechoiceanswer", "mostfrequentanswer"),
    "question_type": ("questiontype",),
    "answer_type": ("answertype",),
    "split": ("split", "set", "setname", "subset", "partition"),
}  # fmt: skip
_SHARD = re.compile(r"-\d{5}-of-\d{5}$")
_OWN_SPLIT_IDS = 10**9  # question ids that are made: a billion for each split


def read_layout(
    folder: Path, columns: Mapping[str, str] | None = None, report: Report = refuse
) -> dict[str, pd.DataFrame]:
    """The splits of a folder, or of one file of records, whatever their layout.

    Args:
        columns: what the columns "image", "question", "answer" and "question_id" of records are
            called, where it is not guessed.

    Returns:
        Split to table, in the order of `SPLITS`; where faults are only reported, the sound rows.
    """
    if folder.is_dir():
        if is_official(folder):
            return read_tables(folder, report)
        if files := daquar_files(folder):
            return {split: read_daquar(path, report) for split, path in files.items()}
        if files := _coco_qa_files(folder):
            return {split: _read_coco_qa(path, split, report) for split, path in files.items()}
    files = _record_files(folder)
    if not files:
        return read_tables(folder, report)  # says what is expected
    rows: dict[str, list[tuple]] = {split: [] for split in SPLITS}
    places: dict[str, Path] = {}
    for label, candidates in files.items():
        start = SPLITS.index(label or "train") * _OWN_SPLIT_IDS
        try:
            path, read = _read_first(candidates, start, columns or {}, report)
        except InputError as error:
            place, _, line = str(error).partition(": ")
            report("unreadable file", Path(place), line)
            continue
        for split, row in read:
            split = label or split or "train"
            rows[split].append(row)
            places[split] = path
    return {split: _table(rows[split], places[split], report) for split in SPLITS if rows[split]}


# ---------------------------------------------------------------- records


class _NoQuestions(InputError):
    """A file of something else."""


def _record_files(folder: Path) -> dict[str | None, list[list[Path]]]:
    """Split to the files that may hold it, the likeliest first, each as its parts; None is the split
    of a single file whose name says none."""
    if folder.is_file():
        return {None: [[folder]]} if folder.suffix.lower() in RECORDS else {}
    paths = [path for depth in ("*", "*/*") for path in sorted(folder.glob(depth))]
    paths = [path for path in paths if path.is_file() and path.suffix.lower() in RECORDS]
    named: dict[str, list[Path]] = {}
    for path in paths:
        words = re.split(r"[^a-z]+", path.relative_to(folder).with_suffix("").as_posix().lower())
        if said := [word for word in words if word in SPLIT_NAMES]:
            named.setdefault(said[-1], []).append(path)
    if not named and len(paths) == 1:
        return {None: [paths]}
    found: dict[str | None, list[list[Path]]] = {}
    for word, of_word in named.items():
        # GQA answers its test-dev, and keeps the answers of its test.
        split = "export" if word == "test" and "testdev" in named else SPLIT_NAMES[word]
        of_word.sort(
            key=lambda path: (len(path.parts), "balanced" not in path.name, len(path.name))
        )
        whole = {(path.parent, _SHARD.sub("", path.stem)): [] for path in of_word}
        for path in sorted(of_word):
            whole[path.parent, _SHARD.sub("", path.stem)].append(path)
        for parts in whole.values():  # the same stem in two kinds is the same data twice
            found.setdefault(split, []).append(parts if _SHARD.search(parts[0].stem) else parts[:1])
    return found


def _read_first(
    candidates: list[list[Path]], start: int, columns: Mapping[str, str], report: Report
) -> tuple[Path, list[tuple[str | None, tuple]]]:
    """The first of several files that holds questions, its rows, and the split that each says."""
    refused = None
    for parts in candidates:
        read: list[tuple[str | None, tuple]] = []
        try:
            for path in parts:
                read += _read_records(path, start + len(read), columns, report)
            return parts[0], read
        except _NoQuestions as error:  # a vocabulary, scene graphs, …
            refused = refused or error
    raise refused


def _records(path: Path) -> list[dict[str, Any]]:
    """The records of a file.

    Raises:
        InputError: when it cannot be read, or holds none.
    """
    kind = path.suffix.lower()
    try:
        if kind == ".parquet":
            return pd.read_parquet(path).to_dict("records")
        if kind in (".csv", ".tsv"):
            text = read_bytes(path).decode()
            table = pd.read_csv(
                io.StringIO(text), sep="\t" if kind == ".tsv" else None, engine="python",
                dtype=str, keep_default_na=False,
            )  # fmt: skip
            return table.to_dict("records")
        text = read_bytes(path)
        try:
            content = msgspec.json.decode(text)
        except msgspec.MsgspecError:
            content = msgspec.json.Decoder().decode_lines(text)
    except (ValueError, OSError, msgspec.MsgspecError) as error:
        what = " ".join(str(error).split())
        line = f"cannot be read as {kind[1:]} ({what}); save it as UTF-8, or copy it again"
        raise InputError(f"{path}: {line}") from None
    if isinstance(content, dict):
        lists = [value for value in content.values() if isinstance(value, list)]
        if lists:  # TextVQA's "data"
            content = max(lists, key=len)
        else:  # GQA's questions by their ids
            content = [{"question_id": key} | value for key, value in content.items()
                       if isinstance(value, dict)]  # fmt: skip
    if not isinstance(content, list) or not content or not isinstance(content[0], dict):
        raise InputError(f"{path}: holds no records; expected an object for each question")
    return content


def _read_records(
    path: Path, start: int, columns: Mapping[str, str], report: Report
) -> list[tuple[str | None, tuple]]:
    """The rows of a file, and the split that each says; those without an id are numbered from
    `start`."""
    records, rows = _records(path), []
    field = _fields(path, records[0], columns)
    log.info("%s: read as records, %s", path, ", ".join(f"{c}={key}" for c, key in field.items()))
    for number, record in enumerate(records):
        given = {column: record.get(key) for column, key in field.items()}
        question, image = given["question"], given.get("image")
        if not isinstance(question, str) or not question.strip():
            line = f"record {number}: {field['question']} is {question!r}; write the question"
            report("broken entry", path, line)
            continue
        id_ = given.get("question_id")
        id_ = start + number if id_ in (None, "") else id_
        if isinstance(image, dict):
            image = _keep_picture(path, image)
        elif "image" not in field:  # text alone: no picture may pass for a question's
            image = f"no image of {path.name} {id_}"
        if image in (None, ""):
            report(
                "broken entry", path, f"record {number}: {field['image']} is empty; name the image"
            )
            continue
        try:
            ids = as_id(id_), as_id(image)
        except (TypeError, ValueError):
            line = f"record {number}: {id_!r} or {image!r} is no id; use a whole number or a text"
            report("broken entry", path, line)
            continue
        names = [one if isinstance(one, str) else None for one in (id_, image)]
        answers, target = _answers(given.get("answer")), given.get("target")
        choices, right = record.get("choices"), record.get("correct_choice_idx")
        if target is None and isinstance(choices, list | np.ndarray) and isinstance(right, int):
            target = str(choices[right]) if 0 <= right < len(choices) else None  # A-OKVQA
        if target is None and answers:
            target = Counter(answers).most_common(1)[0][0]
        kinds = given.get("question_type"), given.get("answer_type")
        row = (*ids, question, *names, *kinds, target, answers or (target,))
        rows.append((split_of(str(given.get("split"))), row))
    return rows


def _fields(path: Path, first: Mapping[str, Any], columns: Mapping[str, str]) -> dict[str, str]:
    """Which key of a record each column is."""
    spelt = {re.sub(r"[^a-z]", "", str(key).lower()): key for key in reversed(first)}
    field, has = {}, ", ".join(map(str, first))
    for column, usual in _USUAL.items():
        if (key := columns.get(column)) is not None:
            if key not in first:
                raise _NoQuestions(f"{path}: has no column {key!r}; it has {has}")
            field[column] = key
        elif (key := next((spelt[name] for name in usual if name in spelt), None)) is not None:
            field[column] = key
    if "question" not in field:
        raise _NoQuestions(
            f"{path}: which column holds the questions? It has {has}; say so with --columns "
            "image=…,question=…,answer=…"
        )
    return field


def _answers(given: Any) -> tuple[str, ...]:
    """The answers of a record: a text, a number, or a list of them or of objects."""
    if isinstance(given, str) and given.startswith("["):
        try:
            given = json.loads(given)
        except ValueError:
            pass
    if isinstance(given, list | tuple | np.ndarray):
        texts = [one.get("answer") if isinstance(one, dict) else one for one in given]
        return tuple(str(one) for one in texts if one is not None)
    missing = given is None or given == "" or (isinstance(given, float) and np.isnan(given))
    return () if missing else (str(given),)


def _keep_picture(path: Path, image: Mapping[str, Any]) -> str | None:
    """The name of a picture that a record holds as bytes, put beside the file."""
    content, name = image.get("bytes"), image.get("path")
    if not isinstance(content, bytes):
        return name if isinstance(name, str) else None
    suffix = Path(str(name)).suffix if name else ".png" if content[:4] == b"\x89PNG" else ".jpg"
    kept = path.parent / PICTURES / f"{hashlib.sha256(content).hexdigest()[:16]}{suffix}"
    if not kept.is_file():
        write_bytes(kept, content)
    return kept.name


def _table(rows: list[tuple], path: Path, report: Report) -> pd.DataFrame:
    """A table of the rows; without answers where none has one."""
    columns = ["question_id", "image_id", "question", *NAMES, "question_type", "answer_type",
               "answer", "answers"]  # fmt: skip
    table = pd.DataFrame(rows, columns=columns, dtype=object)
    table = table.astype({"question_id": "int64", "image_id": "int64"})
    table = table.drop(columns=[name for name in NAMES if table[name].isna().all()])
    unanswered = table["answer"].isna()
    if unanswered.all():
        return table[[c for c in ("question_id", "image_id", "question", *NAMES) if c in table]]
    if unanswered.any():
        first = table["question"][unanswered].iloc[0]
        line = f"{unanswered.sum():,} questions have no answer (the first is {first!r}); leave them out"
        report("no answer", path, line)
        table = table[~unanswered].reset_index(drop=True)
    table["answer"] = table["answer"].map(str).astype(object)
    for column, source, derive in (
        ("question_type", "question", question_type_of), ("answer_type", "answer", answer_type_of),
    ):  # fmt: skip
        derived = table[source].map(derive).astype(object)
        table[column] = table[column].where(table[column].notna(), derived)
    repeated = table["question_id"].duplicated()
    if repeated.any():
        id_ = table["question_id"][repeated].iloc[0]
        line = f"{repeated.sum():,} records repeat a question id (the first is {id_})"
        report("repeated question id", path, f"{line}; every question needs its own id")
        table = table[~repeated].reset_index(drop=True)
    return table


# ---------------------------------------------------------------- COCO-QA


def _coco_qa_files(folder: Path) -> dict[str, Path]:
    """Split to the folder of its text files."""
    parts = {SPLIT_NAMES.get(path.name): path for path in sorted(folder.iterdir()) if path.is_dir()}
    return {split: path for split, path in parts.items()
            if split and (path / "img_ids.txt").is_file() and (path / "questions.txt").is_file()}  # fmt: skip


def _read_coco_qa(folder: Path, split: str, report: Report) -> pd.DataFrame:
    """COCO-QA's text files, a line a question (Ren et al., 2015)."""

    def lines(name: str) -> Iterator[str]:
        return iter(read_bytes(folder / name).decode("utf-8", "replace").splitlines())

    start = SPLITS.index(split) * _OWN_SPLIT_IDS
    kinds = {"0": "object", "1": "number", "2": "color", "3": "location"}
    rows = []
    texts = zip(lines("img_ids.txt"), lines("questions.txt"), lines("answers.txt"),
                lines("types.txt"), strict=False)  # fmt: skip
    for number, (image, question, answer, kind) in enumerate(texts):
        if not image.strip().isdecimal():
            report("broken line", folder / "img_ids.txt", f"line {number + 1} is no image id")
            continue
        text = question.strip().rstrip("?").strip() + "?"
        rows.append((start + number, int(image), text, None, None, kinds.get(kind.strip()), None,
                     answer.strip(), (answer.strip(),)))  # fmt: skip
    return _table(rows, folder, report)
