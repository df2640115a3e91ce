"""Tables of models with several seeds."""

import logging

import numpy as np
import pandas as pd
import pytest

from tests.report.samples import answered_rows as rows
from vqa_helpers.report.seeds import (
    SEED_COLUMNS,
    find_models,
    seed_table,
    summary_table,
    verdict_table,
)
from vqa_helpers.report.tables import to_markdown


def test_seeds_in_a_row(write, tmp_path):
    shares = [0.5, 0.6, 0.7]
    for seed, share in enumerate(shares):
        write("1.e", share, seed)
    write("1.f", 0.4)  # of these draws 34 %, and the guesser has a third
    table = seed_table(tmp_path)
    assert tuple(table.columns) == SEED_COLUMNS
    several, one = table.iloc[0], table.iloc[1]
    means = [100 * np.mean([row["vqa"] == 0.9 for row in rows(s, i)]) for i, s in enumerate(shares)]
    assert several["seeds"] == 3 and one["seeds"] == 1
    assert several["top-1"].value == pytest.approx(np.mean(means), abs=0.01)
    assert several["top-1 sd"] == pytest.approx(np.std(means, ddof=1), abs=0.01)
    assert several["VQA sd"] == pytest.approx(0.6 * several["top-1 sd"], abs=0.02)
    assert several["verdict"] == "better" and several["VQA normaliser"] == "2021"
    assert several["gain over blind"].startswith("+")
    assert np.isnan(one["top-1 sd"]) and one["verdict"] == "cannot tell"
    # The spread of the seeds is in the interval: wider than that of one run.
    width = several["top-1"].high - several["top-1"].low
    assert width > 1.5 * (one["top-1"].high - one["top-1"].low)
    assert "| 1.e |" in to_markdown(table)


def test_runs_with_other_settings_are_other_models(write, tmp_path):
    write("1.e", 0.5, 0)
    write("1.e", 0.5, 1, epochs=30, weights="imagenet")
    write("1.e", 0.5, 2)
    models = find_models(tmp_path)
    assert [len(model.runs) for model in models] == [2, 1]
    assert [str(model) for model in models] == [
        "1.e (epochs=12, weights=random)", "1.e (epochs=30, weights=imagenet)"
    ]  # fmt: skip


def test_every_model_against_every_other(write, tmp_path):
    for preset, share in (("1.b", 0.8), ("1.e", 0.5), ("1.f", 0.5)):
        for seed in range(2):
            write(preset, share, seed, drawn=seed + (7 if preset == "1.f" else 0))
    table = verdict_table(tmp_path, "demo")
    assert list(table.index) == list(table.columns) == ["1.b", "1.e", "1.f"]
    assert table.loc["1.b", "1.e"].startswith("better +")
    assert table.loc["1.e", "1.b"].startswith("worse -")
    assert table.loc["1.e", "1.f"].startswith("cannot tell")
    assert table.loc["1.b", "1.b"] == ""
    assert verdict_table(tmp_path, "demo", "vqa").loc["1.b", "1.e"].startswith("better +")


def test_runs_on_other_questions_are_not_compared(write, tmp_path):
    write("1.b", 0.8)
    write("1.e", 0.5, predictions=rows(0.5)[:-1])
    table = verdict_table(tmp_path, "demo")
    assert table.loc["1.b", "1.e"] == table.loc["1.e", "1.b"] == "other questions"


def test_no_runs_are_an_empty_table(tmp_path):
    assert tuple(seed_table(tmp_path).columns) == SEED_COLUMNS and seed_table(tmp_path).empty
    assert verdict_table(tmp_path, "demo").shape == (0, 0)


def test_runs_of_old_versions_are_left_out_and_named(write, tmp_path, caplog):
    write("1.e", 0.5)
    write("1.f", 0.5, predictions=[row | {"blind": None} for row in rows(0.5)])
    with caplog.at_level(logging.WARNING):
        table = seed_table(tmp_path)
    assert table["preset"].tolist() == ["1.e"]
    assert "1.f on demo is left out" in caplog.text
    assert isinstance(table, pd.DataFrame)


def test_the_summary_of_some_runs_is_their_row(write, tmp_path):
    runs = [write("1.e", 0.5, seed) for seed in range(2)]
    pd.testing.assert_frame_equal(summary_table(runs), seed_table(tmp_path))
