"""Figures: that they show the numbers given, and take any text."""

import pandas as pd
import pytest
from matplotlib.colors import to_rgba

from tests.report import samples
from tests.report.samples import texts
from vqa_helpers.errors import InputError
from vqa_helpers.report import figures, style
from vqa_helpers.report.study import study_curves
from vqa_helpers.report.style import ORANGE
from vqa_helpers.report.tables import Score
from vqa_helpers.runs import HISTORY, Run, write_history

BROKEN_FORMULA = r"$\frac{ what costs $5"


def labels(axes) -> list[str]:
    return [text.get_text() for text in axes.get_yticklabels()]


def with_history(run: Run, rows: list[dict]) -> Run:
    write_history(run.folder / HISTORY, rows)
    (run.folder / "DONE").unlink()
    return Run(run.folder)


def test_history_marks_the_best_validation_epoch(experiment):
    figure = figures.plot_history(experiment(shares=(0.5, 0.6)), BROKEN_FORMULA)
    found = texts(figure)
    best = max(row["validation_top1"] for row in samples.history_rows())
    assert f"{best:.1f}" in found and BROKEN_FORMULA in found
    assert {"train", "validation", "the epoch validation chose"} <= set(found)
    marks = [line.get_xdata() for line in figure.axes[1].lines if len(line.get_xdata()) == 1]
    assert [int(mark[0]) for mark in marks] == [8, 8]


def test_history_of_one_epoch_is_drawn_and_of_none_refused(write):
    run = with_history(write(), samples.history_rows(1))
    assert "15.0" in texts(figures.plot_history(run))
    with pytest.raises(InputError, match="no epoch"):
        figures.plot_history(with_history(write("1.f"), []))


def test_a_panel_an_experiment_all_on_one_scale(experiment):
    found = [experiment(name, (0.5, 0.6)) for name in ("1.e", "1.f", "1.b", "1.c", "A")]
    figure = figures.plot_curves(found)
    titles = [axes.get_title() or axes.get_title(loc="left") for axes in figure.axes]
    assert titles[:5] == ["1.e", "1.f", "1.b", "1.c", "A"]
    assert len({axes.get_ylim() for axes in figure.axes[:5]}) == 1
    assert "best blind guess" in texts(figure)
    with pytest.raises(InputError, match="no run"):
        figures.plot_curves([])


def test_long_names_stay_on_their_panel_and_leave_room(experiment):
    long = "GUSE_ResNet+fusion=StackedAttention+vision=StoredGrid+vision.network=resnet50"
    ours = [experiment(name) for name in (long, "1.f", long + "x", long + "y", long + "z")]
    figure = figures.plot_curves(ours)
    style.pixels(figure)  # lays it out
    for axes in figure.axes[:5]:
        assert axes._left_title.get_window_extent().x1 <= axes.get_window_extent().x1
    figure = figures.plot_comparison(ours)
    style.pixels(figure)
    assert figure.axes[0].get_position().width > 0.5


def test_the_study_s_curves_lie_below_ours_on_its_own_data_alone(experiment):
    ours = experiment("GUSE_VGG", dataset="100k")
    there = figures.plot_curves([ours, experiment("GUSE_ResNet")], study_curves())
    panels = {axes.get_title(loc="left"): len(axes.lines) for axes in there.axes}
    assert panels["GUSE_VGG"] == 6 and panels["GUSE_ResNet"] == 2
    alone = texts(figures.plot_curves(study=study_curves()))
    assert "study, its test split" in alone and "validation" not in alone


def test_answer_types_stand_beside_the_blind_guesses_and_the_ceiling(write):
    found = texts(figures.plot_answer_types(write("1.e", 0.5)))
    assert "yes/no\n110 questions" in found and "68.0" in found
    assert "blind: most frequent per question" in found and "41.0" in found
    assert "ceiling 98.1 " in found and "Accuracy per answer type, test" in found
    made = samples.answered_rows(0.5, split="validation")
    run = write("1.f", metrics=samples.metrics(test=False), predictions=made)
    assert "Accuracy per answer type, validation" in texts(figures.plot_answer_types(run))


def test_comparison_puts_the_best_first_within_each_dataset(experiment):
    found = [
        experiment("1.b", (0.4,)), experiment("1.f", (0.6, 0.7), stand_ins=[]),
        experiment("1.e", (0.9,), dataset="daquar"),
    ]  # fmt: skip
    figure = figures.plot_comparison(found)
    assert labels(figure.axes[0]) == ["1.f  (demo, 2 seeds)", "1.b  (demo)", "1.e  (daquar)"]
    assert {"best blind guess", "with a stand-in", "ceiling"} <= set(texts(figure))
    left, right = figure.axes[0].get_xlim()
    assert left < 33 and right > 98.1
    alone = figures.plot_comparison(found[1])
    assert labels(alone.axes[0]) == ["1.f  (2 seeds)"]
    with pytest.raises(InputError, match="no finished run"):
        figures.plot_comparison([])


def test_answer_distribution_counts_train_and_takes_any_answer():
    table = samples.questions(12).assign(answer=[BROKEN_FORMULA] * 9 + ["two"] * 3)
    table["answer_type"] = ["own type"] * 9 + ["other"] * 3
    answerless = table.drop(columns=["answer", "answer_type"])
    figure = figures.plot_answer_distribution({"train": table, "test": answerless}, most=5)
    found = texts(figure)
    assert BROKEN_FORMULA in found and " 75.0" in found
    assert {"own type", "75", "other", "25"} <= set(found)
    assert "train\n12" in found and not any(text.startswith("test\n") for text in found)
    assert "The 2 most frequent of 2 answers: 100 %" in found
    assert "share of the split's questions, %" in found
    many = table.assign(answer_type=[f"type {number}" for number in range(12)])
    found = texts(figures.plot_answer_distribution({"train": many}))
    assert "share of the split's questions, %: 6 of 12 answer types" in found


def test_reliability_pools_the_seeds_and_opens_rare_dots(write):
    rows = samples.answered_rows(0.5)
    for row in rows[:10]:
        row["probabilities"] = [0.95, 0.01]
    both = [write("1.e", 0.5, seed, predictions=rows) for seed in (0, 1)]
    figure = figures.plot_reliability(both)
    upper, lower = figure.axes
    dots = [line for line in upper.lines if line.get_marker() == "o"]
    assert [float(line.get_xdata()[0]) for line in dots] == [50.0, 95.0]
    assert sum(bar.get_height() for bar in lower.patches) == 600
    pooled = [line.get_markerfacecolor() for line in dots]
    assert pooled[0] != "white" and pooled[1] != "white"  # 20 questions from two seeds
    single = figures.plot_reliability(write("1.f", 0.5, predictions=rows)).axes[0].lines
    assert [line.get_markerfacecolor() for line in single if line.get_marker() == "o"][1] == "white"
    assert any("calibration error" in text for text in texts(figure))


@pytest.fixture
def asked(write, dataset):
    """30 types of two questions each; the first half of the types is right."""
    count = 600
    kinds = [f"what {number // 20}" for number in range(count)]
    table = pd.DataFrame(
        {"question_id": range(count), "image_id": range(count), "question": kinds,
         "question_type": kinds, "answer_type": "other", "answer": ["$a", "b"] * (count // 2)}
    )  # fmt: skip
    rows = [samples.prediction(n, ["$a", "b"], ["$a", "b"][n % 2]) for n in range(count)]
    dataset.splits["test"] = table
    return write(predictions=rows), dataset


def test_question_types_show_both_ends(asked):
    figure = figures.plot_question_types(*asked, most=3)
    assert len(labels(figure.axes[0])) == 6 and labels(figure.axes[0])[0].endswith("  (20)")
    yes_no = asked[1].splits["test"].assign(answer_type="yes/no")
    asked[1].splits["test"] = yes_no
    assert "asked often enough" in texts(figures.plot_question_types(*asked))[0]
    assert "could be confused" in texts(figures.plot_confusions(*asked))[0]


def test_confusions_are_percent_of_the_row(asked):
    figure = figures.plot_confusions(*asked)
    assert labels(figure.axes[0]) == ["$a", "b"]
    assert [text.get_text() for text in figure.axes[0].texts] == ["100", "100"]
    assert texts(figure)


@pytest.mark.parametrize("wrong", [0, -1, 2.5, "3"])
def test_a_count_below_one_is_refused(asked, wrong):
    with pytest.raises(InputError, match=rf"most is {wrong!r}; give a whole number from 1 on"):
        figures.plot_question_types(*asked, most=wrong)
    with pytest.raises(InputError, match="most is"):
        figures.plot_answer_distribution({"train": samples.questions(12)}, most=wrong)


def test_a_grid_has_a_panel_a_value_a_cell_a_score_and_frames_the_best():
    cells = {
        ("A", "words", "sum"): 40.0, ("A", "words", "$mlb"): 50.0, ("A", "lstm", "sum"): 45.0,
        ("B", "words", "sum"): 61.25, ("B", "words", "$mlb"): 60.0, ("B", "lstm", "$mlb"): 44.0,
    }  # fmt: skip
    rows = [(*names, Score(value, value - 2, value + 3)) for names, value in cells.items()]
    columns = ["vision", "language", "fusion", "validation top-1"]
    figure = figures.plot_grid(pd.DataFrame(rows, columns=columns))
    found = texts(figure)
    assert {"61.2", "59.2 – 64.2", "40.0", "38.0 – 43.0", "$mlb", "A", "B"} <= set(found)
    assert "validation top-1, %, with its 95 % interval" in found
    above, below = figure.axes
    assert labels(above) == labels(below) == ["words", "lstm"]
    assert [len(axes.patches) for axes in figure.axes] == [3, 3], "what is missing stays empty"
    framed = [patch for axes in figure.axes for patch in axes.patches
              if patch.get_edgecolor() == to_rgba(ORANGE)]  # fmt: skip
    assert framed == [below.patches[0]]
    place, x = (labels(below).index("words"), framed[0].get_x() + framed[0].get_width() / 2)
    assert (framed[0].get_y() + framed[0].get_height() / 2, x) == pytest.approx((place, 0))
    darkness = {p.get_x() + 0.48: sum(p.get_facecolor()[:3]) for p in above.patches[:2]}
    assert darkness[1] < darkness[0], "one scale: the higher the darker"
    assert "40.0" in texts(figures.plot_grid(pd.DataFrame(rows[:1], columns=columns), "T"))
