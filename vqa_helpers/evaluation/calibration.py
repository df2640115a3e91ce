"""Calibration: the probability of the first answer against the share of right ones.

Works on arrays of probabilities and hits; knows nothing of models or figures.
"""

import numpy as np

from vqa_helpers.evaluation.metrics import percent

BINS = 15  # Guo et al., On Calibration of Modern Neural Networks, 2017


def calibrate(probabilities: np.ndarray, hits: np.ndarray) -> dict:
    """Expected calibration error, and what it is made of, all in percent.

    The error is the mean distance between the probability of the first answer and its share of
    hits, within bins of similar probability (Guo et al., 2017, section 2).

    Args:
        probabilities: (N,) of the first answer, 0 to 1.
        hits: (N,) 1 where the first answer is right, else 0.

    Returns:
        `ece` and `bins` of equal width (confidence and accuracy are None where no question falls).
    """
    probabilities = np.asarray(probabilities, dtype=float)  # a model's are of single precision
    edges = np.linspace(0, 1, BINS + 1)  # each bin holds its upper edge, not its lower
    place = np.clip(np.searchsorted(edges, probabilities, side="left") - 1, 0, BINS - 1)
    bins = []
    for number in range(BINS):
        within = place == number
        low, high = percent(edges[number]), percent(edges[number + 1])
        row = {"low": low, "high": high, "questions": int(within.sum())}
        for name, values in (("confidence", probabilities), ("accuracy", hits)):
            row[name] = percent(values[within]) if within.any() else None
        bins.append(row)
    distances = np.abs(np.bincount(place, weights=probabilities - hits))
    return {"ece": percent(distances.sum() / len(probabilities)), "bins": bins}
