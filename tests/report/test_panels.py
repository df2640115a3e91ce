"""Small figures side by side: a panel a run, a ring a split."""

import pytest
from matplotlib.text import Text

from tests.report import samples
from vqa_helpers.errors import InputError
from vqa_helpers.report.panels import plot_all_curves, plot_answer_pies
from vqa_helpers.runs import Run

BROKEN_FORMULA = r"$\frac{ what costs $5"


def texts(figure) -> list[str]:
    figure.canvas.draw()
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def test_every_run_has_a_panel_with_its_chosen_epoch(tmp_path) -> None:
    runs = [Run(samples.write_run(tmp_path, "1.b", seed)) for seed in range(5)]
    figure = plot_all_curves(runs, BROKEN_FORMULA)
    found = texts(figure)
    assert BROKEN_FORMULA in found and "1.b" in found and "1.b, seed 4" in found
    best = runs[0].history["validation_top1"].max()
    assert found.count(f"{best:.1f}") == 5
    assert sum(axes.get_visible() for axes in figure.axes) == 5
    blind = figure.axes[0].get_lines()[-1].get_ydata()
    assert list(blind) == [41.0, 41.0]  # of validation, as the curve is


def test_curves_of_nothing_are_refused() -> None:
    with pytest.raises(InputError, match="no run"):
        plot_all_curves([], "x")


def test_rings_count_each_split_and_name_every_type() -> None:
    table = samples.questions(12).assign(answer_type=["yes/no"] * 9 + ["odd"] * 3)
    answerless = table.drop(columns=["answer", "answer_type"])
    found = texts(plot_answer_pies({"train": table, "test": answerless}, "t"))
    assert {"train", "12", "75 %", "25 %", "yes/no", "odd"} <= set(found)
    assert "test" not in found


def test_a_type_that_one_split_lacks_keeps_its_colour() -> None:
    table = samples.questions(12)
    few = table[table["answer_type"] == "other"]
    figure = plot_answer_pies({"train": table, "test": few}, "t")
    colours = [{patch.get_facecolor() for patch in axes.patches} for axes in figure.axes]
    assert len(colours[1]) == 1 and colours[1] < colours[0]


def test_rings_without_answers_are_refused() -> None:
    with pytest.raises(InputError, match="no split has answers"):
        plot_answer_pies({"test": samples.questions().drop(columns="answer")}, "t")
