"""Image vectors made comparable before they meet a question."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

_SMALLEST_STD = 1e-6  # a feature that never varies in train carries nothing


class FeatureNormaliser(nn.Module):
    """L2 normalisation (reference study), after standardising where the weights are random.

    Features of a network with random weights hardly vary about their mean, and L2 normalisation
    alone leaves a model nothing to learn from: they are first centred and scaled by the statistics
    of the train split, which are part of the model.

    Args:
        dim: width of the vectors.
        statistics: mean and standard deviation over the train images, (D,) each; None leaves the
            vectors as they are before L2.
    """

    def __init__(self, dim: int, statistics: tuple[Tensor, Tensor] | None = None) -> None:
        super().__init__()
        mean, std = statistics or (torch.zeros(dim), torch.ones(dim))
        self.register_buffer("mean", mean.float())
        self.register_buffer("std", std.float())
        self.out_dim = dim

    def forward(self, image: Tensor) -> Tensor:
        """(B, D) to (B, D), each row of length one."""
        return normalize((image.float() - self.mean) / self.std, dim=-1)


def train_statistics(features: np.ndarray) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each feature, (D,) each, over train images (I, D)."""
    values = torch.from_numpy(np.asarray(features, dtype=np.float32))
    std = values.std(dim=0, correction=0)
    return values.mean(dim=0), torch.where(std < _SMALLEST_STD, torch.ones_like(std), std)
