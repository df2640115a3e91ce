"""Reading the full VQA v2 train release: from two JSON files to tokens, targets and tables.

    python benchmarks/reading.py [--questions 443757] [--repeats 3] [--json FILE]

Writes releases of up to --questions questions in the official schema (drawn texts, as many bytes
an entry as the real ones) and reads each twice: plainly, with `json.load` and a Python loop, and as
this package does. Every reading has a process of its own, both ways in turn, and must give the same
words, targets and table. Times are the best of --repeats, by the clock and by the processor (other
work on the machine slows the first more); the peak is that of the whole process.
"""

import argparse
import gc
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

from vqa_helpers.data.formats import read_annotations, read_questions
from vqa_helpers.data.text import QUESTION_TYPES
from vqa_helpers.data.vocabulary import AnswerVocabulary, WordVocabulary, tokenize_all

V2_TRAIN = 443_757  # questions, about 82,783 images (Goyal et al., 2017)
V2_IMAGES = 82_783
SIZES = (10_000, 50_000, 100_000, 200_000, V2_TRAIN)
QUESTIONS = "v2_OpenEnded_mscoco_train2014_questions.json"
ANNOTATIONS = "v2_mscoco_train2014_annotations.json"
# What is a word: as the package has it, so that both ways give the same.
WORD = re.compile(r"n't\b|'(?:s|re|ve|ll|d|m)\b|[^\W_]+?(?=n't\b)|[^\W_]+")

Read = tuple[np.ndarray, np.ndarray, np.ndarray, pd.DataFrame]  # tokens, lengths, targets, table


def write_release(folder: Path, questions: int, seed: int = 0) -> int:
    """Write a train release in the schema of VQA v2.

    At full size some 200,000 questions and 20,000 target answers are distinct, words follow Zipf's
    law, and three of four annotators give the target, as in the real one.

    Returns:
        The bytes of both files.
    """
    generator = np.random.default_rng(seed)
    texts = _draw_questions(generator, questions)
    kinds, targets, answers = _draw_answers(generator, questions)
    sure = generator.choice(["yes", "maybe", "no"], p=[0.75, 0.2, 0.05], size=(questions, 10))
    images = np.sort(generator.choice(581_929, min(V2_IMAGES, questions), replace=False)) + 1
    asked, answered = [], []
    for row, text in enumerate(texts):
        place = row * len(images) / questions
        ids = {
            "image_id": int(images[int(place)]),
            "question_id": int(images[int(place)]) * 1000 + row % 100,
        }
        opening = text.split(" ~")[0].lower()
        asked.append({**ids, "question": text.replace(" ~", " ")})
        answered.append(
            {
                "question_type": opening if opening in QUESTION_TYPES else QUESTION_TYPES[-1],
                "multiple_choice_answer": targets[row],
                "answers": [
                    {"answer": answer, "answer_confidence": confidence, "answer_id": number}
                    for number, (answer, confidence) in enumerate(
                        zip(answers[row], sure[row].tolist(), strict=True), start=1
                    )
                ],
                "image_id": ids["image_id"],
                "answer_type": kinds[row],
                "question_id": ids["question_id"],
            }
        )
    head = {
        "info": {"description": "drawn for a benchmark", "version": "2.0", "year": 2017},
        "license": {"name": "none", "url": ""},
        "data_subtype": "train2014",
        "data_type": "mscoco",
    }
    for name, content in (
        (QUESTIONS, {**head, "task_type": "Open-Ended", "questions": asked}),
        (ANNOTATIONS, {**head, "annotations": answered}),
    ):
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    return sum((folder / name).stat().st_size for name in (QUESTIONS, ANNOTATIONS))


def _zipf(generator: np.random.Generator, kinds: int, power: float, size: int) -> np.ndarray:
    """Ranks below `kinds`, rank r as often as (r + 2) ** -power."""
    weights = (np.arange(kinds) + 2.0) ** -power
    return generator.choice(kinds, p=weights / weights.sum(), size=size)


def _invent_words(generator: np.random.Generator, count: int) -> list[str]:
    syllables = [a + b for a in "bcdfghklmnprstvw" for b in ("a", "e", "i", "o", "u", "er", "an")]
    parts = generator.integers(len(syllables), size=(count, 3))
    longest = generator.integers(1, 4, size=count)
    return ["".join(syllables[p] for p in row[:n]) for row, n in zip(parts, longest, strict=True)]


def _draw_questions(generator: np.random.Generator, count: int) -> list[str]:
    """Two of three are among the 60,000 that everyone asks; " ~" ends the opening."""
    words = _invent_words(generator, 13_000)

    def compose(number: int) -> list[str]:
        lengths = generator.integers(2, 6, size=number)
        drawn = iter(_zipf(generator, len(words), 1.0, int(lengths.sum())).tolist())
        openings = _zipf(generator, len(QUESTION_TYPES) - 1, 0.8, number).tolist()
        return [
            f"{QUESTION_TYPES[opening].capitalize()} ~"
            + " ".join(words[next(drawn)] for _ in range(length))
            + "?"
            for opening, length in zip(openings, lengths.tolist(), strict=True)
        ]

    own, common = compose(count), compose(60_000)
    asked = generator.random(count) < 0.66
    picked = _zipf(generator, len(common), 0.7, count)
    return [common[p] if a else o for o, a, p in zip(own, asked, picked, strict=True)]


def _draw_answers(
    generator: np.random.Generator, count: int
) -> tuple[list[str], list[str], list[list[str]]]:
    """Answer types, targets, and ten answers a question."""
    words = _invent_words(generator, 400_000)
    kinds = generator.choice(3, p=[0.38, 0.12, 0.5], size=count)

    def draw(of: np.ndarray, others: int) -> list[str]:
        chance = generator.random(len(of))
        number = _zipf(generator, 200, 1.3, len(of)).tolist()
        other = _zipf(generator, others, 1.05, len(of)).tolist()
        return [
            ("no" if c < 0.5 else "yes") if k == 0 else str(n) if k == 1 else words[o]
            for k, c, n, o in zip(of.tolist(), chance.tolist(), number, other, strict=True)
        ]

    targets = draw(kinds, 100_000)
    agree = generator.random((count, 10)) < 0.75
    doubts = iter(draw(np.repeat(kinds, (~agree).sum(axis=1)), len(words)))
    answers = [
        [target if yes else next(doubts) for yes in row]
        for target, row in zip(targets, agree.tolist(), strict=True)
    ]
    return [("yes/no", "number", "other")[k] for k in kinds.tolist()], targets, answers


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
    before = _peak_mb()
    start, start_cpu = time.perf_counter(), time.process_time()
    tokens, lengths, targets, table = read(folder)
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - start_cpu
    peak = _peak_mb()
    digest = hashlib.sha256()
    for array in (tokens.astype("int64"), lengths, targets):
        digest.update(array.tobytes())
    for column in table:
        digest.update("\x1f".join(map(str, table[column])).encode())
    return {
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "peak_mb": peak,
        "peak_before_mb": before,
        "sha256": digest.hexdigest(),
    }


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--questions", type=int, default=V2_TRAIN, help="of the largest release")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write the rows there")
    options = parser.parse_args()
    sizes = [size for size in SIZES if size < options.questions] + [options.questions]
    rows = []
    print(
        f"{'questions':>9} {'MB':>5}  {'way':8} {'s':>6} {'CPU s':>6} {'µs each':>7} {'peak MB':>7}  load"
    )
    for size in sizes:
        with tempfile.TemporaryDirectory() as name:
            rows.append(compare(Path(name), size, options.repeats))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


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
    row = {"questions": questions, "bytes": size, "load": os.getloadavg()[0], **taken}
    best = {
        (way, clock): min(one[clock] for one in taken[way])
        for way in ways
        for clock in ("seconds", "cpu_seconds")
    }
    for way in ways:
        seconds, cpu = best[way, "seconds"], best[way, "cpu_seconds"]
        peak = max(one["peak_mb"] for one in taken[way])
        print(
            f"{questions:9,} {size / 1e6:5.0f}  {way:8} {seconds:6.2f} {cpu:6.2f} "
            f"{1e6 * seconds / questions:7.1f} {peak:7,.0f}  {row['load']:.1f}",
            flush=True,
        )
    row["times_faster"] = {
        clock: best["plain", clock] / best["package", clock] for clock in ("seconds", "cpu_seconds")
    }
    print(
        f"{'':17}{row['times_faster']['seconds']:.1f} times faster "
        f"({row['times_faster']['cpu_seconds']:.1f} by the processor)"
    )
    return row


def _alone(function: Callable, *arguments: object) -> object:
    """Call a function in a process of its own, whose peak memory is then its alone."""
    gc.collect()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(function, *arguments).result()


if __name__ == "__main__":
    main()
