"""One preset on one dataset, everything in place for training.

What a notebook and `vqa train` both begin with. Everything that is decided here (weights, image size,
schedule, stand-ins) is written into the run's configuration.
"""

import dataclasses
from dataclasses import dataclass, field

import torch
from torch import Tensor

from vqa_helpers.data.folder import Dataset
from vqa_helpers.data.formats import has_official_answers
from vqa_helpers.data.text import tokenize_all
from vqa_helpers.errors import InputError
from vqa_helpers.evaluation.metrics import percent, vqa_scores
from vqa_helpers.experiment.images import ImageSide, is_standardised, open_images
from vqa_helpers.experiment.options import Options
from vqa_helpers.experiment.questions import open_questions
from vqa_helpers.model.config import Preset, Schedule, Words
from vqa_helpers.model.vqa import VQAModel, build_model
from vqa_helpers.training.batches import Batches
from vqa_helpers.training.loop import Score
from vqa_helpers.training.losses import SOFT_LOSSES, inverse_frequencies, prior_logits
from vqa_helpers.training.pixels import PixelRows
from vqa_helpers.training.team import ALONE, Team
from vqa_helpers.training.tensors import Vocabularies, split_tensors
from vqa_helpers.vision.encoders import weights_source

RANDOM_VISION = "random-weight vision"


@dataclass
class Experiment:
    """Everything in place for training.

    Attributes:
        batches: "train" (answerable questions alone) and every other split, whole.
        seen: the image side.
        stand_ins: what took the place of something that had to be downloaded.
        score: VQA accuracy of validation predictions; None where it is not defined.
        question_source: which frozen vectors questions were read with; None where all are learnt.
        class_weights: (A,) of "weighted cross entropy"; None for other losses.
        team: the processes that train it together.
    """

    preset: Preset
    dataset: Dataset
    options: Options
    schedule: Schedule
    vocabularies: Vocabularies
    batches: dict[str, Batches]
    model: VQAModel
    seen: ImageSide
    stand_ins: list[str] = field(default_factory=list)
    score: Score | None = None
    question_source: str | None = None
    class_weights: Tensor | None = None
    team: Team = ALONE

    def config(self) -> dict:
        """What `config.json` keeps."""
        sees = self.preset.images is not None
        chosen = self.options.precision  # "auto" is the machine's choice, as its device is
        return {
            **({} if chosen == "auto" else {"precision": chosen}),
            "preset": self.preset.name,
            "source": self.preset.source,
            "dataset": self.dataset.name,
            "data_sha256": self.dataset.sha256(),
            "split_rule": self.dataset.rule,
            "seed": self.options.seed,
            "epochs": self.options.epochs,
            "schedule": self.schedule.name,
            "training": dataclasses.asdict(self.schedule),
            "weights": self.options.weights if sees else None,
            "weights_source": self._weights_source() if sees else None,
            "image_size_px": self.options.image_size_px if sees else None,
            "standardised": sees and is_standardised(self.preset.images, self.options),
            "question_source": self.question_source,
            "stand_ins": self.stand_ins,
            "pieces": self.preset.pieces(),
            "loss": self.preset.loss,
            "answers": len(self.vocabularies.answers),
            "words": len(self.vocabularies.words) if self.vocabularies.words else None,
            "word_coverage": self._word_coverage(),
            "parameters": self.model.parameter_count(),
        }

    def unseen(self) -> list[int]:
        """The images that are missing or could not be read, so far as any process noticed; every
        process has to ask."""
        rows = self.seen.rows
        dark = self.team.everyones(list(rows.unreadable) if isinstance(rows, PixelRows) else [])
        return sorted({*self.seen.unseen, *(int(self.seen.ids[row]) for row in dark)})

    def _word_coverage(self) -> float | None:
        """Percent of the validation words that the vocabulary knows."""
        if self.vocabularies.words is None:
            return None
        questions = self.dataset.splits["validation"]["question"]
        return round(self.vocabularies.words.coverage(tokenize_all(questions)), 2)

    def _weights_source(self) -> str:
        return weights_source(self.preset.images.encoder, self.options.weights)


def prepare(
    preset: Preset, dataset: Dataset, options: Options | None = None, team: Team = ALONE
) -> Experiment:
    """Compute or open the features, learn the vocabularies, build the model.

    Args:
        team: the processes that will train it together.

    Raises:
        InputError: when the dataset lacks what the preset needs.
    """
    options = (options or Options()).resolved(dataset, preset)
    preset = preset.with_loss(options.loss or preset.loss)
    _refuse_unanswered(dataset)
    if options.word_order == "sorted set" and isinstance(preset.questions, Words):
        words = dataclasses.replace(preset.questions, sorted_set=True)
        preset = dataclasses.replace(preset, questions=words)
    schedule = options.tuned(preset.schedule_named(options.schedule))
    # Questions first: what is wrong with their encoder shows before hours of feature extraction.
    read = open_questions(preset.questions, dataset, options)
    seen = open_images(preset.images, dataset, options)
    vocabularies, soft = read.vocabularies, preset.loss in SOFT_LOSSES
    batches = {}
    for name, table in dataset.splits.items():
        tensors = split_tensors(table, read.encoded[name], seen.ids, vocabularies.answers, soft)
        tensors = tensors.learnable() if name == "train" else tensors
        batches[name] = Batches(tensors, seen.rows, schedule.batch, options.device, team)
    _refuse_too_few(dataset, batches, schedule, team)
    torch.manual_seed(options.seed)
    model = build_model(
        preset.records(),
        answers=len(vocabularies.answers),
        vocabulary_size=len(vocabularies.words or ()),
        word_vectors=read.word_vectors,
        statistics=seen.statistics,
        weights=options.weights,
        recompute=options.recompute,
    ).to(options.device)
    if preset.loss == "binary cross entropy":
        model.classifier.start_from(prior_logits(batches["train"].soft, len(vocabularies.answers)))
    random_vision = RANDOM_VISION if preset.images and options.weights == "random" else None
    return Experiment(
        preset=preset,
        dataset=dataset,
        options=options,
        schedule=schedule,
        vocabularies=vocabularies,
        batches=batches,
        model=model,
        seen=seen,
        stand_ins=[name for name in (random_vision, read.stand_in) if name],
        score=_score(dataset, vocabularies),
        question_source=read.source,
        class_weights=_class_weights(preset, batches, vocabularies, options.device),
        team=team,
    )


def _class_weights(
    preset: Preset, batches: dict[str, Batches], vocabularies: Vocabularies, device: str
) -> Tensor | None:
    if preset.loss != "weighted cross entropy":
        return None
    train = batches["train"].target
    return inverse_frequencies(train, len(vocabularies.answers)).to(device)


def _refuse_unanswered(dataset: Dataset) -> None:
    if not dataset.answered("validation"):
        raise InputError(
            f"{dataset.folder}: the validation split has no annotations, and the epoch is chosen on "
            "it; add them, or take its questions away and it is cut from train"
        )


def _refuse_too_few(
    dataset: Dataset, batches: dict[str, Batches], schedule: Schedule, team: Team
) -> None:
    """Refuse splits that cannot be learnt from, or not shared."""
    if len(batches["train"]) < 2:
        raise InputError(f"{dataset.folder}: training needs at least two questions with answers")
    fewest = min(map(len, batches.values()))
    if min(fewest, schedule.batch) < team.count:
        raise InputError(
            f"{dataset.folder}: {team.count} processes cannot share a split of {fewest} questions, "
            f"in batches of {schedule.batch}; use fewer processes"
        )


def _score(dataset: Dataset, vocabularies: Vocabularies) -> Score | None:
    """VQA accuracy of validation predictions, percent; None where it is not defined."""
    table = dataset.splits["validation"]
    if not has_official_answers(table):
        return None
    answers = vocabularies.answers.answers

    def score(predictions: Tensor) -> float:
        return percent(vqa_scores([answers[i] for i in predictions.tolist()], table))

    return score
