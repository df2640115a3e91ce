"""An image vector and a question vector become one.

A fusion takes both widths, computes its own, and knows nothing of where the vectors come from.
`attends` says whether it takes a grid (B, K, image_dim) of places instead of one vector; those that
do, or that read a question word by word, are in `attention.py`. Those that take every number of the
image times every number of the question are in `bilinear.py`.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from vqa_helpers.errors import InputError
from vqa_helpers.pieces.choice import ACTIVATIONS, Activation, Piece


class Concatenation(Piece):
    """Both vectors side by side (reference study, Model100 and 1.e)."""

    attends = False

    def __init__(self, image_dim: int, question_dim: int) -> None:
        super().__init__()
        self.out_dim = image_dim + question_dim

    def forward(self, image: Tensor, question: Tensor) -> Tensor:
        """(B, image_dim) and (B, question_dim) to (B, image_dim + question_dim)."""
        return torch.cat([image, question], dim=1)


class PlainProduct(Piece):
    """The element-wise product of two vectors of equal width (reference study, 1.b and 1.c). The
    image vector of another network, whose width is not the question's, is projected to it first."""

    attends = False

    def __init__(self, image_dim: int, question_dim: int) -> None:
        super().__init__()
        same = image_dim == question_dim
        self.image = nn.Identity() if same else nn.Linear(image_dim, question_dim)
        self.out_dim = question_dim

    def forward(self, image: Tensor, question: Tensor) -> Tensor:
        """(B, image_dim) and (B, question_dim) to (B, question_dim)."""
        return self.image(image) * question


class Product(Piece):
    """The element-wise product of two projections (VQA 2015, "deeper LSTM Q + norm I").

    Args:
        width: of both projections.
        activation: after each projection, "relu" or "tanh".
        normalise: whether each projection is L2-normalised before the product.
        dropout: on the product.
    """

    attends = False

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

    def projections(self, image: Tensor, question: Tensor) -> tuple[Tensor, Tensor]:
        """(B, image_dim) and (B, question_dim) to (B, width) each."""
        image, question = self.image(image), self.question(question)
        if self.normalise:
            image, question = normalize(image, dim=1), normalize(question, dim=1)
        return image, question

    def forward(self, image: Tensor, question: Tensor) -> Tensor:
        """(B, image_dim) and (B, question_dim) to (B, width)."""
        image, question = self.projections(image, question)
        return self.dropout(image * question)


class Sum(Product):
    """The sum of two projections, a baseline for products (Ben-younes et al.,
    "BLOCK", 2019, section 4).

    Args:
        width, activation, normalise, dropout: as `Product` takes them.
    """

    def forward(self, image: Tensor, question: Tensor) -> Tensor:
        """(B, image_dim) and (B, question_dim) to (B, width)."""
        image, question = self.projections(image, question)
        return self.dropout(image + question)


class FiLM(Piece):
    """The question scales and shifts a residual block on the image (Perez et al., "FiLM",
    2018, section 3), here one block of linear layers on a vector in place of convolutions.

    The question gives the scale's distance from 1, so that at first nothing of the image is lost
    (section 7.2).

    Args:
        width: of the block.
        dropout: on the vector.
    """

    attends = False

    def __init__(
        self, image_dim: int, question_dim: int, width: int = 1024, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.image = nn.Sequential(nn.Linear(image_dim, width), nn.ReLU())
        # What is added before a batch normalisation is taken away by it; scale and shift follow.
        self.block = nn.Sequential(
            nn.Linear(width, width, bias=False), nn.BatchNorm1d(width, affine=False)
        )
        self.question = nn.Linear(question_dim, 2 * width)
        self.dropout = nn.Dropout(dropout)
        self.out_dim = width

    def forward(self, image: Tensor, question: Tensor) -> Tensor:
        """(B, image_dim) and (B, question_dim) to (B, width)."""
        seen = self.image(image)  # (B, width)
        scale, shift = self.question(question).chunk(2, dim=1)  # (B, width) each
        return self.dropout(seen + torch.relu((1 + scale) * self.block(seen) + shift))


class OneSide(Piece):
    """Passes on the only vector, of a model without an image or without a question
    (VQA 2015, "LSTM Q" and "I"). The width of the missing side is 0 and its vector None.

    Raises:
        InputError: where both sides are there, or neither is.
    """

    attends = False

    def __init__(self, image_dim: int, question_dim: int) -> None:
        super().__init__()
        if (image_dim == 0) == (question_dim == 0):
            raise InputError(
                "OneSide is for a model of an image or a question alone; with both, choose a "
                "fusion such as Product"
            )
        self.out_dim = image_dim or question_dim

    def forward(self, image: Tensor | None, question: Tensor | None) -> Tensor:
        """(B, image_dim) or (B, question_dim), unchanged."""
        return question if image is None else image
