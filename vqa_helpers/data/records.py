"""Files of records, a question each: which of a folder hold a split, and what one holds.

JSON, JSON lines, CSV and TSV, packed by gzip or not, parquet and Arrow. What the columns mean is for
`layouts` to say.
"""

import csv
import io
import json
import logging
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
from pyarrow import ipc, parquet

from vqa_helpers.data.formats import SPLIT_NAMES, split_of
from vqa_helpers.data.json_files import read_bytes
from vqa_helpers.errors import InputError, one_line
from vqa_helpers.pictures import SUFFIXES

log = logging.getLogger(__name__)

RECORDS = re.compile(  # `datasets` saves Arrow, with notes in JSON beside it
    r"(?P<stem>.+)\.(?P<kind>(json|jsonl|ndjson|csv|tsv)(?=(\.gz)?$)|parquet|arrow)(\.gz)?", re.I
)
PICKLES = {".pkl", ".pickle", ".p"}  # PathVQA's
PICKLED = (
    "is a pickle, and to open one is to run what is in it, so it is not read; where you trust it, save "
    "its table as CSV, JSON or parquet"
)
_COLUMNAR = {".parquet", ".arrow"}
_PART = re.compile(r"(^|[-_])\d+(-of-\d+)?(-[0-9a-f]{8,})?$")  # train_1, train-00000-of-00002, 0001


class NoQuestions(InputError):
    """A file of something else."""


def require_data(path: Path) -> None:
    """Refuse what is neither a folder nor a file of records.

    Raises:
        InputError: what to do instead.
    """
    if path.is_dir() or (path.is_file() and RECORDS.fullmatch(path.name)):
        return
    line = "is not a folder; check the path"
    if path.is_file():
        line = "is not a folder; unpack it and name the folder, or save its table as CSV"
    raise InputError(f"{path}: {PICKLED if path.suffix in PICKLES else line}")


def record_files(folder: Path) -> dict[str | None, list[list[Path]]]:
    """Split to the files that may hold it, the likeliest first, each as its parts; None is the split
    of a single file whose name says none.

    Raises:
        InputError: for a folder of several datasets, as the hub's configurations are.
    """
    if folder.is_file():
        return {None: [[folder]]} if RECORDS.fullmatch(folder.name) else {}
    named: dict[str | None, list[Path]] = {}
    paths = [path for depth in ("*", "*/*", "*/*/*") for path in folder.glob(depth)]
    for path in sorted(path for path in paths if RECORDS.fullmatch(path.name) and path.is_file()):
        parts = path.relative_to(folder).parts
        # What lies deeper and asks nothing by its name are notes on images.
        asks = len(parts) < 3 or _is_columnar(path) or "question" in path.name
        if asks and not any(part.startswith(".") for part in parts):
            said = _splits_in("/".join([*parts[:-1], _stem(path)]))
            named.setdefault(said[-1] if said else None, []).append(path)
    if "train" in map(SPLIT_NAMES.get, named) and None in named:
        others = ", ".join(str(path.relative_to(folder)) for path in named.pop(None))
        log.info("%s: names of no split, not read: %.300s", folder, others)
    found: dict[str | None, list[list[Path]]] = {}
    for word in sorted(named, key=[None, *SPLIT_NAMES].index):  # val goes before dev and eval
        of_word = named[word]
        homes = [path.parent for path in of_word if _is_columnar(path)]
        homes = {home.parent if _splits_in(home.name) else home for home in homes}
        if len(homes) > 1 and folder not in homes:
            which = ", ".join(sorted(str(home.relative_to(folder)) for home in homes))
            raise InputError(f"{folder}: holds several datasets, {which}; name the folder of one")
        # GQA answers its test-dev, and keeps the answers of its test.
        split = "export" if word == "test" and "testdev" in named else SPLIT_NAMES.get(word)
        of_word.sort(
            key=lambda path: (not _is_columnar(path), len(path.parts), "question" not in path.name,
                              "balanced" not in path.name, len(path.name))
        )  # fmt: skip
        in_parts = defaultdict(list)
        for path in of_word:
            in_parts[path.parent, _PART.sub("", _stem(path)), path.suffix].append(path)
        for parts in map(sorted, in_parts.values()):
            numbered = _PART.search(_stem(parts[0]))
            found.setdefault(split, []).append(parts if numbered else parts[:1])
    return found


def _splits_in(name: str) -> list[str]:
    """The words of a name that are splits."""
    return [word for word in re.split(r"[^a-z]+", name.lower()) if word in SPLIT_NAMES]


def _stem(path: Path) -> str:
    return RECORDS.fullmatch(path.name)["stem"]


def _is_columnar(path: Path) -> bool:
    return path.suffix.lower() in _COLUMNAR


def read_records(path: Path) -> list[dict[str, Any]]:
    """The records of a file, one a question.

    Raises:
        InputError: when it cannot be read, or holds none.
    """
    kind = RECORDS.fullmatch(path.name)["kind"].lower()
    text = b"" if _is_columnar(path) else read_bytes(path)
    try:
        if kind == "parquet":
            content = parquet.read_table(path).to_pylist()
        elif kind == "arrow":
            content = ipc.open_stream(path.read_bytes()).read_all().to_pylist()
        elif kind in ("csv", "tsv"):
            usual = max("\t,;|", key=text.partition(b"\n")[0].decode().count)
            lines = io.StringIO(text.decode(), newline="")
            rows = csv.DictReader(lines, delimiter=usual, skipinitialspace=True, strict=True)
            content = [row for row in rows if any(row.values())]  # spreadsheets end in empty ones
        else:
            try:  # Python writes a missing number as no JSON has it
                content = json.loads(text) if b"NaN" in text else msgspec.json.decode(text)
            except (ValueError, msgspec.MsgspecError):
                content = msgspec.json.Decoder().decode_lines(text)
        if isinstance(content, dict) and any(_are_texts(key, content[key]) for key in content):
            content = pd.DataFrame(content).to_dict("records")  # as pandas writes columns
    except (ValueError, OSError, csv.Error, RecursionError, msgspec.MsgspecError) as error:
        encoded = isinstance(error, UnicodeError)
        cure = "save it as UTF-8" if encoded else "mend it, or copy it again"
        raise InputError(f"{path}: cannot be read as {kind} ({one_line(error)}); {cure}") from None
    if isinstance(content, dict):
        if {"images", "boxes"} <= content.keys():
            line = "its answers are boxes, not texts (Visual7W's pointing questions)"
            raise NoQuestions(f"{path}: {line}; name dataset_v7w_telling.json")
        content = _of_object(content)
    content = _one_each(content) if _are_objects(content) else None
    if not _are_objects(content):
        raise NoQuestions(f"{path}: holds no records; expected an object for each question")
    return content


def _of_object(content: dict[str, Any]) -> list[Any]:
    """The records of one JSON object: its longest list, or its values, which their keys tell apart."""
    lists = {key: value for key, value in content.items() if isinstance(value, list)}
    if all(map(split_of, content)):
        key_is = "split"
    elif all(Path(k).suffix.lower() in SUFFIXES or k in lists and k.isdecimal() for k in content):
        key_is = "image"
    elif lists:  # TextVQA's "data"
        return max(lists.values(), key=len)
    else:  # GQA
        key_is = "question_id"
    each = ((key, one) for key, value in content.items() for one in lists.get(key, [value]))
    return [{key_is: key} | one for key, one in each if isinstance(one, dict)]


def _are_texts(name: str, values: Any) -> bool:
    """Whether a field is a column of questions."""
    values = [*values.values()] if isinstance(values, dict) else values
    texts = isinstance(values, list) and all(isinstance(one, str | None) for one in values)
    return "question" in name.lower() and texts


def _are_objects(content: Any) -> bool:
    return isinstance(content, list) and {*map(type, content)} == {dict}


def _one_each(images: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Images that list their questions (Visual7W, Visual Genome) as a record a question; other
    records as they are."""
    records = []
    for image in images:
        questions = image.get("qa_pairs", image.get("qas"))
        if _are_objects(questions):
            about = {"image_id": image.pop("id", None)} | image
            records += [about | question for question in questions]
        elif questions != []:
            records.append(image)
    return records
