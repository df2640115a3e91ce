"""Bilinear fusions: products of every image feature with every question feature, made affordable.

Each number of a full bilinear map would weigh D * Q products: 2 billion weights for an image of 2048,
a question of 1024 and a vector of 1000. MCB hashes the products into fewer; the others use low-rank
weights: of the whole map (MLB, MFB), of a small core (MUTAN), or of blocks in it (BLOCK).
"""

import torch
from torch import Tensor, nn
from torch.fft import irfft, rfft
from torch.nn.functional import normalize

from vqa_helpers.errors import InputError
from vqa_helpers.pieces.choice import Activation, Piece
from vqa_helpers.pieces.fusion import Product

_SMALLEST = 1e-8  # under a root, whose slope at 0 has no end


def signed_root(vector: Tensor) -> Tensor:
    """sign(x) * sqrt(|x|) of each number, then L2 normalisation: (B, F) to (B, F). Otherwise
    a few large products would outweigh all others (MCB 2016, section 3.2; MFB 2017, section 3)."""
    return normalize(vector.sign() * (vector.abs() + _SMALLEST).sqrt(), dim=1)


class LowRank(nn.Module):
    """A bilinear map of which each number has a matrix of rank R: the sum of R products of two
    projections (Kim et al., "MLB", 2017, section 2; one of the matrices is x^T U V^T y)."""

    def __init__(
        self, image_dim: int, question_dim: int, width: int, rank: int, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.image = nn.Linear(image_dim, rank * width)
        self.question = nn.Linear(question_dim, rank * width)
        self.dropout = nn.Dropout(dropout)
        self.rank = rank

    def forward(self, image: Tensor, question: Tensor) -> Tensor:
        """(B, image_dim) and (B, question_dim) to (B, width)."""
        products = self.dropout(self.image(image) * self.question(question))  # (B, R * width)
        return products.unflatten(1, (self.rank, -1)).sum(dim=1)  # (B, R, width) to (B, width)


class MCB(Piece):
    """Multimodal compact bilinear pooling: a count sketch of all products (Fukui et al., 2016,
    section 3.1). Has no weights.

    Each number of a vector is hashed to one of `width` places, and added there with a random sign.
    The sketch of all products is the circular convolution of both sketches: a product of their
    Fourier transforms.

    Args:
        width: of the sketch; the paper's 16,000 make a first layer of 16 million weights behind it.

    Attributes:
        image_place, question_place: the hashes, (image_dim,) and (question_dim,), drawn by torch's
            generator and saved with the model.
        image_sign, question_sign: 1 or -1 each.
    """

    attends = False

    def __init__(self, image_dim: int, question_dim: int, width: int = 16_000) -> None:
        super().__init__()
        for side, dim in (("image", image_dim), ("question", question_dim)):
            self.register_buffer(f"{side}_place", torch.randint(width, (dim,)))
            self.register_buffer(f"{side}_sign", 2.0 * torch.randint(2, (dim,)) - 1)
        self.out_dim = width

    def forward(self, image: Tensor, question: Tensor) -> Tensor:
        """(B, image_dim) and (B, question_dim) to (B, width), of length 1."""
        seen = self._transformed(image, self.image_place, self.image_sign)  # (B, width // 2 + 1)
        asked = self._transformed(question, self.question_place, self.question_sign)
        return signed_root(irfft(seen * asked, n=self.out_dim))

    def _transformed(self, vector: Tensor, place: Tensor, sign: Tensor) -> Tensor:
        """The transform (B, width // 2 + 1) of a sketch, in single precision."""
        empty = torch.zeros(vector.shape[0], self.out_dim, device=vector.device)
        return rfft(empty.index_add(1, place, vector.float() * sign))


class MLB(Product):
    """Multimodal low-rank bilinear pooling: a product of two projections, projected again (Kim et
    al., 2017, section 3: P (tanh(U x) * tanh(V y)) + b). `Product` is this without the last layer.

    Args:
        width: of the vector; the paper's are the answers.
        rank: width of the product, 1,200 in the paper.
        activation: after each of the first projections, "relu" or "tanh".
        dropout: on the product.
    """

    def __init__(
        self,
        image_dim: int,
        question_dim: int,
        width: int = 1024,
        rank: int = 1200,
        activation: Activation = "tanh",
        dropout: float = 0.5,
    ) -> None:
        super().__init__(image_dim, question_dim, rank, activation, dropout=dropout)
        self.project = nn.Linear(rank, width)
        self.out_dim = width

    def forward(self, image: Tensor, question: Tensor) -> Tensor:
        """(B, image_dim) and (B, question_dim) to (B, width)."""
        return self.project(super().forward(image, question))


class MFB(Piece):
    """Multimodal factorised bilinear pooling: K products are summed to each number (Yu et al.,
    2017, section 3).

    Args:
        width: of the vector, 1,000 in the paper.
        factors: K, 5 in the paper.
        dropout: on the products, 0.1 in the paper.
    """

    attends = False

    def __init__(
        self,
        image_dim: int,
        question_dim: int,
        width: int = 1000,
        factors: int = 5,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.bilinear = LowRank(image_dim, question_dim, width, factors, dropout)
        self.out_dim = width

    def forward(self, image: Tensor, question: Tensor) -> Tensor:
        """(B, image_dim) and (B, question_dim) to (B, width), of length 1."""
        return signed_root(self.bilinear(image, question))


class MUTAN(Piece):
    """A Tucker decomposition of the bilinear map: both vectors are projected to a small core, whose
    slices have rank R (Ben-younes et al., "MUTAN", 2017, section 3).

    Args:
        width: of the vector; with `inner` and `rank` as the authors' code has it without attention.
        inner: width of both projections into the core.
        rank: R of each slice of the core.
        dropout: on both vectors.
    """

    attends = False

    def __init__(
        self,
        image_dim: int,
        question_dim: int,
        width: int = 360,
        inner: int = 360,
        rank: int = 10,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()

        def side(dim: int) -> nn.Sequential:
            return nn.Sequential(nn.Dropout(dropout), nn.Linear(dim, inner), nn.Tanh())

        self.image, self.question = side(image_dim), side(question_dim)
        self.core = LowRank(inner, inner, width, rank)
        self.out_dim = width

    def forward(self, image: Tensor, question: Tensor) -> Tensor:
        """(B, image_dim) and (B, question_dim) to (B, width)."""
        return self.core(self.image(image), self.question(question))


class BLOCK(Piece):
    """A block-superdiagonal Tucker decomposition: both projections are cut into chunks, and each
    chunk of one meets its chunk of the other in a core of rank R (Ben-younes et al., "BLOCK", 2019,
    section 3).

    Args:
        width: of the vector; the paper's are the answers.
        inner: width of both projections, 1,600 in the authors' code.
        chunks: of `inner`, equal ones, 20 in the authors' code.
        rank: R of each core, 15 in the authors' code.
        dropout: on both projections.

    Raises:
        InputError: where `inner` is no multiple of `chunks`.
    """

    attends = False

    def __init__(
        self,
        image_dim: int,
        question_dim: int,
        width: int = 1024,
        inner: int = 1600,
        chunks: int = 20,
        rank: int = 15,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        if chunks < 1 or inner % chunks:
            raise InputError(
                f"BLOCK: {inner} numbers cannot be cut into {chunks} equal chunks; choose an `inner` "
                "that is a multiple of `chunks`"
            )
        self.image = nn.Sequential(nn.Linear(image_dim, inner), nn.Dropout(dropout))
        self.question = nn.Sequential(nn.Linear(question_dim, inner), nn.Dropout(dropout))
        size = inner // chunks
        self.cores = nn.ModuleList(LowRank(size, size, size, rank) for _ in range(chunks))
        self.project = nn.Linear(inner, width)
        self.out_dim = width

    def forward(self, image: Tensor, question: Tensor) -> Tensor:
        """(B, image_dim) and (B, question_dim) to (B, width)."""
        images = self.image(image).chunk(len(self.cores), dim=1)  # (B, inner / chunks) each
        questions = self.question(question).chunk(len(self.cores), dim=1)
        chunks = zip(self.cores, images, questions, strict=True)
        fused = [signed_root(core(seen, asked)) for core, seen, asked in chunks]
        return self.project(torch.cat(fused, dim=1))
