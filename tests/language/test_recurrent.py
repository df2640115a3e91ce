"""Padding walked through gives what packing gives: states, gradients, and shapes of its own."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from vqa_helpers.language.recurrent import last_states, packed, padded

LENGTHS = torch.tensor([3, 1, 7, 5, 7, 2])
TWO_WAYS = dict(num_layers=2, bidirectional=True)


def made(**shape) -> tuple[nn.LSTM, torch.Tensor]:
    torch.manual_seed(0)
    lstm = nn.LSTM(4, 5, batch_first=True, **shape)
    for parameter in lstm.parameters():
        nn.init.normal_(parameter, std=2.0)  # gates far from a half
    return lstm, torch.randn(len(LENGTHS), 7, 4, requires_grad=True)


def before(lstm: nn.LSTM) -> tuple[torch.Tensor, torch.Tensor]:
    rows = lstm.num_layers * (2 if lstm.bidirectional else 1)
    generator = torch.Generator().manual_seed(1)
    return tuple(torch.randn(rows, len(LENGTHS), 5, generator=generator) for _ in range(2))


def gradients(run, lstm, words, states) -> list[torch.Tensor]:
    hidden, cell = run(lstm, words, LENGTHS, states)
    loss = (hidden * torch.arange(5)).sum() - cell.pow(2).sum()
    return list(torch.autograd.grad(loss, [words, *lstm.parameters()]))


@pytest.mark.parametrize("shape", [{}, TWO_WAYS])
def test_both_ways_give_the_same_states(shape):
    lstm, words = made(**shape)
    assert_close(padded(lstm, words, LENGTHS), packed(lstm, words, LENGTHS))


def test_both_ways_go_on_from_the_states_given():
    lstm, words = made()
    states = before(lstm)
    found, expected = (run(lstm, words, LENGTHS, states) for run in (padded, packed))
    assert_close(found, expected)
    assert not torch.allclose(found[1], padded(lstm, words, LENGTHS)[1])


# Backwards there is nothing to carry: no piece gives such states.
@pytest.mark.parametrize(("shape", "carried"), [({}, False), ({}, True), (TWO_WAYS, False)])
def test_both_ways_give_the_same_gradients(shape, carried):
    lstm, words = made(**shape)
    states = before(lstm) if carried else None
    found, expected = (gradients(run, lstm, words, states) for run in (padded, packed))
    assert len(found) == 1 + len(list(lstm.parameters()))
    assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [{}, TWO_WAYS])
def test_what_stands_in_the_padding_does_not_matter(shape):
    lstm, words = made(**shape)
    wild = words.detach().clone()
    wild[torch.arange(7) >= LENGTHS[:, None]] = 1e3
    wider = torch.cat([wild, torch.full((len(wild), 3, 4), -50.0)], dim=1)
    hidden, cell = padded(lstm, wider, LENGTHS)
    expected = padded(lstm, words, LENGTHS)
    assert torch.equal(hidden, expected[0])
    assert torch.equal(cell, expected[1])


def test_half_floats_are_left_outside():
    lstm, words = made()
    with torch.autocast("cpu", torch.bfloat16):
        hidden, _ = last_states(lstm, words.bfloat16(), LENGTHS)
    assert hidden.dtype == torch.float32
    assert_close(hidden, packed(lstm, words.bfloat16().float(), LENGTHS)[0])
