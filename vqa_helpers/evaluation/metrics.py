"""How often the answers are right: official VQA accuracy, top-k, their intervals and kinds.

Works on tables of questions and lists of answers; knows nothing of models.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from vqa_helpers.data.formats import has_official_answers
from vqa_helpers.data.text import clean_white_space, normalise, strip_punctuation
from vqa_helpers.data.vocabulary import AnswerVocabulary
from vqa_helpers.evaluation.annotators import Annotators, Normaliser
from vqa_helpers.evaluation.bootstrap import bounds, group, interval, resample, totals, wilson

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
    return Annotators(table["answers"], normaliser).score(predictions)


@dataclass(frozen=True)
class Scores:
    """What each question of a split got, 0 to 1.

    Attributes:
        top1: (N,) the first answer is the target, word for word.
        top5: (N,) the target is among the first five.
        vqa: (N,) the official accuracy of the first answer; None where it is not defined.
        best: (N,) the highest official accuracy within the vocabulary; None where not defined.
        normaliser: of both official accuracies.
    """

    top1: np.ndarray
    top5: np.ndarray
    vqa: np.ndarray | None
    best: np.ndarray | None
    normaliser: Normaliser


def score(
    table: pd.DataFrame,
    ranked: Sequence[Sequence[str]],
    vocabulary: AnswerVocabulary,
    normaliser: Normaliser = "2021",
) -> Scores:
    """Score every question of an answered split.

    Args:
        table: the split, (N) rows.
        ranked: for each question the most probable answers, best first.
        vocabulary: the answers the model can give.
    """
    pairs = list(zip(ranked, table["answer"].tolist(), strict=True))
    vqa = best = None
    if has_official_answers(table):
        annotators = Annotators(table["answers"], normaliser)
        vqa = annotators.score([answers[0] for answers in ranked])
        best = annotators.best(vocabulary.answers)
    return Scores(
        np.array([float(answers[0] == truth) for answers, truth in pairs]),
        np.array([float(truth in answers[:TOP]) for answers, truth in pairs]),
        vqa,
        best,
        normaliser,
    )


def measure(table: pd.DataFrame, scores: Scores, vocabulary: AnswerVocabulary) -> dict:
    """Every score of a split, in percent.

    Args:
        table: an answered split, (N) rows.
        scores: of its questions.
        vocabulary: the answers the model can give.

    Returns:
        questions, images; top1, top5 and vqa, each with its 95 % interval (vqa None where it is
        not defined), over all questions and per answer type and question type; and the ceiling:
        what a model that always chose right within the vocabulary would reach.
    """
    known = table["answer"].isin(vocabulary.answers).to_numpy()
    whole = pd.Series("all", index=table.index)
    overall, answer_types, question_types = per_kind(
        {"top1": scores.top1, "top5": scores.top5, "vqa": scores.vqa},
        [whole, table["answer_type"], table["question_type"]],
        table["image_id"].to_numpy(),
    )
    return {
        "questions": len(table),
        "images": int(table["image_id"].nunique()),
        **{name: overall["all"][name] for name in ("top1", "top5", "vqa")},
        "vqa_normaliser": scores.normaliser,
        "per_answer_type": answer_types,
        "per_question_type": question_types,
        "ceiling": {
            "top1": percent(known),
            "vqa": None if scores.best is None else percent(scores.best),
        },
    }


def per_kind(
    scores: dict[str, np.ndarray | None], partitions: Sequence[pd.Series], images: np.ndarray
) -> list[dict[str, dict]]:
    """The mean of each score within each kind of each partition, on one set of resamples.

    Args:
        scores: names to (N,) scores, 0 to 1; None where a score is not defined.
        partitions: (N,) the kind of each question, by answer type, by question type, ….
        images: (N,) the image of each question.

    Returns:
        For each partition: kind to its questions and, for each score, value, low and high in
        percent. A kind that few images ask about has a wide interval; below some ten images it is
        still too narrow.
    """
    groups, count = group(images)
    defined = {name: values for name, values in scores.items() if values is not None}
    coded = [pd.factorize(kinds, sort=True) for kinds in partitions]
    blocks = [  # for each partition its counts and then each score, (images, kinds) each
        [totals(values, groups, count, codes)
         for values in (np.ones(len(images)), *defined.values())]
        for codes, _ in coded
    ]  # fmt: skip
    columns = resample(np.hstack([block for partition in blocks for block in partition]))
    results, start = [], 0
    for (_, kinds), partition in zip(coded, blocks, strict=True):
        width = len(kinds)
        drawn = [columns[:, start + i * width :][:, :width] for i in range(len(partition))]
        start += width * len(partition)
        results.append(
            {
                str(kind): _kind_row(list(scores), list(defined), k, partition, drawn)
                for k, kind in enumerate(kinds)
            }
        )
    return results


def _kind_row(
    names: list[str], defined: list[str], k: int, of_image: list[np.ndarray],
    drawn: list[np.ndarray],
) -> dict:  # fmt: skip
    """The entry of kind `k`: `of_image` and `drawn` hold its counts, then each defined score."""
    asked = of_image[0][:, k] > 0  # the images with such a question
    questions = of_image[0][asked, k]
    row = {"questions": int(questions.sum()), **dict.fromkeys(names)}
    with np.errstate(invalid="ignore"):  # a resample without such a question: 0 / 0
        for name, sums, resampled in zip(defined, of_image[1:], drawn[1:], strict=True):
            value = sums[asked, k].sum() / questions.sum()
            if np.ptp(sums[asked, k] / questions) < 1e-9:
                low, high = wilson(value, len(questions))
            else:
                low, high = bounds(resampled[:, k] / drawn[0][:, k])
            row[name] = _in_percent(value, low, high)
    return row


def with_interval(scores: np.ndarray, images: np.ndarray) -> dict[str, float]:
    """The mean of the scores and its 95 % interval, in percent.

    Args:
        scores: (N,), or (S, N) for S training seeds.
    """
    return _in_percent(float(np.mean(scores)), *interval(scores, images))


def percent(scores: np.ndarray) -> float:
    """The mean in percent, two decimals as the official code rounds it."""
    return _rounded(float(np.mean(scores)))


def by(scores: np.ndarray, kinds: pd.Series) -> dict[str, float]:
    """The mean score of each kind, in percent."""
    codes, names = pd.factorize(kinds, sort=True)
    means = np.bincount(codes, weights=scores) / np.bincount(codes)
    return {str(name): _rounded(mean) for name, mean in zip(names, means, strict=True)}


def _in_percent(value: float, low: float, high: float) -> dict[str, float]:
    return {"value": _rounded(value), "low": _rounded(low), "high": _rounded(high)}


def _rounded(share: float) -> float:
    # Twice: the order of a sum decides its last bits, and must not decide which way a tie goes.
    return round(round(100 * float(share), 9), 2)
