"""One preset on one dataset, everything in place for training.

What a notebook and `vqa train` both begin with. Everything that is decided here (weights, image size,
schedule, stand-ins) is written into the run's configuration.
"""

import dataclasses
import hashlib
import logging
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vqa_helpers.data.folder import Dataset
from vqa_helpers.data.formats import has_official_answers
from vqa_helpers.data.text import tokenize
from vqa_helpers.errors import InputError
from vqa_helpers.evaluation.metrics import percent, vqa_scores
from vqa_helpers.experiment.options import Options
from vqa_helpers.language.sentence import HASHED_NGRAMS, USE, encoder_is_local
from vqa_helpers.language.word_vectors import (
    STAND_IN_NAME,
    find_glove,
    learn_vectors,
    read_glove,
    require_glove,
)
from vqa_helpers.model.config import Glove, Images, Preset, Schedule
from vqa_helpers.model.vqa import VQAModel, build_model
from vqa_helpers.training.batches import Batches, FeatureRows, PixelRows
from vqa_helpers.training.loop import Score
from vqa_helpers.training.tensors import Vocabularies, encode_questions, split_tensors
from vqa_helpers.vision.encoders import VisionEncoder, weights_source
from vqa_helpers.vision.extract import fill_store
from vqa_helpers.vision.normalise import train_statistics
from vqa_helpers.vision.preprocess import BadImage, load_square

log = logging.getLogger(__name__)

RANDOM_VISION = "random-weight vision"
HASHED_SENTENCES = "hashed n-grams for the Universal Sentence Encoder"
LEARNED_WORDS = f"{STAND_IN_NAME}, for GloVe"

STATISTICS_IMAGES = 256  # enough for a mean, where the network runs inside the loop
MOST_UNREADABLE = 0.1  # of the images, beyond which a score would mean nothing


@dataclass
class Experiment:
    """Everything in place for training.

    Attributes:
        batches: "train" (answerable questions alone) and every other split, whole.
        stand_ins: what took the place of something that had to be downloaded.
        features_s: how long the features took; None where the store was full already.
        score: VQA accuracy of validation predictions; None where it is not defined.
        question_source: which frozen vectors questions were read with; None where all are learnt.
    """

    preset: Preset
    dataset: Dataset
    options: Options
    schedule: Schedule
    vocabularies: Vocabularies
    batches: dict[str, Batches]
    model: VQAModel
    stand_ins: list[str] = field(default_factory=list)
    features_s: float | None = None
    score: Score | None = None
    question_source: str | None = None

    def config(self) -> dict:
        """What `config.json` keeps."""
        sees = self.preset.images is not None
        return {
            "preset": self.preset.name,
            "source": self.preset.source,
            "dataset": self.dataset.name,
            "data_sha256": self.dataset.sha256(),
            "seed": self.options.seed,
            "epochs": self.options.epochs,
            "schedule": self.schedule.name,
            "training": dataclasses.asdict(self.schedule),
            "weights": self.options.weights if sees else None,
            "weights_source": self._weights_source() if sees else None,
            "image_size_px": self.options.image_size_px if sees else None,
            "standardised": sees and _is_standardised(self.preset.images, self.options),
            "question_source": self.question_source,
            "stand_ins": self.stand_ins,
            "pieces": self.preset.pieces(),
            "answers": len(self.vocabularies.answers),
            "words": len(self.vocabularies.words) if self.vocabularies.words else None,
            "parameters": self.model.parameter_count(),
        }

    def _weights_source(self) -> str:
        return weights_source(self.preset.images.encoder, self.options.weights)


def prepare(preset: Preset, dataset: Dataset, options: Options | None = None) -> Experiment:
    """Compute or open the features, learn the vocabularies, build the model.

    Raises:
        InputError: when the dataset lacks what the preset needs.
    """
    options = (options or Options()).resolved(dataset, preset)
    _refuse_unanswered(dataset)
    train = dataset.splits["train"]
    stand_ins: list[str] = []
    image_ids, image_rows, statistics, features_s = _images(preset.images, dataset, options)
    if preset.images and options.weights == "random":
        stand_ins.append(RANDOM_VISION)
    vocabularies = Vocabularies.build(train, preset.questions, _sentence_encoder(options))
    if vocabularies.sentence_encoder == HASHED_NGRAMS:
        stand_ins.append(HASHED_SENTENCES)
    word_vectors, question_source = None, vocabularies.sentence_encoder
    if isinstance(preset.questions, Glove):
        word_vectors, learned = _word_vectors(preset.questions, dataset, vocabularies, options)
        stand_ins += [LEARNED_WORDS] if learned else []
        digest = hashlib.sha256(word_vectors.numpy().data).hexdigest()
        question_source = f"word vectors, sha256 {digest}"
    schedule = preset.schedule_named(options.schedule)
    tables = dataset.splits
    # One call for all splits: a sentence encoder costs a process of its own each time.
    question, lengths = encode_questions(
        [text for table in tables.values() for text in table["question"]],
        preset.questions,
        vocabularies,
        cache=options.features / dataset.name / "sentences",
        model_folder=options.sentence_encoder,
        offline=options.offline,
    )
    batches, start = {}, 0
    for name, table in tables.items():
        rows = slice(start, start := start + len(table))
        encoded = question[rows], None if lengths is None else lengths[rows]
        tensors = split_tensors(table, encoded, image_ids, vocabularies.answers)
        tensors = tensors.learnable() if name == "train" else tensors
        batches[name] = Batches(tensors, image_rows, schedule.batch, options.device)
    if len(batches["train"]) < 2:
        raise InputError(f"{dataset.folder}: training needs at least two questions with answers")
    torch.manual_seed(options.seed)
    model = build_model(
        preset.records(),
        answers=len(vocabularies.answers),
        vocabulary_size=len(vocabularies.words or ()),
        word_vectors=word_vectors,
        statistics=statistics,
        weights=options.weights,
    ).to(options.device)
    return Experiment(
        preset, dataset, options, schedule, vocabularies, batches, model, stand_ins, features_s,
        _score(dataset, vocabularies), question_source,
    )  # fmt: skip


def _refuse_unanswered(dataset: Dataset) -> None:
    if not dataset.answered("validation"):
        raise InputError(
            f"{dataset.folder}: the validation split has no annotations, and the epoch is chosen on "
            "it; add them, or take its questions away and it is cut from train"
        )


def _sentence_encoder(options: Options) -> str:
    """The sentence encoder to use: its stand-in only offline, and only where it is not here."""
    if options.offline and not encoder_is_local(options.sentence_encoder):
        return HASHED_NGRAMS
    return USE


def _images(
    spec: Images | None, dataset: Dataset, options: Options
) -> tuple[np.ndarray, FeatureRows | PixelRows | None, tuple[Tensor, Tensor] | None, float | None]:
    """Image ids in the order of their rows, the rows, train statistics, seconds of extraction."""
    image_ids = dataset.image_ids()
    if spec is None:
        return image_ids, None, None, None
    _refuse_missing_images(dataset)
    train_ids = np.unique(dataset.splits["train"]["image_id"].to_numpy())
    if spec.in_loop:
        paths = [dataset.images.get(int(image_id)) for image_id in image_ids]
        rows = PixelRows(paths, options.image_size_px, options.device)
        statistics = None
        if _is_standardised(spec, options):
            statistics = _loop_statistics(spec, dataset, train_ids, options)
        return image_ids, rows, statistics, None
    start = time.perf_counter()
    asked_about = set(image_ids.tolist())
    store = fill_store(
        options.features / dataset.image_source,
        {i: path for i, path in dataset.images.items() if i in asked_about},
        encoder=spec.encoder,
        weights=options.weights,
        size_px=options.image_size_px,
        device=options.device,
    )
    features_s = time.perf_counter() - start
    unreadable = store.failed.keys() & asked_about
    if len(unreadable) > MOST_UNREADABLE * len(image_ids):
        first = min(unreadable)
        raise InputError(
            f"{dataset.folder}: {len(unreadable)} of {len(image_ids)} images cannot be read, the "
            f"first is {dataset.images[first]}: {store.failed[first]}; mend or remove them"
        )
    features, found = store.read(image_ids)
    statistics = None
    if _is_standardised(spec, options):
        statistics = train_statistics(features[np.isin(image_ids, train_ids) & found])
    return (
        image_ids,
        FeatureRows(torch.from_numpy(features), options.device),
        statistics,
        features_s,
    )


def _is_standardised(spec: Images, options: Options) -> bool:
    """Whether the features are centred and scaled: a network that learns needs no such help."""
    return options.weights == "random" and spec.trained == "none"


def _refuse_missing_images(dataset: Dataset) -> None:
    if not dataset.images:
        raise InputError(
            f"{dataset.folder}: has no images, or none whose name ends in an image id; a preset "
            "without vision is Question_Only"
        )
    missing = dataset.missing_images()
    if missing:
        named = ", ".join(map(str, missing[:5])) + (" …" if len(missing) > 5 else "")
        asked = len(dataset.image_ids())
        message = (
            f"{dataset.folder}: no file for {len(missing)} of {asked} images ({named}); "
            "image names must end in the image id"
        )
        if len(missing) > MOST_UNREADABLE * asked:
            raise InputError(message)
        log.warning("%s; their questions are answered without an image", message)


def _loop_statistics(
    spec: Images, dataset: Dataset, train_ids: np.ndarray, options: Options
) -> tuple[Tensor, Tensor]:
    """Feature statistics of some train images, for a random network inside the loop."""
    network = VisionEncoder(spec.encoder, options.weights).eval().to(options.device)
    drawn = np.random.default_rng(options.seed).permutation(train_ids)[:STATISTICS_IMAGES]
    vectors = []
    for image_id in drawn.tolist():
        if image_id not in dataset.images:
            continue
        try:
            square = load_square(dataset.images[image_id], options.image_size_px)
        except BadImage as error:
            log.warning("%s: %s; its questions see black", dataset.images[image_id], error)
            continue
        pixels = torch.from_numpy(square.copy()).to(options.device).permute(2, 0, 1)[None]
        with torch.inference_mode():
            vectors.append(network(pixels).cpu().numpy())  # (1, D)
    if not vectors:
        raise InputError(f"{dataset.folder}: none of the train images can be read")
    return train_statistics(np.concatenate(vectors))


def _word_vectors(
    spec: Glove, dataset: Dataset, vocabularies: Vocabularies, options: Options
) -> tuple[Tensor, bool]:
    """GloVe's row for each word id (V, D), and whether the stand-in took its place."""
    downloads = Path("data") / "glove"
    path = find_glove(options.glove, downloads, spec.dim)
    learned = path is None and options.offline
    if learned:
        train = dataset.splits["train"]
        name = f"learned-{dataset.sha256()[:12]}.{spec.dim}d.txt"
        path = options.features / dataset.name / "words" / name
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            learn_vectors([tokenize(text) for text in train["question"]], path, spec.dim)
    elif path is None:
        path = require_glove(options.glove, downloads, spec.dim)
    matrix, found = read_glove(path, vocabularies.words.words, spec.dim)
    log.info("%s: knows %.1f %% of the train words", path, 100 * found[2:].mean())
    return torch.from_numpy(matrix), learned


def _score(dataset: Dataset, vocabularies: Vocabularies) -> Score | None:
    """VQA accuracy of validation predictions, percent; None where it is not defined."""
    table = dataset.splits["validation"]
    if not has_official_answers(table):
        return None
    answers = vocabularies.answers.answers

    def score(predictions: Tensor) -> float:
        return percent(vqa_scores([answers[i] for i in predictions.tolist()], table))

    return score
