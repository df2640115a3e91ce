"""How often the answers are right: official VQA accuracy, top-k, and their intervals.

Works on tables of questions and lists of answers; knows nothing of models.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from vqa_helpers.data.formats import has_official_answers
from vqa_helpers.data.text import (
    clean_white_space,
    normalise,
    strip_punctuation,
)
from vqa_helpers.data.vocabulary import AnswerVocabulary

Normaliser = Literal["2021", "2015"]

RESAMPLES = 1_000
CONFIDENCE = 0.95
TOP = 5


def vqa_score(prediction: str, answers: Sequence[str], normaliser: Normaliser = "2021") -> float:
    """The official accuracy of one answer, 0 to 1 (VQA 2015, section 3).

    An answer is fully right when three annotators gave it. To compare with humans, each annotator
    is left out once and the ten scores are averaged: with m of n annotators agreeing, the m who
    gave the answer leave m - 1 matches among the others, and the n - m who did not leave m. For
    ten annotators 0, 1, 2, 3 and 4 matches give 0, 0.3, 0.6, 0.9 and 1.

    Args:
        prediction: the model's answer, as it is.
        answers: the annotators' answers, as they are.
        normaliser: "2021" is the official code since 2021-03-11: where the annotators are
            unanimous the strings must be equal, else both sides are normalised. "2015" is the code
            before: the prediction is always normalised, the annotators lose punctuation alone, and
            that only where they disagree.
    """
    prediction = clean_white_space(prediction)
    if normaliser == "2021":
        answers = [clean_white_space(answer) for answer in answers]
        if len(set(answers)) > 1:
            answers = [normalise(answer) for answer in answers]
            prediction = normalise(prediction)
    else:
        if len(set(answers)) > 1:
            answers = [strip_punctuation(answer) for answer in answers]
        prediction = normalise(prediction)
    matches, total = list(answers).count(prediction), len(answers)
    among_matching = matches * min(1.0, (matches - 1) / 3) if matches else 0.0
    return (among_matching + (total - matches) * min(1.0, matches / 3)) / total


def vqa_scores(
    predictions: Sequence[str], table: pd.DataFrame, normaliser: Normaliser = "2021"
) -> np.ndarray | None:
    """`vqa_score` of each row, (N,); None where a question has fewer than ten answers."""
    if not has_official_answers(table):
        return None
    pairs = zip(predictions, table["answers"], strict=True)
    return np.array([vqa_score(prediction, answers, normaliser) for prediction, answers in pairs])


def interval(scores: np.ndarray, images: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """The 95 % interval of a mean score, by a bootstrap that resamples images.

    Questions about one image are not independent, so whole images are drawn. Where every image has
    the same score a bootstrap is blind; Wilson's interval over the images stands in.

    Args:
        scores: (N,) each 0 to 1.
        images: (N,) the image of each.

    Returns:
        The lower and the upper bound, 0 to 1.
    """
    _, groups = np.unique(images, return_inverse=True)
    sums = np.bincount(groups, weights=scores)
    counts = np.bincount(groups)
    if np.ptp(sums / counts) < 1e-9:
        hits = round(float(np.mean(scores)) * len(counts))
        wilson = binomtest(hits, len(counts)).proportion_ci(CONFIDENCE, method="wilson")
        return float(wilson.low), float(wilson.high)
    generator = np.random.default_rng(seed)
    means = np.empty(RESAMPLES)
    for resample in range(RESAMPLES):
        drawn = generator.integers(len(counts), size=len(counts))
        means[resample] = sums[drawn].sum() / counts[drawn].sum()
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(low), float(high)


def with_interval(scores: np.ndarray, images: np.ndarray) -> dict[str, float]:
    """The mean of the scores and its 95 % interval, in percent."""
    low, high = interval(scores, images)
    return {"value": percent(scores), "low": round(100 * low, 2), "high": round(100 * high, 2)}


def percent(scores: np.ndarray) -> float:
    """The mean in percent, two decimals as the official code rounds it."""
    return round(100 * float(np.mean(scores)), 2)


def by(scores: np.ndarray, kinds: pd.Series) -> dict[str, float]:
    """The mean score of each kind, in percent."""
    values = kinds.to_numpy()
    return {kind: percent(scores[values == kind]) for kind in sorted(set(values))}


def measure(
    table: pd.DataFrame,
    ranked: Sequence[Sequence[str]],
    vocabulary: AnswerVocabulary,
    normaliser: Normaliser = "2021",
) -> dict:
    """Every score of a split.

    Args:
        table: an answered split, (N) rows.
        ranked: for each question the most probable answers, best first.
        vocabulary: the answers the model can give.

    Returns:
        questions, images, top1, top5 and vqa with their intervals (vqa None where it is not
        defined), the same without intervals per answer type and per question type, and the ceiling: what a model
        that always chose right within the vocabulary would reach.
    """
    truths = table["answer"].to_numpy()
    images = table["image_id"].to_numpy()
    pairs = list(zip(ranked, truths, strict=True))
    scores: dict[str, np.ndarray | None] = {
        "top1": np.array([float(answers[0] == truth) for answers, truth in pairs]),
        "top5": np.array([float(truth in answers[:TOP]) for answers, truth in pairs]),
        "vqa": vqa_scores([answers[0] for answers in ranked], table, normaliser),
    }
    known = np.array([float(truth in vocabulary.ids) for truth in truths])
    best = _best_scores(table, vocabulary, normaliser)
    return {
        "questions": len(table),
        "images": int(table["image_id"].nunique()),
        **{
            name: None if values is None else with_interval(values, images)
            for name, values in scores.items()
        },
        "vqa_normaliser": normaliser,
        "per_answer_type": _per_kind(scores, table["answer_type"]),
        "per_question_type": _per_kind(scores, table["question_type"]),
        "ceiling": {"top1": percent(known), "vqa": None if best is None else percent(best)},
    }


def _per_kind(scores: dict[str, np.ndarray | None], kinds: pd.Series) -> dict[str, dict]:
    result = {kind: {"questions": int(n)} for kind, n in sorted(kinds.value_counts().items())}
    for name, values in scores.items():
        means = {} if values is None else by(values, kinds)
        for kind, row in result.items():
            row[name] = means.get(kind)
    return result


def _best_scores(
    table: pd.DataFrame, vocabulary: AnswerVocabulary, normaliser: Normaliser
) -> np.ndarray | None:
    """For each question the best VQA score that an answer of the vocabulary can get."""
    if not has_official_answers(table):
        return None
    # What can be answered, by all the forms in which an annotator's answer can meet it.
    known = {normalise(clean_white_space(word)): word for word in vocabulary.answers}
    known |= {clean_white_space(word): word for word in vocabulary.answers}
    best = []
    for answers in table["answers"]:
        distinct = {clean_white_space(answer) for answer in answers}
        distinct |= {strip_punctuation(answer) for answer in answers}
        forms = distinct | {normalise(answer) for answer in distinct}
        candidates = {known[form] for form in forms if form in known}
        scores = (vqa_score(candidate, answers, normaliser) for candidate in candidates)
        best.append(max(scores, default=0.0))
    return np.array(best)
