"""Files of other people's data, made small; what is read of them, and what is said of it."""

import json
from pathlib import Path

import pytest
from PIL import Image

from tests.builders import read_json
from vqa_helpers.errors import InputError


def write(path, content) -> Path:
    """Write a text, or anything else as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def edit(path, change) -> None:
    """Change the entries of a file of questions or annotations."""
    content = read_json(path)
    (rows,) = content.values()
    change(rows)
    write(path, content)


def picture(path, colour=(9, 9, 9)) -> Path:
    """Write a picture of one colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), colour).save(path)
    return path


def rows(table) -> list[tuple]:
    """(image's name or id, question, target, number of answers) of each row."""
    image = table["image_name"] if "image_name" in table else table["image_id"]
    answers = table["answers"].map(len) if "answers" in table else [0] * len(table)
    target = table["answer"] if "answer" in table else [None] * len(table)
    return list(zip(image, table["question"], target, answers, strict=True))


def asked(tables) -> dict[str, list[str]]:
    """The questions of each split."""
    return {split: table["question"].tolist() for split, table in tables.items()}


def refusal(call, *arguments, **options) -> str:
    """What the `InputError` says that a call ends in: one line."""
    with pytest.raises(InputError) as caught:
        call(*arguments, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)
