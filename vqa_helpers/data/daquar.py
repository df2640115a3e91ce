"""DAQUAR as its authors publish it, to tables (Malinowski and Fritz, 2014).

A line of question, which names its image, is followed by a line of answer:

    what is on the desk in the image3 ?
    book, scissor, papers, tape_dispenser

Several things are one answer. The images, `image3.png`, lie anywhere below.
"""

import codecs
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from vqa_helpers.data.formats import table_of
from vqa_helpers.data.text import answer_type_of, question_type_of

_IMAGE = re.compile(r"\bimage(\d{1,9})\b", re.IGNORECASE)
_NO_UTF8 = "\ufffd"
_TAIL = re.compile(r"\s+in\s+((the|this)\s+)?image\d+\s*\?*$", re.IGNORECASE)


def daquar_files(folder: Path) -> dict[str, Path]:
    """Split to the text file of a folder: of all 894 classes, or else of the 37 most frequent."""
    for classes in (894, 37):
        named = {s: folder / f"qa.{classes}.raw.{s}.txt" for s in ("train", "test")}
        if found := {split: path for split, path in named.items() if path.is_file()}:
            return found
    return {}


def read_daquar(path: Path, report: Callable[[str, Path, str], None]) -> pd.DataFrame:
    """Read a text file: a row a question, the columns of an answered split.

    The image's id is the number in its name, and question n about it, from 0, is 1000 times that
    and n. What names the image goes from the end of the question; types are derived.

    Args:
        report: is told each fault, by line; see `formats.Report`.
    """
    lines = path.read_bytes().removeprefix(codecs.BOM_UTF8).rstrip().splitlines()
    lines = [line.decode(errors="replace").strip() for line in lines]
    rows, asked, answer = [], Counter(), None
    left = iter(enumerate(lines, start=1))
    for first, question in left:
        if not question:
            continue  # between two pairs
        second, answer = next(left, (first, None))
        if answer is None:
            break
        images = _IMAGE.findall(question)
        if _NO_UTF8 in question + answer:
            line = f"line {first if _NO_UTF8 in question else second} is no UTF-8; save it as that"
            report("broken line", path, line)
        elif not images:
            line = f"line {first} names no image; expected a question that ends '… in the image3 ?'"
            report("broken line", path, line)
        elif not answer or (answer.endswith("?") and _IMAGE.search(answer)):
            line = f"line {second} is no answer to the question of line {first}; write it there"
            report("broken line", path, line)
        else:
            image = int(images[-1])  # the first may be a part of the question
            text = " ".join(_TAIL.sub("", question).split()).rstrip(" ?") + "?"
            types = question_type_of(text), answer_type_of(answer)
            id_ = 1000 * image + asked[image]
            rows.append((id_, image, text, None, None, *types, answer, (answer,)))
            asked[image] += 1
    if answer is None:
        line = f"ends after {len(lines):,} lines; every question needs a line of answer after it"
        report("broken line", path, line)
    return table_of(rows)
