"""Samples chosen by rule, and their galleries."""

import pandas as pd
import pytest
from matplotlib.text import Text

from tests.report import samples
from vqa_helpers.errors import InputError
from vqa_helpers.evaluation.analysis import judge
from vqa_helpers.report.analysis import Analysed
from vqa_helpers.report.interesting import (
    RULES,
    confident_misses,
    disagreements,
    gallery,
    narrow_hits,
    second_best_counts,
    versus,
)
from vqa_helpers.runs import Run


def judged(*rows, vqa=None) -> pd.DataFrame:
    """A judged table of rows (question, truth, answers, probabilities), an image each."""
    numbers = range(1, len(rows) + 1)
    table = pd.DataFrame(
        {
            "question_id": numbers,
            "image_id": numbers,
            "question": [row[0] for row in rows],
            "question_type": "what",
            "answer_type": "other",
            "answer": [row[1] for row in rows],
        }
    )
    said = pd.DataFrame(
        {
            "question_id": numbers,
            "answers": [row[2] for row in rows],
            "probabilities": [row[3] for row in rows],
            "vqa": vqa or [None] * len(rows),
        }
    )
    return judge(said, table)


def texts(figure) -> list[str]:
    figure.canvas.draw()
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def ids(table: pd.DataFrame) -> list[int]:
    return table["question_id"].tolist()


def test_confident_misses_are_the_surest_that_no_annotator_gave():
    rows = [("what?", "a", ["b", "a"], [p, 0.1]) for p in (0.5, 0.9, 0.7, 0.95)]
    rows += [("what?", "a", ["a", "b"], [0.99, 0.1])]
    assert ids(confident_misses(judged(*rows))) == [4, 2, 3, 1]
    assert ids(confident_misses(judged(*rows, vqa=[0.0, 0.0, 0.0, 0.3, 1.0]))) == [2, 3, 1]


def test_narrow_hits_have_the_smallest_lead():
    rows = [("what?", "a", ["a", "b"], [0.5, second]) for second in (0.1, 0.49, 0.3)]
    rows += [("what?", "a", ["b", "a"], [0.5, 0.5]), ("what?", "a", ["a"], [1.0])]
    assert ids(narrow_hits(judged(*rows))) == [2, 3, 1]


def test_second_best_counts_are_counts_alone():
    rows = [("How many?", "2", ["3", "2"], [0.5, second]) for second in (0.1, 0.4)]
    rows += [("How many?", "2", ["2", "3"], [0.5, 0.4]), ("what?", "2", ["3", "2"], [0.5, 0.4])]
    assert ids(second_best_counts(judged(*rows))) == [2, 1]


def test_disagreements_have_one_model_right_and_both_sure():
    truth = "a"
    ours = [("what?", truth, [said, "z"], [p, 0]) for said, p in
            (("a", 0.9), ("b", 0.8), ("a", 0.99), ("b", 0.9))]  # fmt: skip
    theirs = [("what?", truth, [said, "z"], [p, 0]) for said, p in
              (("b", 0.4), ("a", 0.7), ("a", 0.9), ("c", 0.9))]  # fmt: skip
    found = disagreements(judged(*ours), judged(*theirs).iloc[::-1])
    assert ids(found) == [2, 1] and found["sure"].tolist() == [0.7, 0.4]
    with pytest.raises(InputError, match="same questions"):
        disagreements(judged(*ours), judged(*theirs[:2]))


def test_a_gallery_shows_one_card_an_image_while_there_are_enough():
    table = judged(*[("what?", str(n), ["x"], [0.9 - n / 100]) for n in range(6)])
    table["image_id"] = [1, 1, 1, 2, 2, 3]
    found = texts(gallery(confident_misses(table), {}, count=3))
    assert {"truth: 0", "truth: 3", "truth: 5"} <= set(found) and "truth: 1" not in found


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_a_rule_that_finds_nothing_says_so(rule):
    table = judged(("what?", "a", ["a"], [1.0]))
    assert texts(gallery(rule(table), {})) == ["No question is of this kind."]


def analysed(tmp_path, preset, rows) -> Analysed:
    run = Run(samples.write_run(tmp_path, preset))
    return Analysed(run, "test", judged(*rows))


def test_two_models_stand_side_by_side_and_are_right_in_turn(tmp_path):
    ours = [("what?", str(n), [str(n) if n % 2 else "x", "y"], [0.9, 0.1]) for n in range(4)]
    theirs = [("what?", str(n), ["x" if n % 2 else str(n), "y"], [0.9, 0.1]) for n in range(4)]
    pair = analysed(tmp_path, "1.e", ours), analysed(tmp_path, "1.f", theirs)
    figure = versus(*pair, {}, count=2)
    found = texts(figure)
    assert "1.e, seed 0" in found and "1.f, seed 0" in found
    assert found.count("hit") == 2 and found.count("miss") >= 2
    assert {"truth: 1", "truth: 0"} <= set(found)
    same = versus(pair[0], pair[0], {})
    assert texts(same) == ["Both are right on the same questions."]


def test_hostile_texts_are_shown_as_they_are():
    hostile = "<script>alert('$x$')</script>"
    table = judged((hostile, "$y$", ["狗", "W" * 200, "$z^{"], [0.9, 0.05, 0.01]))
    found = " ".join("".join(texts(gallery(confident_misses(table), {}))).split("\n"))
    assert "<script>" in found and "$y$" in found and "$z^{" in found


def test_wide_letters_do_not_run_into_the_next_card():
    rows = [("W" * 200, "W" * 99, ["x"], [0.9]), ("what?", "a", ["x"], [0.8])]
    figure = gallery(confident_misses(judged(*rows)), {})
    figure.canvas.draw()
    wide = [text for text in figure.findobj(Text) if "WWW" in text.get_text()]
    assert len(wide) == 2
    for text in wide:
        assert text.get_clip_on() and text.get_clip_box().x1 <= text.axes.bbox.x1 + 1
