"""Questions to vectors.

An encoder is given word ids of its `vocabulary`, or else of train, padded right with 0, and lengths;
one with a method `encode` reads texts its own way.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import pad
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

from vqa_helpers.data.vocabulary import WordVocabulary, tokenize_all
from vqa_helpers.pieces.choice import Piece
from vqa_helpers.pieces.glove import read_glove
from vqa_helpers.pieces.sentences import (
    MULTILINGUAL,
    MULTILINGUAL_STAND_IN,
    USE,
    WIDTH,
    embed_sentences,
    encoder_source,
)

States = tuple[Tensor, Tensor]


class WordLSTM(Piece):
    """A learned word embedding and an LSTM (VQA 2015, section 4: "LSTM Q", and with two layers "deeper
    LSTM Q").

    Args:
        vocabulary: the words of the train questions.
        width: of the word embedding.
        hidden: width of the LSTM.
        min_count: words that the train questions hold less often are unknown.
        embedding_tanh: tanh after the embedding, as the study's original has it.
        carry_state: start each training batch from the state the batch before left, as the
            study's original does, though neighbours in a shuffled epoch have nothing in common.
            An epoch starts from zero, and so does every evaluation: an answer must not depend on
            its neighbours.
        sorted_set: each question as the sorted set of its word ids, as two of the study's notebooks
            have it; word order is lost.
        dropout: on the embedded words.
        bidirectional: read each question backwards as well, by a second LSTM.
        layers: of the LSTM.
    """

    def __init__(
        self,
        vocabulary: WordVocabulary,
        width: int = 300,
        hidden: int = 512,
        min_count: int = 1,
        embedding_tanh: bool = False,
        carry_state: bool = False,
        sorted_set: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        layers: int = 1,
    ) -> None:
        super().__init__()
        self.vocabulary = vocabulary.at_least(min_count)
        self.embedding = nn.Embedding(len(self.vocabulary), width, padding_idx=0)
        self.activation = nn.Tanh() if embedding_tanh else nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self.lstm = nn.LSTM(width, hidden, layers, batch_first=True, bidirectional=bidirectional)
        self.carry_state = carry_state
        self.sorted_set = sorted_set
        self._state: States | None = None
        self.out_dim = 2 * hidden * layers * (1 + bidirectional)

    def encode(self, questions: Sequence[str]) -> States:
        """N texts to word ids (N, T), padded right with 0, and lengths (N,)."""
        return word_ids(self.vocabulary, questions, self.sorted_set)

    def train(self, mode: bool = True) -> "WordLSTM":
        """Switch to training or evaluation; both start from a fresh state."""
        self._state = None
        return super().train(mode)

    def forward(self, tokens: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Encode questions.

        Args:
            tokens: word ids, (B, T), padded right with 0.
            lengths: true lengths, (B,), at least 1; None where each is T.

        Returns:
            (B, out_dim): the last hidden states of all layers and directions, then the cells;
            2 * hidden with one of each.
        """
        carry = self.carry_state and self.training
        alike = self.training and not (carry or self.dropout.p)
        tokens, lengths, which = distinct(tokens, lengths, alike)
        words = self.dropout(self.activation(self.embedding(tokens)))  # (U, T, W)
        begun = self._carried(words) if carry else None
        hidden, cell = last_states(self.lstm, words, lengths, begun)
        if carry and (self._state is None or hidden.shape == self._state[0].shape):
            self._state = hidden.detach(), cell.detach()  # (directions, B, H) each
        return torch.cat([*hidden, *cell], dim=1)[which]  # (B, 2H) of one layer and direction

    def _carried(self, words: Tensor) -> States | None:
        """The states for the rows of a batch; None for more rows than the batch before had."""
        if self._state is None or self._state[0].shape[1] < len(words):
            return None
        hidden, cell = (state[:, : len(words)].contiguous() for state in self._state)
        return hidden, cell


class WordGRU(Piece):
    """A learned word embedding and a one-layer GRU (Cho et al., 2014, section 2.3), which the field
    took up after VQA 2015 (Teney et al., "Tips and Tricks", 2018).

    Args:
        vocabulary: the words of the train questions.
        width: of the word embedding.
        hidden: width of the GRU.
        min_count: words that the train questions hold less often are unknown.
        dropout: on the embedded words.
        bidirectional: read each question backwards as well, by a second GRU.
    """

    def __init__(
        self,
        vocabulary: WordVocabulary,
        width: int = 300,
        hidden: int = 512,
        min_count: int = 1,
        dropout: float = 0.0,
        bidirectional: bool = False,
    ) -> None:
        super().__init__()
        self.vocabulary = vocabulary.at_least(min_count)
        self.embedding = nn.Embedding(len(self.vocabulary), width, padding_idx=0)
        self.dropout = nn.Dropout(dropout)
        self.gru = nn.GRU(width, hidden, batch_first=True, bidirectional=bidirectional)
        self.out_dim = hidden * (1 + bidirectional)

    def forward(self, tokens: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Encode questions.

        Args:
            tokens: word ids, (B, T), padded right with 0.
            lengths: true lengths, (B,), at least 1; None where each is T.

        Returns:
            (B, hidden): the state after the last word; with two directions (B, 2 * hidden), the
            second after the first word.
        """
        alike = self.training and not self.dropout.p
        tokens, lengths, which = distinct(tokens, lengths, alike)
        words = self.dropout(self.embedding(tokens))  # (U, T, W)
        return torch.cat([*last_states(self.gru, words, lengths)], dim=1)[which]


class BagOfWords(Piece):
    """The sum of word embeddings beside those of the first words (VQA 2015, section 4, "BoW Q").

    The paper counts the 1,000 most frequent words, and apart from them the 10 most frequent first,
    second and third words, since the beginning of a question says most about its answer. Here
    every known word has a vector of its own in the bag, and another for each of the first places:
    a linear layer on top can say all that one on the counts could.

    Args:
        vocabulary: the words of the train questions.
        width: of the bag.
        first: how many of the first words are also told apart by place.
        first_width: width of each of them.
        min_count: words that the train questions hold less often are unknown.
        dropout: on the vector.
    """

    def __init__(
        self,
        vocabulary: WordVocabulary,
        width: int = 300,
        first: int = 3,
        first_width: int = 100,
        min_count: int = 1,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.vocabulary = vocabulary.at_least(min_count)
        words = len(self.vocabulary)
        self.bag = nn.Embedding(words, width, padding_idx=0)
        self.places = nn.ModuleList(
            nn.Embedding(words, first_width, padding_idx=0) for _ in range(first)
        )
        self.dropout = nn.Dropout(dropout)
        self.out_dim = width + first * first_width

    def forward(self, tokens: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Encode questions.

        Args:
            tokens: word ids, (B, T), padded right with 0, which adds nothing.

        Returns:
            (B, width + first * first_width): the bag, then the first words in order; zeros for
            those that a short question lacks.
        """
        beginning = pad(tokens, (0, max(0, len(self.places) - tokens.shape[1])))
        placed = [table(beginning[:, place]) for place, table in enumerate(self.places)]
        return self.dropout(torch.cat([self.bag(tokens).sum(dim=1), *placed], dim=1))


class GloveBiLSTM(Piece):
    """Frozen GloVe vectors and a two-layer bidirectional LSTM (reference study, GloVe + LSTM).

    Args:
        vocabulary: the words of the train questions.
        vectors: what `glove.read_glove` reads; None leaves zeros, for a saved model to fill.
        dim: width D of its vectors.
        hidden: width of each direction.

    Attributes:
        source: which vectors exactly.
    """

    def __init__(
        self,
        vocabulary: WordVocabulary,
        vectors: Path | None = None,
        dim: int = 50,
        hidden: int = 512,
    ) -> None:
        super().__init__()
        self.vocabulary = vocabulary
        self.embedding, self.source = glove_embedding(vocabulary, vectors, dim)
        self.lstm = nn.LSTM(dim, hidden, num_layers=2, bidirectional=True, batch_first=True)
        self.out_dim = 4 * hidden

    def forward(self, tokens: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Encode questions.

        Args:
            tokens: word ids, (B, T), padded right with 0.
            lengths: true lengths, (B,), at least 1; None where each is T.

        Returns:
            (B, 4 * hidden): the last hidden states of both layers and directions.
        """
        tokens, lengths, which = distinct(tokens, lengths, self.training)
        words = self.embedding(tokens)  # (U, T, D)
        hidden, _ = last_states(self.lstm, words, lengths)  # (4, U, H)
        return hidden.transpose(0, 1).flatten(1)[which]  # (B, 4H)


class SentenceVectors(Piece):
    """Vectors of a frozen sentence encoder, computed once per distinct question and kept.

    Args:
        encoder: the Universal Sentence Encoder 4 by name, the folder of a SavedModel, or the
            multilingual Universal Sentence Encoder 3 by name, which stands in for it.
        cache: folder where vectors are kept; None for nowhere.

    Attributes:
        source: which encoder exactly.
        stand_in: what took the place of the study's encoder; None where nothing did.
    """

    def __init__(self, encoder: str = USE, cache: Path | None = Path("features/sentences")) -> None:
        super().__init__()
        self.encoder = str(encoder)
        self.cache = cache and Path(cache)
        self.source = encoder_source(self.encoder)
        self.stand_in = MULTILINGUAL_STAND_IN if self.encoder == MULTILINGUAL else None
        self.out_dim = WIDTH

    def encode(self, questions: Sequence[str]) -> tuple[Tensor]:
        """N texts to their vectors (N, out_dim)."""
        return (torch.from_numpy(embed_sentences(questions, self.encoder, cache=self.cache)),)

    def forward(self, vectors: Tensor) -> Tensor:
        """(B, out_dim), unchanged."""
        return vectors


class SentenceLayers(SentenceVectors):
    """Sentence vectors with trained layers on top, as the encoder's authors use it for other tasks
    (Cer et al., "Universal Sentence Encoder", 2018). The encoder itself stays frozen.

    Args:
        encoder, cache: as `SentenceVectors` takes them.
        width: of each layer.
        layers: how many; each is linear, ReLU, dropout if asked.
        dropout: after each layer.
    """

    def __init__(
        self,
        encoder: str = USE,
        cache: Path | None = Path("features/sentences"),
        width: int = 512,
        layers: int = 1,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(encoder, cache)
        self.layers = nn.Sequential()
        for _ in range(layers):
            self.layers.extend([nn.Linear(self.out_dim, width), nn.ReLU(), nn.Dropout(dropout)])
            self.out_dim = width

    def forward(self, vectors: Tensor) -> Tensor:
        """(B, the encoder's width) to (B, width)."""
        return self.layers(vectors)


def glove_embedding(
    vocabulary: WordVocabulary, vectors: Path | None, dim: int
) -> tuple[nn.Embedding, str | None]:
    """Frozen GloVe vectors of the words, and which they are; zeros without a file."""
    matrix, source = torch.zeros(len(vocabulary), dim), None
    if vectors is not None:
        matrix, source = read_glove(Path(vectors), vocabulary.words, dim)
    return nn.Embedding.from_pretrained(matrix, freeze=True, padding_idx=0), source


def word_ids(
    vocabulary: WordVocabulary, questions: Sequence[str], sorted_set: bool = False
) -> States:
    """N texts to word ids (N, T) int32, padded right with 0, and lengths (N,) int64."""
    tokens, lengths = vocabulary.encode(tokenize_all(questions), sorted_set)
    return torch.from_numpy(tokens), torch.from_numpy(lengths)


def distinct(
    tokens: Tensor, lengths: Tensor | None, alike: bool
) -> tuple[Tensor, Tensor | None, Tensor | slice]:
    """The questions of a batch that differ, so that one that is asked of several photographs is read
    once. Not on a GPU, which would have to wait for their number.

    Args:
        tokens: word ids, (B, T), padded right with 0.
        lengths: (B,); None where each is T.
        alike: whether a question is read the same way each time; else every one is left.

    Returns:
        The same of U questions, (U, T) and (U,), and which of them each is, (B,).
    """
    if not alike or lengths is None or tokens.is_cuda:
        return tokens, lengths, slice(None)
    different, which = tokens.unique(dim=0, return_inverse=True)
    return different, lengths.new_empty(len(different)).scatter(0, which, lengths), which


def packed(words: Tensor, lengths: Tensor) -> PackedSequence:
    """Right-padded words (B, T, W) as a recurrent layer reads them without the padding."""
    return pack_padded_sequence(
        words.float(), lengths.cpu(), batch_first=True, enforce_sorted=False
    )


def last_states(
    recurrent: nn.LSTM | nn.GRU, words: Tensor, lengths: Tensor | None, states: States | None = None
) -> States | Tensor:
    """The states after the last word of right-padded questions, in float32. On a GPU the LSTM
    itself also runs in float32, since half floats have not been tried there; on a CPU it does not.

    Args:
        recurrent: `batch_first`.
        words: (B, T, W).
        lengths: (B,), at least 1; None where each is T.
        states: hidden and cell before the first word, (L, B, H) each; None is zero.

    Returns:
        Hidden and cell after the last word, (L, B, H) each, L being layers times directions; of a
        GRU, which has no cell, the one tensor.
    """
    if lengths is None:
        return recurrent(words, states)[1]
    with torch.autocast("cuda", enabled=False):
        last = recurrent(packed(words, lengths), states)[1]
    return last.float() if isinstance(last, Tensor) else tuple(state.float() for state in last)
