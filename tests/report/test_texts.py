"""Texts of any kind, made fit to be drawn."""

import warnings

import pytest
from matplotlib import pyplot as plt

from vqa_helpers.report.style import styled
from vqa_helpers.report.texts import BOX, columns, fitted, font_families, printable

HOSTILE = [
    "<script>alert(1)</script>", "$x$", r"$\frac{", "狗在哪里？", "犬" * 90, "W" * 300, "", "\n\t",
    "a\u202etxt.exe", "\x00\x1b[31m", "\ud800", "🐘 how many?", "é̂", "`code` | <b>", "\\n %s {0}",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("width", [1, 11, 42])
def test_any_text_fits_and_is_drawn_without_a_warning(text, width):
    shown = fitted(text, width, 2)
    lines = shown.split("\n")
    assert len(lines) <= 2 and all(columns(line) <= max(width, 2) for line in lines)

    @styled
    def draw():
        figure = plt.figure(figsize=(1, 1))
        figure.text(0, 0, shown)
        return figure

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw().canvas.draw()


def test_plain_text_stays_as_it_is():
    assert fitted("What color is the bus?", 42) == "What color is the bus?"
    assert printable("naïve café – 5 €") == "naïve café – 5 €"


def test_lines_break_between_words_and_what_is_cut_is_marked():
    assert fitted("a large wooden cutting board", 11, 2) == "a large\nwooden…"
    assert fitted("a large wooden cutting board", 11, 9).split("\n") == [
        "a large", "wooden", "cutting", "board",
    ]  # fmt: skip
    assert fitted("abcdefgh", 3, 3) == "abc\ndef\ngh"


def test_wide_characters_take_two_columns():
    assert columns("狗a") == 3
    assert all(columns(line) <= 11 for line in fitted("犬" * 20, 11, 3).split("\n"))


def test_direction_and_control_marks_go_and_unknown_characters_become_boxes():
    assert printable("a\u202eb\u200fc\x07") == "abc"
    assert printable("\U0001fae8\ud800") == BOX * 2
    assert BOX in (printable("狗"), BOX) and font_families()[0] == "DejaVu Sans"
