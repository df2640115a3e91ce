"""Two vectors become one: values and refusals (`test_model.py` joins all of them)."""

import pytest
import torch
from torch import nn
from torch.nn.functional import normalize
from torch.testing import assert_close

from tests.pieces.by_hand import affine
from vqa_helpers.errors import InputError
from vqa_helpers.pieces.fusion import Concatenation, FiLM, OneSide, PlainProduct, Product, Sum

IMAGE, QUESTION = torch.randn(4, 5), torch.randn(4, 3)


def test_concatenation_puts_the_image_first():
    assert torch.equal(Concatenation(5, 3)(IMAGE, QUESTION), torch.cat([IMAGE, QUESTION], dim=1))


def test_plain_product_multiplies_point_by_point():
    assert torch.equal(PlainProduct(5, 5)(IMAGE, IMAGE), IMAGE**2)
    projected = PlainProduct(5, 3)
    assert_close(projected(IMAGE, QUESTION), projected.image(IMAGE) * QUESTION)


@pytest.mark.parametrize(("cls", "join"), [(Product, torch.mul), (Sum, torch.add)])
@pytest.mark.parametrize(("activation", "function"), [("relu", torch.relu), ("tanh", torch.tanh)])
@pytest.mark.parametrize("normalised", [False, True])
def test_product_or_sum_of_two_projections(cls, join, activation, function, normalised):
    piece = cls(5, 3, width=6, activation=activation, normalise=normalised)
    image = function(affine(piece.image[0], IMAGE))
    question = function(affine(piece.question[0], QUESTION))
    if normalised:
        image, question = normalize(image, dim=1), normalize(question, dim=1)
    assert_close(piece(IMAGE, QUESTION), join(image, question))


def test_film_scales_and_shifts_what_a_residual_block_sees():
    piece = FiLM(5, 3, width=6)
    seen = torch.relu(affine(piece.image[0], IMAGE))
    inner = seen @ piece.block[0].weight.T
    mean, variance = inner.mean(0), inner.var(0, unbiased=False)
    inner = (inner - mean) / (variance + 1e-5).sqrt()
    scale, shift = affine(piece.question, QUESTION).chunk(2, dim=1)
    assert_close(piece(IMAGE, QUESTION), seen + torch.relu((1 + scale) * inner + shift))
    for part in piece.question.parameters():  # one that says nothing leaves the block as it is
        nn.init.zeros_(part)
    assert_close(piece(IMAGE, QUESTION), seen + torch.relu(inner))
    # Afterwards, the statistics of training: another question, alone, has its own answer.
    alone = piece.eval()(IMAGE[:1], QUESTION[:1])
    assert_close(alone, piece(IMAGE, QUESTION)[:1])


def test_dropout_on_the_product_acts_in_training_alone():
    piece = Product(5, 3, width=200, activation="tanh", dropout=0.5)
    assert (piece(IMAGE, QUESTION) == 0).float().mean() == pytest.approx(0.5, abs=0.1)
    assert not (piece.eval()(IMAGE, QUESTION) == 0).any()


def test_one_side_passes_as_it_is():
    assert OneSide(0, 3)(None, QUESTION) is QUESTION
    assert OneSide(5, 0)(IMAGE, None) is IMAGE
    for image, question in ((5, 3), (0, 0)):
        with pytest.raises(InputError, match="choose a fusion"):
            OneSide(image, question)
