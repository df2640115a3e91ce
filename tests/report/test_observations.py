"""Sentences that follow from the numbers, and change with them."""

import pandas as pd

from tests.report import samples
from tests.report.test_interesting import judged
from vqa_helpers.report.analysis import Analysed
from vqa_helpers.report.observations import remark_table, result_findings, sample_findings
from vqa_helpers.runs import Run

TRAIN = pd.DataFrame({"question": ["How many?"] * 5, "answer": ["1", "1", "1", "2", "2"]})


def analysed(tmp_path, rows, preset="1.e") -> Analysed:
    return Analysed(Run(samples.write_run(tmp_path, preset)), "test", judged(*rows))


def counts(first: int, second: int, number: int = 40) -> list:
    """Questions whose truth is 5 and whose answers are those."""
    return [("How many?", "5", [str(first), str(second)], [0.6, 0.3])] * number


def test_the_remark_is_told_one_way_and_the_other(tmp_path):
    shown = result_findings(analysed(tmp_path, counts(4, 5)), TRAIN)
    assert "the remark holds" in shown and "falls short" in shown
    high = result_findings(analysed(tmp_path, counts(6, 5)), TRAIN)
    assert "it is mostly not" in high
    not_so = result_findings(analysed(tmp_path, counts(1, 2)), TRAIN)
    assert "the remark is not shown" in not_so
    few = result_findings(analysed(tmp_path, counts(4, 5, 3)), TRAIN)
    assert "too few" in few
    none = result_findings(analysed(tmp_path, [("What?", "a", ["a"], [1.0])]), TRAIN)
    assert "has no case" in none


def test_the_run_and_the_split_are_named(tmp_path):
    said = result_findings(analysed(tmp_path, counts(4, 5)), TRAIN)
    assert "**1.e, seed 0**" in said and "40 test questions" in said
    assert all(line.startswith("* ") for line in said.splitlines())


def test_texts_of_the_data_are_code(tmp_path):
    rows = [("What?", "`<b>", ["$x$\n# head", "b"], [0.99, 0.0])] * 12
    for said in (
        result_findings(analysed(tmp_path, rows), TRAIN),
        sample_findings(analysed(tmp_path, rows), None),
    ):
        assert "`$x$ # head`" in said and "`'<b>`" in said
        assert all(line.startswith("* ") for line in said.splitlines())


def test_samples_are_counted_over_all_questions(tmp_path):
    rows = [("What?", "a", ["a", "b"], [0.95, 0.0])] * 3 + [("What?", "a", ["b", "a"], [0.9, 0.1])]
    ours = analysed(tmp_path, rows)
    said = sample_findings(ours, None)
    assert "4 of 4 first answers 90 % or more; 1 of these are wrong (25.0 %)" in said
    other = analysed(tmp_path, [("What?", "a", ["b", "a"], [0.5, 0.4])] * 4, "1.f")
    said = sample_findings(ours, other)
    assert "On 3 questions" in said and "**1.f, seed 0**" in said
    assert "never 90 % sure" in sample_findings(other, None)


def test_the_remark_as_a_table(tmp_path):
    table = remark_table(judged(*counts(4, 5)), TRAIN)
    assert table["questions"].tolist() == [40, 40, 0, 40]
    assert table["share"].iloc[0].startswith("100.0") and pd.isna(table["share"].iloc[2])
    assert remark_table(judged(("What?", "a", ["a"], [1.0])), TRAIN).empty
