"""The optimiser of a model: which numbers it moves, and how fast each part learns."""

import torch
from torch import nn

from vqa_helpers.model.config import Schedule

KINDS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
VISION = "vision."  # how the names of the vision channel begin


def optimiser_of(model: nn.Module, schedule: Schedule) -> torch.optim.Optimizer:
    """The schedule's optimiser over all that learns.

    What is frozen is left out, so that no weight decay touches it. With a `vision_rate` the
    vision channel is a second group of its own; the schedule's decay multiplies both rates.
    """
    learning = {name: p for name, p in model.named_parameters() if p.requires_grad}
    groups: list[dict] = [{"params": list(learning.values())}]
    if schedule.vision_rate is not None:
        vision = [p for name, p in learning.items() if name.startswith(VISION)]
        rest = [p for name, p in learning.items() if not name.startswith(VISION)]
        groups = [{"params": rest}, {"params": vision, "lr": schedule.vision_rate}]
    return KINDS[schedule.optimiser](groups, lr=schedule.learning_rate, fused=True)


def restride(optimiser: torch.optim.Optimizer) -> None:
    """Lay what the optimiser remembers of each weight out in memory as the weight itself lies.

    A fused optimiser walks both by address. What was saved on a GPU lies channels last, on a CPU
    it does not, and loading keeps the order it finds.
    """
    for parameter, state in optimiser.state.items():
        for name, kept in state.items():
            if torch.is_tensor(kept) and kept.shape == parameter.shape:
                state[name] = torch.empty_like(parameter, dtype=kept.dtype).copy_(kept)
