"""The tables of results: every score with its interval, stand-ins named, whatever the numbers."""

import pandas as pd

from vqa_helpers.report.site.scores import cell, key, results_section
from vqa_helpers.report.tables import NOT_SCORED, RESULT_COLUMNS, Score


def table(*changes: dict) -> pd.DataFrame:
    row = dict.fromkeys(RESULT_COLUMNS) | {
        "dataset": "demo", "preset": "A_B", "seed": 0, "stand-ins": "none",
        "test top-1": Score(50.0, 45.0, 55.0), "VQA accuracy": "not defined", "ceiling": 99.0,
        "blind top-1": 40.0, "gain over blind": 10.0, "verdict": "better",
        "validation top-1": Score(51.0, 46.0, 56.0), "top-5": Score(80.0, 75.0, 85.0),
    }  # fmt: skip
    return pd.DataFrame([row | change for change in changes], columns=list(RESULT_COLUMNS))


def test_rows_are_linked_marked_and_ordered() -> None:
    rows = table(
        {"preset": "Low", "test top-1": Score(10.0, 5.0, 15.0), "verdict": "worse"},
        {"stand-ins": "random, for <b>"}, {"preset": "None", "stand-ins": "none"},
    )  # fmt: skip
    text = results_section(rows, {"A_B": "A B.html"})
    assert '<a href="A%20B.html">A_<wbr>B</a><sup>1</sup>' in text
    assert "<sup>1</sup> random, for &lt;b&gt;" in text and "<sup>2</sup>" not in text
    assert text.index("A_<wbr>B") < text.index(">None") < text.index(">Low")
    assert '<span class="verdict worse">worse</span>' in text
    assert text.count("<circle") == 3


def test_a_split_without_answers_falls_back_and_says_so() -> None:
    text = results_section(table({"test top-1": NOT_SCORED, "verdict": None}), {})
    assert "<b>51.0</b>" in text and "<small>validation</small>" in text


def test_numbers_that_are_not_there_are_dashes() -> None:
    gone = dict.fromkeys(("ceiling", "blind top-1", "gain over blind", "verdict", "train s"))
    text = results_section(table(gone), {})
    assert "nan" not in text.lower() and "None" not in text
    assert cell(float("nan")) == cell(None) == "–"


def test_seeds_are_told_apart_where_there_are_several() -> None:
    assert "<small>seed 1</small>" in results_section(table({}, {"seed": 1}), {})
    assert "<small>seed" not in results_section(table({}, {"preset": "C"}), {})


def test_every_column_is_below() -> None:
    text = results_section(table({}), {})
    for column in RESULT_COLUMNS[6:]:
        assert f">{column}</th>" in text
    assert "ceiling of the vocabulary" in key()
