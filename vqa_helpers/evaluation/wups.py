"""WUPS: how close answers are to the true one, for data with one human answer such as DAQUAR and
COCO-QA.

The measure of Malinowski and Fritz, A Multi-World Approach to Question Answering about Real-World
Scenes, 2014, as their `calculate_wups.py` computes it. An answer and its truth are lists, A and T,
parted by commas. A question scores

    min(product over a in A of max over t in T of m(a, t),
        product over t in T of max over a in A of m(a, t))

where m is the Wu-Palmer similarity of those noun senses of a and t that are nearest to each other, a
tenth of it below the threshold; 1 where a and t are the same text; else 0 where WordNet does not know
one of them. At 0.0 nothing is taken off; 0.9 lets hardly more pass than another word for the same.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import cache

import numpy as np
import pandas as pd

from vqa_helpers.data.formats import OFFICIAL_ANSWERS
from vqa_helpers.evaluation.baselines import hits
from vqa_helpers.evaluation.metrics import with_interval
from vqa_helpers.evaluation.wordnet import WordNet, find_wordnet

THRESHOLDS = {"wups_0.9": 0.9, "wups_0.0": 0.0}


def wups(answers: Sequence[str], truths: Sequence[str], wordnet: WordNet) -> dict[str, np.ndarray]:
    """The score of each of N answers, 0 to 1, at both thresholds: "wups_0.9" and "wups_0.0", (N,)."""
    similarity = cache(lambda a, t: 1.0 if a == t else wordnet.similarity(a, t))
    pairs = list(zip(answers, truths, strict=True))
    scores = {}
    for name, threshold in THRESHOLDS.items():
        known = {pair: _score(*map(_items, pair), similarity, threshold) for pair in set(pairs)}
        scores[name] = np.array([known[pair] for pair in pairs])
    return scores


def _score(
    answer: list[str], truth: list[str], similarity: Callable[[str, str], float], threshold: float
) -> float:
    # (A, T): each item of the answer beside each of the truth
    near = np.array([similarity(a, t) for a in answer for t in truth])
    near = np.where(near >= threshold, near, 0.1 * near).reshape(len(answer), len(truth))
    return float(min(near.max(axis=axis, initial=0).prod() for axis in (0, 1)))


def _items(answer: str) -> list[str]:
    return [item for part in answer.split(",") if (item := part.strip())]


def is_one_thing(answers: Iterable[str]) -> np.ndarray:
    """(N,) whether each answer is no list: the literature's "single word" questions of DAQUAR."""
    return np.array([len(_items(answer)) == 1 for answer in answers], dtype=bool)


def measure_wups(answers: Sequence[str], table: pd.DataFrame) -> dict[str, dict | None]:
    """WUPS of a split, in percent, each with its 95 % interval.

    Args:
        answers: (N,) an answer to each question.
        table: an answered split, (N) rows.

    Returns:
        "wups_0.9" and "wups_0.0", and "one_thing": the number of `questions` whose truth is no
        list, their top1 and the same two; None where all are, or none. Empty where ten people
        answered a question, which VQA accuracy is for, or where there is no WordNet.
    """
    if (table["answers"].map(len) >= OFFICIAL_ANSWERS).any() or (found := find_wordnet()) is None:
        return {}
    images, truths = table["image_id"].to_numpy(), table["answer"].tolist()
    scores = {"top1": hits(answers, table), **wups(answers, truths, found)}
    kept = {name: with_interval(scores[name], images) for name in THRESHOLDS}
    single, one_thing = is_one_thing(truths), None
    if single.any() and not single.all():
        parts = {name: with_interval(v[single], images[single]) for name, v in scores.items()}
        one_thing = {"questions": int(single.sum()), **parts}
    return {**kept, "one_thing": one_thing}
