"""What a model is made of, as data: one small record per piece, and the schedule that trains it.

Records travel as JSON in a run folder. They never reach the pieces: `build_model` reads them and
passes plain arguments on.
"""

import dataclasses
from dataclasses import dataclass
from typing import Literal, get_args

from vqa_helpers.errors import InputError


@dataclass(frozen=True)
class Images:
    """The vision channel.

    Attributes:
        encoder: "vgg16", "resnet18" or "resnet50".
        in_loop: the network runs inside the training loop instead of once per image.
        trained: which part of it learns; anything but "none" needs `in_loop`.
    """

    encoder: str
    in_loop: bool = False
    trained: Literal["none", "last block", "all"] = "none"


@dataclass(frozen=True)
class Words:
    """Word embedding + LSTM.

    Attributes:
        min_count: words the train questions hold less often are unknown.
        sorted_set: questions as the sorted set of their word ids, as two of the study's notebooks
            have it; the other fields are those of `WordLSTM`.
    """

    words: int = 300
    hidden: int = 512
    min_count: int = 1
    embedding_tanh: bool = False
    carry_state: bool = False
    sorted_set: bool = False
    dropout: float = 0.0


@dataclass(frozen=True)
class BagOfWords:
    """The sum of word embeddings, and the first words by their place.

    Attributes:
        min_count: words the train questions hold less often are unknown; the other fields are
            those of `language.encoders.BagOfWords`.
    """

    words: int = 300
    first: int = 3
    first_words: int = 100
    min_count: int = 1
    dropout: float = 0.0


@dataclass(frozen=True)
class Glove:
    """Frozen GloVe vectors + two-layer bidirectional LSTM."""

    dim: int = 50
    hidden: int = 512


@dataclass(frozen=True)
class Sentences:
    """Frozen sentence vectors: the Universal Sentence Encoder, or its offline stand-in."""


Questions = Words | BagOfWords | Glove | Sentences | None


@dataclass(frozen=True)
class Concat:
    """Image and question side by side."""


@dataclass(frozen=True)
class Product:
    """Point-wise product; of the vectors themselves where `width` is None."""

    width: int | None = 1024
    activation: Literal["relu", "tanh"] = "relu"
    normalise: bool = False
    dropout: float = 0.0


@dataclass(frozen=True)
class Classifier:
    """The funnel of fully connected layers."""

    hidden: tuple[int, ...]
    activation: Literal["relu", "tanh"] = "relu"
    batch_norm: bool = False
    dropout: float = 0.0


@dataclass(frozen=True)
class Augmentation:
    """How photographs are varied in training, for a network inside the loop.

    Attributes:
        flip: half of them mirrored. Questions ask what is left of what, and letters and clocks are
            read: an answer that was right may then be wrong.
        crop: at most this share of the area is cut away, anywhere around a smaller square.
        jitter: brightness, contrast and saturation change by at most this share.
    """

    flip: bool = False
    crop: float = 0.0
    jitter: float = 0.0


@dataclass(frozen=True)
class Schedule:
    """How a model is trained.

    Attributes:
        name: "study" or "small", as results name it.
        batch: questions a step.
        decay, decay_every: the learning rates are multiplied by `decay` every so many epochs.
        accumulate: parts of a batch that are computed one after another, for less memory; the
            gradient is that of the whole batch, but for batch normalisation.
        vision_rate: learning rate of the vision channel; None is that of the rest.
        augmentation: None shows photographs as they are.
    """

    name: str
    optimiser: Literal["adam", "adamw"]
    learning_rate: float
    batch: int
    epochs: int
    decay: float = 1.0
    decay_every: int = 1
    accumulate: int = 1
    vision_rate: float | None = None
    augmentation: Augmentation | None = None


# What a model learns to make small; `training.losses` says what each is.
Loss = Literal[
    "cross entropy", "weighted cross entropy", "soft cross entropy", "binary cross entropy"
]
LOSSES: tuple[Loss, ...] = get_args(Loss)
DEFAULT_LOSS: Loss = "cross entropy"


@dataclass(frozen=True)
class Preset:
    """A whole experiment: the pieces, how they are trained, and where the numbers come from.

    Attributes:
        source: the place in the study that the numbers copy.
        images: None for a model that sees none.
        questions: None for a model that reads none.
        fusion: None where one of the two sides is missing.
        schedule: the study's own.
        small: the named schedule for data sets far smaller than the study's.
        dataset: the catalogue's name of the dataset the study used.
    """

    name: str
    source: str
    images: Images | None
    questions: Questions
    fusion: Concat | Product | None
    classifier: Classifier
    schedule: Schedule
    small: Schedule
    dataset: str = "100k"
    loss: Loss = DEFAULT_LOSS

    def with_loss(self, loss: Loss) -> "Preset":
        """The same with another loss, which its name then tells.

        Raises:
            InputError: for a loss that is none.
        """
        if loss not in LOSSES:
            raise InputError(f"loss {loss!r}: use one of {', '.join(LOSSES)}")
        if loss == self.loss:
            return self
        name = f"{self.name}-{loss.replace(' ', '-')}"
        return dataclasses.replace(self, name=name, loss=loss)

    def schedule_named(self, name: str) -> Schedule:
        """The study's own schedule, or the small one."""
        return self.schedule if name == "study" else self.small

    def records(self) -> "Pieces":
        """The pieces, as `build_model` takes them."""
        return {name: getattr(self, name) for name in _PIECE_FIELDS}

    def pieces(self) -> dict:
        """The pieces as JSON takes them."""
        return {name: _to_json(record) for name, record in self.records().items()}


Pieces = dict[str, object]

_PIECE_FIELDS = ("images", "questions", "fusion", "classifier")
_RECORDS = {
    record.__name__: record
    for record in (Images, Words, BagOfWords, Glove, Sentences, Concat, Product, Classifier)
}


def _to_json(record: object) -> dict | None:
    if record is None:
        return None
    return {"piece": type(record).__name__, **dataclasses.asdict(record)}


def read_pieces(pieces: dict, where: str) -> Pieces:
    """The records of a run's `config.json`.

    Raises:
        InputError: naming `where` and the piece that this version does not know.
    """
    records: Pieces = {}
    for name in _PIECE_FIELDS:
        try:
            fields = pieces[name]
            if fields is None:
                records[name] = None
                continue
            fields = dict(fields)
            record = _RECORDS[fields.pop("piece")](**fields)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{where}: piece {name!r} is not one this version knows ({error}); train the run "
                "again"
            ) from None
        if isinstance(record, Classifier):
            record = dataclasses.replace(record, hidden=tuple(record.hidden))
        records[name] = record
    return records
