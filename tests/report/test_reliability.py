"""The reliability plot: dots where the metrics say, and words for them."""

import numpy as np
import pytest

from tests.report import samples
from tests.report.test_figures import texts
from vqa_helpers.errors import InputError
from vqa_helpers.evaluation.calibration import calibrate
from vqa_helpers.report import figures


def dots(figure) -> list[tuple[float, float]]:
    lines = figure.axes[0].get_lines()
    return [
        (float(line.get_xdata()[0]), float(line.get_ydata()[0]))
        for line in lines
        if line.get_marker() == "o"
    ]


def test_a_dot_a_bin_and_the_error():
    figure = figures.plot_reliability(samples.metrics())
    found = texts(figure)
    assert dots(figure) == [(30, 50), (55, 40), (90, 100)]
    assert "Reliability, test" in found and "expected calibration error 18.8" in found
    # (300 * 50 + 65 * 40 + 15 * 100) / 380, and of the probabilities.
    assert "hits 50.3" in found and "probability 36.6" in found
    assert "share of hits (open: fewer than 20 questions)" in found
    filled = [line.get_markerfacecolor() for line in figure.axes[0].get_lines()
              if line.get_marker() == "o"]  # fmt: skip
    assert filled[2] == "white" != filled[0]


def test_the_bars_are_the_counts():
    heights = [
        bar.get_height() for bar in figures.plot_reliability(samples.metrics()).axes[1].patches
    ]
    assert heights == [300, 65, 15]


def test_what_calibrate_gives_is_drawn():
    generator = np.random.default_rng(0)
    probabilities = generator.random(500)
    metrics = samples.metrics(test=False)
    metrics["validation"]["calibration"] = calibrate(probabilities, generator.random(500) < 0.5)
    figure = figures.plot_reliability(metrics, "$ title")
    assert "$ title" in texts(figure) and len(dots(figure)) == 15


def test_one_bin_is_drawn():
    metrics = samples.metrics()
    metrics["test"]["calibration"] = calibrate(np.ones(30), np.ones(30))
    assert dots(figures.plot_reliability(metrics)) == [(100, 100)]


def test_metrics_of_an_old_version_are_refused():
    metrics = samples.metrics()
    del metrics["test"]["calibration"]
    with pytest.raises(InputError, match="no calibration; train"):
        figures.plot_reliability(metrics)
