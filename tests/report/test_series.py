"""Trials as tables, figures and sentences."""

import numpy as np
import pytest

from tests.report.samples import answered_rows
from tests.report.trials import trial
from vqa_helpers.errors import InputError
from vqa_helpers.report.series import (
    TRIAL_COLUMNS,
    against_blind,
    average,
    compare_trials,
    pair_table,
    plot_trials,
    read_trial,
    same_data,
    same_preset,
    say_blind,
    say_memory,
    say_pair,
    say_speed,
    study_top1,
    trial_table,
)


@pytest.fixture
def trials(tmp_path):
    return [
        trial(tmp_path, data, preset, shares)
        for data, preset, shares in (
            ("A", "1.e", [0.4, 0.45]), ("A", "1.f", [0.42]), ("D", "1.e", [0.8, 0.85]),
            ("D", "1.f", [0.82]),
        )
    ]  # fmt: skip


def test_a_row_a_trial_with_interval_blind_line_and_the_studys_number(trials):
    table = trial_table(trials)
    assert tuple(table.columns) == TRIAL_COLUMNS
    row = table.iloc[2]
    means = [100 * np.mean([r["vqa"] == 0.9 for r in answered_rows(s, i)])
             for i, s in enumerate((0.8, 0.85))]  # fmt: skip
    assert row["top-1"].value == pytest.approx(np.mean(means), abs=0.01)
    assert row["top-1 sd"] == pytest.approx(np.std(means, ddof=1), abs=0.01)
    assert row["blind top-1"] == pytest.approx(33.33, abs=0.01)
    assert row["verdict"] == "better" and row["gain over blind"].startswith("+")
    assert row["study's top-1"] == 34.0 and table.iloc[3]["study's top-1"] == 36.4
    assert np.isnan(table.iloc[1]["top-1 sd"])
    assert row["questions"] == 300 and row["train questions"] == 900 and row["ceiling"] == 98.1


def test_the_study_gives_no_number_for_what_it_only_plotted():
    assert study_top1("1.b", "A") is None
    assert study_top1("1.e", "E") is None
    assert study_top1("Model100-stored", "B") == 24.8


def test_runs_on_draws_of_their_own_share_the_mean_blind_guess(tmp_path):
    made = trial(tmp_path, "100", "1.fB", [0.5, 0.5])
    other = [{**row, "blind": "no"} for row in answered_rows(0.5)]
    second = trial(tmp_path / "other", "100", "1.fB", [0.5], predictions=other)
    both = type(made)(made.data, made.preset, 100, (made.runs[0], second.runs[0]))
    answered = read_trial(both)
    assert answered.top1.shape == (2, 300)
    assert answered.blind.mean() == pytest.approx(1 / 6)
    assert against_blind(both).value == pytest.approx(
        100 * (answered.top1.mean() - 1 / 6), abs=0.01
    )


def test_pairs_within_a_dataset_and_across(trials):
    assert [(str(a), str(b)) for a, b in same_data(trials)] == [
        ("1.f on A", "1.e on A"), ("1.f on D", "1.e on D")
    ]  # fmt: skip
    assert [(str(a), str(b)) for a, b in same_preset(trials)] == [
        ("1.e on D", "1.e on A"), ("1.f on D", "1.f on A")
    ]  # fmt: skip
    table = pair_table(same_preset(trials))
    assert table["verdict"].tolist() == ["better", "better"]
    assert table["points"].iloc[0] == str(compare_trials(trials[2], trials[0]))
    assert list(pair_table([]).columns) == ["first", "second", "points", "verdict"]


def test_trials_on_other_questions_are_not_compared(trials, tmp_path):
    rows = [{**row, "question_id": row["question_id"] + 1000} for row in answered_rows(0.5)]
    other = trial(tmp_path / "other", "E", "1.f", [0.5], predictions=rows)
    with pytest.raises(InputError, match="same questions"):
        compare_trials(trials[0], other)


def test_sentences_change_with_the_numbers(trials):
    better, worse = say_pair(trials[2], trials[0]), say_pair(trials[0], trials[2])
    assert "**1.e on D** is better than **1.e on A** by" in better
    assert "is worse than" in worse
    assert "cannot be told apart" in say_pair(trials[1], trials[0], ("one", "other"))
    assert "answers better than the best guess that never looks" in say_blind(trials[2])
    assert "against 33.3 %" in say_blind(trials[2])


def test_a_score_below_the_blind_guess_is_called_worse(tmp_path):
    assert "answers worse" in say_blind(trial(tmp_path, "A", "1.b", [0.1]))


def test_memory_is_spoken_of_only_where_there_is_some(trials):
    # Every run has a train top-1 of 70.8 % at its chosen epoch.
    assert "a gap of 30.2 points, learnt by heart" in say_memory(trials[0])
    assert "no gap that would show anything learnt by heart" in say_memory(trials[2])


def test_speed_is_told_as_a_ratio(tmp_path):
    slow = trial(tmp_path, "A", "1.f", [0.5], samples_per_s=20.0)
    fast = trial(tmp_path, "A", "1.fB", [0.5], samples_per_s=2000.0)
    assert "100.0 times as slow" in say_speed(slow, fast)
    assert "100.0 times as fast" in say_speed(fast, slow)


def test_the_average_weighs_trials_alike(trials):
    score = average([trials[0], trials[2]])
    values = [read_trial(t).top1.mean() for t in (trials[0], trials[2])]
    assert score.value == pytest.approx(100 * np.mean(values), abs=0.01)
    assert score.low < score.value < score.high
    blind = average([trials[0], trials[2]], lambda answered: answered.blind)
    assert blind.value == pytest.approx(33.33, abs=0.01)
    # Two tests tell more than one.
    (row,) = trial_table([trials[1]])["top-1"]
    alone = average([trials[1]])
    assert alone.high - alone.low == pytest.approx(row.high - row.low, abs=1)


def test_the_figure_shows_every_trial_and_the_studys_diamonds(trials):
    figure = plot_trials(trials, "A title")
    (axes,) = figure.axes
    labels = [text.get_text() for text in axes.get_yticklabels()]
    assert labels[0] == "1.e  (A, 900)" and len(labels) == 4
    assert axes.get_title(loc="left") == "A title"
    diamonds = [line for line in axes.lines if line.get_marker() == "D"]
    assert [line.get_xdata()[0] for line in diamonds] == [34.0, 33.6, 34.0, 36.4]
