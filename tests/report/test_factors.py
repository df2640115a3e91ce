"""What a score depends on: priors, the frequency of answers, the number of questions."""

import numpy as np
import pandas as pd
import pytest

from tests.builders import write_dataset
from tests.report.samples import answered_rows, prediction, texts
from vqa_helpers.data.folder import read_folder
from vqa_helpers.errors import InputError
from vqa_helpers.evaluation.baselines import GUESSERS
from vqa_helpers.report import factors
from vqa_helpers.report.verdicts import read_answers

TRAIN = pd.DataFrame({"answer": ["1"] * 50 + ["2"] * 30 + ["3"] * 15 + ["$4"] * 5})
TRUTHS = ["1", "1", "1", "2", "2", "3", "$4", "5"]  # "5" is none that the train split names


def test_shares_by_hand(experiment):
    found = [
        experiment("Question_Only", (0.5,), model={"vision": None}),
        experiment("GUSE_VGG", (0.6, 0.7), model={"vision": {"class": "StoredFeatures"}}),
    ]
    table = factors.share_table(found).set_index("name")
    line = 100 * read_answers(found[0]).top1.mean()
    score = 100 * read_answers(found[1]).top1.mean()
    assert list(table.index) == ["GUSE_VGG", "Question_Only"]
    assert table["sees the image"].tolist() == ["yes", "no"]
    assert table["never looks"].to_numpy() == pytest.approx(line, abs=0.01)
    assert table.loc["GUSE_VGG", "share"] == pytest.approx(100 * line / score, abs=0.05)
    assert table.loc["GUSE_VGG", "gain"] == pytest.approx(score - line, abs=0.02)
    assert factors.share_table([]).empty


def test_guessers_and_the_one_that_looks(tmp_path):
    dataset = read_folder(write_dataset(tmp_path / "d", images=12))
    blind = factors.guesser_table(dataset, "test")
    assert list(blind["guesser"]) == list(GUESSERS) and set(blind["sees the image"]) == {"no"}
    ids = dataset.image_ids()
    features = np.random.default_rng(0).normal(size=(len(ids), 8))
    table = factors.guesser_table(dataset, "test", (ids, features))
    assert table[["guesser", "sees the image"]].iloc[-1].tolist() == [factors.SIGHTED, "yes"]
    assert all(0 <= score.low <= score.value <= score.high <= 100 for score in table["top-1"])


def rows(answers, copies=20):
    """Predictions: `answers` to the questions of `TRUTHS`, about an image each, many times."""
    return [prediction(n, [answers[n % 8], "x"], TRUTHS[n % 8]) for n in range(8 * copies)]


@pytest.fixture
def pair(experiment):
    """One that only says frequent answers, and one as often right on other questions."""
    plain = rows(["1", "1", "1", "2", "1", "1", "2", "1"])
    weighted = rows(["1", "2", "3", "2", "1", "3", "$4", "2"])
    one = experiment("plain", (0.5, 0.5), predictions=plain)
    return [one, experiment("weighted", (0.5,), predictions=weighted)]


def test_the_frequent_make_half_of_train():
    assert factors.frequent_answers(TRAIN) == ["1"]
    assert factors.frequent_answers(TRAIN.iloc[1:]) == ["1", "2"]
    assert factors.frequent_answers(pd.DataFrame({"answer": ["b", "a"]})) == ["a"]


def test_recall_of_each_answer_asked_for(pair):
    table = factors.recall_table(pair[0], TRAIN)
    assert list(table.index) == ["1", "2", "3", "$4", "5"]
    assert table["train"].tolist() == [50, 30, 15, 5, 0]
    assert table["asked"].tolist() == [60, 40, 20, 20, 20]
    assert table["recall"].tolist() == [100, 50, 0, 0, 0]
    assert table["given"].tolist() == [75, 25, 0, 0, 0]
    (axes,) = factors.plot_recall(pair, TRAIN).axes
    assert [text.get_text() for text in axes.get_xticklabels()][3] == "$4\n5"
    assert [len(line.get_xdata()) for line in axes.lines] == [5, 5]


def test_balance_by_hand(pair, experiment):
    table = factors.balance_table(pair, TRAIN).set_index("name")
    one, other = table.loc["plain"], table.loc["weighted"]
    assert one["answered"] == 2 and other["answered"] == 4 and one["classes"] == 4
    assert one["top-1"].value == other["top-1"].value == 50
    assert one["mean recall"] == 30 and other["mean recall"] == pytest.approx(56.67, abs=0.01)
    assert one["top-1 on frequent"].value == 100 and other["top-1 on frequent"].value == 33.33
    assert one["top-1 on rare"].value == 20 and other["top-1 on rare"].value == 60
    only = [row for row in rows(TRUTHS) if row["truth"] == "1"]
    assert factors.balance_table(experiment(predictions=only), TRAIN)["top-1 on rare"].isna().all()


@pytest.fixture
def curve(experiment):
    return [
        experiment("1.fB", (share, share), train=size, dataset=f"demo-{size}")
        for size, share in ((100, 0.3), (1_000, 0.5), (10_000, 0.8))
    ]


def test_the_line_is_that_of_least_squares(curve):
    trend = factors.fit_trend(curve)
    means = [100 * read_answers(one).top1.mean() for one in curve]
    slope, start = np.polyfit([2, 3, 4], means, 1)
    assert trend.tenfold.value == pytest.approx(slope, abs=0.01)
    assert trend.at == pytest.approx(start, abs=0.01)
    assert trend.tenfold.low < slope < trend.tenfold.high and trend.tenfold.verdict == "better"
    figure = factors.plot_trend(curve)
    assert "best blind guess" in texts(figure)
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.get_xticklabels()] == ["100", "1,000", "10,000"]


def test_no_trend_of_one_size_or_of_other_questions(curve, experiment):
    with pytest.raises(InputError, match="two sizes"):
        factors.fit_trend(curve[:1])
    other = [{**row, "question_id": row["question_id"] + 9} for row in answered_rows(0.5)]
    with pytest.raises(InputError, match="one test split"):
        factors.fit_trend([*curve, experiment("1.fB", predictions=other, dataset="x", train=3_000)])
