"""Questions to a vector per word, for fusions that attend to words, or to an attended mean of them.

The words' own vectors are GloVe's, as in `language.GloveBiLSTM`.
"""

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_packed_sequence

from vqa_helpers.data.vocabulary import WordVocabulary
from vqa_helpers.pieces.choice import Piece
from vqa_helpers.pieces.language import distinct, glove_embedding, packed


class Words(NamedTuple):
    """A batch of questions, word by word.

    Attributes:
        vectors: (B, T, W), one a word.
        there: (B, T) bool, false where a shorter question is padded.
    """

    vectors: Tensor
    there: Tensor

    def shares(self, scores: Tensor) -> Tensor:
        """Softmax of scores (B, T) over the words that are there."""
        return scores.masked_fill(~self.there, float("-inf")).softmax(dim=1)


class GloveWords(Piece):
    """The GloVe vector of each word.

    Args:
        vocabulary: the words of the train questions.
        vectors: what `glove.read_glove` reads; None leaves zeros, for a saved model to fill.
        dim: width of its vectors.
        learn: whether the vectors change in training.

    Attributes:
        source: which vectors exactly.
    """

    gives_words = True

    def __init__(
        self,
        vocabulary: WordVocabulary,
        vectors: Path | None = None,
        dim: int = 50,
        learn: bool = False,
    ) -> None:
        super().__init__()
        self.vocabulary = vocabulary
        self.embedding, self.source = glove_embedding(vocabulary, vectors, dim)
        self.embedding.requires_grad_(learn)
        self.out_dim = dim

    def forward(self, tokens: Tensor, lengths: Tensor | None = None) -> Words:
        """Word ids (B, T), padded right with 0, and lengths (B,), None where each is T, to vectors
        (B, T, out_dim)."""
        there = torch.ones_like(tokens, dtype=torch.bool)
        if lengths is not None:
            places = torch.arange(tokens.shape[1], device=tokens.device)
            there = places < lengths.unsqueeze(1)
        return Words(self.embedding(tokens), there)


class WordStates(GloveWords):
    """An LSTM's state at each word (the words of Yu et al., "MCAN", 2019, section 4.1).

    Args:
        vocabulary, vectors, dim, learn: as `GloveWords` takes them.
        hidden: width of the LSTM.
        bidirectional: whether a second one reads from the end; the vectors stand side by side.
        dropout: on the words' vectors.
    """

    def __init__(
        self,
        vocabulary: WordVocabulary,
        vectors: Path | None = None,
        dim: int = 50,
        learn: bool = False,
        hidden: int = 512,
        bidirectional: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(vocabulary, vectors, dim, learn)
        self.dropout = nn.Dropout(dropout)
        self.lstm = nn.LSTM(dim, hidden, batch_first=True, bidirectional=bidirectional)
        self.out_dim = hidden * (2 if bidirectional else 1)

    def forward(self, tokens: Tensor, lengths: Tensor | None = None) -> Words:
        """Word ids (B, T), padded right with 0, and lengths (B,), None where each is T, to states
        (B, T, out_dim)."""
        vectors, there = super().forward(tokens, lengths)  # (B, T, dim)
        vectors = self.dropout(vectors)
        if lengths is None:
            return Words(self.lstm(vectors)[0], there)
        with torch.autocast("cuda", enabled=False):  # as `language.last_states`
            states, _ = self.lstm(packed(vectors, lengths))
        # Back to (B, T, out_dim), with zeros for the padding.
        states, _ = pad_packed_sequence(states, batch_first=True, total_length=tokens.shape[1])
        return Words(states.float(), there)


class AttendedWords(WordStates):
    """One vector per question: its word states weighted by attention (Yang et al.,
    "Hierarchical Attention Networks", 2016, section 2.2; a next step of the reference study).

    Args:
        vocabulary, vectors, dim, learn, hidden, bidirectional, dropout: as `WordStates` takes them.
    """

    gives_words = False

    def __init__(
        self,
        vocabulary: WordVocabulary,
        vectors: Path | None = None,
        dim: int = 50,
        learn: bool = False,
        hidden: int = 512,
        bidirectional: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(vocabulary, vectors, dim, learn, hidden, bidirectional, dropout)
        self.score = nn.Sequential(
            nn.Linear(self.out_dim, hidden), nn.Tanh(), nn.Linear(hidden, 1, bias=False)
        )

    def _read(self, tokens: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
        """States (B, T, out_dim) and the share of each (B, T)."""
        words = super().forward(tokens, lengths)
        return words.vectors, words.shares(self.score(words.vectors).squeeze(-1))

    def word_shares(self, tokens: Tensor, lengths: Tensor | None = None) -> Tensor:
        """How much each word counts: (B, T)."""
        return self._read(tokens, lengths)[1]

    def forward(self, tokens: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Word ids (B, T), padded right with 0, and lengths (B,), None where each is T, to (B,
        out_dim)."""
        alike = self.training and not self.dropout.p
        tokens, lengths, which = distinct(tokens, lengths, alike)
        states, shares = self._read(tokens, lengths)  # (U, T, out_dim), (U, T)
        return torch.einsum("bt,btw->bw", shares, states)[which]
