"""Dataset files become checked tables, and answers the JSON that the evaluation server accepts.

One question is one row. Each file is read in one pass, which tells every fault it finds to a
`Report`: reading for a run refuses the first, `check` collects them all and reads on. Knows nothing
of images on disk, or of what a run does with the splits.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
import pandas as pd

from vqa_helpers.data.json_files import DecodeError, decode_entries, read_bytes
from vqa_helpers.data.text import answer_type_of, question_type_of
from vqa_helpers.errors import InputError
from vqa_helpers.files import write_text

# "export": questions whose answers only an evaluation server knows; answered and written, no more.
SPLITS = ("train", "validation", "test", "export")
OFFICIAL_ANSWERS = 10
LAYOUT = "the official VQA JSON layout is expected, as `vqa data convert` writes it"
RELEASE = "are the two files of one release?"

Tables = dict[str, pd.DataFrame]  # split to its questions, a row each
# Takes a kind of fault, for grouping, where it is, and entry, field, what is wrong, remedy.
Report = Callable[[str, Path, str], None]

_OWN_NAME = re.compile(r"(?P<kind>questions|annotations)(_(?P<split>.+))?\.json(\.gz)?")
_OFFICIAL_NAME = re.compile(  # of VQA, its abstract scenes, and VQA-CP
    r"((v2_)?(OpenEnded_)?(mscoco|abstract_v002)|vqacp_v[12])_(?P<split>.+)_"
    r"(?P<kind>questions|annotations)\.json(\.gz)?"
)
SPLIT_NAMES = {split: split for split in SPLITS}
SPLIT_NAMES |= dict.fromkeys(("training", "trainset", "trainval"), "train")
SPLIT_NAMES |= dict.fromkeys(("val", "valid", "validate", "valset", "dev", "eval"), "validation")
SPLIT_NAMES |= dict.fromkeys(("testing", "testset", "testdev"), "test")
_ANSWER_COLUMNS = ("question_type", "answer_type", "answer", "answers")
NAMES = QUESTION_NAME, IMAGE_NAME = "question_name", "image_name"  # ids that are texts, as given
COLUMNS = ("question_id", "image_id", "question", *NAMES, *_ANSWER_COLUMNS)

Entry = TypeVar("Entry")
Id = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
AnyId = Id | float | str
Text = str | int | float  # pandas and people write the answer 2 without quotes


class Question(msgspec.Struct, gc=False):
    question_id: AnyId
    image_id: AnyId
    question: str


class Answer(msgspec.Struct, gc=False):
    answer: Text


class Annotation(msgspec.Struct, gc=False):
    question_id: AnyId
    image_id: AnyId | None = None
    multiple_choice_answer: Text | None = None
    question_type: str | None = None
    answer_type: str | None = None
    answers: list[Answer | Text] | None = None


class Result(msgspec.Struct, gc=False):
    question_id: int | str
    answer: str


def as_id(given: int | float | str) -> int:
    """The number that stands for an id: the id itself if it is a whole number, also as 1.0, "1" or
    "1.0"; for any other text a stable hash.

    Raises:
        ValueError: for a number that is not whole.
    """
    whole = given.removesuffix(".0") if isinstance(given, str) else ""  # as pandas writes it
    if whole.isdecimal() and len(whole) < 19:
        return int(whole)
    if isinstance(given, str):
        return int.from_bytes(hashlib.blake2b(given.encode(), digest_size=8).digest()) >> 2
    number = int(given)
    if number != given:
        raise ValueError(f"is {given}; an id is a whole number or a text")
    return number


def as_text(given: str | int | float) -> str:
    """An answer as a text: a whole number without the point that pandas gives it."""
    return str(int(given) if isinstance(given, float) and given.is_integer() else given)


def refuse(kind: str, where: Path, line: str) -> None:
    """The strict report: raise the first fault as an `InputError`."""
    raise InputError(f"{where}: {line}")


# ---------------------------------------------------------------- a folder


def read_tables(folder: Path, report: Report = refuse) -> Tables:
    """The splits of a folder as tables, in the order of `SPLITS`.

    Returns:
        Split to table; where faults are only reported, the sound rows, perhaps none.
    """
    return {split: read_split(files, report) for split, files in _find(folder, report).items()}


def official_files(folder: Path) -> list[Path]:
    """The files of a folder that are named as official ones are; else the release's in the folders
    of it, such as `Questions` and `Annotations`."""
    inside = (path for path in folder.glob("*/*") if _OFFICIAL_NAME.fullmatch(path.name))
    # Our own names go before a release's.
    named = sorted(filter(_named, folder.glob("*")), key=lambda path: (not _is_own(path), path))
    return named or sorted(inside)


def split_of(label: str) -> str | None:
    """The split that a label names, such as "val2014"; None for any other."""
    return SPLIT_NAMES.get(re.sub(r"\d{4}$", "", label).lower())


def question_files(folder: Path) -> list[Path]:
    """The files of questions that a folder has, by name."""
    return [path for path in official_files(folder) if _named(path)["kind"] == "questions"]


def _is_own(path: Path) -> bool:
    return _OWN_NAME.fullmatch(path.name) is not None


def _named(path: Path) -> re.Match | None:
    return _OWN_NAME.fullmatch(path.name) or _OFFICIAL_NAME.fullmatch(path.name)


def _find(folder: Path, report: Report) -> dict[str, dict[str, Path]]:
    """The files of each split, by name: {"train": {"questions": path, "annotations": path}, …}.

    Of two files of one kind the first is taken.
    """
    found: dict[str, dict[str, Path]] = {}
    for path in official_files(folder):
        match = _named(path)
        kind, label = match["kind"], match["split"] or "train"
        split = split_of(label)
        if split is not None:
            first = found.setdefault(split, {}).setdefault(kind, path)
            if first != path and _is_own(path) == _is_own(first):
                line = f"{first.name} and {path.name} are both the {kind} of the {split} split"
                report("file name", folder, f"{line}; keep one")
        elif not label.lower().startswith("test-"):  # test-dev2015 is a part of test2015
            line = f"{label!r} is no split; name it train, val or test, or move the file away"
            report("file name", path, line)
    if not found:
        line = "is not a dataset folder; expected questions_train.json and annotations_train.json"
        line += " (or the official names), or a table as CSV, JSON or parquet"
        report("file name", folder, line)
    for split, files in found.items():
        if "questions" not in files:
            line = f"has no questions file beside it; put the questions of the {split} split there"
            report("file name", files["annotations"], line)
    return in_order({split: files for split, files in found.items() if "questions" in files})


def in_order(splits: Mapping[str, Any]) -> dict[str, Any]:
    """What is by split, in the order of `SPLITS`."""
    return {split: splits[split] for split in SPLITS if split in splits}


def read_split(files: dict[str, Path], report: Report = refuse) -> pd.DataFrame:
    """A split from its file of "questions" and, where they are answered, of "annotations"."""
    questions = read_questions(files["questions"], report)
    if "annotations" not in files or questions.empty:
        return questions
    return read_annotations(files["annotations"], questions, report)


# ---------------------------------------------------------------- a file


def read_questions(path: Path, report: Report = refuse) -> pd.DataFrame:
    """Read a questions file: question_id, image_id, question.

    Raises:
        InputError: naming the file, the entry and the field that breaks the format.
    """
    once: dict[str, str] = {}  # one copy of each text, however often it is asked
    rows = []
    for place, id_, image, entry in _entries(path, "questions", Question, report):
        text, given = entry.question, (entry.question_id, entry.image_id)
        if not text or text.isspace():
            report("empty question", path, f"{place}.question is empty; write it")
        names = [one if isinstance(one, str) else None for one in given]
        rows.append((id_, image, once.setdefault(text, text), *names))
    return table_of(rows, ("question_id", "image_id", "question", *NAMES))


def read_annotations(path: Path, questions: pd.DataFrame, report: Report = refuse) -> pd.DataFrame:
    """Read the annotations of `questions`, row for row: the full table.

    The target `answer` is `multiple_choice_answer`, or the most frequent of the answers where that
    field is absent; absent types are derived from the question and the answer.

    Args:
        questions: as `read_questions` returns it.

    Raises:
        InputError: naming the file and entry; also for an annotation without its question, a
            question without its annotation, and two files that name different images.
    """
    texts, images = questions["question"].to_numpy(), questions["image_id"].to_numpy()
    waiting = {id_: row for row, id_ in enumerate(questions["question_id"].tolist())}
    once: dict[str, str] = {}  # answers repeat millions of times
    found: list[tuple | None] = [None] * len(questions)
    for place, id_, image, entry in _entries(path, "annotations", Annotation, report):
        said = [as_text(getattr(a, "answer", a)) for a in entry.answers or ()]
        answers = tuple([once.setdefault(text, text) for text in said])
        if entry.multiple_choice_answer is not None:
            target = as_text(entry.multiple_choice_answer)
        elif answers:
            target = Counter(answers).most_common(1)[0][0]  # the first of the most frequent
        else:
            line = f"{place} has neither multiple_choice_answer nor answers"
            report("no answer", path, f"{line}; leave the file away if the split has none")
            continue
        row = waiting.pop(id_, None)
        if row is None:
            line = f"{place} has question_id {id_}, which no question has; {RELEASE}"
            report("annotation without its question", path, line)
        elif image not in (None, images[row]):
            line = f"{place} says image {image} but its question {id_} is about image {images[row]}"
            report("another image", path, f"{line}; {RELEASE}")
        else:
            kind = entry.question_type or question_type_of(texts[row])
            answer_type = entry.answer_type or answer_type_of(target)
            shared = [once.setdefault(text, text) for text in (kind, answer_type, target)]
            found[row] = (*shared, answers or (shared[-1],))
    rows = [row for row, one in enumerate(found) if one]
    for id_ in waiting if rows else ():  # else the file is at fault, not each question
        line = f"question {id_} has no usable annotation; add it; {RELEASE}"
        report("question without its annotation", path, line)
    answered = [found[row] for row in rows]
    table = questions.iloc[rows].reset_index(drop=True)
    table[list(_ANSWER_COLUMNS)] = pd.DataFrame(answered, columns=_ANSWER_COLUMNS, dtype=object)
    return table


def _entries(
    path: Path, field: str, shape: type[Entry], report: Report
) -> Iterator[tuple[str, int, int | None, Entry]]:
    """The entries of a file that keep to the format, the first of each question: place, question id,
    image id, entry."""
    try:
        entries = decode_entries(read_bytes(path), field, shape)
    except (DecodeError, InputError) as error:
        line = str(error).removeprefix(f"{path}: ")
        report("unreadable file", path, f"{line}; {LAYOUT}")
        return
    number, first = None, {}
    for number, entry in enumerate(entries):
        place = f"{field}[{number}]"
        if isinstance(entry, DecodeError):
            for fault in entry.faults:
                report("broken entry", path, f"{fault}; {LAYOUT}")
            continue
        try:
            id_ = as_id(entry.question_id)
            image = None if entry.image_id is None else as_id(entry.image_id)
        except ValueError as error:
            report("broken entry", path, f"{place}: its id {error}")
            continue
        if first.setdefault(id_, number) != number:
            line = f"{place} repeats question_id {id_} of {field}[{first[id_]}]"
            report("repeated question id", path, f"{line}; every question needs its own id")
            continue
        yield place, id_, image, entry
    if number is None:
        report("empty file", path, f"`{field}` lists nothing; it must list at least one entry")


def table_of(rows: Sequence[tuple], columns: Sequence[str] = COLUMNS) -> pd.DataFrame:
    """Rows as a table of questions: ids are int64, all else objects under pandas 2 and 3; names of ids
    are left out where none has one."""
    table = pd.DataFrame(rows, columns=columns, dtype=object)
    table = table.astype({"question_id": "int64", "image_id": "int64"})
    return table.drop(columns=[name for name in NAMES if table[name].isna().all()])


def has_official_answers(table: pd.DataFrame) -> bool:
    """Whether every question has the ten answers that the official VQA accuracy needs."""
    return bool((table["answers"].map(len) >= OFFICIAL_ANSWERS).all())


# ---------------------------------------------------------------- writing


def write_results(path: Path, table: pd.DataFrame, answers: Iterable[str]) -> None:
    """Write the JSON that the VQA evaluation server takes: a list of question_id and answer, the ids
    as the questions file had them."""
    ids = table["question_id"].tolist()
    if QUESTION_NAME in table:
        named = table[QUESTION_NAME]
        ids = [one if name is None else name for one, name in zip(ids, named, strict=True)]
    rows = zip(ids, answers, strict=True)
    rows = [{"question_id": id_, "answer": str(answer)} for id_, answer in rows]
    write_text(path, json.dumps(rows, ensure_ascii=False))


def holds_results(path: Path) -> bool:
    """Whether a file is empty, or one that `write_results` wrote, and may be written again."""
    try:
        rows = json.loads(path.read_bytes() or b"[]")
    except (ValueError, RecursionError):
        return False
    keys = {"question_id", "answer"}
    return isinstance(rows, list) and all(isinstance(r, dict) and r.keys() == keys for r in rows)


def write_split(folder: Path, split: str, table: pd.DataFrame, description: str) -> None:
    """Write the rows of a table as `questions_<split>.json` and, where they are answered,
    `annotations_<split>.json`, of validation `…_val.json`; a row at a time, since a full release is
    large."""
    split = "val" if split == "validation" else split
    info = {"info": {"description": description}, "data_subtype": split}
    for name in ("questions", "annotations") if "answer" in table else ("questions",):
        with (folder / f"{name}_{split}.json").open("w", encoding="utf-8") as file:
            file.write(json.dumps({**info, name: []}, ensure_ascii=False).removesuffix("]}"))
            for number, row in enumerate(table.itertuples(index=False)):
                id_ = getattr(row, QUESTION_NAME, None) or int(row.question_id)
                entry = {"question_id": id_, "image_id": int(row.image_id)}
                if name == "questions":
                    entry["question"] = row.question
                else:
                    entry |= {"question_type": row.question_type, "answer_type": row.answer_type}
                    given = enumerate(row.answers, start=1)
                    entry["multiple_choice_answer"] = row.answer
                    entry["answers"] = [{"answer": a, "answer_id": i} for i, a in given]
                file.write((",\n" if number else "\n") + json.dumps(entry, ensure_ascii=False))
            file.write("]}")
