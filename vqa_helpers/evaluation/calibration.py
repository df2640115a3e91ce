"""Does a model know when it is right: the probability of its first answer against the share of hits.

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
    edges = np.linspace(0, 1, BINS + 1)  # each bin holds its upper edge, not its lower
    place = np.clip(np.searchsorted(edges, probabilities, side="left") - 1, 0, BINS - 1)
    questions = np.bincount(place, minlength=BINS)
    confidence = np.bincount(place, weights=probabilities, minlength=BINS)
    accuracy = np.bincount(place, weights=hits, minlength=BINS)
    error = np.abs(confidence - accuracy).sum() / len(probabilities)
    bins = [
        {
            "low": percent(edges[k]),
            "high": percent(edges[k + 1]),
            "questions": int(questions[k]),
            "confidence": percent(confidence[k] / questions[k]) if questions[k] else None,
            "accuracy": percent(accuracy[k] / questions[k]) if questions[k] else None,
        }
        for k in range(BINS)
    ]
    return {"ece": percent(error), "bins": bins}
