"""Pieces as users write them: a plain module and a `Piece` for each slot, the second with names of
its own for the sizes. Read both as a module of the tests and as a file that a user names."""

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from vqa_helpers.data.vocabulary import tokenize_all
from vqa_helpers.pieces.choice import Piece


class MeanColour(nn.Module):
    def __init__(self, size_px=32, scale=1.0):
        super().__init__()
        self.size_px, self.scale = size_px, scale
        self.out_dim = 3

    def forward(self, pixels: Tensor) -> Tensor:
        return self.scale * pixels.float().mean((2, 3)) / 255  # (B, 3)


class Patches(Piece):
    def __init__(self, size_px: int = 32, width: int = 8):
        super().__init__()
        self.size_px = size_px
        self.convolution = nn.Conv2d(3, width, 8, stride=8)
        self.out_dim = width

    def forward(self, image: Tensor) -> Tensor:
        return self.convolution(image.float() / 255).mean((2, 3))


class MeanWord(nn.Module):
    def __init__(self, vocabulary_size, width=5):
        super().__init__()
        self.width = width
        self.words = nn.Embedding(vocabulary_size, width, padding_idx=0)
        self.out_dim = width

    def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        return self.words(tokens).sum(1) / lengths[:, None]


class CountedWords(Piece):
    def __init__(self, words, width: int = 7):
        super().__init__()
        self.vocabulary = words
        self.linear = nn.Linear(len(words), width)
        self.out_dim = width

    def encode(self, questions):
        counts = torch.zeros(len(questions), len(self.vocabulary))
        for row, question in enumerate(tokenize_all(questions)):
            for word in question:
                counts[row, self.vocabulary.ids.get(word, 1)] += 1
        return (counts,)

    def forward(self, counts: Tensor) -> Tensor:
        return self.linear(counts)


class Gated(nn.Module):
    def __init__(self, image_dim, question_dim, width=6):
        super().__init__()
        self.width = width
        self.image, self.question = nn.Linear(image_dim, width), nn.Linear(question_dim, width)
        self.out_dim = width

    def forward(self, image: Tensor, question: Tensor) -> Tensor:
        return torch.sigmoid(self.image(image)) * self.question(question)


class Summed(Piece):
    def __init__(self, seen: int, read: int, width: int = 4, hidden: tuple[int, ...] = (9,)):
        super().__init__()
        self.seen = nn.Sequential(nn.Linear(seen, hidden[0]), nn.Linear(hidden[0], width))
        self.read = nn.Linear(read, width)
        self.out_dim = width

    def forward(self, image: Tensor, question: Tensor) -> Tensor:
        return self.seen(image) + self.read(question)


class OneLayer(nn.Module):
    def __init__(self, in_dim, answers, bias=True):
        super().__init__()
        self.bias = bias
        self.linear = nn.Linear(in_dim, answers, bias=bias)
        self.out_dim = answers

    def forward(self, vector: Tensor) -> Tensor:
        return self.linear(vector)


class Cosine(Piece):
    def __init__(self, width: int, count: int, sharpness: float = 10.0):
        super().__init__()
        self.sharpness = sharpness
        self.directions = nn.Parameter(torch.randn(count, width))
        self.out_dim = count

    def forward(self, vector: Tensor) -> Tensor:
        return self.sharpness * normalize(vector) @ normalize(self.directions).T


OWN = {
    "vision": (MeanColour, Patches),
    "language": (MeanWord, CountedWords),
    "fusion": (Gated, Summed),
    "classifier": (OneLayer, Cosine),
}
