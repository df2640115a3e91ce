"""Seconds to score answers against ten annotators each, beside a plain loop of the official rules.

    python benchmarks/scoring.py [--questions 214354] [--json FILE]

Questions, annotations and answers are drawn, with the shares of short, long and odd answers that
VQA v2 has. The loop follows the published code annotator by annotator; both must agree.
"""

import argparse
import json
import re
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from vqa_helpers.data.formats import write_results, write_split
from vqa_helpers.data.text import (
    ARTICLES,
    CONTRACTIONS,
    NORMALISERS,
    NUMBER_WORDS,
    PUNCTUATION,
)
from vqa_helpers.data.vocabulary import AnswerVocabulary
from vqa_helpers.evaluation.bootstrap import RESAMPLES
from vqa_helpers.evaluation.metrics import Annotators, measure, score
from vqa_helpers.evaluation.results import evaluate_results

VAL2014 = 214_354  # questions of v2's val2014, about 40,504 images
COMMA, PERIOD = re.compile(r"(\d)(,)(\d)"), re.compile(r"(?!<=\d)(\.)(?!\d)")


def draw_split(questions: int, seed: int = 0) -> pd.DataFrame:
    """A table of questions with ten answers each: a few frequent ones, a long tail of odd ones."""
    generator = np.random.default_rng(seed)
    tail = ["{} {}", "the {} {}", "{}/{}", "{}, {}", "{} - {}", "{}'s {}", "a {}. {}"]
    words = [f"w{n}" for n in range(3_000)] + ["dont", "none", "two", "ten", "red", "1,000", "3.5"]
    pairs = generator.choice(words, size=(40_000, 2))
    odd = [tail[n % len(tail)].format(*pair) for n, pair in enumerate(pairs)]
    answers = np.array(["yes", "no", "2", "two", "1", "white", "the man", "isnt", *words, *odd])
    weights = 1 / np.arange(1, len(answers) + 1)
    pool = generator.choice(answers, size=(questions, 4), p=weights / weights.sum()).astype(object)
    given = np.take_along_axis(
        pool, generator.choice(4, (questions, 10), p=[0.7, 0.1, 0.1, 0.1]), 1
    )
    given[generator.random(questions) < 0.3] = "yes"  # unanimous
    kinds = np.array(["yes/no", "number", "other"], dtype=object)
    types = np.array([f"type {n}" for n in range(65)], dtype=object)
    return pd.DataFrame(
        {
            "question_id": np.arange(questions),
            "image_id": generator.integers(0, max(1, questions * 40_504 // VAL2014), questions),
            "question": "what is it?",
            "question_type": types[generator.integers(0, 65, questions)],
            "answer_type": kinds[generator.integers(0, 3, questions)],
            "answer": given[:, 0],
            "answers": pd.Series(list(map(tuple, given)), dtype=object),
        }
    )


def loop_punctuation(text: str) -> str:
    changed = text
    for mark in PUNCTUATION:
        if (mark + " " in text or " " + mark in text) or COMMA.search(text) is not None:
            changed = changed.replace(mark, "")
        else:
            changed = changed.replace(mark, " ")
    return PERIOD.sub("", changed, count=32)


def loop_words(text: str) -> str:
    kept = []
    for word in text.lower().split():
        word = NUMBER_WORDS.get(word, word)
        if word not in ARTICLES:
            kept.append(CONTRACTIONS.get(word, word))
    return " ".join(kept)


def loop(predictions: list[str], answers: list[tuple[str, ...]], normaliser: str) -> list[float]:
    """The official accuracy of each question, as the published code computes it."""
    scores = []
    for prediction, given in zip(predictions, answers, strict=True):
        prediction = prediction.replace("\n", " ").replace("\t", " ").strip()
        if normaliser == "2021":
            given = [text.replace("\n", " ").replace("\t", " ").strip() for text in given]
            if len(set(given)) > 1:
                given = [loop_words(loop_punctuation(text)) for text in given]
                prediction = loop_words(loop_punctuation(prediction))
        else:
            if len(set(given)) > 1:
                given = [loop_punctuation(text) for text in given]
            prediction = loop_words(loop_punctuation(prediction))
        total = 0.0
        for left_out in range(len(given)):
            others = [text for number, text in enumerate(given) if number != left_out]
            total += min(1, len([text for text in others if text == prediction]) / 3)
        scores.append(total / len(given))
    return scores


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--questions", type=int, default=VAL2014)
    parser.add_argument("--json", type=Path, help="write the rows there")
    options = parser.parse_args()
    table = draw_split(options.questions)
    answers = list(table["answers"])
    predictions = [given[n % 10] for n, given in enumerate(answers)]
    rows = []
    for normaliser in NORMALISERS:
        ours_s, ours = timed(lambda n=normaliser: Annotators(answers, n).score(predictions))
        loop_s, plain = timed(lambda n=normaliser: loop(predictions, answers, n))
        if np.abs(ours - np.array(plain)).max() > 1e-9:
            raise SystemExit(f"normaliser {normaliser}: the two do not agree")
        rows.append({"what": f"scoring, normaliser {normaliser}", "s": ours_s, "loop_s": loop_s})
    with tempfile.TemporaryDirectory() as folder:
        write_split(Path(folder), "val", table, "drawn")
        write_results(Path(folder) / "r.json", table["question_id"], predictions)
        files = [
            Path(folder) / name for name in ("questions_val.json", "annotations_val.json", "r.json")
        ]
        seconds, _ = timed(lambda: evaluate_results(*files))
    rows.append({"what": "evaluate_results, three files read", "s": seconds, "loop_s": None})
    vocabulary = AnswerVocabulary.build(table["answer"])
    ranked = [[text, "yes", "no", "1", "2"] for text in predictions]
    seconds, scores = timed(lambda: score(table, ranked, vocabulary))
    rows.append({"what": "top-1, top-5, VQA accuracy, ceiling", "s": seconds, "loop_s": None})
    seconds, _ = timed(lambda: measure(table, scores, vocabulary))
    rows.append({"what": f"intervals, {RESAMPLES} resamples", "s": seconds, "loop_s": None})
    print(f"{options.questions:,} questions, ten answers each")
    for row in rows:
        beside = f"   plain loop {row['loop_s']:6.2f} s" if row["loop_s"] else ""
        print(f"{row['what']:38} {row['s']:6.2f} s{beside}")
    if options.json:
        options.json.write_text(
            json.dumps({"questions": options.questions, "rows": rows}, indent=1)
        )


if __name__ == "__main__":
    main()
