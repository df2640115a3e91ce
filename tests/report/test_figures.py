"""Figures: that they show the numbers given, take any text, and stay small and the same."""

import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from tests.report import samples
from vqa_helpers.errors import InputError
from vqa_helpers.report import figures, tables

BROKEN_FORMULA = r"$\frac{ what costs $5"


def texts(figure: Figure) -> list[str]:
    """Every text of the figure once drawn: drawing is what a bad formula breaks."""
    figure.canvas.draw()
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def history(epochs: int = 12) -> pd.DataFrame:
    return pd.DataFrame(samples.history_rows(epochs))


def test_history_marks_the_best_validation_epoch():
    found = texts(figures.plot_history(history(), BROKEN_FORMULA))
    best = history()["validation_top1"].max()
    assert f"epoch 8: {best:.1f} %" in found
    assert BROKEN_FORMULA in found
    assert found.count("train") == found.count("validation") == 2


def test_history_of_ties_marks_the_first_and_takes_a_choice():
    level = history(4).assign(validation_top1=50.0)
    assert "epoch 1: 50.0 %" in texts(figures.plot_history(level, "level"))
    assert "epoch 3: 50.0 %" in texts(figures.plot_history(level, "level", chosen=3))


def test_history_of_one_epoch_or_without_validation_is_drawn():
    assert "epoch 1: 15.0 %" in texts(figures.plot_history(history(1), "short"))
    blind = history(3).assign(validation_top1=None, validation_loss=None)
    found = texts(figures.plot_history(blind, "train only"))
    assert "validation" not in found and found.count("train") == 2


def test_history_without_epochs_is_refused():
    with pytest.raises(InputError, match="no epoch"):
        figures.plot_history(history(0).reindex(columns=["epoch"]), "empty")


def test_answer_types_stand_beside_the_blind_guesses_and_the_ceiling():
    found = texts(figures.plot_answer_types(samples.metrics(50.0)))
    assert "yes/no\n110 questions" in found and "68.0" in found
    assert "blind: most frequent per question" in found and "41.0" in found
    assert "ceiling 98.1 " in found
    assert "Accuracy per answer type, test" in found


def test_answer_types_fall_back_on_validation_and_say_so():
    found = texts(figures.plot_answer_types(samples.metrics(test=False)))
    assert "Accuracy per answer type, validation" in found


def many_types(count: int) -> dict:
    made = samples.metrics()
    named = {f"what_{number}": 40 for number in range(count)}
    made["test"] = samples.scores(50.0, None, is_the=99, **named)
    return made


def test_question_types_show_both_ends_without_yes_no():
    figure = figures.plot_question_types(many_types(10), best=3)
    found = texts(figure)
    shown = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert shown == [f"what {n}  (40)" for n in (0, 1, 2, 7, 8, 9)]
    assert not any(text.startswith("is the") for text in found)
    assert "Best and worst question types, test, yes/no excluded" in found


def test_few_question_types_are_shown_once_each():
    figure = figures.plot_question_types(many_types(4), best=3, yes_no=True)
    shown = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert shown == ["is the  (99)", *(f"what {n}  (40)" for n in range(4))]


def test_no_question_type_left_is_refused():
    with pytest.raises(InputError, match="lower min_questions"):
        figures.plot_question_types(samples.metrics(), min_questions=1000)


def test_comparison_orders_runs_and_names_what_they_were_scored_on(tmp_path):
    samples.write_run(tmp_path, "1.b", metrics=samples.metrics(40.0))
    samples.write_run(tmp_path, "1.f", metrics=samples.metrics(60.0), stand_ins=[])
    samples.write_run(tmp_path, "1.e", metrics=samples.metrics(50.0, test=False))
    figure = figures.plot_comparison(tables.results_table(tmp_path))
    found = texts(figure)
    labels = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert labels == ["1.f  (seed 0)", "1.e  (seed 0, validation)", "1.b  (seed 0)"]
    assert {"60.0", "51.5", "40.0", "best blind guess", "with a stand-in"} <= set(found)
    left, right = figure.axes[0].get_xlim()
    assert left < 40 and right > 98.1


def test_comparison_of_several_datasets_names_them(tmp_path):
    samples.write_run(tmp_path, "1.b", dataset="daquar", stand_ins=[])
    samples.write_run(tmp_path, "1.b", stand_ins=[])
    found = texts(figures.plot_comparison(tables.results_table(tmp_path)))
    assert "1.b  (daquar, seed 0)" in found and "with a stand-in" not in found


def test_comparison_of_nothing_is_refused(tmp_path):
    with pytest.raises(InputError, match="no finished run"):
        figures.plot_comparison(tables.results_table(tmp_path))


def test_answer_distribution_counts_train_and_takes_any_answer():
    table = samples.questions(12).assign(answer=[BROKEN_FORMULA] * 9 + ["two"] * 3)
    answerless = table.drop(columns=["answer", "answer_type"])
    figure = figures.plot_answer_distribution({"train": table, "test": answerless}, most=5)
    found = texts(figure)
    assert BROKEN_FORMULA in found and " 75.0" in found
    assert "train\n12" in found and not any(text.startswith("test\n") for text in found)
    assert "The 2 most frequent of 2 answers: 100 %" in found


def test_answer_distribution_without_answers_is_refused():
    with pytest.raises(InputError, match="no split has answers"):
        figures.plot_answer_distribution({"test": samples.questions().drop(columns="answer")})


def test_figures_are_closed_and_the_style_stays_inside():
    before = plt.rcParams["axes.titleweight"]
    figures.plot_history(history(), "x")
    assert plt.get_fignums() == [] and plt.rcParams["axes.titleweight"] == before


def test_saved_files_are_small_and_the_same_each_time(tmp_path):
    paths = [
        figures.save(figures.plot_history(history(), "x"), tmp_path / "images" / name)
        for name in ("a.png", "b.png")
    ]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert paths[0].stat().st_size < 40_000
    with Image.open(paths[0]) as image:
        assert image.size == (720, 256) and image.convert("RGB").getpixel((0, 0)) == (255,) * 3
