"""Is the true count often the second answer? The study's remark on hidden individuals, as a test.

The study saw that where individuals are partly hidden the second answer to "how many" is often
right. No dataset says which individuals are hidden, so what must follow is tested: where the first
answer is wrong the second is right more often than a guess by frequency would be, and the first
one falls short, since what is hidden is not counted. Works on judged tables; knows no models.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from vqa_helpers.evaluation.analysis import asks_how_many, count_of, counting, without_yes_no
from vqa_helpers.evaluation.bootstrap import bounds, group, resample, totals
from vqa_helpers.evaluation.compare import Difference, Verdict, paired_difference
from vqa_helpers.evaluation.metrics import with_interval

FEWEST_MISSES = 20  # below which no verdict is given


@dataclass(frozen=True)
class SecondAnswers:
    """What the second answer is worth where the first one is wrong; shares in percent.

    Attributes:
        misses: "how many" questions with a number for truth whose first answer is wrong.
        second: share of them whose second answer is right: value, low, high.
        guess: the same for the most frequent train answer to "how many" that was not said first.
        gain: points of `second` over `guess`, question by question.
        others: misses among the other open questions.
        elsewhere: share of those whose second answer is right; None without one.
        over_elsewhere: points of `second` over `elsewhere`; None without one.
        told: misses whose second answer is right.
        short: of those, the share whose first is a lower number; None without one.
    """

    misses: int
    second: dict[str, float]
    guess: dict[str, float]
    gain: Difference
    others: int
    elsewhere: dict[str, float] | None
    over_elsewhere: Difference | None
    told: int
    short: dict[str, float] | None

    @property
    def often(self) -> Verdict:
        """Whether the second answer is right more often than the guess by frequency."""
        return self.gain.verdict if self.misses >= FEWEST_MISSES else "cannot tell"

    @property
    def falls_short(self) -> Verdict:
        """Whether the first answer is too low more often than not ("better"), or less ("worse")."""
        if self.short is None or self.told < FEWEST_MISSES:
            return "cannot tell"
        return Difference(*(self.short[part] - 50 for part in ("value", "low", "high"))).verdict


def second_answers(judged: pd.DataFrame, train: pd.DataFrame) -> SecondAnswers | None:
    """Test the remark; None where no "how many" question was missed.

    Args:
        judged: from `analysis.judge`.
        train: the train split, question and answer of each row.
    """
    counted = counting(judged)
    missed = counted[counted["rank"] != 1]
    if missed.empty:
        return None
    others = without_yes_no(judged)
    others = others[(others["rank"] != 1) & ~others["question_id"].isin(counted["question_id"])]
    images = missed["image_id"].to_numpy()
    second = missed["rank"].eq(2).to_numpy(dtype=float)
    guess = _guess_by_frequency(missed, _train_counts(train))
    told = missed[missed["rank"] == 2]
    low = np.array([_is_lower(first, count) for first, count in
                    zip(told["first"], told["count"], strict=True)], dtype=float)  # fmt: skip
    elsewhere = others["rank"].eq(2).to_numpy(dtype=float)
    return SecondAnswers(
        len(missed),
        with_interval(second, images),
        with_interval(guess, images),
        paired_difference(second, guess, images),
        len(others),
        with_interval(elsewhere, others["image_id"].to_numpy()) if len(others) else None,
        _between(second, images, elsewhere, others["image_id"].to_numpy()) if len(others) else None,
        len(told),
        with_interval(low, told["image_id"].to_numpy()) if len(told) else None,
    )


def _train_counts(train: pd.DataFrame) -> list[str]:
    """The counts that answer "how many" in train, most frequent first."""
    asked = zip(train["question"], train["answer"], strict=True)
    answers = Counter(a for q, a in asked if asks_how_many(q) and count_of(a) is not None)
    return sorted(answers, key=lambda answer: (-answers[answer], answer))


def _guess_by_frequency(missed: pd.DataFrame, ranked: Iterable[str]) -> np.ndarray:
    """(N,) 1 where the most frequent answer that was not said first is right."""
    leading = list(ranked)[:2]
    return np.array(
        [
            next((answer for answer in leading if answer != first), None) == truth
            for first, truth in zip(missed["first"], missed["truth"], strict=True)
        ],
        dtype=float,
    )


def _is_lower(first: str, count: int) -> bool:
    said = count_of(first)
    return said is not None and said < count


def _between(
    ours: np.ndarray, our_images: np.ndarray, theirs: np.ndarray, their_images: np.ndarray
) -> Difference:
    """Points that the mean of `ours` (N,) has over that of `theirs` (M,), other questions about
    partly the same images."""
    images = np.concatenate([our_images, their_images])
    kinds = np.repeat([0, 1], [len(ours), len(theirs)])
    scores = np.concatenate([ours, theirs])
    groups, count = group(images)
    blocks = [totals(values, groups, count, kinds) for values in (scores, np.ones(len(scores)))]
    drawn = resample(np.hstack(blocks))  # (R, 4): both sums, both counts
    with np.errstate(invalid="ignore"):  # a resample without one of the two: 0 / 0
        means = drawn[:, :2] / drawn[:, 2:]
    low, high = bounds(means[:, 0] - means[:, 1])
    value = float(ours.mean() - theirs.mean())
    return Difference(*(round(100 * number, 2) for number in (value, low, high)))
