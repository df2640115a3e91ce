"""Questions to vectors: encoders that learn.

Each takes token ids and lengths, computes its own output width, and knows nothing of text.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from vqa_helpers.language.recurrent import States, last_states


class WordLSTM(nn.Module):
    """A learned word embedding and a one-layer LSTM (VQA 2015, section 4, "LSTM Q").

    Args:
        vocabulary_size: number of word ids, padding and unknown included.
        words: width of the embedding.
        hidden: width of the LSTM.
        embedding_tanh: tanh after the embedding, as the study's original has it.
        carry_state: start each training batch from the state the batch before left, as the
            study's original does, though neighbours in a shuffled epoch have nothing in common.
            An epoch starts from zero, and so does every evaluation: an answer must not depend on
            its neighbours.
    """

    def __init__(
        self,
        vocabulary_size: int,
        words: int = 300,
        hidden: int = 512,
        embedding_tanh: bool = False,
        carry_state: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary_size, words, padding_idx=0)
        self.activation = nn.Tanh() if embedding_tanh else nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self.lstm = nn.LSTM(words, hidden, batch_first=True)
        self.carry_state = carry_state
        self._state: States | None = None
        self.out_dim = 2 * hidden

    def train(self, mode: bool = True) -> "WordLSTM":
        """Switch to training or evaluation; either starts from a fresh state."""
        for state in self._state or ():
            state.zero_()  # in its place, which a captured step remembers
        return super().train(mode)

    def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """Encode questions.

        Args:
            tokens: word ids, (B, T), right-padded with 0.
            lengths: true lengths, (B,), at least 1, on the CPU where the tokens are.

        Returns:
            (B, 2 * hidden): last hidden and last cell state side by side.
        """
        words = self.dropout(self.activation(self.embedding(tokens)))  # (B, T, W)
        carry = self.carry_state and self.training
        before = self._carried(words) if carry else None
        hidden, cell = last_states(self.lstm, words, lengths, before)  # (1, B, H) each
        if carry:
            self._keep(hidden.detach(), cell.detach())
        return torch.cat([hidden[-1], cell[-1]], dim=1)  # (B, 2H)

    def _carried(self, words: Tensor) -> States | None:
        """The states for the rows of a batch; None for more rows than the batch before had."""
        if self._state is None or self._state[0].device != words.device:
            return None
        batch = len(words)
        if self._state[0].shape[1] < batch:
            return None
        hidden, cell = (state[:, :batch].clone() for state in self._state)
        return hidden, cell

    def _keep(self, hidden: Tensor, cell: Tensor) -> None:
        """Leave the states to the next batch, in the place where the first batch left them."""
        state = self._state
        if state is None or state[0].device != hidden.device:
            self._state = hidden.clone(), cell.clone()
        elif hidden.shape == state[0].shape:
            state[0].copy_(hidden)
            state[1].copy_(cell)
        # Else it is the last batch of an epoch, which has none after it.


class BagOfWords(nn.Module):
    """The sum of word embeddings beside those of the first words (VQA 2015, section 4, "BoW Q").

    The paper counts the 1,000 most frequent words, and apart from them the 10 most frequent first,
    second and third words, since the beginning of a question says most about its answer. Here
    every known word has a vector of its own in the bag, and another for each of the first places:
    a linear layer on top can say all that one on the counts could.

    Args:
        vocabulary_size: number of word ids, padding and unknown included.
        words: width of the bag.
        first: how many of the first words are also told apart by place.
        first_words: width of each of them.
        dropout: on the whole vector.
    """

    def __init__(
        self,
        vocabulary_size: int,
        words: int = 300,
        first: int = 3,
        first_words: int = 100,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.bag = nn.EmbeddingBag(vocabulary_size, words, mode="sum", padding_idx=0)
        self.first = nn.ModuleList(
            nn.Embedding(vocabulary_size, first_words, padding_idx=0) for _ in range(first)
        )
        self.dropout = nn.Dropout(dropout)
        self.out_dim = words + first * first_words

    def forward(self, tokens: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Encode questions.

        Args:
            tokens: word ids, (B, T), right-padded with 0, which adds nothing.

        Returns:
            (B, words + first * first_words): the bag, then the first words in order; zeros for
            those that a short question lacks.
        """
        beginning = pad(tokens, (0, max(0, len(self.first) - tokens.shape[1])))
        placed = [table(beginning[:, place]) for place, table in enumerate(self.first)]
        return self.dropout(torch.cat([self.bag(tokens), *placed], dim=1))


class GloveBiLSTM(nn.Module):
    """Frozen word vectors and a two-layer bidirectional LSTM (reference study, GloVe + LSTM).

    Args:
        vectors: (vocabulary, D) float, the row of each word id; row 0 pads.
        hidden: width of each direction.
    """

    def __init__(self, vectors: Tensor, hidden: int = 512) -> None:
        super().__init__()
        self.embedding = nn.Embedding.from_pretrained(vectors, freeze=True, padding_idx=0)
        self.lstm = nn.LSTM(
            vectors.shape[1], hidden, num_layers=2, bidirectional=True, batch_first=True
        )
        self.out_dim = 4 * hidden

    def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """Encode questions.

        Args:
            tokens: word ids, (B, T), right-padded with 0.
            lengths: true lengths, (B,), at least 1, on the CPU where the tokens are.

        Returns:
            (B, 4 * hidden): the last hidden states of both layers and directions.
        """
        words = self.embedding(tokens)  # (B, T, D)
        hidden, _ = last_states(self.lstm, words, lengths)  # (4, B, H)
        return hidden.transpose(0, 1).flatten(1)  # (B, 4H)


class SentenceVectors(nn.Module):
    """Vectors of a frozen sentence encoder, computed ahead; passed on as they are."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.out_dim = width

    def forward(self, vectors: Tensor, lengths: Tensor | None = None) -> Tensor:
        """(B, width), unchanged."""
        return vectors
