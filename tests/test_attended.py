"""What a model attends to, in models of which it is known."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from PIL import Image
from torch import nn

from vqa_helpers.answering import Answerer
from vqa_helpers.attended import Attended, attended, draw_attention
from vqa_helpers.data.demo.dataset import make_image, scene_of
from vqa_helpers.data.demo.drawing import draw_scene, hero_box
from vqa_helpers.data.demo.scenes import Scene
from vqa_helpers.data.vocabulary import AnswerVocabulary, WordVocabulary
from vqa_helpers.errors import InputError
from vqa_helpers.pieces.fusion import Concatenation, OneSide
from vqa_helpers.pieces.model import VQAModel
from vqa_helpers.why import MOST_WORDS

SIDE, WORDS = 32, WordVocabulary(("", "?", "what", "is", "red"))


class Quarters(nn.Module):
    """How red each quarter is: (B, 4, 1)."""

    def forward(self, image):
        red = image[:, 0].float().reshape(-1, 2, SIDE // 2, 2, SIDE // 2)
        return red.mean(dim=(2, 4)).flatten(1)[..., None] / 255


class Ids(nn.Module):
    """Word ids as they are."""

    vocabulary = WORDS

    def forward(self, tokens, lengths=None):
        return tokens.float()


class LooksAtRed(nn.Module):
    """Shares as the quarters are red; words by their ids."""

    def place_shares(self, image, question):
        return image[..., 0] / image[..., 0].sum(1, keepdim=True)

    def word_shares(self, image, question):
        return question / question.sum(1, keepdim=True)

    def forward(self, image, question):
        return image[..., 0].sum(1, keepdim=True)


class LastWord(Ids):
    """Attends to the last of its words alone."""

    def word_shares(self, tokens, lengths):
        return nn.functional.one_hot(lengths - 1, tokens.shape[1]).float()


def answerer(language, fusion, vision=Quarters) -> Answerer:
    model = VQAModel(vision and vision(), language, fusion, nn.Linear(1, 2)).eval()
    config = {"loss": "cross entropy", "image_size_px": SIDE if vision else None}
    return Answerer(model, AnswerVocabulary(("yes", "no")), WORDS, config)


@pytest.fixture(scope="module")
def photographs():
    """Red in the top right quarter; and three times as red at the bottom left as at the top left."""
    one, other = (np.zeros((SIDE, SIDE, 3), np.uint8) for _ in range(2))
    half = SIDE // 2
    one[:half, half:, 0] = 200
    other[:half, :half, 0], other[half:, :half, 0] = 50, 150
    return {7: Image.fromarray(one), 9: Image.fromarray(other)}


TABLE = pd.DataFrame(
    {"question_id": [1, 2], "image_id": [9, 7], "question": ["what is red", "is red"]}
)


def test_shares_of_each_question_and_its_own_photograph(photographs):
    first, second = attended(answerer(Ids(), LooksAtRed()), TABLE, photographs)
    assert_allclose(first.places, [[0.25, 0], [0.75, 0]], atol=1e-6)
    assert_allclose(second.places, [[0, 1], [0, 0]], atol=1e-6)
    assert_allclose(first.words, np.array([2, 3, 4]) / 9, atol=1e-6)
    assert_allclose(second.words, np.array([3, 4]) / 7, atol=1e-6)  # no share for the padding


def test_words_that_the_language_piece_attends_to(photographs):
    fusion = Concatenation(1, 1)
    fusion.forward = lambda image, question: image[..., 0].sum(1, keepdim=True)
    first, second = attended(answerer(LastWord(), fusion), TABLE, photographs)
    assert first.places is None and second.places is None
    assert first.words.tolist() == [0, 0, 1] and second.words.tolist() == [0, 1]


def test_a_model_without_attention_is_told(photographs):
    with pytest.raises(InputError, match="Concatenation attends to no .*vqa_helpers.why"):
        attended(answerer(Ids(), Concatenation(1, 1)), TABLE, photographs)


def test_regions_of_a_detector_are_no_grid(photographs):
    """Their number is a square too, and they would be drawn where they are not."""
    model = answerer(Ids(), LooksAtRed())
    model.model.vision.network = "fasterrcnn_resnet50_fpn"
    first, _ = attended(model, TABLE, photographs)
    assert first.places is None
    assert_allclose(first.words, np.array([2, 3, 4]) / 9, atol=1e-6)


@pytest.mark.parametrize(
    ("box", "share"),
    [((0, 0, 1, 1), 1.0), ((0, 0, 0.5, 0.5), 0.1), ((0.5, 0.5, 1, 1), 0.4),
     ((0.25, 0, 0.75, 0.5), 0.15), ((-1, 0.75, 0.5, 2), 0.15), ((0.5, 0, 0.5, 1), 0.0)],
)  # fmt: skip
def test_share_inside_a_box(box, share):
    places = np.array([[0.1, 0.2], [0.3, 0.4]])
    assert Attended(places, None).share_inside(box) == pytest.approx(share)


def test_the_figure_shows_places_and_words(photographs):
    figure = draw_attention(answerer(Ids(), LooksAtRed()), photographs[7], "what is red")
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["what the model saw", "where it looked: 100 % at most", "words"]
    bars = [bar.get_width() for bar in figure.axes[2].patches]
    assert_allclose(bars, [100 * 2 / 9, 100 * 3 / 9, 100 * 4 / 9], rtol=1e-5)
    lit = np.asarray(figure.axes[1].images[0].get_array())
    assert lit[4, -4].sum() > lit[-4, 4].sum()


def test_of_a_long_question_the_words_that_counted_most_are_drawn(photographs):
    figure = draw_attention(answerer(Ids(), LooksAtRed()), photographs[7], "what " * 30 + "red")
    shown = [label.get_text() for label in figure.axes[-1].get_yticklabels()]
    assert len(shown) == MOST_WORDS and shown[-1] == "red"
    assert figure.axes[-1].get_title(loc="left") == "the words that counted most"


@pytest.mark.parametrize("given", [True, False])
def test_the_figure_of_a_model_that_sees_nothing_shows_words_alone(photographs, given):
    blind = answerer(LastWord(), OneSide(0, 1), vision=None)
    blind.model.fusion.forward = lambda image, question: question[:, :1]
    figure = draw_attention(blind, photographs[7] if given else None, "what is red")
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["words"]
    assert [bar.get_width() for bar in figure.axes[0].patches] == [0, 0, 100]


def test_the_box_holds_what_the_hero_is_drawn_in():
    """Two scenes that differ in their hero's colour alone differ inside the box alone."""
    for k in range(12):
        image_id, _, scene, _ = make_image(3, k)
        assert scene_of(image_id, 3) == scene
        colour = "red" if scene.hero_color == "blue" else "blue"
        other = Scene(**(vars(scene) | {"hero_color": colour}))
        drawn = [draw_scene(one, np.random.default_rng(k), 100) for one in (scene, other)]
        one, other = (np.asarray(picture).astype(int) for picture in drawn)
        rows, columns = np.nonzero(np.abs(one - other).sum(2) > 30)
        left, top, right, bottom = hero_box(scene)
        assert len(rows), "the hero is drawn in its colour"
        assert left - 0.03 <= columns.min() / 100 and columns.max() / 100 <= right + 0.03
        assert top - 0.03 <= rows.min() / 100 and rows.max() / 100 <= bottom + 0.03


def test_an_image_of_another_seed_has_no_scene():
    image_id, *_ = make_image(0, 5)
    ids = {make_image(seed, 5)[0] for seed in range(20)}
    wrong = next(iter(ids - {image_id}))
    for nobody in (wrong, 0, -3):
        with pytest.raises(InputError, match=f"image {nobody} is none of the demo's of seed 0"):
            scene_of(nobody)
