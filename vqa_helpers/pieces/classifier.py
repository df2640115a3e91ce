"""One vector becomes logits over the answers."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from vqa_helpers.data.vocabulary import AnswerVocabulary, WordVocabulary, tokenize_all
from vqa_helpers.pieces.choice import ACTIVATIONS, Activation, Piece
from vqa_helpers.pieces.language import glove_embedding


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
        self, in_dim: int, hidden: Sequence[int], answers: int, activation: Activation = "relu",
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
        """Initialise the bias so that an uninformative vector gives these logits (answers,)."""
        self.layers[-1].bias.copy_(logits)

    def forward(self, vector: Tensor) -> Tensor:
        """(B, in_dim) to logits (B, answers)."""
        return self.layers(vector)


class AnswerWords(Piece):
    """The logit of an answer is the dot product of the projected vector with the answer's word
    vector, so that answers never seen in training can be ranked too (`rank_among`; Frome et al.,
    "DeViSE", 2013).

    Args:
        vocabulary: the answers of train.
        vectors: what `glove.read_glove` reads; None leaves zeros, for a saved model to fill.
        dim: width of its vectors.
        hidden, activation, batch_norm, dropout: of the layers before, as `Funnel` takes them.
    """

    def __init__(
        self, in_dim: int, vocabulary: AnswerVocabulary, vectors: Path | None = None, dim: int = 50,
        hidden: Sequence[int] = (1024,), activation: Activation = "relu", batch_norm: bool = False,
        dropout: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.project = Funnel(in_dim, hidden, dim, activation, batch_norm, dropout)
        self.register_buffer("answer_vectors", vectors_of(vocabulary.answers, vectors, dim))
        self.out_dim = len(vocabulary)

    def rank_among(self, answers: Sequence[str], vectors: Path) -> None:
        """Score these answers from now on, (B, len(answers)), whether or not they occur in
        train."""
        device, dim = self.answer_vectors.device, self.answer_vectors.shape[1]
        self.answer_vectors = vectors_of(answers, vectors, dim).to(device)
        self.out_dim = len(answers)

    def forward(self, vector: Tensor) -> Tensor:
        """(B, in_dim) to logits (B, answers)."""
        return self.project(vector) @ self.answer_vectors.T


def vectors_of(answers: Sequence[str], vectors: Path | None, dim: int) -> Tensor:
    """Answers as the mean of their words' GloVe vectors, (A, dim), L2-normalised; zeros for an
    answer without a known word, whose logit is then always 0."""
    words = tokenize_all(answers)
    vocabulary = WordVocabulary.build(words)
    embedding, _ = glove_embedding(vocabulary, vectors, dim)
    means = [embedding.weight[[vocabulary.ids[word] for word in of_one]].sum(0) for of_one in words]
    return normalize(torch.stack(means), dim=1)
