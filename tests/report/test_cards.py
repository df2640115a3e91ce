"""Sample cards: the mix, the picture as the model saw it, and texts of any kind."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from tests.report import samples
from vqa_helpers.errors import InputError
from vqa_helpers.report import cards, figures


def texts(figure: Figure) -> list[str]:
    figure.canvas.draw()
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def predictions(count: int = 12) -> pd.DataFrame:
    table = pd.DataFrame(samples.prediction_rows(count))
    return table.assign(truth=table["truth"].astype(object))


@pytest.fixture
def images(tmp_path):
    """Four noisy pictures, wider than high: the worst a PNG can meet."""
    random = np.random.default_rng(0)
    paths = {number: tmp_path / f"{number}.jpg" for number in range(4)}
    for path in paths.values():
        coarse = random.integers(0, 256, (24, 32, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((640, 480)).save(path)
    return paths


@pytest.mark.parametrize(
    ("answers", "truth", "expected"),
    [
        (["a", "b"], "a", "hit"),
        (["a", "b"], "b", "top five"),
        (["a", "b"], "c", "miss"),
        (["a", "b", "c", "d", "e", "f"], "f", "miss"),
        ([], "c", "miss"),
        (["a"], None, "unknown"),
        (["a"], float("nan"), "unknown"),
    ],
)
def test_outcome(answers, truth, expected):
    assert cards.outcome(answers, truth) == expected


def test_choice_mixes_outcomes_and_ignores_the_order_of_rows():
    table = predictions(30)
    chosen = cards.choose(table, 6, seed=1)
    kinds = [(number - 1) % 3 for number in chosen]
    assert kinds == [0, 1, 2, 0, 1, 2]
    shuffled = table.sample(frac=1, random_state=3)
    assert cards.choose(shuffled, 6, seed=1) == chosen
    assert cards.choose(table, 6, seed=2) != chosen


def test_choice_fills_up_where_a_kind_runs_out():
    table = predictions(9)
    hits = table[table["truth"] == "red"]
    assert sorted(cards.choose(hits, 6)) == [1, 4, 7]
    assert cards.choose(table, 0) == []


def test_cards_show_question_truth_answers_and_rank(images):
    figure = cards.sample_cards(predictions(), samples.questions(), images, rows=[2, 3])
    found = texts(figure)
    assert "answer 3 of 5" in found and "miss" in found
    assert "truth: two" in found and "truth: giraffe" in found
    assert found.count("52 %") == 2 and found.count("<1 %") == 2
    assert "a large\nwooden…" in found
    joined = [" ".join(text.split()) for text in found]
    assert "What color is object 1 left of the $5 note?" in joined
    assert "hit: the first answer is right" not in found  # no hit shown, none explained
    assert sum(len(axes.images) for axes in figure.axes) == 3  # two pictures and the colour scale


def test_cards_without_images_have_no_picture_and_are_lower(images):
    with_picture = cards.sample_cards(predictions(), samples.questions(), images)
    without = cards.sample_cards(predictions(), samples.questions(), {})
    assert without.get_figheight() < 0.75 * with_picture.get_figheight()
    assert sum(len(axes.images) for axes in without.axes) == 1


def test_a_missing_or_damaged_image_is_an_empty_frame(images, caplog):
    images[0].write_bytes(images[0].read_bytes()[:4000])
    del images[1]
    figure = cards.sample_cards(predictions(), samples.questions(), images, rows=[1, 4, 7])
    assert texts(figure).count("no image") == 2
    assert images[0].name in caplog.text


def test_an_answerless_split_is_shown_without_judgement():
    table = predictions(6)
    table["truth"] = pd.Series([None] * 6, dtype=object)
    found = texts(cards.sample_cards(table, samples.questions(), {}, count=4, columns=2))
    assert found.count("no truth known") == 4
    assert not any(text.startswith("truth:") for text in found)


def test_awkward_texts_are_drawn():
    asked = samples.questions(3)
    asked["question"] = [r"$\frac{ a $", "", "word " * 200]
    table = predictions(3)
    table["answers"] = pd.Series([["$x^{", ""], ["W" * 80, "two"], ["a"]])
    table["probabilities"] = pd.Series([[1.0, 0.0], [0.9, 0.1], [0.5]])
    found = texts(cards.sample_cards(table, asked, {}))
    assert r"$\frac{ a $" in found and "$x^{" in found and "(empty question)" in found
    assert all(len(line) <= 45 for text in found for line in text.splitlines())


def test_a_card_file_stays_small_and_the_same(images, tmp_path):
    files = []
    for name in ("a.png", "b.png"):
        figure = cards.sample_cards(predictions(), samples.questions(), images, count=6)
        files.append(figures.save(figure, tmp_path / name))
    assert files[0].stat().st_size < 150_000
    assert files[0].read_bytes() == files[1].read_bytes()


def test_the_square_is_resized_by_its_short_side_and_cut_from_the_middle(tmp_path):
    image = Image.new("RGB", (300, 100), "red")
    image.paste("blue", (100, 0, 200, 100))
    image.save(tmp_path / "wide.png")
    square = cards.load_square(tmp_path / "wide.png", 50)
    assert square.shape == (50, 50, 3)
    assert (square[:, 2:-2] == (0, 0, 255)).all()


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK"])
def test_any_kind_of_image_becomes_rgb(tmp_path, mode):
    path = tmp_path / ("x.jpg" if mode == "CMYK" else "x.png")
    Image.new("RGB", (40, 30), "green").convert(mode).save(path)
    assert cards.load_square(path, 16).shape == (16, 16, 3)


def test_a_question_without_prediction_is_named():
    with pytest.raises(InputError, match="question 99 "):
        cards.sample_cards(predictions(), samples.questions(), {}, rows=[99])
    with pytest.raises(InputError, match="same split"):
        cards.sample_cards(predictions(), samples.questions().iloc[:0], {})


def test_text_is_readable_on_every_colour_of_the_strip():
    def luminance(colour):
        channels = [
            c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
            for c in mpl.colors.to_rgb(colour)
        ]
        return float(np.dot(channels, (0.2126, 0.7152, 0.0722)))

    for probability in np.linspace(0, 1, 101):
        fill = cards.PROBABILITY(probability)
        pair = sorted([luminance(fill) + 0.05, luminance(cards.readable_on(fill)) + 0.05])
        assert pair[1] / pair[0] > 3.8
