"""Sample cards: the mix, the picture as the model saw it, and texts of any kind."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text
from PIL import Image

from tests.report import samples
from tests.report.samples import texts
from vqa_helpers.errors import InputError
from vqa_helpers.features.pixels import load_square
from vqa_helpers.report import cards
from vqa_helpers.report.style import save


@pytest.fixture
def images(tmp_path):
    """Four noisy pictures, wider than high: the worst a PNG can meet."""
    random = np.random.default_rng(0)
    paths = {number: tmp_path / f"{number}.jpg" for number in range(4)}
    for path in paths.values():
        coarse = random.integers(0, 256, (24, 32, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((640, 480)).save(path)
    return paths


def pictures(figure) -> list:
    return [image for axes in figure.axes for image in axes.images]


@pytest.mark.parametrize(
    ("answers", "truth", "expected"),
    [("ab", "a", "hit"), ("ab", "b", "top five"), ("ab", "c", "miss"), ("abcdef", "f", "miss"),
     ("", "c", "miss"), ("a", None, "unknown"), ("a", float("nan"), "unknown")],
)  # fmt: skip
def test_outcome(answers, truth, expected):
    assert cards.outcome([*answers], truth) == expected


def test_choice_mixes_outcomes_and_ignores_the_order_of_rows():
    table = pd.DataFrame(samples.prediction_rows(30))
    chosen = cards.choose(table, 6, seed=1)
    assert [(number - 1) % 3 for number in chosen] == [0, 1, 2, 0, 1, 2]
    assert cards.choose(table.sample(frac=1, random_state=3), 6, seed=1) == chosen
    assert cards.choose(table, 6, seed=2) != chosen and cards.choose(table, 0) == []
    few = table.head(9)  # filled up where a kind runs out
    assert sorted(cards.choose(few[few["truth"] == "red"], 6)) == [1, 4, 7]


def test_cards_show_question_truth_answers_and_rank(run, images, tmp_path):
    figure = cards.sample_cards(run, samples.dataset(tmp_path, images), ids=[2, 3])
    found = texts(figure)
    assert "answer 3 of 5" in found and "miss" in found
    assert "truth: two" in found and "truth: giraffe" in found
    assert found.count("52 %") == 2 and found.count("<1 %") == 2
    assert "a large\nwooden…" in found
    joined = [" ".join(text.split()) for text in found]
    assert "What color is object 1 left of the $5 note?" in joined
    assert "hit: the first answer is right" not in found  # no hit shown, none explained
    assert len(pictures(figure)) == 2


def test_the_picture_is_what_the_model_saw(run, tmp_path):
    """Turned as the camera says, on white where it is transparent, at the model's own size."""
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.effect_noise((60, 90), 90).convert("RGB").save(tmp_path / "0.png", exif=exif)
    Image.new("RGBA", (80, 60), (0, 0, 0, 0)).save(tmp_path / "1.png")
    files = {number: tmp_path / f"{number}.png" for number in range(2)}
    figure = cards.sample_cards(run, samples.dataset(tmp_path, files), ids=[1, 4])
    for image, file in zip(pictures(figure), files.values(), strict=True):
        assert np.array_equal(np.asarray(image.get_array()), load_square(file, 64))


def test_a_missing_or_damaged_image_is_an_empty_frame(run, images, tmp_path, caplog):
    images[0].write_bytes(images[0].read_bytes()[:4000])
    del images[1]
    dataset = samples.dataset(tmp_path, images)
    figure = cards.sample_cards(run, dataset, ids=[1, 4, 7])
    assert texts(figure).count("no image") == 2 and "0.jpg" in caplog.text
    without = cards.sample_cards(run, samples.dataset(tmp_path))  # lower, where there is none
    assert without.get_figheight() < 0.75 * cards.sample_cards(run, dataset).get_figheight()
    assert pictures(without) == []


def test_answers_without_a_truth_are_shown_without_judgement():
    rows = pd.DataFrame(samples.prediction_rows(4)).assign(truth=None, question="why?")
    figure = cards.draw_cards(rows, {}, columns=2)
    found = texts(figure)
    assert found.count("no truth known") == 4
    assert not any(text.startswith("truth:") for text in found)
    assert not figure.legends  # there is nothing to tell apart
    one_known = cards.draw_cards(rows.assign(truth=[rows["answers"][0][0], *[None] * 3]), {})
    (legend,) = one_known.legends
    assert [text.get_text() for text in legend.get_texts()] == [cards.OUTCOMES["hit"][1]]


def test_awkward_texts_are_drawn_and_stay_on_their_card():
    hostile = "<script>alert('$x$')</script>"
    rows = samples.judged(
        (r"$\frac{ a $", "$y$", ["$x^{", ""], [1.0, 0.0]), ("", "a", ["W" * 80, "two"], [0.9, 0.1]),
        ("W" * 200, "W" * 99, ["狗"], [0.5]), (hostile, "b", ["a"], [0.1]),
    )  # fmt: skip
    figure = cards.draw_cards(rows, {})
    found = texts(figure)
    assert r"$\frac{ a $" in found and "$x^{" in found and "(empty question)" in found
    assert all(len(line) <= 45 for text in found for line in text.splitlines())
    wide = [text for text in figure.findobj(Text) if "WWW" in text.get_text()]
    for text in wide:
        assert text.get_clip_on() and text.get_clip_box().x1 <= text.axes.bbox.x1 + 1


def test_answers_stand_on_one_line_and_questions_end_on_their_card():
    row = {"question_id": 1, "image_id": 1, "question": "How many blocks are there?", "truth": "pink",
           "answers": ["blue", "orange", "pink", "ooo", "yellow"], "probabilities": [0.2] * 5}  # fmt: skip
    axes = cards.draw_cards(pd.DataFrame([row]), {2: "none"}).axes[0]
    axes.figure.canvas.draw()
    by_text = {text.get_text(): text for text in axes.texts}
    lines = {by_text[answer].get_position()[1] for answer in row["answers"]}
    assert len(lines) == 1
    assert {by_text[answer].get_verticalalignment() for answer in row["answers"]} == {"baseline"}
    asked = next(text for name, text in by_text.items() if name.startswith("How many"))
    assert asked.get_window_extent().x1 <= axes.get_window_extent().x1


def test_a_card_file_stays_small_and_the_same(run, images, tmp_path):
    dataset = samples.dataset(tmp_path, images)
    files = [save(cards.sample_cards(run, dataset), tmp_path / name) for name in ("a.png", "b.png")]
    assert files[0].stat().st_size < 250_000
    assert files[0].read_bytes() == files[1].read_bytes()


def test_what_is_not_there_is_refused(run, dataset):
    with pytest.raises(InputError, match="question 99 has no prediction"):
        cards.sample_cards(run, dataset, ids=[99])
    with pytest.raises(InputError, match="no card to draw"):
        cards.draw_cards(pd.DataFrame(), {})
    dataset.splits["test"] = samples.questions(15)
    with pytest.raises(InputError, match="has no prediction"):
        cards.sample_cards(run, dataset)


@pytest.mark.parametrize("wrong", [0, -1, 2.5, "3"])
def test_a_count_below_one_is_refused(run, dataset, wrong):
    with pytest.raises(InputError, match=rf"count is {wrong!r}; give a whole number from 1 on"):
        cards.sample_cards(run, dataset, count=wrong)
