"""Two vectors become one: widths, values, refusals."""

import pytest
import torch
from torch.nn.functional import normalize
from torch.testing import assert_close

from vqa_helpers.errors import InputError
from vqa_helpers.model.fusion import Concatenation, OneSide, PlainProduct, ProjectedProduct

IMAGE, QUESTION = torch.randn(4, 5), torch.randn(4, 3)


def test_concatenation_puts_the_image_first():
    piece = Concatenation(5, 3)
    fused = piece(IMAGE, QUESTION)
    assert fused.shape == (4, piece.out_dim) == (4, 8)
    assert torch.equal(fused[:, :5], IMAGE)
    assert torch.equal(fused[:, 5:], QUESTION)


def test_plain_product_multiplies_point_by_point():
    piece = PlainProduct(5, 5)
    assert torch.equal(piece(IMAGE, IMAGE), IMAGE**2)
    assert piece.out_dim == 5


def test_plain_product_of_unequal_widths_is_refused_with_the_remedy():
    with pytest.raises(InputError, match=r"5 \(image\) and 3 \(question\); use ProjectedProduct"):
        PlainProduct(5, 3)


@pytest.mark.parametrize(("activation", "function"), [("relu", torch.relu), ("tanh", torch.tanh)])
@pytest.mark.parametrize("normalised", [False, True])
def test_projected_product(activation, function, normalised):
    piece = ProjectedProduct(5, 3, width=6, activation=activation, normalise=normalised)
    image = function(IMAGE @ piece.image[0].weight.T + piece.image[0].bias)
    question = function(QUESTION @ piece.question[0].weight.T + piece.question[0].bias)
    if normalised:
        image, question = normalize(image, dim=1), normalize(question, dim=1)
    fused = piece(IMAGE, QUESTION)
    assert fused.shape == (4, piece.out_dim) == (4, 6)
    assert_close(fused, image * question)


def test_dropout_on_the_product_acts_in_training_alone():
    piece = ProjectedProduct(5, 3, width=200, activation="tanh", dropout=0.5)
    assert (piece(IMAGE, QUESTION) == 0).float().mean() == pytest.approx(0.5, abs=0.1)
    assert not (piece.eval()(IMAGE, QUESTION) == 0).any()


def test_one_side_passes_as_it_is():
    assert OneSide(0, 3)(None, QUESTION) is QUESTION
    assert OneSide(5, 0)(IMAGE, None) is IMAGE
    assert (OneSide(0, 3).out_dim, OneSide(5, 0).out_dim) == (3, 5)


@pytest.mark.parametrize(("image", "question"), [(5, 3), (0, 0)])
def test_one_side_is_neither_both_nor_none(image, question):
    with pytest.raises(InputError, match="choose a fusion"):
        OneSide(image, question)
