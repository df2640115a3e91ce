"""Compares two models on the same questions: is one better?

Both answer the same questions about the same images, so their difference is measured question by
question; it is far more certain than two intervals that overlap suggest. Works on arrays of
scores; knows nothing of models, runs or files.
"""

from dataclasses import asdict, dataclass

import numpy as np
from scipy.special import bdtr

from vqa_helpers.evaluation.bootstrap import bounds, means_of_images, resampled_means, wilson

FEWEST = 6  # images that differ: of five alike a sign test says p = 2 / 2**5, above 0.05


@dataclass(frozen=True)
class Difference:
    """Percentage points that one model has over another, with their 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """ "better" or "worse" where the interval leaves out 0, else "cannot tell"."""
        if self.low > 0:
            return "better"
        return "worse" if self.high < 0 else "cannot tell"

    def __str__(self) -> str:
        return f"{self.value:+.1f} [{self.low:+.1f}, {self.high:+.1f}]"


def paired_difference(ours: np.ndarray, theirs: np.ndarray, images: np.ndarray) -> Difference:
    """How much higher our mean score is, by a bootstrap over images (and over seeds).

    Without an image that differs from the others a bootstrap is blind. Then n of n images show
    the one difference d; Wilson's lower bound p of n of n says that at most a share 1 - p of all
    images can be otherwise, by anything from -1 to 1. Where fewer than six images differ at all, the
    interval holds 0: so few prove nothing, however alike they are.

    Args:
        ours: scores 0 to 1, (N,), or (S, N) for S training seeds.
        theirs: as ours, of the same questions; the number of seeds may differ.
        images: (N,) the image of each question.
    """
    runs = [np.atleast_2d(ours), np.atleast_2d(theirs)]
    difference = runs[0].mean(axis=0) - runs[1].mean(axis=0)  # (N,)
    value = float(difference.mean())
    of_image = means_of_images(difference, images)
    if np.ptp(of_image) < 1e-9:
        alike, _ = wilson(1.0, len(of_image))
        low, high = alike * value - (1 - alike), alike * value + (1 - alike)
    else:
        first, second = resampled_means(runs, images)
        low, high = bounds(first - second)
    if np.count_nonzero(np.abs(of_image) > 1e-9) < FEWEST:
        low, high = min(low, 0.0), max(high, 0.0)
    return Difference(*(round(100 * share, 2) for share in (value, low, high)))


def mcnemar(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The p-value of McNemar's test that both models are right equally often (McNemar, 1947).

    Exact, by the binomial distribution. It takes questions for independent, which those about one
    image are not: the verdict is the bootstrap's.

    Args:
        ours: (N,) 1 where our first answer is right, else 0.
        theirs: as ours, of the same questions.
    """
    only_ours = int(np.sum((ours > 0.5) & (theirs <= 0.5)))
    only_theirs = int(np.sum((theirs > 0.5) & (ours <= 0.5)))
    rarer, differing = min(only_ours, only_theirs), only_ours + only_theirs
    return min(1.0, 2 * float(bdtr(rarer, differing, 0.5)))  # twice the smaller tail


def against(name: str, ours: np.ndarray, theirs: np.ndarray, images: np.ndarray) -> dict:
    """A model beside the guesser called `name`, as `metrics.json` keeps it.

    Args:
        ours: (N,) 1 where the model's first answer is right, else 0.
        theirs: as ours, of the guesser.
        images: (N,) the image of each question.
    """
    difference = paired_difference(ours, theirs, images)
    return {
        "baseline": name,
        "difference": asdict(difference),
        "mcnemar_p": float(f"{mcnemar(ours, theirs):.3g}"),
        "verdict": difference.verdict,
    }
