"""A trained run answers new questions about new photographs.

Everything but a frozen vision network lies in the run folder; that network's own source (ImageNet, a
seed, a file) gives it back. Nothing that a run folder says is imported or run: classes that are not
the package's are named by the user.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from vqa_helpers.data.vocabulary import AnswerVocabulary, WordVocabulary, tokenize
from vqa_helpers.environment import pick_device
from vqa_helpers.errors import InputError
from vqa_helpers.features.extract import Encode, encode_images, fill_store
from vqa_helpers.features.pixels import BadImage, load_square
from vqa_helpers.pieces.choice import SLOTS, choice_from, read_pieces
from vqa_helpers.pieces.identity import structure_of
from vqa_helpers.pieces.model import VQAModel
from vqa_helpers.pieces.sentences import MULTILINGUAL, USE
from vqa_helpers.pieces.vision import NetworkInLoop
from vqa_helpers.recipe import LOSSES
from vqa_helpers.runs import CONFIG, VOCABULARY, Run
from vqa_helpers.training.batches import Batches
from vqa_helpers.training.checkpoint import load_model
from vqa_helpers.training.image_rows import PixelRows
from vqa_helpers.training.inputs import build_model, examples_of
from vqa_helpers.training.loop import rank

log = logging.getLogger(__name__)

BATCH = 400

_READ = {
    "model": dict,
    "structure": str,
    "weights_source": str | None,
    "image_size_px": int | None,
    "question_source": str | None,
    "loss": str,
    "dataset": str,
}  # what is read here of a run's configuration


@dataclass(frozen=True)
class Answer:
    """One of the answers a model considers, and its probability."""

    text: str
    probability: float


@dataclass
class Answerer:
    """A trained model with all it needs to read questions and photographs.

    Attributes:
        unreadable: the images of the last questions whose files could not be read.
    """

    model: VQAModel
    answers: AnswerVocabulary
    words: WordVocabulary
    config: dict
    device: str = "cpu"
    unreadable: list[int] = field(default_factory=list)

    def answer(
        self,
        table: pd.DataFrame,
        images: dict[int, Path],
        *,
        stores: Path | None = None,
        most: int = 5,
    ) -> list[list[Answer]]:
        """The most probable answers to each question, best first.

        Args:
            table: question_id, image_id and question, (N) rows.
            images: image id to file; a question whose image is not there sees none.
            stores: where the images' features are kept and resumed; None computes them in memory.
        """
        image_ids = np.unique(table["image_id"].to_numpy())
        wanted = {int(i): images[int(i)] for i in image_ids if int(i) in images}
        self._warn_of_unknown_words(table["question"])
        question = self.model.encode(list(table["question"]), self.words)
        table = table.drop(columns=["answer"], errors="ignore")
        examples = examples_of(table, question, image_ids, self.answers)
        rows = self._image_rows(image_ids, wanted, stores)
        batches = Batches(examples, rows, BATCH, self.device)
        ids, probabilities = rank(self.model, batches, self.config["loss"], most)
        if isinstance(rows, PixelRows):
            self.unreadable = [int(image_ids[row]) for row in sorted(rows.unreadable)]
        texts = self.answers.answers
        return [
            [Answer(texts[i], chance) for i, chance in zip(row, chances, strict=True)]
            for row, chances in zip(ids.tolist(), probabilities.tolist(), strict=True)
        ]

    def ask(self, image: Path, question: str, most: int = 5) -> list[Answer]:
        """Answer one question about one photograph.

        Raises:
            InputError: for an empty question, or an image that cannot be read.
        """
        if not question.strip():
            raise InputError("the question is empty; ask something, in quotes")
        if self.model.vision is not None:
            try:
                load_square(Path(image), self.config["image_size_px"])
            except BadImage as error:
                raise InputError(f"{image}: {error}; give a photograph that opens") from None
        table = pd.DataFrame({"question_id": [0], "image_id": [0], "question": [question]})
        return self.answer(table, {0: Path(image)}, most=most)[0]

    @cached_property
    def _encoder(self) -> Encode:
        """The network whose features are read; built for the first question and kept."""
        vision = self.model.vision
        grid = getattr(vision, "grid", False)
        return Encode(vision.network, vision.weights, vision.size_px, self.device, grid)

    def _image_rows(
        self, image_ids: np.ndarray, images: dict[int, Path], stores: Path | None
    ) -> Tensor | PixelRows | None:
        vision = self.model.vision
        if vision is None:
            return None
        if not getattr(vision, "stored", False):
            paths = [images.get(int(image_id)) for image_id in image_ids]
            return PixelRows(paths, self.config["image_size_px"], self.device)
        if stores is None:
            features = encode_images(images, image_ids, self._encoder)
        else:
            store = fill_store(
                stores, images, encoder=vision.network, weights=vision.weights,
                size_px=vision.size_px, device=self.device,
                grid=getattr(vision, "grid", False),
            )  # fmt: skip
            features, _ = store.read(image_ids)
        without = image_ids[~features.reshape(len(features), -1).any(axis=1)].tolist()
        self.unreadable = [image_id for image_id in without if image_id in images]
        return torch.from_numpy(features)

    def _warn_of_unknown_words(self, questions: pd.Series) -> None:
        vocabulary = self.model.words(self.words)
        if vocabulary is None:
            return
        for question in dict.fromkeys(questions):
            if not any(word in vocabulary.ids for word in tokenize(question)):
                log.warning(
                    "%r: holds no word that the model knows; its answer is a guess", question
                )


def load(
    folder: Path | str,
    *,
    device: str = "auto",
    weights: str | None = None,
    encoder: Path | None = None,
    own: Mapping[str, type[nn.Module]] | Path | None = None,
) -> Answerer:
    """Load a finished run.

    Args:
        folder: the run folder.
        weights: the file of the vision network's weights, where it has moved.
        encoder: the folder of the sentence encoder, where the run was trained with one.
        own: classes that are not the package's, by name, or the Python file that defines them.

    Raises:
        InputError: for a folder that holds no finished run, a class that is not here, or weights
            that are not the run's.
    """
    folder, device = Path(folder), pick_device(device)
    run = Run(folder)
    if not run.finished:
        raise InputError(f"{folder}: holds no finished run; train one with `vqa train`")
    run.verify()
    config, where = run.config, f"{folder}/{CONFIG}"
    for name, kind in _READ.items():
        if name not in config:
            raise InputError(f"{where}: lacks {name!r}; train the run again")
        if not isinstance(config[name], kind):
            raise InputError(f"{where}: {name!r} is not what a run has there; train the run again")
    if config["loss"] not in LOSSES:
        raise InputError(f"{where}: 'loss' is none of {', '.join(LOSSES)}; train the run again")
    classes = read_pieces(own) if isinstance(own, Path | str) else own or {}
    records = config["model"]
    choices = {
        slot: choice_from(slot, records.get(slot), classes, where)
        if records.get(slot) is not None or slot in ("fusion", "classifier")
        else None
        for slot in SLOTS
    }
    vision = choices["vision"]
    if vision and issubclass(vision.made_by, NetworkInLoop):
        trained = vision.keywords.get("trained", "none") != "none"
        if trained and vision.keywords.get("weights") != "packaged":
            weights = "random"  # the run holds all of a network that was trained
    if weights and vision:
        choices["vision"] = vision.with_(weights=str(weights))
    language = choices["language"]
    if language and encoder:
        choices["language"] = language.with_(encoder=str(encoder))
    elif language and language.keywords.get("encoder") not in (None, USE, MULTILINGUAL):
        raise InputError(  # a SavedModel is code: a run folder alone must not say which one runs
            f"{folder}: was trained with the sentence encoder {language.keywords['encoder']!r}; name "
            "its folder with --sentence-encoder DIR"
        )
    words, answers = _read_vocabulary(folder / VOCABULARY)
    dataset = Path(config["dataset"]).name  # no other folder
    usual = {"language": {"cache": Path("features") / dataset / "sentences"}}
    model = build_model(choices, words, len(answers), usual)
    _refuse_other_source(folder, model.vision, config["weights_source"], "--weights FILE")
    if hasattr(model.language, "encoder"):
        source = config["question_source"]
        _refuse_other_source(folder, model.language, source, "--sentence-encoder DIR")
    load_model(folder, model)
    if structure_of(model) != config["structure"]:
        changed = [
            f", the code of {choice.made_by.__name__} has changed"
            for slot, choice in choices.items()
            if choice and choice.record().get("code") != records[slot].get("code")
        ]
        what = "a piece of the model is not quite as it was trained" + "".join(changed)
        log.warning("%s: %s; answers may be others than the run's", folder, what)
    return Answerer(model.to(device).eval(), answers, words, config, device)


def _refuse_other_source(folder: Path, piece: nn.Module | None, known: str, option: str) -> None:
    """Refuse a frozen part that is not the one of the training."""
    found = getattr(piece, "source", known)
    if found != known and getattr(piece, "trained", "none") == "none":
        raise InputError(
            f"{folder}: was trained with {known}, which is not what is here ({found}); name the "
            f"right one with {option}"
        )


def _read_vocabulary(path: Path) -> tuple[WordVocabulary, AnswerVocabulary]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        words = WordVocabulary(tuple(content["words"] or ()))
        return words, AnswerVocabulary(tuple(content["answers"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: cannot be read ({error}); train the run again") from None
