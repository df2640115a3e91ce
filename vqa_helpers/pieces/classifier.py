"""One vector becomes logits over the answers."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vqa_helpers.pieces.choice import ACTIVATIONS, Piece


class Funnel(Piece):
    """Fully connected layers down to the answers (reference study).

    Each hidden layer is linear, activation, batch normalisation if asked, dropout if asked; the
    last layer is linear alone.

    Args:
        in_dim: width of the fused vector.
        hidden: widths of the hidden layers.
        answers: number of answers.
        activation: "relu" or "tanh".
    """

    def __init__(
        self, in_dim: int, hidden: Sequence[int], answers: int, activation: str = "relu",
        batch_norm: bool = False, dropout: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__()
        layers: list[nn.Module] = []
        for width in hidden:
            layers += [nn.Linear(in_dim, width), ACTIVATIONS[activation]()]
            if batch_norm:
                layers.append(nn.BatchNorm1d(width))
            if dropout:
                layers.append(nn.Dropout(dropout))
            in_dim = width
        self.layers = nn.Sequential(*layers, nn.Linear(in_dim, answers))
        self.out_dim = answers

    @torch.no_grad()
    def start_from(self, logits: Tensor) -> None:
        """Begin with these logits (answers,) for a vector of which nothing is known yet."""
        self.layers[-1].bias.copy_(logits)

    def forward(self, vector: Tensor) -> Tensor:
        """(B, in_dim) to logits (B, answers)."""
        return self.layers(vector)
