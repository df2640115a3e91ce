"""The funnel: order of its layers, widths, refusals of nothing it should take."""

import torch
from torch import nn

from vqa_helpers.model.classifier import Funnel


def kinds(funnel: Funnel) -> list[str]:
    return [type(layer).__name__ for layer in funnel.layers]


def test_layers_come_in_the_stated_order():
    funnel = Funnel(6, (5, 4), 3, activation="tanh", batch_norm=True, dropout=0.5)
    hidden = ["Linear", "Tanh", "BatchNorm1d", "Dropout"]
    assert kinds(funnel) == [*hidden, *hidden, "Linear"]
    widths = [(x.in_features, x.out_features) for x in funnel.layers if isinstance(x, nn.Linear)]
    assert widths == [(6, 5), (5, 4), (4, 3)]


def test_batch_norm_and_dropout_come_only_when_asked():
    assert kinds(Funnel(6, (5,), 3)) == ["Linear", "ReLU", "Linear"]


def test_no_hidden_layer_is_one_linear_layer():
    assert kinds(Funnel(6, (), 3)) == ["Linear"]


def test_logits_have_a_column_an_answer():
    funnel = Funnel(6, (5,), 3)
    assert funnel(torch.randn(2, 6)).shape == (2, funnel.out_dim) == (2, 3)


def test_one_answer_is_legal():
    assert Funnel(6, (5,), 1)(torch.randn(2, 6)).shape == (2, 1)


def test_a_funnel_begins_where_it_is_told():
    funnel = Funnel(5, (4,), 3)
    funnel.start_from(torch.tensor([1.0, -2.0, 0.5]))
    weight = funnel.layers[-1].weight.detach().zero_()
    assert funnel(torch.randn(2, 5)).tolist() == [[1.0, -2.0, 0.5]] * 2
    assert not weight.any() and funnel.layers[-1].bias.requires_grad
