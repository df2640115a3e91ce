"""The study's numbers, beside ours."""

import pandas as pd
import pytest

from vqa_helpers.report.study import NOT_RUN, is_study_data, published, study_curves, study_table
from vqa_helpers.report.tables import to_markdown


@pytest.fixture
def table(experiment):
    found = [
        experiment("GUSE_VGG", (0.8, 0.85), dataset="mine"),
        experiment("GUSE_ResNet", (0.5,), dataset="mine", stand_ins=[], weights="imagenet"),
        experiment("1.b", (0.4,), dataset="mine-A-of-D"),
        experiment("Model100+vision=StoredFeatures", (0.7,), dataset="mine-E", train=1234),
        experiment("1.fB", (0.9,), dataset="other-D"),
    ]
    return study_table(found, "mine").set_index(["experiment", "study's data"])


def test_every_cell_of_the_study_is_there_run_or_not():
    empty = study_table([], "mine")
    assert len(empty) == len(published()) == 26 and set(empty["our data"]) == {NOT_RUN}
    assert empty["study's top-1"].isna().sum() == 8
    assert "47.1" in to_markdown(empty)


def test_a_dataset_stands_in_for_100k_and_its_cuts_for_a_to_e(table):
    ours = table["our data"]
    assert ours["GUSE_VGG", "100k"] == ours["GUSE_ResNet", "100k"] == "mine"
    assert ours["1.b", "A"] == "mine-A-of-D" and ours["Model100", "E"] == "mine-E"
    assert ours["1.fB", "D"] == NOT_RUN and ours["1.b", "C"] == NOT_RUN


def test_a_cell_says_what_it_must_be_read_beside(table):
    row = table.loc["GUSE_VGG", "100k"]
    assert row["study's top-1"] == 47.10 and row["study's train top-1"] == 79.42
    assert row["top-1"].low < row["top-1"].value and row["seeds"] == 2
    assert row["verdict"] == "better" and row["scored on"] == "test"
    assert "normalised in evaluation" in row["about the study's"]
    assert table.loc["Model100", "E"]["train questions"] == 1234
    assert table.loc["GUSE_ResNet", "100k"]["stand-ins"] == "none"
    assert pd.isna(table.loc["1.b", "A"]["study's top-1"])


def test_the_experiment_with_most_seeds_counts(experiment):
    found = [experiment("1.e", shares, dataset="mine-D") for shares in ((0.4,), (0.4, 0.5))]
    table = study_table(found, "mine").set_index(["experiment", "study's data"])
    assert table.loc["1.e", "D"]["seeds"] == 2


def test_the_curves_are_eight_runs_on_100k():
    curves = study_curves()
    assert curves["preset"].nunique() == 8 and curves["eval_top1"].between(0, 100).all()
    assert is_study_data("100k") and is_study_data("100k-study") and not is_study_data("demo")
