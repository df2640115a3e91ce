"""A dataset as models see it: vocabularies from train, what "auto" means for its images and words,
models built for it, and splits as tensors.
"""

import logging
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import accumulate, chain, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from vqa_helpers.data.folder import Dataset, open_dataset
from vqa_helpers.data.vocabulary import OUTSIDE, AnswerVocabulary, WordVocabulary, tokenize_all
from vqa_helpers.errors import InputError
from vqa_helpers.evaluation.metrics import normalised, vqa_accuracy
from vqa_helpers.features.extract import stored_precision
from vqa_helpers.pieces.choice import SLOTS, Choice, parameters_of
from vqa_helpers.pieces.glove import find_glove, named_place
from vqa_helpers.pieces.model import VQAModel
from vqa_helpers.pieces.networks import DETECTORS, find_weights, own_size
from vqa_helpers.pieces.sentences import find_encoder
from vqa_helpers.pieces.vision import require_size
from vqa_helpers.recipe import Recipe, Training, read_settings
from vqa_helpers.training.batches import TOGETHER, Batches, Examples
from vqa_helpers.training.image_rows import ImageRows, PixelRows, open_images
from vqa_helpers.training.losses import SOFT_LOSSES, SoftScores

log = logging.getLogger(__name__)

LITTLE_KNOWN = 50  # percent of the words of validation, below which hardly a question can be read
SQUARE_PX = 224  # what most networks' weights were made for


@dataclass
class Data:
    """A dataset, and the defaults that it gives to pieces.

    Attributes:
        weights: of vision networks, as `networks.find_weights` takes them.
        size_px: side of the square that they see; 0 is each network's own.
        sentence_encoder: the folder of a SavedModel; None looks for the study's encoder.
        offline: whether nothing is downloaded.
        features: folder of the feature stores and sentence vectors.
        glove: a GloVe file; None looks where downloads are kept, then for the package.
        device: "cpu", "cuda", or "auto": a GPU where there is one.
        precision: what new features and new trainings multiply in: "float32", "bfloat16", or "auto":
            features are what is stored already, and otherwise `pick_precision` decides.
    """

    dataset: Dataset
    weights: str
    size_px: int
    sentence_encoder: Path | None
    offline: bool
    features: Path
    glove: Path | str | None
    device: str
    precision: str = "auto"

    @property
    def name(self) -> str:
        """The folder name of its runs and features."""
        return self.dataset.name

    @cached_property
    def words(self) -> WordVocabulary:
        """Every word of the train questions, most frequent first."""
        return WordVocabulary.build(tokenize_all(self.dataset.splits["train"]["question"]))

    @cached_property
    def answers(self) -> AnswerVocabulary:
        """The 1,000 most frequent train answers."""
        return AnswerVocabulary.build(self.dataset.splits["train"]["answer"])

    @property
    def square_px(self) -> int:
        """Side of the squares that a vision class sees which has no `size_px` of its own."""
        return self.size_px or SQUARE_PX

    @property
    def train_questions(self) -> int:
        """The number of train questions."""
        return len(self.dataset.splits["train"])

    def counts(self) -> pd.DataFrame:
        """Questions and images of each split."""
        return pd.DataFrame(self.dataset.split_record()["counts"]).T

    @property
    def sentences(self) -> Path:
        """The folder where sentence vectors are kept."""
        return self.stores / "sentences"  # of all cuts of a dataset

    @cached_property
    def encoder(self) -> str:
        """The sentence encoder: the one that was named, the study's, or the packaged one."""
        return str(self.sentence_encoder or find_encoder(self.offline))

    def word_vectors(self, dim: int = 50) -> Path:
        """The GloVe file of that width; see `find_glove`."""
        return find_glove(self.glove, dim)

    def usual(self, slot: str, choice: Choice | None) -> dict[str, Any]:
        """The keywords that a piece of a slot takes by default."""
        keywords = choice.all_keywords() if choice else {}
        if slot == "vision":
            weights, size_px = self.weights, self.square_px
            if network := keywords.get("network"):
                weights = find_weights(network, weights)
                size_px = self.size_px or own_size(network, weights)
            return {"weights": weights, "size_px": size_px}
        if slot == "language" and "encoder" in keywords:
            return {"encoder": self.encoder, "cache": self.sentences}
        return {}

    def build(self, recipe: Recipe, seed: int = 0) -> VQAModel:
        """The model of a recipe, for this dataset's words and answers; `seed` gives its weights.

        Raises:
            InputError: when a piece cannot be made, or what it needs cannot be had.
        """
        torch.manual_seed(seed)
        usual = {slot: self.usual(slot, choice) for slot, choice in recipe.choices.items()}
        for slot, choice in recipe.choices.items():
            asks = choice and "vectors" in parameters_of(choice.made_by)
            if asks and "vectors" not in choice.keywords:
                usual[slot]["vectors"] = self.word_vectors(choice.all_keywords().get("dim", 50))
        return build_model(recipe.choices, self.words, self.answers, usual)

    @property
    def stores(self) -> Path:
        """The folder of the feature stores."""
        return self.features / self.dataset.image_source

    def features_precision(self, vision: nn.Module | None) -> str:
        """What the features of a vision piece are computed in: "float32" or "bfloat16"."""
        if not getattr(vision, "stored", False) or vision.network in DETECTORS:
            return "float32"  # torchvision drops boxes that overlap in single precision alone
        if self.precision != "auto":
            return self.precision
        network = vision.network, vision.weights, vision.size_px, getattr(vision, "grid", False)
        return stored_precision(self.stores, self.device, *network)

    def images(
        self, vision: nn.Module | None, device: str = "cpu", seed: int = 0, precision: str = ""
    ) -> ImageRows:
        """What a vision piece sees of the dataset; see `open_images`."""
        if vision is None:
            return ImageRows(self.dataset.image_ids())
        how = self.square_px, device, seed, precision or self.features_precision(vision)
        return open_images(vision, self.dataset, self.stores, *how)

    def word_coverage(self, model: VQAModel) -> float | None:
        """Percent of the words of the validation questions that the model knows; None where it
        knows no words."""
        words = model.words(self.words)
        if words is None:
            return None
        return round(words.coverage(tokenize_all(self.dataset.splits["validation"]["question"])), 2)

    def read(self, model: VQAModel) -> tuple[Tensor, ...]:
        """The questions of all splits, one after another, as the language encoder reads them: one
        call, since a sentence encoder costs a process of its own each time."""
        if (known := self.word_coverage(model)) is not None and known < LITTLE_KNOWN:
            log.warning(
                "%s: train has %.0f %% of the words that the validation questions hold, the others "
                "are read as unknown; check that both splits are of one language",
                self.dataset.folder, known,
            )  # fmt: skip
        splits = self.dataset.splits.values()
        return model.encode([text for table in splits for text in table["question"]], self.words)

    def batches(
        self, read: tuple[Tensor, ...], images: ImageRows, training: Training, device: str = "cpu",
        share: tuple[int, int] = (0, 1),
    ) -> dict[str, Batches]:  # fmt: skip
        """Every split in batches, larger ones where nothing is learnt, unless they take photographs;
        of train only the learnable questions.

        Args:
            read: the questions of all splits, as `read` gives them.
            share: which process this is and how many there are.

        Raises:
            InputError: for splits that cannot be learnt from, or not shared.
        """
        splits = self.dataset.splits
        bounds = pairwise(accumulate(map(len, splits.values()), initial=0))
        decoded = isinstance(images.rows, PixelRows)
        answered = training.batch if decoded else max(training.batch, TOGETHER)
        made = {}
        for (name, table), (start, end) in zip(splits.items(), bounds, strict=True):
            question = tuple(tensor[start:end] for tensor in read)
            soft = training.loss in SOFT_LOSSES
            examples = examples_of(table, question, images.ids, self.answers, soft)
            examples = examples.learnable() if name == "train" else examples
            size = training.batch if name == "train" else answered
            made[name] = Batches(examples, images.rows, size, device, share)
        learnt, folder = len(made["train"]), self.dataset.folder
        if learnt < 2:
            raise InputError(f"{folder}: training needs at least two answered questions")
        if min(learnt, training.batch) < share[1]:
            raise InputError(
                f"{folder}: {share[1]} processes cannot share {learnt} questions in batches of "
                f"{training.batch}; use fewer processes"
            )
        return made


def open_data(
    name: str | Path | Dataset, *, weights: str = "auto", image_size: int = 0,
    offline: bool = False, features: Path | str = "features", glove: Path | str | None = None,
    sentence_encoder: Path | None = None, device: str = "auto", precision: str = "auto",
    split_seed: int = 0, **layout: Any,
) -> Data:  # fmt: skip
    """Open a dataset for models.

    Args:
        name: a named dataset, a folder, a file of records, or a dataset already open.
        weights: as `networks.find_weights` takes them; "auto" downloads nothing when offline.
        image_size: side of the square a network sees; 0 is each network's own.
        offline: download nothing: where the study's parts are not here, packaged ones stand in. The
            demo implies it, and takes the packaged ones.
        glove: a GloVe file; else it is looked for in `data/glove`, then the package is read.
        sentence_encoder: the folder of a SavedModel.
        precision: "float32", "bfloat16" or "auto", as `Data` takes it.
        split_seed: of the splits that have to be cut.
        layout: `images` and `columns`, as `folder.read_folder` takes them.

    Raises:
        InputError: for a folder that is no dataset, or a choice outside its limits.
    """
    dataset = name
    if not isinstance(name, Dataset):
        dataset = open_dataset(str(name), split_seed, **layout)
    offline = offline or dataset.drawn is not None
    if weights == "auto" and offline:
        weights = "local" if dataset.drawn is None else "packaged"
    if image_size:
        require_size(image_size)
    if glove is not None:
        named_place(glove)  # refused now, though the model may read none
    where = Path(features), glove, device, precision
    return Data(dataset, str(weights), image_size, sentence_encoder, offline, *where)


def change(
    model: VQAModel, training: Training, data: Data, *, seed: int = 0, own: Sequence[type] = (),
    vision: str = "", language: str = "", fusion: str = "", classifier: str = "", set: str = "",
) -> tuple[VQAModel, Training]:  # fmt: skip
    """The model and its training with what the parameters of a notebook change; with none, the same.

    Args:
        own: classes that the notebook defines, to be named in a slot.
        vision, language, fusion, classifier: as `Recipe.with_` takes them.
        set: settings with spaces between, such as "learning_rate=3e-4 fusion.width=512"; a value that
            holds spaces stands in quotes, "vision.trained='last block'".

    Raises:
        InputError: for settings that are none, or several values for one.
    """
    try:
        words = shlex.split(set)
    except ValueError as error:
        raise InputError(f"SET {set!r}: {str(error).lower()}; close the quotes") from None
    settings, *others = read_settings(words)
    if others:
        raise InputError(f"SET {set!r}: a notebook trains one model; give one value each")
    if not any((vision, language, fusion, classifier, settings)):
        return model, training
    written = Recipe("notebook", "", **model.choices(), training=training, small=training)
    classes = {cls.__name__: cls for cls in [*own, *(type(getattr(model, s)) for s in SLOTS)]}
    recipe = written.with_(vision, language, fusion, classifier, set=settings, own=classes)
    return data.build(recipe, seed), recipe.training


def build_model(
    choices: Mapping[str, Any], words: WordVocabulary, answers: AnswerVocabulary,
    usual: Mapping[str, Any],
) -> VQAModel:  # fmt: skip
    """Put four chosen pieces together.

    Args:
        choices: slot to choice; None for the side that is missing.
        usual: slot to the keywords that are decided elsewhere.
    """

    def make(slot: str, **sizes: Any) -> nn.Module | None:
        choice = choices[slot]
        return None if choice is None else choice.make(slot, sizes, usual.get(slot, {}))

    vision = make("vision")
    language = make("language", vocabulary=words, vocabulary_size=len(words))
    widths = [0 if piece is None else piece.out_dim for piece in (vision, language)]
    fusion = make("fusion", image_dim=widths[0], question_dim=widths[1])
    sizes = {"in_dim": fusion.out_dim, "answers": len(answers), "vocabulary": answers}
    classifier = make("classifier", **sizes)
    return VQAModel(vision, language, fusion, classifier)


def examples_of(
    table: pd.DataFrame, question: tuple[Tensor, ...], image_ids: np.ndarray,
    answers: AnswerVocabulary, soft: bool = False,
) -> Examples:  # fmt: skip
    """A table's questions with the rows of their images and their targets.

    Args:
        image_ids: (I,) ascending: the image of each row.
        soft: whether the soft scores are wanted too.
    """
    rows = torch.from_numpy(np.searchsorted(image_ids, table["image_id"].to_numpy()))
    if "answer" not in table.columns:
        return Examples(question, rows, torch.full((len(table),), OUTSIDE))
    target = torch.from_numpy(answers.encode(table["answer"]))
    return Examples(
        question, rows, target, soft_scores(table["answers"], answers) if soft else None
    )


def soft_scores(given: Iterable[Sequence[str]], vocabulary: AnswerVocabulary) -> SoftScores:
    """The official accuracy that each answer would earn, question by question.

    What an annotator wrote counts for the answer of the vocabulary that is the same text, or else
    for the most frequent one that is the same after the official normalisation of both. An answer
    that m of ten annotators gave scores 0.3, 0.6, 0.9, and 1 from m = 4 on (see `metrics.vqa_accuracy`);
    where n annotators answered, m is scaled to ten, 10 m / n, so that a lone answer scores 1.

    Args:
        given: (N) what the annotators of each question wrote.
    """
    normal: dict[str, int] = {}
    for text, answer_id in vocabulary.ids.items():
        normal.setdefault(normalised(text), answer_id)

    @cache
    def id_of(text: str) -> int:
        return vocabulary.ids.get(text, normal.get(normalised(text), OUTSIDE))

    given = list(given)
    people = np.fromiter(map(len, given), dtype=np.int64, count=len(given))
    ids = np.fromiter(map(id_of, chain.from_iterable(given)), dtype=np.int64)
    questions = np.repeat(np.arange(len(given)), people)[ids != OUTSIDE]
    pairs = questions * len(vocabulary) + ids[ids != OUTSIDE]
    # (P,) each: a question and an answer that an annotator gave, and how many gave it
    pairs, agreeing = np.unique(pairs, return_counts=True)
    questions, ids = np.divmod(pairs, len(vocabulary))
    scores = vqa_accuracy(10 * agreeing / people[questions], 10)
    place = np.arange(len(pairs)) - np.searchsorted(questions, questions)  # within its question
    shape = len(given), int(place.max(initial=0)) + 1
    padded = np.zeros(shape, dtype=np.int32), np.zeros(shape, dtype=np.float32)
    for kept, values in zip(padded, (ids, scores), strict=True):
        kept[questions, place] = values
    return SoftScores(*map(torch.from_numpy, padded))
