"""Calibration: bins and errors worked out by hand."""

import numpy as np
import pytest

from vqa_helpers.evaluation.calibration import BINS, calibrate


def test_errors_by_hand():
    # 0.95 twice, one right: |0.95 - 0.5| = 0.45. 0.35 twice, none right: 0.35. The mean is 0.4.
    result = calibrate(np.array([0.95, 0.95, 0.35, 0.35]), np.array([1.0, 0.0, 0.0, 0.0]))
    assert result["ece"] == 40.0
    filled = [row for row in result["bins"] if row["questions"]]
    assert filled == [
        {"low": 33.33, "high": 40.0, "questions": 2, "confidence": 35.0, "accuracy": 0.0},
        {"low": 93.33, "high": 100.0, "questions": 2, "confidence": 95.0, "accuracy": 50.0},
    ]
    assert len(result["bins"]) == BINS
    empty = result["bins"][0]
    assert empty["questions"] == 0 and empty["confidence"] is empty["accuracy"] is None
    # Errors of opposite sign in two bins do not cancel.
    assert calibrate(np.array([0.1, 0.9]), np.array([1.0, 0.0]))["ece"] == 90.0


def test_a_model_that_keeps_its_promises():
    generator = np.random.default_rng(0)
    probabilities = generator.random(50_000)
    hits = (generator.random(50_000) < probabilities).astype(float)
    honest = calibrate(probabilities, hits)
    assert honest["ece"] < 1.0
    assert calibrate(probabilities, (hits > 2).astype(float))["ece"] == pytest.approx(50, abs=0.5)


def test_ties_share_a_bin_and_no_question_is_lost():
    for value in (0.0, 0.25, 1.0):
        result = calibrate(np.full(40, value), np.ones(40))
        questions = [row["questions"] for row in result["bins"]]
        assert sum(questions) == max(questions) == 40
        assert result["ece"] == 100 * (1 - value)
