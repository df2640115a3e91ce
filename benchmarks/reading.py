"""Reading a large release: from two JSON files to tokens, targets and tables.

    python benchmarks/reading.py [--questions 443757] [--repeats 3] [--json FILE]

Writes releases of up to --questions questions in the official schema (drawn texts; VQA v2's train
has 443,757) and reads each twice: plainly, with `json.load` and a Python loop, and as this package
does. Every reading has a process of its own, both ways in turn, and must give the same words,
targets and table. Times are the best of --repeats, by the clock and by the processor (other work on
the machine slows the first more); the peak is that of the whole process.
"""

import argparse
import hashlib
import json
import multiprocessing
import os
import re
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd

from scoring import draw_split
from vqa_helpers.data.formats import read_annotations, read_questions, write_split
from vqa_helpers.data.text import QUESTION_TYPES
from vqa_helpers.data.vocabulary import AnswerVocabulary, WordVocabulary, tokenize_all

V2_TRAIN = 443_757  # questions (Goyal et al., 2017)
SIZES = (10_000, 50_000, 100_000, 200_000, V2_TRAIN)
QUESTIONS, ANNOTATIONS = "questions_train.json", "annotations_train.json"
# What is a word: as the package has it, so that both ways give the same.
WORD = re.compile(r"n't\b|'(?:s|re|ve|ll|d|m)\b|[^\W_]+?(?=n't\b)|[^\W_]+")

Read = tuple[np.ndarray, np.ndarray, np.ndarray, pd.DataFrame]  # tokens, lengths, targets, table


def write_release(folder: Path, questions: int) -> int:
    """Write a train release; returns the bytes of both files.

    Words follow Zipf's law, and two of three questions are among the 60,000 that many ask.
    """
    generator = np.random.default_rng(0)
    asked = np.where(
        generator.random(questions) < 0.66,
        generator.integers(0, 60_000, questions),
        60_000 + np.arange(questions),
    )
    table = draw_split(questions)
    table["question"] = [draw_question(int(number)) for number in asked]
    write_split(folder, "train", table, "drawn for a benchmark")
    return sum((folder / name).stat().st_size for name in (QUESTIONS, ANNOTATIONS))


def draw_question(number: int) -> str:
    """The question of that number: an opening and two to five of 13,000 words."""
    generator = np.random.default_rng(number)
    opening = QUESTION_TYPES[int((len(QUESTION_TYPES) - 1) * generator.random() ** 2)]
    ranks = 13_000 ** generator.random(generator.integers(2, 6))  # rank r as often as 1 / r
    return f"{opening.capitalize()} {' '.join(f'w{int(rank)}' for rank in ranks)}?"


def read_plainly(folder: Path) -> Read:
    """What one writes without this package: load both files whole, one loop, one frame."""
    with (folder / QUESTIONS).open(encoding="utf-8") as file:
        questions = json.load(file)["questions"]
    with (folder / ANNOTATIONS).open(encoding="utf-8") as file:
        annotations = {entry["question_id"]: entry for entry in json.load(file)["annotations"]}
    columns = {name: [] for name in (
        "question_id", "image_id", "question", "question_type", "answer_type", "answer", "answers"
    )}  # fmt: skip
    split_questions = []
    for question in questions:
        annotation = annotations[question["question_id"]]
        columns["question_id"].append(question["question_id"])
        columns["image_id"].append(question["image_id"])
        columns["question"].append(question["question"])
        columns["question_type"].append(annotation["question_type"])
        columns["answer_type"].append(annotation["answer_type"])
        columns["answer"].append(annotation["multiple_choice_answer"])
        columns["answers"].append(tuple(given["answer"] for given in annotation["answers"]))
        split_questions.append(WORD.findall(question["question"].lower().replace("’", "'")))
    counts = Counter(chain.from_iterable(split_questions))
    words = sorted(counts, key=lambda word: (-counts[word], word))
    word_ids = {word: number for number, word in enumerate(words, start=2)}
    counts = Counter(columns["answer"])
    most_frequent = sorted(counts, key=lambda answer: (-counts[answer], answer))[:1000]
    answer_ids = {answer: number for number, answer in enumerate(most_frequent)}
    lengths = np.array([len(split) or 1 for split in split_questions])
    tokens = np.zeros((len(questions), lengths.max()), dtype=np.int32)
    for row, split in enumerate(split_questions):
        tokens[row, : lengths[row]] = [word_ids[word] for word in split] or 1
    targets = np.array([answer_ids.get(answer, -1) for answer in columns["answer"]])
    return tokens, lengths, targets, pd.DataFrame(columns)


def read_by_package(folder: Path) -> Read:
    """The same by the package's own functions, as a training run uses them."""
    table = read_annotations(folder / ANNOTATIONS, read_questions(folder / QUESTIONS))
    split_questions = tokenize_all(table["question"])
    tokens, lengths = WordVocabulary.build(split_questions).encode(split_questions)
    targets = AnswerVocabulary.build(table["answer"]).encode(table["answer"])
    return tokens, lengths, targets, table


def measure(read: Callable[[Path], Read], folder: Path) -> dict:
    """Seconds, peak memory and a hash of what was read; for a process of its own."""
    start, start_cpu = time.perf_counter(), time.process_time()
    tokens, lengths, targets, table = read(folder)
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - start_cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    digest = hashlib.sha256()
    for array in (tokens.astype("int64"), lengths, targets):
        digest.update(array.tobytes())
    for column in table:
        digest.update("\x1f".join(map(str, table[column])).encode())
    sha256 = digest.hexdigest()
    return {"seconds": seconds, "cpu_seconds": cpu_seconds, "peak_mb": peak, "sha256": sha256}


def compare(folder: Path, questions: int, repeats: int) -> dict:
    """Write a release, read it both ways and print what that took."""
    size = _alone(write_release, folder, questions)
    ways = {"plain": read_plainly, "package": read_by_package}
    taken = {way: [] for way in ways}
    for _ in range(repeats):  # in turn: other work on the machine then strikes both
        for way, read in ways.items():
            taken[way].append(_alone(measure, read, folder))
    if len({one["sha256"] for way in ways for one in taken[way]}) != 1:
        raise SystemExit(f"{questions} questions: the two ways read different things")
    row = {"questions": questions, "bytes": size, "load": os.getloadavg()[0]}
    for way, found in taken.items():
        seconds, cpu = (min(one[clock] for one in found) for clock in ("seconds", "cpu_seconds"))
        peak = max(one["peak_mb"] for one in found)
        row[way] = {"seconds": seconds, "cpu_seconds": cpu, "peak_mb": peak}
        print(f"{questions:9,} {size / 1e6:5.0f}  {way:8} {seconds:6.2f} {cpu:6.2f} "
              f"{1e6 * seconds / questions:7.1f} {peak:7,.0f}  {row['load']:.1f}", flush=True)  # fmt: skip
    for clock in ("seconds", "cpu_seconds"):
        row[f"times_faster_{clock}"] = row["plain"][clock] / row["package"][clock]
    print(f"{'':17}{row['times_faster_seconds']:.1f} times faster "
          f"({row['times_faster_cpu_seconds']:.1f} by the processor)")  # fmt: skip
    return row


def _alone(function: Callable, *arguments: object) -> object:
    """Call a function in a process of its own, whose peak memory is then its alone."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(function, *arguments).result()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--questions", type=int, default=V2_TRAIN, help="of the largest release")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write the rows there")
    options = parser.parse_args()
    sizes = [size for size in SIZES if size < options.questions] + [options.questions]
    rows = []
    print("questions    MB  way           s  CPU s µs each peak MB  load")
    for size in sizes:
        with tempfile.TemporaryDirectory() as name:
            rows.append(compare(Path(name), size, options.repeats))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
