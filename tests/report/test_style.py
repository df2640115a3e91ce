"""Texts of any kind made fit to be drawn, and figures as files."""

import unicodedata
import warnings

import pytest
from matplotlib import pyplot as plt
from matplotlib import rc_params_from_file
from PIL import Image

from vqa_helpers.report import style

HOSTILE = [
    "<script>alert(1)</script>", "$x$", r"$\frac{", "狗在哪里？", "犬" * 90, "W" * 300, "", "\n\t",
    "a\u202etxt.exe", "\x00\x1b[31m", "\ud800", "🐘 how many?", "é̂", "`code` | <b>", "\\n %s {0}",
]  # fmt: skip


def columns(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("width", [1, 11, 42])
def test_any_text_fits_and_is_drawn_without_a_warning(text, width):
    shown = style.fitted(text, width, 2)
    lines = shown.split("\n")
    assert len(lines) <= 2 and all(columns(line) <= max(width, 2) for line in lines)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        style.note(shown).canvas.draw()


def test_lines_break_between_words_and_what_is_cut_is_marked():
    assert style.fitted("a large wooden cutting board", 11, 2) == "a large\nwooden…"
    broken = style.fitted("a large wooden cutting board", 11, 9).split("\n")
    assert broken == ["a large", "wooden", "cutting", "board"]
    assert style.fitted("abcdefgh", 3, 3) == "abc\ndef\ngh"
    assert style.fitted("What color is the bus?", 42) == "What color is the bus?"


def test_direction_and_control_marks_go_and_unknown_characters_become_boxes():
    assert style.printable("a\u202eb\u200fc\x07") == "abc"
    assert style.printable("\U0001fae8\ud800") == style.BOX * 2


def test_ink_is_chosen_by_the_ground():
    assert style.readable_on("#fff23f") != "white" and style.readable_on("#0b3a2c") == "white"


@style.styled
def plain():
    figure, axes = plt.subplots(figsize=(4, 3))
    axes.plot([1, 2], [3, 4])
    return figure


def test_figures_are_closed_and_the_style_stays_inside():
    before = plt.rcParams["axes.titleweight"]
    plain()
    assert plt.get_fignums() == [] and plt.rcParams["axes.titleweight"] == before


def test_the_style_file_has_the_colours_of_the_figures():
    kept = rc_params_from_file(style.STYLE, use_default_template=False)
    colours = {kept[f"{part}color"] for part in ("text.", "axes.edge", "xtick.", "axes.label")}
    assert colours == {style.INK, style.GREY} and kept["grid.color"] == style.PALE


def test_saved_files_are_small_and_the_same_each_time(tmp_path):
    paths = [style.save(plain(), tmp_path / "images" / name) for name in ("a.png", "b.png")]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert paths[0].stat().st_size < 40_000
    with Image.open(paths[0]) as image:
        assert image.size == (480, 360) and image.convert("RGB").getpixel((0, 0)) == (255,) * 3
