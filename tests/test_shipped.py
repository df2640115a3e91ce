"""The model that comes with the package: small, light, and right about two photographs."""

import io

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_image

import vqa_helpers as vqa
from vqa_helpers.api import SHIPPED, load


@pytest.fixture(scope="module")
def model():
    return vqa.load(device="cpu")


def test_it_fits_in_ten_megabytes_with_its_blind_counterpart_and_cards():
    files = [path for path in SHIPPED.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 10e6
    for folder in (SHIPPED, SHIPPED / "blind"):
        card = (folder / "README.md").read_text(encoding="utf-8")
        assert "license: cc-by-4.0" in card and "coco_vqa" in card and "blind top-1" in card


@pytest.mark.parametrize(
    ("photograph", "question", "answer"),
    [("flower.jpg", "Is there a flower?", "yes"), ("china.jpg", "Is there a flower?", "no"),
     ("flower.jpg", "What color is the flower?", "pink"),
     ("china.jpg", "What is in the background?", "trees"),
     ("flower.jpg", "¿Hay una flor?", "yes")],
)  # fmt: skip
def test_it_answers_about_photographs_that_it_has_never_seen(model, photograph, question, answer):
    answers = model.answer(load_sample_image(photograph), question)
    assert answers.text == answer and len(answers) == 5
    with Image.open(io.BytesIO(answers._repr_png_())) as card:
        assert card.width > 200 and np.asarray(card).std() > 20


def test_it_says_what_it_was_trained_on(model):
    assert "trained on coco_vqa; validation top-1 43.1 % [41.5, 44.9]" in model.about


def test_the_blind_one_answers_without_a_photograph():
    blind = load(SHIPPED / "blind", device="cpu")
    assert blind.model.vision is None
    assert blind.answer(None, "Is there a flower?").text in ("yes", "no")
