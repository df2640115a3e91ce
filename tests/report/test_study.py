"""The study's summary table, every cell of it."""

import json

import pytest

from tests.report.trials import trial
from vqa_helpers.report.published import HUNDRED_K, PUBLISHED
from vqa_helpers.report.study import (
    MEANS_COLUMNS,
    NO_NUMBER,
    NOT_RUN,
    SCORE_COLUMNS,
    means_table,
    say_cells,
    score_table,
    study_cells,
)

CELLS = sum(map(len, PUBLISHED.values()))


@pytest.fixture
def cells(tmp_path):
    trial(tmp_path, "mine", "GUSE_VGG", [0.8, 0.85])
    trial(tmp_path, "mine", "GUSE_ResNet", [0.5], stand_ins=[], weights="imagenet")
    trial(tmp_path, "mine", "GloVe_VGG", [0.85])
    trial(tmp_path, "mine-A-of-D", "1.b", [0.4])
    trial(tmp_path, "mine-D", "1.fB", [0.2])
    made = trial(tmp_path, "mine-E", "Model100-stored", [0.7])
    record = {"counts": {"train": {"questions": 1234}}}
    (made.runs[0].folder / "split.json").write_text(json.dumps(record))
    trial(tmp_path, "other", "1.fB", [0.9])
    return study_cells(tmp_path, "mine")


def row(table, preset, data):
    found = table[(table["experiment"] == preset) & (table["study's data"] == data)]
    assert len(found) == 1
    return found.iloc[0]


def test_every_cell_of_the_study_is_there_run_or_not(tmp_path):
    cells = study_cells(tmp_path, "mine")
    scores, means = score_table(cells), means_table(cells)
    assert tuple(scores.columns) == SCORE_COLUMNS and tuple(means.columns) == MEANS_COLUMNS
    assert len(scores) == len(means) == CELLS == 26
    assert set(scores["our data"]) == set(means["our data"]) == {NOT_RUN}
    assert say_cells(cells) == [
        "0 of the 26 cells of the study's table have a number of ours; of the 8 that it left "
        "without one, 0 have one now."
    ]


def test_a_dataset_stands_in_for_100k_and_its_cuts_for_a_to_e(cells):
    table = score_table(cells)
    guse = row(table, "GUSE_VGG", HUNDRED_K)
    assert guse["our data"] == "mine" and guse["scored on"] == "test"
    assert guse["study, top-1"] == "47.10" and guse["study, train"] == "79.42"
    assert guse["top-1"].low < guse["top-1"].value < guse["top-1"].high
    assert guse["verdict"] == "better" and guse["ceiling"] == 98.1
    assert guse["best blind guess"] == pytest.approx(33.33)
    assert row(table, "1.b", "A")["our data"] == "mine-A-of-D"
    assert row(table, "1.b", "A")["study, top-1"] == NO_NUMBER
    assert row(table, "1.fB", "D")["our data"] == "mine-D", "not that of another dataset"
    assert row(table, "1.fB", "E")["our data"] == NOT_RUN


def test_stored_features_fill_the_cell_of_the_network_in_the_loop(cells):
    assert row(score_table(cells), "Model100", "E")["our data"] == "mine-E"
    assert row(means_table(cells), "Model100", "E")["train questions"] == 1234


def test_the_means_name_weights_stand_ins_seeds_and_times(cells):
    guse = row(means_table(cells), "GUSE_VGG", HUNDRED_K)
    assert guse["seeds"] == 2 and guse["top-1 sd"] > 0
    assert guse["weights"] == "random" and guse["image px"] == 64
    assert guse["stand-ins"] == "random-weight vision, hashed n-gram sentences"
    assert guse["train s"] == pytest.approx(45.2, abs=0.06) and guse["samples/s"] == 290
    assert "46.3" in guse["about the study's"]
    assert row(means_table(cells), "GUSE_ResNet", HUNDRED_K)["stand-ins"] == "none"


def test_the_model_with_most_seeds_counts(tmp_path):
    trial(tmp_path, "mine-D", "1.e", [0.5, 0.6, 0.7])
    trial(tmp_path / "more", "mine-D", "1.e", [0.5, 0.6, 0.7, 0.1], epochs=30)
    kept = tmp_path / "mine-D" / "1.e"
    (tmp_path / "more" / "mine-D" / "1.e" / "3").rename(kept / "3")
    assert row(means_table(study_cells(tmp_path, "mine")), "1.e", "D")["seeds"] == 3


def test_a_run_that_kept_too_little_is_left_out_and_named(tmp_path, caplog):
    made = trial(tmp_path, "mine-D", "1.e", [0.5])
    (made.runs[0].folder / "predictions.jsonl").write_text("")
    assert row(score_table(study_cells(tmp_path, "mine")), "1.e", "D")["our data"] == NOT_RUN
    assert "1.e on mine-D is left out" in caplog.text


def test_what_the_table_says_follows_from_it(cells):
    filled, better, stand_ins, order = say_cells(cells)
    assert filled.startswith("6 of the 26 cells") and "of the 8" in filled and "2 have" in filled
    assert better.startswith("4 of 6") or better.startswith("5 of 6")
    assert stand_ins.startswith("In 5 of them")
    # VGG before ResNet is the study's order; which of the two VGGs is better cannot be told.
    assert order.startswith("Of 3 pairs of its 100k models 2 can be told apart here; 2 of those")


def test_models_that_cannot_be_told_apart_have_no_order(tmp_path):
    for preset in ("GUSE_VGG", "GUSE_ResNet"):
        trial(tmp_path, "mine", preset, [0.5])
    assert say_cells(study_cells(tmp_path, "mine"))[-1] == (
        "Of 1 pairs of its 100k models none can be told apart here."
    )
