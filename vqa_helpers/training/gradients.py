"""The gradient of one step: its batch at once or in parts, in one process or shared by many.

However it is cut, it is the gradient of the sum of the losses over the sum of their weights. (With
batch normalisation a part is normalised by its own rows, and the result is not quite the same.)
"""

from contextlib import nullcontext

import torch
from torch import Tensor, nn

from vqa_helpers.training.batches import Batch
from vqa_helpers.training.losses import LossFunction
from vqa_helpers.training.team import ALONE, Team


def add_gradients(
    network: nn.Module,
    batch: Batch,
    loss: LossFunction,
    parts: int = 1,
    team: Team = ALONE,
    half: bool = False,
) -> Tensor:
    """Fill in the gradients of a step; they must be None before.

    Args:
        network: as `Team.joined` returned it.
        batch: this process's share.
        parts: at most so many pieces, of two questions at least, are computed one after another.
        half: matrix products in bfloat16; all that sums up (weights, states, norms, losses,
            gradients) stays in single precision.

    Returns:
        The sums of losses, of weights and of hits in this process's share, (3,), on the device.
    """
    pieces = batch.cut(parts)
    found = []
    for number, piece in enumerate(pieces, start=1):
        last = number == len(pieces)
        # Processes need not talk before the last piece.
        with nullcontext() if last or team.count == 1 else network.no_sync():
            logits = _logits(network, piece, half)  # (b, A)
            losses, weights = loss(logits, piece.target, piece.soft)  # (b,) each
            hits = logits.detach().argmax(1) == piece.target
            found.append(torch.stack([losses.detach().sum(), weights.sum(), hits.sum()]))
            if len(pieces) == team.count == 1:
                (losses.sum() / weights.sum()).backward()
            else:
                losses.sum().backward()
    sums = torch.stack(found).sum(0)
    if len(pieces) > 1 or team.count > 1:
        # The processes' gradients were averaged, not summed.
        _multiply(network, team.count / team.sum(sums[1]))
    return sums


def _logits(network: nn.Module, batch: Batch, half: bool) -> Tensor:
    # A cache of half weights would outlive a captured step, in whose memory they lie.
    kind = batch.target.device.type
    with torch.autocast(kind, torch.bfloat16, enabled=half, cache_enabled=False):
        logits = network(batch.image, batch.question, batch.lengths)  # (b, A)
    return logits.float() if half else logits


@torch.no_grad()
def _multiply(network: nn.Module, factor: Tensor) -> None:
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    torch._foreach_mul_(gradients, factor.to(gradients[0].dtype))
