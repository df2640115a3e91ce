"""The states in which an LSTM leaves questions of different lengths.

Two ways to the same numbers. On a CPU questions are packed, and padding costs nothing. A GPU would
have to wait for packing, which reads the lengths on the CPU, and its shapes would be new in every
batch; there the padding is walked through, and changes nothing on the way. Knows nothing of words.
"""

import warnings

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

States = tuple[Tensor, Tensor]

_HOLD = 1e4  # a sigmoid of it is 1 and of its negative 0, exactly, in any float there is
_COLUMNS = 8  # one would do; tensor cores multiply eight at a time


def last_states(
    lstm: nn.LSTM, words: Tensor, lengths: Tensor, states: States | None = None
) -> States:
    """Run an LSTM over right-padded questions, always in single precision.

    Half floats would lose what a cell sums up, and under autocast cuDNN would take those of the
    narrow range, whose small gradients are 0.

    Args:
        lstm: `batch_first`, without dropout between its layers.
        words: (B, T, W), right-padded with anything.
        lengths: (B,), at least 1; on the CPU where the words are.
        states: hidden and cell before the first word, (L, B, H) each; None is zero.

    Returns:
        Hidden and cell after the last word, (L, B, H) each, L being layers times directions.
    """
    with torch.autocast(words.device.type, enabled=False):
        run = packed if words.device.type == "cpu" else padded
        return run(lstm, words.float(), lengths, states)


def packed(lstm: nn.LSTM, words: Tensor, lengths: Tensor, states: States | None = None) -> States:
    """`last_states` by packing; `lengths` on the CPU."""
    sequence = pack_padded_sequence(words, lengths, batch_first=True, enforce_sorted=False)
    return lstm(sequence, states)[1]


def padded(lstm: nn.LSTM, words: Tensor, lengths: Tensor, states: States | None = None) -> States:
    """`last_states` in shapes that (B, T) alone decide, without a look at any number.

    Padded steps have one more input, whose weights shut the input gate and open the forget gate
    as wide as they go: the cell is 1 times itself plus 0. Backwards, where padding comes first,
    that keeps it at 0. No gradient comes from such a step, both sigmoids being flat there. The
    hidden state does move on, since the output gate is left alone; forwards it is read after the
    last word, and backwards it is 0 with the cell.
    """
    lengths = lengths.to(words.device)
    batch, longest, _ = words.shape
    directions = 2 if lstm.bidirectional else 1
    padding = torch.arange(longest, device=words.device)[:, None] >= lengths  # (T, B)
    padding = padding.to(words.dtype)[:, :, None].expand(-1, -1, _COLUMNS)
    last = (lengths - 1).view(1, batch, 1).expand(-1, -1, lstm.hidden_size)  # (1, B, H)
    if states is None:
        shape = lstm.num_layers * directions, batch, lstm.hidden_size
        states = words.new_zeros(shape), words.new_zeros(shape)
    hidden, cell = [], []
    steps = words.transpose(0, 1)  # (T, B, W)
    for layer in range(lstm.num_layers):
        here = slice(layer * directions, (layer + 1) * directions)
        before = [state[here].contiguous() for state in states]
        weights = [weight for way in range(directions) for weight in _weights(lstm, layer, way)]
        steps = torch.cat([steps, padding], dim=2)  # (T, B, W + 8)
        with warnings.catch_warnings():
            # The weights are put together anew for every batch, which cuDNN wonders at.
            warnings.filterwarnings("ignore", message="RNN module weights are not part")
            steps, after, cells = torch.lstm(
                steps, before, weights, True, 1, 0.0, lstm.training, lstm.bidirectional, False
            )  # (T, B, directions * H), (directions, B, H) twice
        hidden += [steps[:, :, : lstm.hidden_size].gather(0, last), after[1:]]
        cell.append(cells)
    return torch.cat(hidden), torch.cat(cell)


def _weights(lstm: nn.LSTM, layer: int, direction: int) -> list[Tensor]:
    """The four tensors of one layer and direction, the first with the padding's columns."""
    name = f"l{layer}" + ("_reverse" if direction else "")
    first, *others = (
        getattr(lstm, f"{kind}_{name}") for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    columns = first.new_zeros(len(first), _COLUMNS)  # of the gates in, forget, cell, out
    columns[: lstm.hidden_size, 0] = -_HOLD
    columns[lstm.hidden_size : 2 * lstm.hidden_size, 0] = _HOLD
    return [torch.cat([first, columns], dim=1), *others]
