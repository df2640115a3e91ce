"""A trained run answers new questions about new photographs.

Everything but a frozen vision network lies in the run folder; that network's own source
(ImageNet, a seed, a file) gives it back.
"""

import logging
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from vqa_helpers.errors import InputError
from vqa_helpers.features.extract import encode_images, fill_store
from vqa_helpers.features.pixels import BadImage, load_square
from vqa_helpers.language.sentence import encoder_source
from vqa_helpers.model.config import DEFAULT_LOSS, Glove, Images, Pieces, read_pieces
from vqa_helpers.model.vqa import VQAModel, build_model
from vqa_helpers.runs import Run
from vqa_helpers.training.batches import Batches, FeatureRows
from vqa_helpers.training.checkpoint import load_model
from vqa_helpers.training.loop import rank
from vqa_helpers.training.pixels import PixelRows
from vqa_helpers.training.tensors import Vocabularies, encode_questions, split_tensors
from vqa_helpers.vision.encoders import weights_source

log = logging.getLogger(__name__)

BATCH = 400


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
    pieces: Pieces
    vocabularies: Vocabularies
    config: dict
    weights: str
    device: str = "cpu"
    unreadable: list[int] = field(default_factory=list)

    @classmethod
    def load(cls, folder: Path, device: str = "cpu", weights: str | None = None) -> "Answerer":
        """Load a finished run.

        Args:
            folder: the run folder.
            weights: of the vision network, where the file the run was trained with has moved.

        Raises:
            InputError: for a folder that holds no finished run, or weights that are not the run's.
        """
        run = Run(folder)
        if not run.finished:
            raise InputError(f"{folder}: holds no finished run; train one with `vqa train`")
        run.verify()
        config = _complete(run)
        pieces = read_pieces(config["pieces"], f"{folder}/config.json")
        vocabularies = Vocabularies.load(folder)
        images, words = pieces["images"], vocabularies.words
        weights = _weights(images, config, weights, folder)
        vectors = None
        if isinstance(pieces["questions"], Glove):
            vectors = torch.zeros(len(words), pieces["questions"].dim)  # the saved ones replace it
        model = build_model(
            pieces,
            answers=len(vocabularies.answers),
            vocabulary_size=len(words or ()),
            word_vectors=vectors,
            weights=weights,
        )
        load_model(folder, model)
        return cls(model.to(device).eval(), pieces, vocabularies, config, weights, device)

    def answer(
        self,
        table: pd.DataFrame,
        images: dict[int, Path],
        *,
        stores: Path | None = None,
        cache: Path | None = None,
        sentence_encoder: Path | None = None,
        offline: bool = False,
        most: int = 5,
    ) -> list[list[Answer]]:
        """The most probable answers to each question, best first.

        Args:
            table: question_id, image_id and question, (N) rows.
            images: image id to file; a question whose image is not there sees none.
            stores: where the images' features are kept and resumed; None computes them in memory.
            cache: folder that keeps sentence vectors; the one that training filled if None.

        Raises:
            InputError: when the sentence encoder is not the one the run was trained with.
        """
        encoder = self.vocabularies.sentence_encoder
        if encoder and encoder_source(encoder, sentence_encoder) != self.config["question_source"]:
            raise InputError(
                f"the run was trained with the sentence encoder {self.config['question_source']}, "
                f"not {encoder_source(encoder, sentence_encoder)}; name its folder with "
                "--sentence-encoder"
            )
        image_ids = np.unique(table["image_id"].to_numpy())
        wanted = {int(i): images[int(i)] for i in image_ids if int(i) in images}
        encoded = encode_questions(
            list(table["question"]),
            self.pieces["questions"],
            self.vocabularies,
            cache=cache or Path("features") / self.config["dataset"] / "sentences",
            model_folder=sentence_encoder,
            offline=offline,
        )
        unanswered = table.drop(columns=["answer"], errors="ignore")
        tensors = split_tensors(unanswered, encoded, image_ids, self.vocabularies.answers)
        rows = self._image_rows(image_ids, wanted, stores)
        batches = Batches(tensors, rows, BATCH, self.device)
        loss = self.config.get("loss", DEFAULT_LOSS)  # runs of old versions had no other
        ids, probabilities = rank(self.model, batches, most, loss)
        if isinstance(rows, PixelRows):
            self.unreadable = [int(image_ids[row]) for row in sorted(rows.unreadable)]
        texts = self.vocabularies.answers.answers
        return [
            [Answer(texts[i], chance) for i, chance in zip(row, chances, strict=True)]
            for row, chances in zip(ids.tolist(), probabilities.tolist(), strict=True)
        ]

    def _image_rows(
        self, image_ids: np.ndarray, images: dict[int, Path], stores: Path | None
    ) -> FeatureRows | PixelRows | None:
        spec = self.pieces["images"]
        if spec is None:
            return None
        size_px = self.config["image_size_px"]
        if spec.in_loop:
            paths = [images.get(int(image_id)) for image_id in image_ids]
            return PixelRows(paths, size_px, self.device)
        settings = dict(encoder=spec.encoder, weights=self.weights, size_px=size_px)
        if stores is None:
            features = encode_images(images, image_ids, device=self.device, **settings)
        else:
            features, _ = fill_store(stores, images, device=self.device, **settings).read(image_ids)
        without = image_ids[~features.any(axis=1)].tolist()
        self.unreadable = [image_id for image_id in without if image_id in images]
        return FeatureRows(torch.from_numpy(features), self.device)


def _complete(run: Run) -> dict:
    """The run's configuration, with all that answering needs in it."""
    for name in ("pieces", "weights", "weights_source", "image_size_px", "question_source"):
        if name not in run.config:
            raise InputError(f"{run.folder}/config.json: lacks {name!r}; train the run again")
    return run.config


def _weights(spec: Images | None, config: dict, named: str | None, folder: Path) -> str:
    """The vision weights to build with: the run's own, checked."""
    if spec is None or spec.trained != "none":
        return "random"  # no network, or one that lies in the run folder and replaces these
    weights = named or config["weights"]
    source = weights_source(spec.encoder, weights)
    if source != config["weights_source"]:
        raise InputError(
            f"{folder}: was trained on vision weights ({config['weights_source']}) that are not "
            f"these ({source}); name the right ones with --weights"
        )
    return weights


def ask(answerer: Answerer, image: Path, question: str, **options) -> list[Answer]:
    """Answer one question about one photograph.

    Raises:
        InputError: for an empty question, or an image that cannot be read.
    """
    if not question.strip():
        raise InputError("the question is empty; ask something, in quotes")
    table = pd.DataFrame({"question_id": [0], "image_id": [0], "question": [question]})
    if answerer.pieces["images"] is not None:
        try:
            load_square(image, answerer.config["image_size_px"])
        except BadImage as error:
            raise InputError(f"{image}: {error}; give a photograph that opens") from None
    return answerer.answer(table, {0: image}, **options)[0]
