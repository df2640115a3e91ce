"""Training curves, ours and the study's."""

import re
from importlib import resources
from pathlib import Path

import pandas as pd
import pytest

from tests.report.samples import write_run
from vqa_helpers.model.presets import PRESETS
from vqa_helpers.report.curves import (
    curve_table,
    histories,
    is_study_data,
    plot_curves,
    plot_ours,
    study_curves,
)
from vqa_helpers.report.published import HUNDRED_K, PUBLISHED

GIVEN = Path(__file__).parents[3] / "shared" / "reference" / "seed_curves.csv"


def test_the_studys_eight_runs_of_a_hundred_epochs():
    curves = study_curves()
    assert set(curves["preset"]) == {
        name for name, results in PUBLISHED.items() if results[0].data == HUNDRED_K
    }
    assert set(curves["preset"]) <= set(PRESETS)
    for _, curve in curves.groupby("preset"):
        assert curve["epoch"].tolist() == list(range(1, 101))
        assert curve[["train_top1", "eval_top1"]].stack().between(0, 100).all()


def test_the_best_epoch_is_near_the_published_number():
    """Within the 1.7 points by which the study's notebooks and its README differ."""
    best = study_curves().groupby("preset")["eval_top1"].max()
    for preset, value in best.items():
        assert value == pytest.approx(PUBLISHED[preset][0].eval_top1, abs=1.7)


def test_the_file_names_its_source():
    text = (resources.files("vqa_helpers.report") / "study_curves.csv").read_text(encoding="utf-8")
    assert text.startswith("# Source: the reference study")


@pytest.mark.skipif(not GIVEN.is_file(), reason="the figures it was made from are not here")
def test_it_is_what_the_study_logged():
    given = pd.read_csv(GIVEN)
    ours = study_curves()
    assert ours["epoch"].tolist() == given["epoch"].tolist()
    assert ours["train_top1"].tolist() == given["train_accuracy_percent"].tolist()
    assert ours["eval_top1"].tolist() == given["eval_accuracy_percent"].tolist()
    pairs = dict(zip(ours["preset"], given["experiment"], strict=True))
    for preset, name in pairs.items():
        wanted = "vgg" if "VGG" in preset else "r50"
        assert wanted in name and re.split(r"_", preset)[0].lower() in name


def test_the_data_is_told_by_its_name():
    assert is_study_data("100k") and is_study_data("100k-study")
    assert not any(map(is_study_data, ("demo", "demo-100k", "100k-B", "demo-100")))


@pytest.fixture
def ours(tmp_path):
    for preset, seed in (("GUSE_VGG", 0), ("GUSE_VGG", 1), ("Question_Only", 0)):
        write_run(tmp_path, preset, seed, "100k")
    write_run(tmp_path, "GUSE_VGG", 0, "demo")
    return histories(tmp_path, "100k")


def lines(axes):
    return len(axes.lines)


def test_histories_of_one_dataset(ours):
    assert {name: len(kept) for name, kept in ours.items()} == {"GUSE_VGG": 2, "Question_Only": 1}


def test_ours_lie_over_the_studys_on_its_data_alone(ours):
    over = plot_curves(ours, "100k")
    panels = {axes.get_title(loc="left"): lines(axes) for axes in over.axes}
    assert len(panels) == 8 and panels["GUSE_VGG"] == 2 + 2 * 2 and panels["GloVe_VGG"] == 2
    assert "over the study's" in over.get_suptitle()
    alone = plot_curves(ours, "demo")
    assert {lines(axes) for axes in alone.axes} == {2}
    assert "For reference" in alone.get_suptitle()


def test_ours_alone(ours):
    figure = plot_ours(ours)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["GUSE_VGG", "Question_Only"]
    assert [lines(axes) for axes in figure.axes] == [4, 2]
    assert plot_ours({}) is None


def test_the_numbers_of_the_curves(ours):
    table = curve_table(ours, "100k").set_index("preset")
    row = table.loc["GUSE_VGG"]
    assert row["study, top-1 there"] == 46.3 and row["study, best epoch"] == 80
    assert row["100k, best epoch"] == 8
    assert table["100k, best epoch"].notna().sum() == 1, "the study has no Question_Only"
    assert "100k, gap" not in curve_table({}, "100k")
