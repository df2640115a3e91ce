"""An image vector and a question vector become one.

Each piece takes two widths, computes its own output width, and knows nothing of where the vectors
come from.
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from vqa_helpers.errors import InputError

Activation = Literal["relu", "tanh"]
ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh}


class Concatenation(nn.Module):
    """Both vectors side by side (reference study, Model100 and 1.e)."""

    def __init__(self, image_dim: int, question_dim: int) -> None:
        super().__init__()
        self.out_dim = image_dim + question_dim

    def forward(self, image: Tensor, question: Tensor) -> Tensor:
        """(B, image_dim) and (B, question_dim) to (B, image_dim + question_dim)."""
        return torch.cat([image, question], dim=1)


class PlainProduct(nn.Module):
    """The point-wise product of two vectors of one width (reference study, 1.b and 1.c)."""

    def __init__(self, image_dim: int, question_dim: int) -> None:
        super().__init__()
        if image_dim != question_dim:
            raise InputError(
                f"a point-wise product without projections needs equal widths, not {image_dim} "
                f"(image) and {question_dim} (question); use ProjectedProduct"
            )
        self.out_dim = image_dim

    def forward(self, image: Tensor, question: Tensor) -> Tensor:
        """(B, D) and (B, D) to (B, D)."""
        return image * question


class ProjectedProduct(nn.Module):
    """The point-wise product of two projections (VQA 2015, "deeper LSTM Q + norm I").

    Args:
        width: of both projections.
        activation: after each projection.
        normalise: whether each projection is L2-normalised before the product.
        dropout: on the product.
    """

    def __init__(
        self,
        image_dim: int,
        question_dim: int,
        width: int = 1024,
        activation: Activation = "relu",
        normalise: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.image = nn.Sequential(nn.Linear(image_dim, width), ACTIVATIONS[activation]())
        self.question = nn.Sequential(nn.Linear(question_dim, width), ACTIVATIONS[activation]())
        self.normalise = normalise
        self.dropout = nn.Dropout(dropout)
        self.out_dim = width

    def forward(self, image: Tensor, question: Tensor) -> Tensor:
        """(B, image_dim) and (B, question_dim) to (B, width)."""
        image, question = self.image(image), self.question(question)  # (B, width) each
        if self.normalise:
            image, question = normalize(image, dim=1), normalize(question, dim=1)
        return self.dropout(image * question)


class OneSide(nn.Module):
    """The one vector there is, as it is: what a model without an image, or without a question,
    knows (VQA 2015, "LSTM Q" and "I").

    The width of the side that is missing is 0, and its vector None.
    """

    def __init__(self, image_dim: int, question_dim: int) -> None:
        super().__init__()
        if (image_dim == 0) == (question_dim == 0):
            raise InputError(
                "a model of one side has an image or a question; with both, choose a fusion "
                "(Concat, Product)"
            )
        self.out_dim = image_dim or question_dim

    def forward(self, image: Tensor | None, question: Tensor | None) -> Tensor:
        """(B, image_dim) or (B, question_dim), unchanged."""
        return question if image is None else image
