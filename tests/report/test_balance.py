"""Which answers a model gives, and to which it is fair."""

import dataclasses

import pandas as pd
import pytest

from tests.report.trials import trial
from vqa_helpers.evaluation.compare import Difference
from vqa_helpers.report.balance import (
    balance_table,
    contrast,
    frequent_answers,
    plot_recall,
    recall_table,
    say_contrast,
)

TRAIN = pd.DataFrame({"answer": ["1"] * 50 + ["2"] * 30 + ["3"] * 15 + ["$4"] * 5})
TRUTHS = ["1", "1", "1", "2", "2", "3", "$4", "5"]  # "5" is none that the train split names


def rows(answers, copies=20):
    """Predictions: `answers` to the questions of `TRUTHS`, about an image each, many times."""
    return [
        {
            "split": "test", "question_id": number, "image_id": number,
            "answers": [answers[number % 8], "x"], "probabilities": [0.5, 0.1],
            "truth": TRUTHS[number % 8], "vqa": None, "blind": "1",
        }
        for number in range(8 * copies)
    ]  # fmt: skip


@pytest.fixture
def plain(tmp_path):
    """Right on every "1" and on half of the "2"s, and never says anything else."""
    made = rows(["1", "1", "1", "2", "1", "1", "2", "1"])
    return trial(tmp_path, "D", "plain", [0.5, 0.5], predictions=made)


@pytest.fixture
def weighted(tmp_path):
    """As often right, on other questions."""
    made = rows(["1", "2", "3", "2", "1", "3", "$4", "2"])
    return trial(tmp_path, "D", "weighted", [0.5], predictions=made)


def test_the_frequent_make_half_of_train():
    assert frequent_answers(TRAIN) == ["1"]
    assert frequent_answers(TRAIN.iloc[1:]) == ["1", "2"]
    assert frequent_answers(pd.DataFrame({"answer": ["b", "a"]})) == ["a"]


def test_recall_of_each_class_asked_for(plain):
    table = recall_table(plain, TRAIN)
    assert list(table.index) == ["1", "2", "3", "$4", "5"]
    assert table["train"].tolist() == [50, 30, 15, 5, 0]
    assert table["asked"].tolist() == [60, 40, 20, 20, 20]
    assert table["recall"].tolist() == [100, 50, 0, 0, 0]
    assert table["given"].tolist() == [75, 25, 0, 0, 0]


def test_a_row_a_model(plain, weighted):
    table = balance_table([plain, weighted], TRAIN).set_index("model")
    one, other = table.loc["plain on D"], table.loc["weighted on D"]
    assert one["answered"] == 2 and other["answered"] == 4 and one["classes"] == 4
    assert one["top-1"] == other["top-1"] == 50
    assert one["mean recall"] == 30 and other["mean recall"] == pytest.approx(56.67, abs=0.01)
    assert one["top-1 on frequent"] == 100 and other["top-1 on frequent"] == pytest.approx(33.33)
    assert one["top-1 on rare"] == 20 and other["top-1 on rare"] == 60
    assert one["frequent classes"] == 1


def test_more_classes_at_an_accuracy_that_may_have_moved(plain, weighted):
    found = contrast(weighted, plain, TRAIN)
    assert found.classes == 2 and found.macro == pytest.approx(26.67, abs=0.01)
    assert found.overall.value == 0 and found.overall.verdict == "cannot tell"
    assert found.frequent.verdict == "worse" and found.rare.verdict == "better"
    lines = say_contrast(found)
    assert "**2.0 more** distinct answers" in lines[0]
    assert "more classes predicted: that **holds** here" in lines[-1]
    assert found.overall.high > 3 and "unchanged: that **cannot be told**" in lines[-1]


def test_fewer_classes_do_not_agree_with_the_study(plain, weighted):
    lines = say_contrast(contrast(plain, weighted, TRAIN))
    assert "**2.0 fewer** distinct answers" in lines[0]
    assert "cannot be tested, as every class is predicted without weights" in lines[-1]
    fewer = dataclasses.replace(contrast(plain, weighted, TRAIN), missing=1.0)
    assert "more classes predicted: that **does not hold** here" in say_contrast(fewer)[-1]


def test_an_interval_near_nothing_is_an_accuracy_unchanged(plain, weighted):
    near = Difference(0.5, -1.0, 2.0)
    found = dataclasses.replace(contrast(weighted, plain, TRAIN), overall=near)
    assert "unchanged: that **holds**" in say_contrast(found)[-1]


def test_a_worse_accuracy_does_not_agree(plain, tmp_path):
    poor = trial(tmp_path, "D", "poor", [0.5], predictions=rows(["3", "4", "9", "1", "2", *"123"]))
    found = contrast(poor, plain, TRAIN)
    assert found.overall.verdict == "worse"
    assert "falls by 37.5 points" in say_contrast(found)[1]
    assert "unchanged: that **does not hold**" in say_contrast(found)[-1]


def test_a_split_without_rare_answers_says_nothing_of_them(tmp_path):
    only = [row for row in rows(TRUTHS) if row["truth"] == "1"]
    one = trial(tmp_path, "D", "one", [1.0], predictions=only)
    found = contrast(one, one, TRAIN)
    assert found.rare is None and found.frequent.value == 0
    assert not any("rare" in line for line in say_contrast(found))
    assert balance_table([one], TRAIN)["top-1 on rare"].isna().all()


def test_the_figure_has_a_mark_a_trial_for_each_answer(plain, weighted):
    figure = plot_recall([plain, weighted], TRAIN)
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.get_xticklabels()][3] == "$4\n5"
    assert [len(line.get_xdata()) for line in axes.lines] == [5, 5]
