"""A question and an image become vectors, are fused, and classified.

`build_model` is the only place where a configuration meets modules.
"""

from torch import Tensor, nn

from vqa_helpers.language import encoders
from vqa_helpers.language.sentence import USE, sentence_width
from vqa_helpers.model.classifier import Funnel
from vqa_helpers.model.config import (
    BagOfWords,
    Classifier,
    Concat,
    Glove,
    Images,
    Pieces,
    Product,
    Questions,
    Sentences,
    Words,
)
from vqa_helpers.model.fusion import Concatenation, OneSide, PlainProduct, ProjectedProduct
from vqa_helpers.vision.encoders import WIDTHS, VisionEncoder
from vqa_helpers.vision.normalise import FeatureNormaliser


class VQAModel(nn.Module):
    """Vision, language, fusion, classifier.

    Args:
        vision: image (B, …) to (B, D); None for a model that sees no image.
        language: question and lengths to (B, Q); None for a model that reads no question.
        fusion: (B, D) and (B, Q) to (B, F).
        classifier: (B, F) to logits (B, A).
    """

    def __init__(
        self,
        vision: nn.Module | None,
        language: nn.Module | None,
        fusion: nn.Module,
        classifier: nn.Module,
    ) -> None:
        super().__init__()
        self.vision = vision
        self.language = language
        self.fusion = fusion
        self.classifier = classifier

    def forward(
        self, image: Tensor | None, question: Tensor | None, lengths: Tensor | None
    ) -> Tensor:
        """Answer questions about images.

        Args:
            image: stored features (B, D), or pixels (B, 3, S, S) uint8 where the vision network
                runs inside the loop; None without vision.
            question: token ids (B, T), or sentence vectors (B, S); None without language.
            lengths: true lengths of tokenised questions, (B,), on the CPU; else None.

        Returns:
            Logits (B, A).
        """
        image_vector = None if self.vision is None else self.vision(image)  # (B, D)
        question_vector = (
            None if self.language is None else self.language(question, lengths)
        )  # (B, Q)
        return self.classifier(self.fusion(image_vector, question_vector))  # (B, A)

    def parameter_count(self) -> int:
        """How many numbers the model learns."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad)

    def saved_state(self) -> dict[str, Tensor]:
        """What a saved model holds: everything but a frozen vision network, which its weights'
        own source gives back."""
        frozen = isinstance(self.vision, nn.Sequential) and self.vision[0].trained == "none"
        state = self.state_dict()
        return {
            name: tensor
            for name, tensor in state.items()
            if not (frozen and name.startswith("vision.0."))
        }

    def load_saved_state(self, state: dict[str, Tensor]) -> None:
        """Take back what `saved_state` gave.

        Raises:
            ValueError: for the state of another model.
        """
        expected = self.saved_state().keys()
        if state.keys() != expected:
            odd = sorted(state.keys() ^ expected)[0]
            raise ValueError(f"tensor {odd!r} is in one of the two alone")
        self.load_state_dict(state, strict=False)


def build_model(
    pieces: Pieces,
    *,
    answers: int,
    vocabulary_size: int = 0,
    word_vectors: Tensor | None = None,
    statistics: tuple[Tensor, Tensor] | None = None,
    weights: str = "random",
    recompute: bool = False,
) -> VQAModel:
    """Put the pieces together.

    Args:
        pieces: the records of a preset, or of a run's configuration.
        answers: number of answers the classifier chooses from.
        vocabulary_size: number of word ids, for encoders that learn words.
        word_vectors: (vocabulary, dim), for GloVe.
        statistics: of the train images, where the vision weights are random.
        weights: of a vision network inside the loop.
        recompute: whether such a network saves memory (see `VisionEncoder`).
    """
    vision = _vision(pieces["images"], statistics, weights, recompute)
    image_dim = WIDTHS[pieces["images"].encoder] if pieces["images"] else 0
    language = _language(pieces["questions"], vocabulary_size, word_vectors)
    question_dim = language.out_dim if language else 0
    fusion = _fusion(pieces["fusion"], image_dim, question_dim)
    spec: Classifier = pieces["classifier"]
    classifier = Funnel(
        fusion.out_dim, spec.hidden, answers, spec.activation, spec.batch_norm, spec.dropout
    )
    return VQAModel(vision, language, fusion, classifier)


def _vision(
    spec: Images | None,
    statistics: tuple[Tensor, Tensor] | None,
    weights: str,
    recompute: bool,
) -> nn.Module | None:
    if spec is None:
        return None
    normaliser = FeatureNormaliser(WIDTHS[spec.encoder], statistics)
    if not spec.in_loop:
        return normaliser
    network = VisionEncoder(spec.encoder, weights, spec.trained, recompute=recompute)
    return nn.Sequential(network, normaliser)


def _language(
    spec: Questions, vocabulary_size: int, word_vectors: Tensor | None
) -> nn.Module | None:
    match spec:
        case None:
            return None
        case Words():
            return encoders.WordLSTM(
                vocabulary_size,
                spec.words,
                spec.hidden,
                spec.embedding_tanh,
                spec.carry_state,
                spec.dropout,
            )
        case BagOfWords():
            return encoders.BagOfWords(
                vocabulary_size, spec.words, spec.first, spec.first_words, spec.dropout
            )
        case Glove():
            return encoders.GloveBiLSTM(word_vectors, spec.hidden)
        case Sentences():
            return encoders.SentenceVectors(sentence_width(USE))


def _fusion(spec: Concat | Product | None, image_dim: int, question_dim: int) -> nn.Module:
    match spec:
        case None:
            return OneSide(image_dim, question_dim)
        case Concat():
            return Concatenation(image_dim, question_dim)
        case Product(width=None):
            return PlainProduct(image_dim, question_dim)
        case Product():
            return ProjectedProduct(
                image_dim,
                question_dim,
                spec.width,
                spec.activation,
                spec.normalise,
                spec.dropout,
            )
