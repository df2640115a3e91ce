"""Tables of scores: what stands in each cell, and that nothing soft is passed over."""

import json

import pandas as pd
import pytest

from tests.report import samples
from vqa_helpers.errors import InputError
from vqa_helpers.report import tables
from vqa_helpers.report.published import HUNDRED_K, PUBLISHED


def test_score_table_shows_intervals_ceiling_and_blind():
    table = tables.score_table(samples.metrics(43.6))
    assert list(table.index) == ["validation", "test"]
    assert table.loc["test", "top-1"] == "43.6 [41.6, 45.6]"
    assert table.loc["test", "VQA accuracy"] == "not defined"
    assert table.loc["test", "top-1 ceiling"] == "98.1"
    assert table.loc["test", "blind top-1, most frequent per question"] == "41.0"
    assert table.loc["test", "questions"] == 380
    assert "VQA accuracy ceiling" not in table and "VQA normaliser" not in table


def test_score_table_keeps_vqa_accuracy_apart():
    table = tables.score_table(samples.metrics(43.6, vqa=51.0))
    assert table.loc["test", "VQA accuracy"] == "51.0 [49.0, 53.0]"
    assert table.loc["test", "VQA accuracy ceiling"] == "96.0"
    assert table.loc["test", "blind VQA accuracy, most frequent answer"] == "23.0"
    assert table.loc["test", "VQA normaliser"] == "2021"


def test_score_table_says_when_test_was_not_scored():
    table = tables.score_table(samples.metrics(test=False))
    assert set(table.loc["test"]) == {"not scored"}
    assert table.loc["validation", "questions"] == 380


def test_answer_types_come_in_the_usual_order():
    table = tables.answer_type_table(samples.metrics(50.0))
    assert list(table.index) == ["yes/no", "number", "other"]
    assert table.loc["yes/no", "top-1"] == 68.0
    assert table.loc["yes/no", "hits"] == 75  # 68 % of 110
    assert set(table["VQA accuracy"]) == {"not defined"}


def test_type_scores_may_carry_intervals():
    metrics = samples.metrics()
    metrics["test"]["per_answer_type"]["number"]["top1"] = samples.score(33.0)
    table = tables.answer_type_table(metrics)
    assert table.loc["number", "top-1"] == 33.0
    assert table["top-1 interval"].dropna().to_dict() == {"number": "[31.0, 35.0]"}
    assert table["VQA normaliser"].isna().all()
    defined = tables.answer_type_table(samples.metrics(vqa=50.0))
    assert set(defined["VQA normaliser"]) == {"2021"}


def test_question_types_are_sorted_and_rare_ones_left_out():
    table = tables.question_type_table(samples.metrics(), min_questions=10)
    assert list(table.index) == ["what color", "how many", "is there"]
    assert len(tables.question_type_table(samples.metrics(), min_questions=1)) == 4
    empty = tables.question_type_table(samples.metrics(), min_questions=1000)
    assert empty.empty and "top-1" in empty


def test_a_split_can_be_asked_for():
    metrics = samples.metrics(50.0)
    assert tables.answer_type_table(metrics, "validation").loc["other", "top-1"] == 43.5


def test_results_of_no_runs_are_an_empty_table(tmp_path):
    table = tables.results_table(tmp_path / "nowhere")
    assert table.empty and tuple(table.columns) == tables.RESULT_COLUMNS
    assert tables.to_markdown(table).count("\n") == 2


def test_results_show_every_run_with_its_stand_ins(tmp_path):
    samples.write_run(tmp_path, "GUSE_VGG", 0, metrics=samples.metrics(58.4))
    samples.write_run(tmp_path, "1.f", 1, stand_ins=[], weights="imagenet")
    samples.write_run(tmp_path, "1.f", 0, dataset="daquar")
    table = tables.results_table(tmp_path)
    assert table["dataset"].tolist() == ["daquar", "demo", "demo"]
    run = table[table["preset"] == "GUSE_VGG"].iloc[0]
    assert str(run["test top-1"]) == "58.4 [56.4, 60.4]"
    assert str(run["validation top-1"]) == "59.9 [57.9, 61.9]"
    assert run["stand-ins"] == "random-weight vision, hashed n-gram sentences"
    assert run["VQA accuracy"] == "not defined"
    assert run["best blind guess"] == "most frequent per question"
    assert run["gain over blind"] == pytest.approx(17.4)
    assert run["verdict"] == "better" and pd.isna(run["VQA normaliser"])
    assert run["samples/s"] == 290.4 and run["ceiling"] == 98.1
    assert table[table["seed"] == 1].iloc[0]["stand-ins"] == "none"
    assert len(tables.results_table(tmp_path, "daquar")) == 1


def test_results_without_a_scored_test_show_validation_and_say_so(tmp_path):
    samples.write_run(tmp_path, metrics=samples.metrics(40.0, test=False))
    run = tables.results_table(tmp_path).iloc[0]
    assert run["test top-1"] == "not scored" and run["scored on"] == "validation"
    assert run["gain over blind"] == pytest.approx(41.5 - 41.0)


def test_the_verdict_is_of_the_paired_comparison(tmp_path):
    for seed, gain in enumerate((9.0, 1.0, -9.0)):
        metrics = samples.metrics(50.0, vqa=55.0)
        metrics["test"]["against_blind"] = samples.against(gain)
        samples.write_run(tmp_path, seed=seed, metrics=metrics)
    old = samples.metrics()
    del old["test"]["against_blind"]
    samples.write_run(tmp_path, seed=3, metrics=old)
    table = tables.results_table(tmp_path)
    assert table["verdict"].tolist()[:3] == ["better", "cannot tell", "worse"]
    assert pd.isna(table["verdict"].iloc[3])
    assert table["VQA normaliser"].tolist()[:3] == ["2021"] * 3


def test_results_without_baselines_leave_the_gain_open(tmp_path):
    metrics = samples.metrics()
    metrics["test"]["baselines"] = {}
    samples.write_run(tmp_path, metrics=metrics)
    table = tables.results_table(tmp_path)
    assert table["gain over blind"].isna().all()
    assert "| – |" in tables.to_markdown(table)


def test_a_damaged_run_is_named(tmp_path):
    folder = samples.write_run(tmp_path)
    (folder / "metrics.json").write_text('{"validation"')
    with pytest.raises(InputError, match="metrics.json: .* does not match its checksum"):
        tables.results_table(tmp_path)
    (folder / "DONE").write_text("done\n")  # as old versions left it, without sums
    with pytest.raises(InputError, match="metrics.json: cannot be read"):
        tables.results_table(tmp_path)
    metrics = samples.metrics()
    del metrics["test"]["top1"]
    (folder / "metrics.json").write_text(json.dumps(metrics))
    with pytest.raises(InputError, match="metrics.json: test.top1 is missing or malformed"):
        tables.results_table(tmp_path)


def test_scores_sort_by_value():
    assert sorted([tables.Score(9, 8, 10), tables.Score(10, 9, 11)])[0].value == 9


def test_markdown_is_safe_and_aligned():
    table = pd.DataFrame(
        {"a|b": ["x|y\nz", "$5 <b>"], "n": [12345, 7], "f": [0.25, None], "s": ["1", "2"]}
    )
    lines = tables.to_markdown(table).splitlines()
    assert lines[0] == r"| a\|b | n | f | s |"
    assert lines[1] == "| --- | ---: | ---: | --- |"
    assert lines[2] == r"| x\|y z | 12,345 | 0.2 | 1 |"
    assert lines[3] == r"| \$5 &lt;b> | 7 | – | 2 |"


def test_markdown_shows_a_named_index_only():
    table = pd.DataFrame({"n": [1]}, index=["x"])
    assert "x" not in tables.to_markdown(table)
    assert "| x | 1 |" in tables.to_markdown(table.rename_axis("name"))


def test_published_numbers_are_those_of_the_study():
    assert len(PUBLISHED) == 15
    hundred_k = {
        name: (results[0].eval_top1, results[0].train_top1)
        for name, results in PUBLISHED.items()
        if results[0].data == HUNDRED_K
    }
    assert hundred_k == {
        "GUSE_VGG": (47.1, 79.42),
        "GUSE_ResNet": (44.0, 60.25),
        "Original_VQA2015_VGG": (40.6, 71.9),
        "Original_VQA2015_ResNet": (35.1, 61.87),
        "Improved_VQA2015_VGG": (41.9, 86.23),
        "Improved_VQA2015_ResNet": (42.0, 85.83),
        "GloVe_VGG": (44.4, 80.2),
        "GloVe_ResNet": (43.7, 73.7),
    }
    assert all(result.caveat for results in PUBLISHED.values() for result in results)


def test_a_table_for_a_terminal():
    table = pd.DataFrame({"name": ["a", "longer"], "count": [7, 12_345]})
    assert tables.to_text(table) == "name     count\na            7\nlonger  12,345\n"
