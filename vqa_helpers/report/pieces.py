"""What a model is made of, as a table: each piece, the shape it gives, the numbers it learns."""

import pandas as pd
import torch
from torch import nn

from vqa_helpers.experiment.prepare import Experiment


def pieces_table(experiment: Experiment) -> pd.DataFrame:
    """The four pieces with their output shapes, read off the model as it answers one batch.

    Returns:
        A row a piece: what it is, the shape it gives (B questions), how many numbers it learns
        and how many are frozen.
    """
    model = experiment.model
    pieces = {
        "vision": model.vision,
        "language": model.language,
        "fusion": model.fusion,
        "classifier": model.classifier,
    }
    shapes: dict[str, str] = {}

    def note(name: str):
        def hook(module: nn.Module, inputs: tuple, output: torch.Tensor) -> None:
            shapes[name] = ", ".join(["B", *map(str, output.shape[1:])])

        return hook

    present = {name: piece for name, piece in pieces.items() if piece is not None}
    hooks = [piece.register_forward_hook(note(name)) for name, piece in present.items()]
    batch = next(experiment.batches["validation"].in_order())
    model.eval()
    with torch.inference_mode():
        model(batch.image, batch.question, batch.lengths)
    for hook in hooks:
        hook.remove()
    rows = [
        {
            "piece": name,
            "what": _what(piece),
            "gives": f"({shapes[name]})",
            "learns": _count(piece, learnt=True),
            "frozen": _count(piece, learnt=False),
        }
        for name, piece in present.items()
    ]
    return pd.DataFrame(rows).set_index("piece")


def _what(piece: nn.Module) -> str:
    if isinstance(piece, nn.Sequential):
        return " + ".join(type(part).__name__ for part in piece)
    return type(piece).__name__


def _count(piece: nn.Module, learnt: bool) -> str:
    return f"{sum(p.numel() for p in piece.parameters() if p.requires_grad == learnt):,}"
