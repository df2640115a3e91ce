"""Fusions with attention over image regions and words.

`attends`: the image is a grid (B, K, image_dim), from `StoredGrid`. `reads_words`: the question is
`Words`, from a language piece that `gives_words`. `place_shares` and `word_shares` are the
attention weights of each place and word, which figures draw. Scores have no bias, since a softmax
would cancel it.
"""

import torch
from torch import Tensor, nn

from vqa_helpers.errors import InputError, require_count
from vqa_helpers.pieces.choice import Activation, Piece
from vqa_helpers.pieces.fusion import Product
from vqa_helpers.pieces.language import last_states
from vqa_helpers.pieces.words import Words


class _ScoredProduct(Product):
    """A product whose projections also score image places, or words."""

    def __init__(
        self,
        image_dim: int,
        question_dim: int,
        width: int = 1024,
        activation: Activation = "relu",
        normalise: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(image_dim, question_dim, width, activation, normalise, dropout)
        self.score = nn.Linear(width, 1, bias=False)


class AttendedProduct(_ScoredProduct):
    """A product with the image places that the question attends to (one glimpse of soft attention;
    Xu et al., "Show, Attend and Tell", 2015, section 4.2, with the question as the query).

    Args:
        image_dim: D of each place.
        width, activation, normalise, dropout: as `Product` takes them.
    """

    attends = True

    def place_shares(self, image: Tensor, question: Tensor) -> Tensor:
        """How much each place counts: (B, K, image_dim) and (B, question_dim) to (B, K)."""
        both = self.image(image) * self.question(question).unsqueeze(1)  # (B, K, width)
        return self.score(both).squeeze(-1).softmax(dim=1)

    def forward(self, image: Tensor, question: Tensor) -> Tensor:
        """(B, K, image_dim) and (B, question_dim) to (B, width)."""
        shares = self.place_shares(image, question)  # (B, K)
        seen = torch.einsum("bk,bkd->bd", shares, image)  # (B, image_dim)
        return super().forward(seen, question)


class StackedAttention(Piece):
    """Attends several times, each time using the previous result (Yang et al., "Stacked Attention
    Networks", 2016, section 3.3).

    Args:
        width: of the question and of each place.
        hidden: width in which places are scored.
        layers: how many times it looks.
        dropout: on the vector.
    """

    attends = True

    def __init__(
        self,
        image_dim: int,
        question_dim: int,
        width: int = 512,
        hidden: int = 512,
        layers: int = 2,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        require_count("StackedAttention: layers", layers)
        self.image = nn.Sequential(nn.Linear(image_dim, width), nn.Tanh())
        self.question = nn.Linear(question_dim, width)
        self.places = nn.ModuleList(nn.Linear(width, hidden, bias=False) for _ in range(layers))
        self.asked = nn.ModuleList(nn.Linear(width, hidden) for _ in range(layers))
        self.score = nn.ModuleList(nn.Linear(hidden, 1, bias=False) for _ in range(layers))
        self.dropout = nn.Dropout(dropout)
        self.out_dim = width

    def _look(self, image: Tensor, question: Tensor) -> tuple[Tensor, Tensor]:
        """The vector (B, width) and the shares of the places at the last look (B, K)."""
        places, query = self.image(image), self.question(question)  # (B, K, width), (B, width)
        for place, asked, score in zip(self.places, self.asked, self.score, strict=True):
            both = torch.tanh(place(places) + asked(query).unsqueeze(1))  # (B, K, hidden)
            shares = score(both).squeeze(-1).softmax(dim=1)  # (B, K)
            query = query + torch.einsum("bk,bkw->bw", shares, places)  # (B, width)
        return query, shares

    def place_shares(self, image: Tensor, question: Tensor) -> Tensor:
        """How much each place counts in the end: (B, K)."""
        return self._look(image, question)[1]

    def forward(self, image: Tensor, question: Tensor) -> Tensor:
        """(B, K, image_dim) and (B, question_dim) to (B, width)."""
        return self.dropout(self._look(image, question)[0])


class GatedTanh(nn.Module):
    """A layer gated by a second one (Teney et al., "Tips and Tricks", 2018,
    section 3.7): (…, in_dim) to (…, width)."""

    def __init__(self, in_dim: int, width: int) -> None:
        super().__init__()
        self.value, self.gate = nn.Linear(in_dim, width), nn.Linear(in_dim, width)

    def forward(self, values: Tensor) -> Tensor:
        """(…, in_dim) to (…, width)."""
        return torch.tanh(self.value(values)) * torch.sigmoid(self.gate(values))


class TopDownAttention(Piece):
    """Attends once with gated units, followed by a product of gated units (Anderson et al.,
    "Bottom-Up and Top-Down Attention", 2018, section 3.3; its loss is `loss="binary cross entropy"`
    on soft scores).

    Args:
        width: of every gated unit.
        dropout: on the vector.
    """

    attends = True

    def __init__(
        self, image_dim: int, question_dim: int, width: int = 512, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.both = GatedTanh(image_dim + question_dim, width)
        self.score = nn.Linear(width, 1, bias=False)
        self.image = GatedTanh(image_dim, width)
        self.question = GatedTanh(question_dim, width)
        self.dropout = nn.Dropout(dropout)
        self.out_dim = width

    def place_shares(self, image: Tensor, question: Tensor) -> Tensor:
        """How much each place counts: (B, K)."""
        asked = question.unsqueeze(1).expand(-1, image.shape[1], -1)  # (B, K, question_dim)
        both = self.both(torch.cat([image, asked], dim=2))  # (B, K, width)
        return self.score(both).squeeze(-1).softmax(dim=1)

    def forward(self, image: Tensor, question: Tensor) -> Tensor:
        """(B, K, image_dim) and (B, question_dim) to (B, width)."""
        shares = self.place_shares(image, question)  # (B, K)
        seen = torch.einsum("bk,bkd->bd", shares, image)  # (B, image_dim)
        return self.dropout(self.image(seen) * self.question(question))


class CoAttention(Piece):
    """Words attend to words, places to places and to words, in several layers (Yu et al., "Deep
    Modular Co-Attention Networks", 2019, section 3, encoder and decoder; the paper has six layers).
    Both sides are summed directly, where the paper projects each once more (section 4.3).

    Args:
        width: of each word and place; a multiple of `heads`.
        heads: of each attention.
        layers: of each side.
        dropout: inside the layers.
    """

    attends = True
    reads_words = True

    def __init__(
        self,
        image_dim: int,
        question_dim: int,
        width: int = 512,
        heads: int = 8,
        layers: int = 2,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        require_count("CoAttention: layers", layers)
        require_count("CoAttention: heads", heads)
        if width % heads:
            raise InputError(f"CoAttention: width {width} is no multiple of its {heads} heads")
        sizes = {"dim_feedforward": 4 * width, "dropout": dropout, "batch_first": True}
        self.image, self.question = nn.Linear(image_dim, width), nn.Linear(question_dim, width)
        encoder = nn.TransformerEncoderLayer(width, heads, **sizes)
        decoder = nn.TransformerDecoderLayer(width, heads, **sizes)
        self.encoder = nn.TransformerEncoder(encoder, layers, enable_nested_tensor=False)
        self.decoder = nn.TransformerDecoder(decoder, layers)

        def score() -> nn.Sequential:
            hidden = nn.Linear(width, width), nn.ReLU(), nn.Dropout(dropout)
            return nn.Sequential(*hidden, nn.Linear(width, 1, bias=False))

        self.place_score, self.word_score = score(), score()
        self.norm = nn.LayerNorm(width)
        self.out_dim = width

    def _read(self, image: Tensor, question: Words) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Places (B, K, width), words (B, T, width), and their shares (B, K) and (B, T)."""
        words, places = self.question(question.vectors), self.image(image)
        padded = ~question.there  # (B, T)
        words = self.encoder(words, src_key_padding_mask=padded)  # (B, T, width)
        places = self.decoder(places, words, memory_key_padding_mask=padded)  # (B, K, width)
        place_shares = self.place_score(places).squeeze(-1).softmax(dim=1)  # (B, K)
        word_shares = question.shares(self.word_score(words).squeeze(-1))  # (B, T)
        return places, words, place_shares, word_shares

    def place_shares(self, image: Tensor, question: Words) -> Tensor:
        """How much each place counts: (B, K)."""
        return self._read(image, question)[2]

    def word_shares(self, image: Tensor, question: Words) -> Tensor:
        """How much each word counts: (B, T)."""
        return self._read(image, question)[3]

    def forward(self, image: Tensor, question: Words) -> Tensor:
        """(B, K, image_dim) and words (B, T, question_dim) to (B, width)."""
        places, words, place_shares, word_shares = self._read(image, question)
        seen = torch.einsum("bk,bkw->bw", place_shares, places)  # (B, width)
        asked = torch.einsum("bt,btw->bw", word_shares, words)  # (B, width)
        return self.norm(seen + asked)


class WordAttention(_ScoredProduct):
    """A product with the words that the image attends to (a next step of the reference study; Lu et
    al., "Hierarchical Question-Image Co-Attention", 2016, section 3.3, the question side only). A
    word's score is its product with the image, as in `AttendedProduct`, not the paper's affinity.

    Args:
        width, activation, normalise, dropout: as `Product` takes them.
    """

    reads_words = True

    def word_shares(self, image: Tensor, question: Words) -> Tensor:
        """How much each word counts: (B, T)."""
        both = self.image(image).unsqueeze(1) * self.question(question.vectors)  # (B, T, width)
        return question.shares(self.score(both).squeeze(-1))

    def forward(self, image: Tensor, question: Words) -> Tensor:
        """(B, image_dim) and words (B, T, question_dim) to (B, width)."""
        shares = self.word_shares(image, question)  # (B, T)
        asked = torch.einsum("bt,btq->bq", shares, question.vectors)  # (B, question_dim)
        return super().forward(image, asked)


class ImageFirst(Piece):
    """The image is the initial state of the LSTM (a next step of the reference study).

    Args:
        hidden: width of the LSTM.
        dropout: on the vector.
    """

    attends = False
    reads_words = True

    def __init__(
        self, image_dim: int, question_dim: int, hidden: int = 512, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.image = nn.Sequential(nn.Linear(image_dim, 2 * hidden), nn.Tanh())
        self.lstm = nn.LSTM(question_dim, hidden, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.out_dim = 2 * hidden

    def forward(self, image: Tensor, question: Words) -> Tensor:
        """(B, image_dim) and words (B, T, question_dim) to (B, 2 * hidden): the last hidden and cell
        state side by side."""
        begun = self.image(image).unsqueeze(0).chunk(2, dim=2)  # (1, B, hidden) twice
        # ONNX files take questions of one length, and cannot hold a packed sequence.
        lengths = None if torch.compiler.is_exporting() else question.there.sum(dim=1)
        begun = tuple(state.contiguous() for state in begun)
        states = last_states(self.lstm, question.vectors, lengths, begun)
        return self.dropout(torch.cat([state[-1] for state in states], dim=1))
