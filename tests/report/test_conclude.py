"""Sentences: that each says what the numbers say, and another thing for other numbers."""

import pytest

from tests.report import samples
from vqa_helpers.report.conclude import conclude
from vqa_helpers.runs import Run


def said(tmp_path, **changes) -> str:
    metrics = samples.metrics(50.0, vqa=changes.pop("vqa", None))
    metrics["test"] |= changes
    return conclude(Run(samples.write_run(tmp_path, metrics=metrics)))


@pytest.mark.parametrize(
    ("gain", "expected"),
    [
        (9.0, "better than the best blind guess by **9.0 points**; 95 % interval +6.0 to +12.0"),
        (-9.0, "worse than the best blind guess by **9.0 points**; 95 % interval -12.0 to -6.0"),
        (1.0, "not to be told from the best blind guess (+1.0 points); 95 % interval -2.0 to +4.0"),
    ],
)
def test_the_verdict_is_the_paired_one(tmp_path, gain, expected):
    # The top-1 of 50 [48, 52] stands 9 points over the guess's 41 in each of them.
    text = said(tmp_path, against_blind=samples.against(gain))
    assert expected in text and '"most frequent per question" reaches 41.0 %' in text


def test_a_run_of_an_old_version_has_no_verdict(tmp_path):
    text = said(tmp_path, against_blind=None, calibration=None)
    assert 'The best blind guess, "most frequent per question", reaches 41.0 %' in text
    assert "better" not in text and "calibration" not in text


def test_a_run_without_baselines_says_nothing_of_them(tmp_path):
    assert "blind" not in said(tmp_path, baselines={}, against_blind=None)


def test_vqa_accuracy_stands_with_its_normaliser(tmp_path):
    text = said(tmp_path, vqa=55.0)
    assert "The VQA accuracy is 55.0 % (53.0 to 57.0, official normaliser 2021)." in text
    assert "not defined" not in text
    assert "The VQA accuracy is not defined here" in said(tmp_path)


def test_calibration_says_which_way(tmp_path):
    # 300 questions 20 points too modest, 65 questions 15 points too sure.
    assert "off by 18.8 points" in said(tmp_path) and "too modest" in said(tmp_path)
    sure = samples.calibration()
    sure["bins"][0]["accuracy"] = 10.0
    assert "too sure of itself" in said(tmp_path, calibration=sure)


def test_answer_types_with_intervals(tmp_path):
    kinds = samples.scores(50.0)["per_answer_type"]
    for entry in kinds.values():
        entry["top1"] = samples.score(entry["top1"])
    text = said(tmp_path, per_answer_type=kinds)
    assert "Easiest are the yes/no questions (68.0 %), hardest the number ones (28.0 %)." in text


def test_splits_that_share_photographs_are_named(tmp_path):
    by_row = samples.write_run(tmp_path, "1.e", split_rule="study")
    assert "partly memory" in conclude(Run(by_row))
    assert "partly memory" not in conclude(Run(samples.write_run(tmp_path, "1.f")))
