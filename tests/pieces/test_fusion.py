"""Two vectors become one: values and refusals (`test_model.py` joins all of them)."""

import pytest
import torch
from torch.nn.functional import normalize
from torch.testing import assert_close

from vqa_helpers.errors import InputError
from vqa_helpers.pieces.fusion import (
    Concatenation,
    FiLM,
    OneSide,
    PlainProduct,
    Product,
    Sum,
)

IMAGE, QUESTION = torch.randn(4, 5), torch.randn(4, 3)


def test_concatenation_puts_the_image_first():
    assert torch.equal(Concatenation(5, 3)(IMAGE, QUESTION), torch.cat([IMAGE, QUESTION], dim=1))


def test_plain_product_multiplies_point_by_point():
    assert torch.equal(PlainProduct(5, 5)(IMAGE, IMAGE), IMAGE**2)
    projected = PlainProduct(5, 3)
    assert_close(projected(IMAGE, QUESTION), projected.image(IMAGE) * QUESTION)


@pytest.mark.parametrize(("activation", "function"), [("relu", torch.relu), ("tanh", torch.tanh)])
@pytest.mark.parametrize("normalised", [False, True])
def test_product_of_two_projections(activation, function, normalised):
    piece = Product(5, 3, width=6, activation=activation, normalise=normalised)
    image = function(IMAGE @ piece.image[0].weight.T + piece.image[0].bias)
    question = function(QUESTION @ piece.question[0].weight.T + piece.question[0].bias)
    if normalised:
        image, question = normalize(image, dim=1), normalize(question, dim=1)
    assert_close(piece(IMAGE, QUESTION), image * question)


@pytest.mark.parametrize("normalised", [False, True])
def test_a_sum_adds_what_a_product_multiplies(normalised):
    piece = Sum(5, 3, width=6, activation="tanh", normalise=normalised)
    product = Product(5, 3, width=6, activation="tanh", normalise=normalised)
    product.load_state_dict(piece.state_dict())
    image, question = piece.image(IMAGE), piece.question(QUESTION)
    if normalised:
        image, question = normalize(image, dim=1), normalize(question, dim=1)
    assert_close(piece(IMAGE, QUESTION), image + question)
    assert_close(product(IMAGE, QUESTION), image * question)


def test_film_scales_and_shifts_what_a_residual_block_sees():
    piece = FiLM(5, 3, width=6)
    seen = torch.relu(IMAGE @ piece.image[0].weight.T + piece.image[0].bias)
    inner = seen @ piece.block[0].weight.T
    mean, variance = inner.mean(0), inner.var(0, unbiased=False)
    inner = (inner - mean) / (variance + 1e-5).sqrt()
    asked = QUESTION @ piece.question.weight.T + piece.question.bias
    scale, shift = 1 + asked[:, :6], asked[:, 6:]
    assert_close(piece(IMAGE, QUESTION), seen + torch.relu(scale * inner + shift))
    with torch.no_grad():  # a question that says nothing leaves the block as it is
        piece.question.weight.zero_()
        piece.question.bias.zero_()
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
