"""Accuracy against the number of train questions."""

import numpy as np
import pytest

from tests.report.samples import answered_rows
from tests.report.trials import trial
from vqa_helpers.errors import InputError
from vqa_helpers.report.series import read_trial
from vqa_helpers.report.trend import fit_trend, plot_trend, say_trend


def curve(root, shares, sizes=(100, 1000, 10_000)):
    return [
        trial(root, str(size), "1.fB", [share, share], size)
        for size, share in zip(sizes, shares, strict=True)
    ]


def test_the_line_is_that_of_least_squares(tmp_path):
    trials = curve(tmp_path, (0.3, 0.5, 0.8))
    trend = fit_trend(trials)
    means = [100 * read_trial(one).top1.mean() for one in trials]
    slope, start = np.polyfit([2, 3, 4], means, 1)
    assert trend.tenfold.value == pytest.approx(slope, abs=0.01)
    assert trend.at == pytest.approx(start, abs=0.01)
    assert trend.top1(1000) == pytest.approx(start + 3 * slope, abs=0.05)
    assert trend.residual == pytest.approx(
        np.abs(means - (start + slope * np.array([2, 3, 4]))).max(), abs=0.01
    )
    assert trend.tenfold.low < slope < trend.tenfold.high
    assert trend.tenfold.verdict == "better"


def test_guesses_that_never_change_have_no_trend(tmp_path):
    trend = fit_trend(curve(tmp_path, (0.3, 0.5, 0.8)), blind=True)
    assert trend.tenfold.value == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize(
    ("shares", "said"),
    [
        ((0.3, 0.5, 0.8), "**holds here**"),
        ((0.8, 0.5, 0.3), "**does not hold here**"),
        ((0.5, 0.5, 0.5), "**cannot be told here**"),
    ],
)
def test_the_conclusion_follows_the_numbers(tmp_path, shares, said):
    lines = say_trend(curve(tmp_path, shares))
    assert said in lines[-1]
    ends = {0.8: "still rises at its end, so", 0.3: "at its end the curve falls"}
    assert ends.get(shares[-1], "whether it still rises") in lines[2]
    assert "moves by +0.0 points" in lines[1]


def test_what_a_tenfold_is_worth_is_not_said_of_a_doubling(tmp_path):
    narrow = curve(tmp_path, (0.3, 0.5), (100, 200))
    trend = fit_trend(narrow)
    points = 100 * (read_trial(narrow[1]).top1.mean() - read_trial(narrow[0]).top1.mean())
    assert trend.tenfold.value == pytest.approx(points / np.log10(2), abs=0.01)
    assert f"twice as many are worth **{points:+.1f} points**" in say_trend(narrow)[0]
    wide = curve(tmp_path / "wide", (0.3, 0.5), (100, 1000))
    assert f"ten times as many are worth **{points:+.1f} points**" in say_trend(wide)[0]


def test_one_size_is_no_trend(tmp_path):
    with pytest.raises(InputError, match="two sizes"):
        fit_trend(curve(tmp_path, (0.3,), (100,)))


def test_sizes_on_other_questions_are_refused(tmp_path):
    trials = curve(tmp_path, (0.3, 0.5), (100, 1000))
    rows = [{**row, "question_id": row["question_id"] + 9} for row in answered_rows(0.5)]
    trials.append(trial(tmp_path, "3", "1.fB", [0.5], 3000, predictions=rows))
    with pytest.raises(InputError, match="one test split"):
        fit_trend(trials)


def test_the_figure_marks_every_size(tmp_path):
    figure = plot_trend(curve(tmp_path, (0.3, 0.5, 0.8)))
    (axes,) = figure.axes
    assert axes.get_xscale() == "log"
    assert [text.get_text() for text in axes.get_xticklabels()] == ["100", "1,000", "10,000"]
    assert "1.fB" in axes.get_title(loc="left")
