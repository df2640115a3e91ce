"""The funnel: the order of its layers, their widths, where it begins; answers as their words."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from tests.pieces.by_hand import write_glove
from vqa_helpers.data.vocabulary import AnswerVocabulary
from vqa_helpers.pieces.classifier import AnswerWords, Funnel, vectors_of

HIDDEN = ["Linear", "Tanh", "BatchNorm1d", "Dropout"]


@pytest.mark.parametrize(
    ("funnel", "kinds", "widths"),
    [
        (Funnel(6, (5, 4), 3, "tanh", True, 0.5), [*HIDDEN, *HIDDEN, "Linear"], [6, 5, 4, 3]),
        (Funnel(6, [5], 3), ["Linear", "ReLU", "Linear"], [6, 5, 3]),
        (Funnel(6, (), 1), ["Linear"], [6, 1]),
    ],
)
def test_layers_come_in_the_stated_order(funnel, kinds, widths):
    assert [type(layer).__name__ for layer in funnel.layers] == kinds
    linear = [layer for layer in funnel.layers if isinstance(layer, nn.Linear)]
    assert [x.in_features for x in linear] == widths[:-1]
    assert [x.out_features for x in linear] == widths[1:]
    assert funnel(torch.randn(2, 6)).shape == (2, funnel.out_dim)


def test_a_funnel_begins_where_it_is_told():
    funnel = Funnel(5, (4,), 3)
    funnel.start_from(torch.tensor([1.0, -2.0, 0.5]))
    weight = funnel.layers[-1].weight.detach().zero_()
    assert funnel(torch.randn(2, 5)).tolist() == [[1.0, -2.0, 0.5]] * 2
    assert not weight.any() and funnel.layers[-1].bias.requires_grad


# ---------------------------------------------------------------- answers as text


@pytest.fixture
def glove(tmp_path):
    of_words = {"dark": (1, 1), "red": (3, -1), "blue": (0, -2), "2": (0.6, 0.8), "sky": (-1, 0)}
    return write_glove(tmp_path, of_words)


def test_an_answer_is_the_mean_of_the_words_that_are_known(glove):
    answers = ["Dark red!", "blue", "2", "zebra", "red zebra", "???"]
    expected = [[1, 0], [0, -1], [0.6, 0.8], [0, 0], [3 / 10**0.5, -1 / 10**0.5], [0, 0]]
    assert_close(vectors_of(answers, glove, 2), torch.tensor(expected))
    assert not vectors_of(answers, None, 2).any()


def test_a_logit_is_the_product_with_the_answers_own_vector(glove):
    train = AnswerVocabulary(("blue", "2"))
    piece = AnswerWords(3, train, glove, dim=2, hidden=())
    vector = torch.randn(4, 3)
    x, y = piece.project(vector).T
    assert_close(piece(vector), torch.stack([-y, 0.6 * x + 0.8 * y], dim=1))
    piece.rank_among(["sky", "blue", "dark red"], glove)  # two that train never gave
    assert_close(piece(vector), torch.stack([-x, -y, x], dim=1))
    assert piece.out_dim == 3


@pytest.mark.parametrize("seed", range(3))
def test_what_is_learnt_of_some_answers_ranks_others(tmp_path, seed):
    """Two answers that train never gave lie between two others each, as what is seen does."""
    names = ["north", "east", "south", "west", "warm", "cold"]
    generator = torch.Generator().manual_seed(seed)
    given, seen = torch.randn(4, 6, generator=generator), torch.randn(4, 8, generator=generator)
    words, things = (torch.cat([x, x[::2] + x[1::2]]) for x in (given, seen))
    path = write_glove(tmp_path, dict(zip(names, words.tolist(), strict=True)))
    torch.manual_seed(seed)
    piece = AnswerWords(8, AnswerVocabulary(tuple(names[:4])), path, dim=6, hidden=())
    optimiser = torch.optim.Adam(piece.parameters(), lr=0.05)
    for _ in range(200):
        optimiser.zero_grad()
        nn.functional.cross_entropy(piece(things[:4]), torch.arange(4)).backward()
        optimiser.step()
    assert piece(things[:4]).argmax(dim=1).tolist() == [0, 1, 2, 3]
    piece.rank_among(["warm", "cold"], path)
    assert piece(things[4:]).argmax(dim=1).tolist() == [0, 1]
