"""How much of every score is had without looking."""

import numpy as np
import pytest
import torch

from tests.builders import write_dataset
from tests.report.samples import metrics
from vqa_helpers.data.folder import read_folder
from vqa_helpers.evaluation.baselines import GUESSERS
from vqa_helpers.experiment.images import ImageSide
from vqa_helpers.report.priors import (
    SIGHTED,
    guesser_table,
    plot_shares,
    share_table,
    type_table,
)
from vqa_helpers.training.batches import FeatureRows

SEES, BLIND = {"images": {"piece": "Images"}}, {"images": None}


@pytest.fixture
def trained(write):
    """A model that looks, with two seeds, and one that does not."""
    for seed, share in enumerate((0.6, 0.7)):
        write("GUSE_VGG", share, seed, pieces=SEES)
    write("Question_Only", 0.5, pieces=BLIND)


def test_shares_by_hand(trained, tmp_path):
    table = share_table(tmp_path, "demo").set_index("model")
    guess = max(row["top1"] for row in metrics()["test"]["baselines"].values())
    line = max(50.0, guess)
    assert set(table["blind top-1"]) == {line}
    assert table.loc["GUSE_VGG", "top-1"] == pytest.approx(65.0)
    assert table.loc["GUSE_VGG", "share"] == pytest.approx(100 * line / 65.0)
    assert table.loc["GUSE_VGG", "gain"] == pytest.approx(65.0 - line)
    assert table.loc["GUSE_VGG", "seeds"] == 2
    assert list(table["sees the image"]) == ["yes", "no"]


def test_no_runs_are_an_empty_table(tmp_path):
    assert share_table(tmp_path, "demo").empty and type_table(tmp_path, "demo").empty


def test_a_column_for_each_answer_type(trained, tmp_path):
    table = type_table(tmp_path, "demo")
    assert set(table.columns) == set(metrics()["test"]["per_answer_type"])
    assert set(table.index) == {"GUSE_VGG", "Question_Only"}


def test_the_bars_reach_the_scores(trained, tmp_path):
    table = share_table(tmp_path, "demo")
    axes = plot_shares(table, "shares").axes[0]
    ends = {}
    for bar in axes.patches:
        place = round(bar.get_y() + bar.get_height() / 2)
        ends[place] = max(ends.get(place, 0), bar.get_x() + bar.get_width())
    assert sorted(ends.values()) == pytest.approx(sorted(table["top-1"]))


def test_guessers_and_the_one_that_looks(tmp_path):
    dataset = read_folder(write_dataset(tmp_path / "d", images=12))
    blind = guesser_table(dataset, "test")
    assert list(blind["guesser"]) == list(GUESSERS) and set(blind["sees the image"]) == {"no"}
    ids = dataset.image_ids()
    vectors = torch.from_numpy(np.random.default_rng(0).normal(size=(len(ids), 8))).half()
    statistics = vectors.float().mean(0), vectors.float().std(0)
    for seen in (
        ImageSide(ids, FeatureRows(vectors)),
        ImageSide(ids, FeatureRows(vectors), statistics),
    ):
        table = guesser_table(dataset, "test", seen)
        assert table["guesser"].iloc[-1] == SIGHTED
        assert table["sees the image"].iloc[-1] == "yes"
        assert all(0 <= score.low <= score.value <= score.high <= 100 for score in table["top-1"])
