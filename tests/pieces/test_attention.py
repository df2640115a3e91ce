"""Fusions that choose where to look, and at which words (`test_model.py` joins all of them)."""

import pytest
import torch
from torch import tanh
from torch.testing import assert_close

from tests.pieces.by_hand import affine
from vqa_helpers.errors import InputError
from vqa_helpers.pieces.attention import (
    AttendedProduct,
    CoAttention,
    ImageFirst,
    StackedAttention,
    TopDownAttention,
    WordAttention,
)
from vqa_helpers.pieces.fusion import Product
from vqa_helpers.pieces.words import Words

IMAGE, QUESTION, GRID = torch.randn(4, 5), torch.randn(4, 3), torch.randn(4, 7, 5)
THERE = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0], [1, 1, 1, 0]]).bool()
WORDS = Words(torch.randn(4, 4, 3), THERE)


def test_attention_weighs_places_by_what_the_question_asks():
    piece = AttendedProduct(5, 3, width=6)
    shares = piece.place_shares(GRID, QUESTION)
    assert not torch.allclose(shares, piece.place_shares(GRID, QUESTION.flip(0)))
    alike = IMAGE[:, None].expand(4, 7, 5)  # every place shows the same
    assert_close(piece(alike, QUESTION), Product.forward(piece, IMAGE, QUESTION))


@pytest.mark.parametrize("cls", [AttendedProduct, StackedAttention, TopDownAttention])
def test_places_have_no_order_and_their_shares_add_up(cls):
    piece, order = cls(5, 3, width=6), torch.randperm(7)
    shares = piece.place_shares(GRID, QUESTION)
    assert_close(shares.sum(1), torch.ones(4))
    assert_close(piece.place_shares(GRID[:, order], QUESTION), shares[:, order])
    assert_close(piece(GRID[:, order], QUESTION), piece(GRID, QUESTION))


@pytest.mark.parametrize(
    ("cls", "word"), [(StackedAttention, "layers"), (CoAttention, "layers"), (CoAttention, "heads")]
)
def test_attention_without_layers_or_heads_is_refused(cls, word):
    with pytest.raises(InputError, match=f"{cls.__name__}: {word} is 0; give a whole number"):
        cls(5, 3, **{word: 0})


def test_stacked_attention_asks_again_with_what_it_has_seen():
    piece = StackedAttention(5, 3, width=6, hidden=8, layers=2)
    places, query = tanh(affine(piece.image[0], GRID)), affine(piece.question, QUESTION)
    for layer in range(2):  # the paper's equations 15 to 18
        asked = affine(piece.asked[layer], query)[:, None]
        both = tanh(places @ piece.places[layer].weight.T + asked)  # (4, 7, 8)
        shares = (both @ piece.score[layer].weight[0]).softmax(1)
        query = query + (shares[:, :, None] * places).sum(1)
    assert_close(piece(GRID, QUESTION), query)
    assert_close(piece.place_shares(GRID, QUESTION), shares)


def test_top_down_attention_multiplies_gated_units():
    piece = TopDownAttention(5, 3, width=6)

    def gated(unit, values):
        return tanh(affine(unit.value, values)) * affine(unit.gate, values).sigmoid()

    both = torch.cat([GRID, QUESTION[:, None].expand(4, 7, 3)], dim=2)
    shares = (gated(piece.both, both) @ piece.score.weight[0]).softmax(1)
    seen = (shares[:, :, None] * GRID).sum(1)
    assert_close(piece(GRID, QUESTION), gated(piece.image, seen) * gated(piece.question, QUESTION))


@pytest.mark.parametrize("cls", [CoAttention, WordAttention, ImageFirst])
def test_what_pads_a_question_changes_nothing(cls):
    sizes = {"hidden": 6} if cls is ImageFirst else {"width": 8}
    piece, image = cls(5, 3, **sizes).eval(), GRID if cls.attends else IMAGE
    other = Words(torch.where(THERE[..., None], WORDS.vectors, torch.randn(4, 4, 3)), THERE)
    assert_close(piece(image, other), piece(image, WORDS))
    if hasattr(piece, "word_shares"):
        shares = piece.word_shares(image, WORDS)
        assert_close(shares.sum(1), torch.ones(4))
        assert not shares[~THERE].any() and shares[THERE].all()


def test_co_attention_looks_where_the_words_say():
    piece = CoAttention(5, 3, width=8, heads=2).eval()
    shares = piece.place_shares(GRID, WORDS)
    assert_close(shares.sum(1), torch.ones(4))
    turned = Words(WORDS.vectors.flip(0), THERE)
    assert not torch.allclose(shares, piece.place_shares(GRID, turned))
    with pytest.raises(InputError, match="width 9 is no multiple of its 2 heads"):
        CoAttention(5, 3, width=9, heads=2)


def test_word_attention_of_one_word_is_the_product():
    piece = WordAttention(5, 3, width=6)
    one = Words(WORDS.vectors, torch.tensor([[1, 0, 0, 0]] * 4).bool())
    assert_close(piece(IMAGE, one), Product.forward(piece, IMAGE, WORDS.vectors[:, 0]))


def test_the_image_is_the_state_in_which_reading_begins():
    piece = ImageFirst(5, 3, hidden=6)
    begun = tanh(affine(piece.image[0], IMAGE)).view(4, 2, 1, 6)  # hidden and cell of each
    for row, length in enumerate(THERE.sum(1)):
        _, states = piece.lstm(WORDS.vectors[row, :length], tuple(begun[row]))
        assert_close(piece(IMAGE, WORDS)[row], torch.cat(states, dim=1).flatten())
