"""Questions to vectors with a transformer."""

from functools import partial

from torch import Tensor, nn

from vqa_helpers.data.vocabulary import MOST_WORDS, PAD, WordVocabulary
from vqa_helpers.pieces.choice import Piece


class WordTransformer(Piece):
    """Word and position embeddings, a transformer encoder, and the mean of its outputs over the
    words (Vaswani et al., 2017, section 3.1; with pre-layer normalisation, which needs no warm-up:
    Xiong et al., 2020).

    Args:
        vocabulary: the words of the train questions.
        width: of words and positions, a multiple of `heads`.
        layers: one after another.
        heads: of the attention in each layer.
        hidden: width between the two linear layers of each.
        min_count: words that the train questions hold less often are unknown.
        dropout: on the embedded words, and inside the layers.
    """

    def __init__(
        self,
        vocabulary: WordVocabulary,
        width: int = 300,
        layers: int = 2,
        heads: int = 4,
        hidden: int = 512,
        min_count: int = 1,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.vocabulary = vocabulary.at_least(min_count)
        self.embedding = nn.Embedding(len(self.vocabulary), width, padding_idx=PAD)
        self.positions = nn.Embedding(MOST_WORDS, width)
        self.dropout = nn.Dropout(dropout)
        layer = partial(nn.TransformerEncoderLayer, width, heads, hidden, dropout)
        self.layers = nn.ModuleList(layer(batch_first=True, norm_first=True) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.out_dim = width

    def forward(self, tokens: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Encode questions.

        Args:
            tokens: word ids, (B, T), padded right with 0, which no word attends to.

        Returns:
            (B, width).
        """
        padding = tokens == PAD  # (B, T)
        places = self.positions.weight[: tokens.shape[1]]  # (T, W)
        words = self.dropout(self.embedding(tokens) + places)  # (B, T, W)
        for layer in self.layers:
            words = layer(words, src_key_padding_mask=padding)
        words = self.norm(words).masked_fill(padding.unsqueeze(-1), 0)
        return words.sum(dim=1) / (~padding).sum(dim=1, keepdim=True)
