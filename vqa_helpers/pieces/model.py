"""A question and an image become vectors, are fused, and classified."""

from collections.abc import Sequence

from torch import Tensor, nn

from vqa_helpers.data.vocabulary import WordVocabulary
from vqa_helpers.errors import InputError
from vqa_helpers.pieces.choice import SLOTS, Choice, choice_of
from vqa_helpers.pieces.language import word_ids


class VQAModel(nn.Module):
    """Vision, language, fusion, classifier.

    Args:
        vision: image (B, …) to (B, D); None for a model that sees no image.
        language: what it read of B questions to (B, Q); None for a model that reads no question.
        fusion: (B, D) and (B, Q) to (B, F).
        classifier: (B, F) to logits (B, A).
    """

    def __init__(
        self, vision: nn.Module | None, language: nn.Module | None, fusion: nn.Module,
        classifier: nn.Module,
    ) -> None:  # fmt: skip
        super().__init__()
        self.vision = vision
        self.language = language
        self.fusion = fusion
        self.classifier = classifier

    def forward(self, image: Tensor | None, question: Sequence[Tensor]) -> Tensor:
        """Answer questions about images.

        Args:
            image: stored features (B, D), or pixels (B, 3, S, S) uint8 where the vision network
                runs inside the loop; None without vision.
            question: what `encode` gave for each question: word ids (B, T) and lengths (B,), or
                sentence vectors (B, S); empty without language.

        Returns:
            Logits (B, A).
        """
        image_vector = None if self.vision is None else self.vision(image)  # (B, D)
        question_vector = None if self.language is None else self.language(*question)  # (B, Q)
        return self.classifier(self.fusion(image_vector, question_vector))  # (B, A)

    def words(self, train: WordVocabulary | None) -> WordVocabulary | None:
        """The vocabulary of the language encoder's word ids: its own, or that of train; None if it
        encodes texts itself, or there is none."""
        own = getattr(self.language, "vocabulary", None)
        if isinstance(own, WordVocabulary):
            return own
        return None if self.language is None or hasattr(self.language, "encode") else train

    def encode(self, questions: Sequence[str], train: WordVocabulary) -> tuple[Tensor, ...]:
        """N texts as the language encoder reads them; `train` are the words of the train
        questions.

        Raises:
            InputError: when an own encoder gives anything but tensors of N rows.
        """
        if self.language is None:
            return ()
        if not hasattr(self.language, "encode"):
            return word_ids(self.words(train), questions)
        read = self.language.encode(questions)
        read = tuple(read) if isinstance(read, tuple | list) else (read,)
        for part in read:
            if not isinstance(part, Tensor) or part.shape[:1] != (len(questions),):
                raise InputError(
                    f"{type(self.language).__name__}.encode: what it gives has not one row for each "
                    f"of {len(questions)} questions; return a tensor that has, or a tuple of such"
                )
        return read

    def choices(self) -> dict[str, Choice | None]:
        """The class and keywords of each piece, as it is now."""
        pieces = {slot: getattr(self, slot) for slot in SLOTS}
        return {slot: None if piece is None else choice_of(piece) for slot, piece in pieces.items()}

    def parameter_count(self) -> int:
        """The number of trainable parameters."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad)

    def saved_state(self) -> dict[str, Tensor]:
        """What a saved model contains: everything except a frozen vision network, which is restored
        from the source of its weights."""
        frozen = getattr(self.vision, "frozen", tuple)()
        left_out = tuple(f"vision.{part}" for part in frozen)
        return {k: v for k, v in self.state_dict().items() if not k.startswith(left_out)}

    def load_saved_state(self, state: dict[str, Tensor]) -> None:
        """Load what `saved_state` returned.

        Raises:
            ValueError: for the state of another model.
        """
        odd = sorted(state.keys() ^ self.saved_state().keys())
        if odd:
            raise ValueError(f"tensor {odd[0]!r} is in one of the two alone")
        self.load_state_dict(state, strict=False)
