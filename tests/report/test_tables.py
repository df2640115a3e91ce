"""Tables of results: what stands in each cell, and that nothing soft is passed over."""

import io
import re

import numpy as np
import pandas as pd
import pytest

from tests.report import samples
from tests.report.samples import answered_rows as rows
from tests.report.samples import share_right
from vqa_helpers.errors import InputError
from vqa_helpers.report import tables


def test_a_row_an_experiment(experiment):
    found = [experiment("GUSE_VGG", (0.6, 0.7), train=1234), experiment("1.e", (0.5,))]
    table = tables.results_table(found)
    assert tuple(table.columns) == tables.RESULT_COLUMNS and len(table) == 2
    row = table.iloc[0]
    hits = [share_right(rows(share, seed)) for seed, share in enumerate((0.6, 0.7))]
    assert row["top-1"].value == pytest.approx(100 * np.mean(hits), abs=0.01)
    assert row["top-1"].low < row["top-1"].value < row["top-1"].high
    assert row["top-1 sd"] == pytest.approx(100 * np.std(hits, ddof=1), abs=0.01)
    assert table["top-1 sd"].isna().tolist() == [False, True]
    assert (row["dataset"], row["name"], row["seeds"]) == ("demo", "GUSE_VGG", 2)
    assert (row["weights"], row["px"], row["train questions"]) == ("random", 64, 1234)
    assert (row["scored on"], row["questions"], row["ceiling"]) == ("test", 300, 98.1)
    assert row["best blind guess"] == "most frequent per question"
    assert row["blind top-1"] == 33.33 and row["verdict"] == "better"
    assert str(row["gain over blind"]).startswith("+")
    assert row["stand-ins"] == "random-weight vision, hashed n-gram sentences"
    assert (row["train s"], row["samples/s"]) == (45.2, 290.4)
    assert tuple(tables.results_table([]).columns) == tables.RESULT_COLUMNS


def test_top1_and_vqa_accuracy_never_share_a_column(write):
    table = tables.results_table([write("1.e"), write("1.f", predictions=rows(0.5, vqa=False))])
    first, second = table["VQA accuracy"]
    assert isinstance(first, tables.Score) and second == tables.NOT_DEFINED
    assert table["VQA normaliser"][0] == "2021" and pd.isna(table["VQA normaliser"][1])
    assert first.value != table["top-1"][0].value


def test_pairs_are_means_over_the_seeds_and_none_where_not_defined(write):
    one, two = ({"value": v, "low": v - 4, "high": v + 6, "count": 9} for v in (20.0, 31.0))
    kept = (("1.e", 0, {"pairs": one}), ("1.e", 1, {"pairs": two}), ("1.f", 0, {"pairs": None}),
            ("1.b", 0, {}))  # fmt: skip
    runs = [write(name, 0.4, seed, metrics=samples.metrics(**more)) for name, seed, more in kept]
    column = tables.results_table(runs).set_index("name")["pairs both right"]
    assert column["1.e"] == tables.Score(25.5, 21.5, 31.5)
    assert column["1.f"] is None and column["1.b"] is None  # a run from before there were pairs
    ten = {"value": 40.0, "low": 38.0, "high": 42.0, "questions": 1514}
    made = {"predictions": rows(0.5, vqa=False), "metrics": samples.metrics(vqa_of_ten=ten)}
    part = tables.results_table(write("1.fB", **made))
    assert part["VQA accuracy"].map(str).tolist() == ["40.0 [38.0, 42.0] of 1,514"]
    broken = write("1.c", metrics=samples.metrics(pairs={"value": "x"}))
    with pytest.raises(InputError, match="test: .*pairs"):
        broken.metrics  # noqa: B018


def test_wups_stands_where_a_run_has_it(write):
    drawn = rows(0.5, vqa=False)

    def run(preset, seed, *value):
        kept = {f"wups_0.{k}": samples.score(v) for v in value for k, v in ((9, v), (0, 2 * v))}
        return write(preset, 0.5, seed, predictions=drawn, metrics=samples.metrics(**kept))

    found = [run("1.e", 0, 30.0), run("1.e", 1, 33.0), run("1.f", 0)]
    table = tables.results_table(found)
    place = list(table.columns).index("WUPS 0.9")
    assert [*table.columns[:place], *table.columns[place + 2 :]] == list(tables.RESULT_COLUMNS)
    assert table["WUPS 0.9"].tolist() == [tables.Score(31.5, 29.5, 33.5), None]
    assert table["WUPS 0.0"].tolist() == [tables.Score(63.0, 61.0, 65.0), None]
    text = tables.export(found, "markdown")
    assert "WUPS 0.9" in text and "63.0 [61.0, 65.0]" in text and "VQA accuracy" not in text
    read = pd.read_csv(io.StringIO(tables.export(found, "csv")))
    assert read["WUPS 0.0 low"].tolist()[0] == 61.0 and read["WUPS 0.9"].isna().tolist()[1]
    assert "WUPS" not in tables.export(found[2:], "markdown") + tables.export(found[2:], "csv")


def test_types_are_means_over_the_seeds(write):
    runs = [write("1.e", share, seed) for seed, share in enumerate((0.4, 0.6))]
    table = tables.type_table(runs)
    assert list(table.index) == ["yes/no", "number", "other"]
    assert table["top-1"].tolist() == [68.0, 28.0, 42.0]
    assert table["questions"].tolist() == [110, 90, 180]
    assert "what color" in tables.type_table(runs, "question").index


def test_the_best_on_validation_comes_first(write, dataset):
    poor, good = write("1.e", 0.4), write("1.f", 0.6)
    assert [one.name for one in tables.best_first([poor, good])] == ["1.f", "1.e"]
    foreign = write("1.b", 0.9, dataset="other")
    assert [one.name for one in tables.best_first([foreign, poor], dataset)] == ["1.e"]
    with pytest.raises(InputError, match="no finished run"):
        tables.best_first([foreign], dataset)


def test_a_cut_comes_after_what_it_is_cut_from():
    pairs = [("demo-D", "a"), ("demo-D", "b"), ("demo", "a"), ("x", "a"), ("x", "b")]
    assert tables.by_weight(pairs) == ["x", "demo", "demo-D"]
    assert tables.by_weight([]) == []


def test_markdown_is_aligned_and_escapes_what_is_markup():
    table = pd.DataFrame(
        {"name": ["a|b<c>$", "x"], "share": [12.345, 0.0123], "count": [12345, 7],
         "score": [tables.Score(1.0, 0.5, 2.0), tables.NOT_DEFINED]}
    )  # fmt: skip
    lines = tables.to_markdown(table).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert "a\\|b&lt;c>\\$" in lines[2] and " 12.3 |" in lines[2] and "12,345" in lines[2]
    assert " 0.01 |" in lines[3] and tables.NOT_DEFINED in lines[3]
    assert [cell.strip().endswith(":") for cell in lines[1].split("|")[1:-1]] == [
        False, True, True, True,
    ]  # fmt: skip
    assert tables.to_markdown(table.set_index("name")).startswith("| name")


def test_tables_of_notebooks_escape_texts_and_join_intervals():
    table = pd.DataFrame(
        {"top-1": [1.0], "top-1 low": [0.5], "top-1 high": [2.0], "text": ["<b>$x$"]}
    ).rename_axis("kind")
    html = tables.shown(table).to_html()
    assert "1.0\u00a0[0.5,\u00a02.0]" in html and "top-1 low" not in html
    assert "&lt;b&gt;$x$" in html and "mathjax_ignore" in html and "kind" in html


def test_what_all_rows_have_alike_is_said_once():
    table = pd.DataFrame(
        {
            "name": ["a", "b", "blind"], "data": ["<demo>", "<demo>", None], "seeds": 3, "px": None,
            "top-1": [1.0, 2.0, 2.0], "pairs": [None, 3.0, None],
        }
    )  # fmt: skip
    html = tables.shown(table, fold=True).to_html()
    assert html == tables.shown(table.copy(), fold=True).to_html()
    caption = re.search("<caption>(.*)</caption>", html)[1]
    assert caption == "In every row that has it: data: &lt;demo&gt;; seeds: 3."
    assert re.findall(r"<th[^>]*>([^<]*)</th>", html) == ["name", "top-1", "pairs"]
    assert "top-1" in tables.shown(table[:0], fold=True).to_html()  # no experiment yet
    turned = tables.shown(table[:1], fold=True).to_html()  # a single row
    assert "<caption>" not in turned and "px" not in turned
    assert re.findall(r"<td[^>]*>([^<]*)</td>", turned)[:2] == ["data", "&lt;demo&gt;"]


ROOM = "&%$#_{}~^\\<>|"  # what LaTeX does not print as it stands


def test_latex_escapes_every_sign_and_keeps_its_cells(write):
    named = "[&%$#_{}~^"  # the signs of these that a folder's name may hold
    runs = [write(preset, dataset=named, stand_ins=[ROOM]) for preset in ("1.e", "1.f")]
    text = tables.export(runs, "latex")
    head, body = text.split("\\midrule\n")
    assert head.startswith(
        "% in the preamble: \\usepackage{booktabs}\n\\begin{tabular}{llrlrrrrrlll}\n"
    )
    rows, below = body.split("\\bottomrule\n\\end{tabular}\n")
    assert rows.startswith("{[}") and len(rows.splitlines()) == 2
    for line in [*head.splitlines()[3:], *rows.splitlines()]:
        assert line.endswith(r" \\") and len(re.findall(r"(?<!\\)&", line)) == 11
    # Without what is known to print, and the ends of cells and rows, no special sign is left.
    known = r"\\[&%$#_{}]|\\text(backslash|asciitilde|asciicircum|less|greater|bar)\{\}|\{\[\}|\\\\\n| & "
    for part in (rows, below.removeprefix(r"\par\footnotesize ")):
        assert not set(re.sub(known, "", part)) & set(ROOM)
    for spelt in (r"\textbackslash{}", r"\textbar{}", r"\textless{}", r"\%", r"\textasciitilde{}"):
        assert spelt in below


def test_csv_has_every_column_and_bounds_of_their_own(experiment, write):
    run = write("1.f", 0.5, predictions=rows(0.5, vqa=False), metrics=samples.metrics(50.0))
    found = [experiment("1.e", (0.6, 0.7), train=1234), tables.as_list(run)[0]]
    read = pd.read_csv(io.StringIO(tables.export(found, "csv")))
    full = tables.results_table(found)
    assert [name for name in read if name in tables.RESULT_COLUMNS] == list(tables.RESULT_COLUMNS)
    for name in ("top-1", "gain over blind"):
        for part, column in (("value", name), ("low", f"{name} low"), ("high", f"{name} high")):
            wanted = [getattr(value, part) for value in full[name]]
            assert read[column].tolist() == pytest.approx(wanted)
    assert read["VQA accuracy high"].isna().tolist() == [False, True]
    assert read["VQA accuracy"].isna().tolist() == [False, True]
    assert read["preset"].tolist() == ["1.e", "1.f"] and read["seeds"].tolist() == [2, 1]


def test_a_printed_table_calls_rows_by_what_differs_and_numbers_stand_ins(write):
    runs = [write(f"V+batch=8+loss={loss}", 0.5) for loss in ("x", "y")]
    runs.append(write("1.e", dataset="other", stand_ins=[]))
    text = tables.export(runs, "markdown")
    table, *notes = text.split("\n\n")
    cells = [[c.strip() for c in line.split("|")[1:-1]] for line in table.splitlines()]
    assert [row[:2] for row in cells[2:]] == [
        ["demo", "V loss=x"], ["demo", "V loss=y"], ["other", "1.e"],
    ]  # fmt: skip
    assert re.fullmatch(r"\d\d\.\d \[\d\d\.\d, \d\d\.\d\]", cells[2][cells[0].index("top-1")])
    assert [row[-1] for row in cells] == ["stand-ins", "---------", "(1)", "(1)", "–"]
    assert "\n".join(notes).splitlines() == [
        "All on demo have batch=8.", "(1) random-weight vision, hashed n-gram sentences",
    ]  # fmt: skip
    plain = tables.export([runs[-1]], "markdown")
    assert "stand-ins" not in plain and "VQA accuracy" in plain and plain.endswith(" |\n")
    assert tables.export([], "csv").startswith("preset,dataset,name")
