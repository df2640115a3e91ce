"""The funnel: the order of its layers, their widths, where it begins."""

import pytest
import torch
from torch import nn

from vqa_helpers.pieces.classifier import Funnel

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
