"""How often the answers are right: official VQA accuracy, top-k, their intervals and kinds.

Works on tables of questions and lists of answers, hundreds of thousands at once; knows nothing of
models.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import compress
from typing import Literal

import numpy as np
import pandas as pd

from vqa_helpers.data.formats import OFFICIAL_ANSWERS, has_official_answers
from vqa_helpers.data.pairs import Pairs
from vqa_helpers.data.text import clean_white_space, normalise, strip_punctuation
from vqa_helpers.data.vocabulary import AnswerVocabulary
from vqa_helpers.evaluation.bootstrap import bounds, interval, resample, totals, wilson

Normaliser = Literal["2021", "2015"]

TOP = 5
_NOBODY = -1  # pads the rows of questions with fewer annotators than others


def vqa_accuracy(matches: np.ndarray, annotators: np.ndarray | int) -> np.ndarray:
    """The official accuracy of answers, 0 to 1 (VQA 2015, section 3).

    An answer is fully right when three annotators gave it. To compare with humans, each annotator
    is left out once and the ten scores are averaged: with m of n annotators agreeing, the m who
    gave the answer leave m - 1 matches among the others, and the n - m who did not leave m. For
    ten annotators 0, 1, 2, 3 and 4 matches give 0, 0.3, 0.6, 0.9 and 1.

    Args:
        matches: (N,) annotators who gave the answer.
        annotators: (N,) annotators in all, or one number.
    """
    by_matching = matches * np.clip((matches - 1) / 3, 0, 1)
    by_others = (annotators - matches) * np.minimum(matches / 3, 1)
    return (by_matching + by_others) / annotators


def normalised(text: str) -> str:
    """An answer as the official code compares it where annotators disagree."""
    return normalise(clean_white_space(text))


# What is compared where the annotators are unanimous, and what elsewhere.
_ANNOTATED = {"2021": (clean_white_space, normalised), "2015": (str, strip_punctuation)}
_PREDICTED = {"2021": (clean_white_space, normalised), "2015": (normalised, normalised)}


class Annotators:
    """The annotators' answers of a split as numbers: equal where the official rules hold them equal.

    Args:
        answers: for each question the annotators' answers, as they are; at least one each.
        normaliser: "2021" is the official code since 2021-03-11: where the annotators are
            unanimous the strings must be equal, else both sides are normalised. "2015" is the code
            before: the prediction is always normalised, the annotators lose punctuation alone, and
            that only where they disagree.
    """

    def __init__(self, answers: Iterable[Sequence[str]], normaliser: Normaliser = "2021") -> None:
        answers = list(answers)
        self.normaliser = normaliser
        self._numbers: dict[str, int] = {}
        self._count = np.array([len(given) for given in answers], dtype=np.int64)  # (N,)
        width = int(self._count.max(initial=1))  # A, the most annotators that a question has
        padded = [text for given in answers for text in (*given, *[None] * (width - len(given)))]
        forms = self._numbered(padded, _ANNOTATED[normaliser])
        plain, changed = (numbers.reshape(-1, width) for numbers in forms)  # (N, A) each
        self._unanimous = np.all((plain == plain[:, :1]) | (plain == _NOBODY), axis=1)  # (N,)
        self._said = np.where(self._unanimous[:, None], plain, changed)  # (N, A)

    def score(self, predictions: Sequence[str]) -> np.ndarray:
        """The official accuracy of an answer to each question, (N,) 0 to 1."""
        if len(predictions) != len(self._count):
            raise ValueError(f"{len(predictions)} predictions for {len(self._count)} questions")
        plain, changed = self._numbered(predictions, _PREDICTED[self.normaliser])
        meant = np.where(self._unanimous, plain, changed)
        return vqa_accuracy((self._said == meant[:, None]).sum(axis=1), self._count)

    def best(self, vocabulary: Sequence[str]) -> np.ndarray:
        """The highest accuracy that any answer of `vocabulary` gets at each question, (N,)."""
        forms = self._numbered(vocabulary, _PREDICTED[self.normaliser])
        plain, changed = (np.isin(self._said, numbers) for numbers in forms)
        known = np.where(self._unanimous[:, None], plain, changed)  # (N, A) can be answered
        matches = np.zeros(len(self._count), dtype=np.int64)
        for one in range(self._said.shape[1]):
            agreeing = (self._said == self._said[:, one : one + 1]).sum(axis=1)
            matches = np.maximum(matches, np.where(known[:, one], agreeing, 0))
        return vqa_accuracy(matches, self._count)

    def _numbered(self, texts: Iterable[str], forms: Iterable[Callable]) -> list[np.ndarray]:
        """The numbers of texts (P,) in each form; every distinct text is brought into it once."""
        codes, distinct = pd.factorize(np.array(list(texts), dtype=object))  # -1 for None
        known = self._numbers
        numbers = ([known.setdefault(form(t), len(known)) for t in distinct] for form in forms)
        return [np.array([*of_form, _NOBODY], dtype=np.int32)[codes] for of_form in numbers]


def vqa_scores(
    predictions: Sequence[str], table: pd.DataFrame, normaliser: Normaliser = "2021"
) -> np.ndarray | None:
    """The official accuracy of each row, (N,); None where a question has fewer than ten answers."""
    if not has_official_answers(table):
        return None
    return Annotators(table["answers"], normaliser).score(predictions)


def normalised_hits(predictions: Sequence[str], table: pd.DataFrame) -> np.ndarray:
    """(N,) 1 where the answer is the target after the official normalisation of both, else 0:
    "Black." is "black" and "two" is "2"."""
    pairs = zip(map(normalised, predictions), map(normalised, table["answer"]), strict=True)
    return np.array([float(answer == truth) for answer, truth in pairs])


def score(
    table: pd.DataFrame, ranked: Sequence[Sequence[str]], vocabulary: AnswerVocabulary
) -> dict[str, np.ndarray | None]:
    """Score every question of an answered split, 0 to 1.

    Args:
        table: the split, (N) rows.
        ranked: for each question the most probable answers, best first.
        vocabulary: the answers the model can give.

    Returns:
        top1: (N,) the first answer is the target, word for word.
        top5: (N,) the target is among the first five.
        vqa: (N,) the official accuracy of the first answer; None where it is not defined.
        best: (N,) the highest official accuracy within the vocabulary; None where not defined.
    """
    pairs = list(zip(ranked, table["answer"].tolist(), strict=True))
    top1 = np.array([float(answers[0] == truth) for answers, truth in pairs])
    top5 = np.array([float(truth in answers[:TOP]) for answers, truth in pairs])
    vqa = best = None
    if has_official_answers(table):
        annotators = Annotators(table["answers"])
        vqa = annotators.score([answers[0] for answers in ranked])
        best = annotators.best(vocabulary.answers)
    return {"top1": top1, "top5": top5, "vqa": vqa, "best": best}


def measure(
    table: pd.DataFrame, scores: Mapping[str, np.ndarray | None], vocabulary: AnswerVocabulary
) -> dict:
    """Every score of a split, in percent.

    Args:
        table: an answered split, (N) rows.
        scores: of its questions, as `score` gives them.
        vocabulary: the answers the model can give.

    Returns:
        questions, images; top1, top5 and vqa, each with its 95 % interval (vqa None where it is
        not defined), over all questions and per answer type and question type; and the ceiling:
        what a model that always chose right within the vocabulary would reach.
    """
    named = {name: scores[name] for name in ("top1", "top5", "vqa")}
    kinds = [pd.Series("all", table.index), table["answer_type"], table["question_type"]]
    overall, answer_types, question_types = per_kind(named, kinds, table["image_id"].to_numpy())
    best = None if scores["best"] is None else percent(scores["best"])
    return {
        "questions": len(table),
        "images": int(table["image_id"].nunique()),
        **overall["all"],
        "vqa_normaliser": "2021",
        "per_answer_type": answer_types,
        "per_question_type": question_types,
        "ceiling": {"top1": percent(table["answer"].isin(vocabulary.answers)), "vqa": best},
    }


def vqa_of_ten(predictions: Sequence[str], table: pd.DataFrame) -> dict | None:
    """The official accuracy of those questions of a split that have ten answers, percent, where
    others have fewer and it is not defined of all.

    Args:
        predictions: (N,) an answer to each question.
        table: an answered split, (N) rows.

    Returns:
        value, its 95 % interval low and high, and the number of questions; None where all have ten,
        or none.
    """
    official = (table["answers"].map(len) >= OFFICIAL_ANSWERS).to_numpy()
    if official.all() or not official.any():
        return None
    part = table[official]
    scores = vqa_scores(list(compress(predictions, official)), part)
    return {**with_interval(scores, part["image_id"].to_numpy()), "questions": len(part)}


def unseen_accuracy(
    table: pd.DataFrame, ranked: Sequence[Sequence[str]], known: AnswerVocabulary
) -> dict | None:
    """How often an answer that train never gave is found.

    Args:
        table: an answered split, (N) rows.
        ranked: for each question the most probable answers, best first, of candidates that must not
            come from the answers of this split.
        known: the answers of train.

    Returns:
        questions, those whose answer is not among the known, and top1 and top5 of them, percent with
        95 % intervals; None where every answer is known.
    """
    unseen = ~table["answer"].isin(known.answers).to_numpy()
    if not unseen.any():
        return None
    part = table[unseen]
    scores = score(part, list(compress(ranked, unseen)), known)
    images = part["image_id"].to_numpy()
    found = {name: with_interval(scores[name], images) for name in ("top1", "top5")}
    return {"questions": len(part), **found}


def pair_accuracy(table: pd.DataFrame, top1: np.ndarray, pairs: Pairs) -> dict | None:
    """The share of the balanced pairs of a split of which both halves are answered right, percent.

    A guesser that never sees the photograph gives both halves one answer where two are right: it
    gets 0, the best there is included.

    Args:
        table: an answered split, (N) rows.
        top1: (N,) 1 where the first answer is right, else 0.

    Returns:
        value, its 95 % interval low and high, and count, the number of pairs; None where the split
        has none. Images are drawn, each with the pairs whose first half is about it: where pairs
        hang together in chains the interval is a little narrow (on 809 pairs of VQA v2, 168 chains,
        6.4 points for 7.4).
    """
    first, second = pairs.balanced(table).T
    if not len(first):
        return None
    images = table["image_id"].to_numpy()[first]
    return {**with_interval(top1[first] * top1[second], images), "count": len(first)}


def per_kind(
    scores: dict[str, np.ndarray | None], partitions: Sequence[pd.Series], images: np.ndarray
) -> list[dict[str, dict]]:
    """The mean of each score within each kind of each partition, on the same resamples.

    Args:
        scores: names to (N,) scores, 0 to 1; None where a score is not defined.
        partitions: (N,) the kind of each question, by answer type, by question type, ….
        images: (N,) the image of each question.

    Returns:
        For each partition: kind to its questions and, for each score, value, low and high in
        percent. A kind that few images ask about has a wide interval; below some ten images it is
        still too narrow.
    """
    defined = {name: values for name, values in scores.items() if values is not None}
    counted = [np.ones(len(images)), *defined.values()]
    results = []
    for kinds in partitions:
        codes, names = pd.factorize(kinds, sort=True)
        # (I, C, K): of each image and kind the questions, then the sum of each defined score
        of_image = np.stack([totals(values, images, codes) for values in counted], axis=1)
        flat = of_image.reshape(len(of_image), -1)
        drawn = resample(flat).reshape(-1, *of_image.shape[1:])  # (R, C, K)
        rows = {str(name): dict.fromkeys(["questions", *scores]) for name in names}
        for k, row in enumerate(rows.values()):
            asked = of_image[:, 0, k] > 0
            questions, *sums = of_image[asked, :, k].T  # (images that are asked about,) each
            row["questions"] = int(questions.sum())
            for name, of_score, resampled in zip(defined, sums, drawn[:, 1:, k].T, strict=True):
                value = of_score.sum() / questions.sum()
                if np.ptp(of_score / questions) < 1e-9:
                    low, high = wilson(value, len(questions))
                else:
                    with np.errstate(invalid="ignore"):  # a resample without such a question
                        low, high = bounds(resampled / drawn[:, 0, k])
                row[name] = _in_percent(value, low, high)
        results.append(rows)
    return results


def with_interval(scores: np.ndarray, images: np.ndarray) -> dict[str, float]:
    """The mean of the scores and its 95 % interval, in percent.

    Args:
        scores: (N,), or (S, N) for S training seeds.
    """
    return _in_percent(np.mean(scores), *interval(scores, images))


def percent(scores: np.ndarray | float) -> float:
    """The mean in percent, two decimals as the official code rounds it."""
    # Twice: the order of a sum decides its last bits, and must not decide which way a tie goes.
    return round(round(100 * float(np.mean(scores)), 9), 2)


def by(scores: np.ndarray, kinds: pd.Series) -> dict[str, float]:
    """The mean score of each kind, in percent."""
    groups = pd.Series(scores).groupby(kinds.to_numpy())
    return {str(kind): percent(of_kind) for kind, of_kind in groups}


def _in_percent(value: float, low: float, high: float) -> dict[str, float]:
    return {"value": percent(value), "low": percent(low), "high": percent(high)}
