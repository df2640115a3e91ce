"""Questions and photographs in, answers out.

An `Answerer` is a trained model with all it needs for new questions and photographs.
"""

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image

from vqa_helpers.data.vocabulary import AnswerVocabulary, WordVocabulary, tokenize
from vqa_helpers.errors import InputError, require_count
from vqa_helpers.features.extract import Encode, encode_images, encode_of, fill_store
from vqa_helpers.features.pixels import BadImage
from vqa_helpers.pieces.model import VQAModel
from vqa_helpers.training.batches import TOGETHER, Batches
from vqa_helpers.training.image_rows import PixelRows, Rows
from vqa_helpers.training.inputs import examples_of
from vqa_helpers.training.loop import rank

log = logging.getLogger(__name__)

FEW = 16  # questions at a time about photographs that a network must see first
Photograph = str | Path | Image.Image | np.ndarray
GIVEN = ("answer", "probability", "answers", "probabilities")  # the columns of a table of answers


@dataclass(frozen=True)
class Answer:
    """One of the answers a model considers, and its probability."""

    text: str
    probability: float


@dataclass(frozen=True)
class Answers(Sequence):
    """The most probable answers to a question about a photograph, best first; prints as a list, and
    in a notebook as a card.

    Attributes:
        image: the photograph, as it was given; None for a model that sees none.
        size_px: side of the square that the model saw of it.
    """

    question: str
    image: Photograph | None
    size_px: int | None
    answers: tuple[Answer, ...]

    def __getitem__(self, place: int) -> Answer:
        return self.answers[place]

    def __len__(self) -> int:
        return len(self.answers)

    @property
    def text(self) -> str:
        """The most probable answer."""
        return self.answers[0].text

    def __str__(self) -> str:
        return "\n".join(f"{100 * answer.probability:5.1f} %  {answer.text}" for answer in self)

    __repr__ = __str__

    def card(self):  # -> matplotlib.figure.Figure, imported only when needed
        """The square that the model saw, the question, and the answers as coloured cells."""
        from vqa_helpers.report.cards import draw_cards

        said = {
            "question": self.question, "image_id": 0, "truth": None,
            "answers": [answer.text for answer in self],
            "probabilities": [answer.probability for answer in self],
        }  # fmt: skip
        images = {} if self.image is None else {0: opened(self.image)}
        return draw_cards(pd.DataFrame([said]), images, self.size_px)

    def _repr_png_(self) -> bytes:
        from vqa_helpers.report.style import as_png

        return as_png(self.card())


@dataclass
class Answerer:
    """A trained model with all it needs to read questions and photographs.

    Attributes:
        about: what it is, what it was trained on and how often it is right, in one line.
        unreadable: of the last questions the images whose files could not be read, and why.
    """

    model: VQAModel
    answers: AnswerVocabulary
    words: WordVocabulary
    config: dict
    about: str = ""
    device: str = "cpu"
    unreadable: dict[int, str] = field(default_factory=dict)

    def answer(
        self,
        image: Photograph | Sequence[Photograph] | pd.DataFrame | None,
        question: str | Sequence[str] | None = None,
        most: int = 5,
    ) -> Answers | list[Answers] | pd.DataFrame:
        """Answer one question about one photograph, or many.

        Args:
            image: a file, a PIL image or an array (H, W) or (H, W, 3); or N of them, as a list or
                an array; or a table with the columns image and question. None for a model that sees
                no image.
            question: one question, or N. One photograph may have several, and several one.
            most: how many answers are given to each.

        Returns:
            For one question its answers; for N a list of N; for a table the same with the columns
            answer and probability, and answers and probabilities (lists, best first). In a table
            alone a photograph that cannot be read is no error: its answer is missing.

        Raises:
            InputError: for an empty question, a photograph that cannot be read, or lists of
                different lengths.
        """
        if isinstance(image, pd.DataFrame):
            if question is not None:
                raise InputError("a table has its questions in a column; give no others beside it")
            return self._answer_table(image, most)
        several = isinstance(image, np.ndarray) and image.ndim in (1, 4)  # names, or a batch
        one_image = not (several or isinstance(image, list | tuple | pd.Series))
        one_question = not isinstance(question, list | tuple | pd.Series | np.ndarray)
        images = [image] if one_image else list(image)
        questions = [question] if one_question else list(question)
        if one_image:
            images *= len(questions)
        elif one_question:
            questions *= len(images)
        given = self._answer_all(images, questions, most)
        for one in given:
            if isinstance(one, BadImage):
                raise InputError(f"{one}; give a photograph that opens")
        return given[0] if one_image and one_question else given

    def _answer_table(self, table: pd.DataFrame, most: int) -> pd.DataFrame:
        sees = self.model.vision is not None
        for name in ("image", "question") if sees else ("question",):
            if name not in table:
                columns = ", ".join(map(str, table.columns))
                raise InputError(f"the table has no column {name!r} but {columns}; rename one")
        if taken := ", ".join(repr(name) for name in GIVEN if name in table):
            log.warning(
                "the table's own %s is replaced in the result; rename it to keep both", taken
            )
        images = list(table["image"]) if sees else [None] * len(table)
        given = self._answer_all(images, list(table["question"]), most)
        for one in given:
            if isinstance(one, BadImage):
                log.warning("%s; its questions are not answered", one)
        rows = [[] if isinstance(one, BadImage) else one.answers for one in given]
        return table.assign(
            answer=[row[0].text if row else None for row in rows],
            probability=[row[0].probability if row else np.nan for row in rows],
            answers=[[answer.text for answer in row] for row in rows],
            probabilities=[[answer.probability for answer in row] for row in rows],
        )

    def _answer_all(
        self, images: list[Photograph], questions: list[str], most: int
    ) -> list[Answers | BadImage]:
        """The answers to N questions, each about its photograph, or why that cannot be read."""
        if len(images) != len(questions):
            raise InputError(
                f"{len(images)} photographs and {len(questions)} questions; give as many, or one"
            )
        for number, question in enumerate(questions, start=1):
            which = "the question" if len(questions) == 1 else f"question {number}"
            if not isinstance(question, str | float | None):  # nothing, in a table, is nan
                kind = type(question).__name__
                raise InputError(f"{which} is not UTF-8 text but a {kind}; give a text or a list")
            if not isinstance(question, str) or not question.strip():
                raise InputError(f"{which} is empty; ask something, in quotes")
            if question.encode(errors="ignore").decode() != question:
                raise InputError(f"{which} is not UTF-8 text; set the terminal to UTF-8")
        if not questions:
            return []
        sees = self.model.vision is not None
        images = images if sees else [None] * len(questions)
        # A photograph with several questions is looked at once.
        keys = [str(i) if isinstance(i, str | Path) else id(i) for i in images]
        ids = {key: number for number, key in enumerate(dict.fromkeys(keys))}
        table = pd.DataFrame({"question_id": range(len(questions)), "question": questions})
        table["image_id"] = [ids[key] for key in keys]
        files, bad = {}, {}
        for image_id, image in zip(table["image_id"], images, strict=True) if sees else ():
            try:
                files[image_id] = opened(image)
            except BadImage as error:
                bad[image_id] = error
        given = self.predict(table, files, most=most)
        bad |= {i: BadImage(f"{files[i]}: {why}") for i, why in self.unreadable.items()}
        size_px, asked = self.config["image_size_px"], (table["image_id"], images, questions, given)
        return [
            bad.get(image_id) or Answers(question, image, size_px, tuple(row))
            for image_id, image, question, row in zip(*asked, strict=True)
        ]

    def predict(
        self,
        table: pd.DataFrame,
        images: Mapping[int, Path | Image.Image],
        *,
        stores: Path | None = None,
        most: int = 5,
    ) -> list[list[Answer]]:
        """The most probable answers to each question of a dataset's table, best first.

        Args:
            table: question_id, image_id and question, (N) rows.
            images: image id to file; a question whose image is not there sees none.
            stores: where the images' features are kept and resumed; None computes them in memory.
        """
        require_count("most", most)
        batches = self.batches(table, images, stores)
        ids, probabilities = rank(self.model, batches, self.config["loss"], most)
        image_ids = np.unique(table["image_id"].to_numpy())
        if isinstance(batches.images, PixelRows):  # read by now
            unreadable = batches.images.unreadable
            self.unreadable = {int(image_ids[row]): unreadable[row] for row in sorted(unreadable)}
        texts = self.answers.answers
        return [
            [Answer(texts[i], chance) for i, chance in zip(row, chances, strict=True)]
            for row, chances in zip(ids.tolist(), probabilities.tolist(), strict=True)
        ]

    def batches(
        self, table: pd.DataFrame, images: Mapping[int, Path | Image.Image], stores: Path | None
    ) -> Batches:
        """The batches of a table's questions and their images, as `predict` takes them."""
        image_ids = np.unique(table["image_id"].to_numpy())
        wanted = {int(i): images[int(i)] for i in image_ids if int(i) in images}
        self._warn_of_unknown_words(table["question"])
        question = self.model.encode(list(table["question"]), self.words)
        table = table.drop(columns=["answer"], errors="ignore")
        examples = examples_of(table, question, image_ids, self.answers)
        rows = self._image_rows(image_ids, wanted, stores)
        size = FEW if isinstance(rows, PixelRows) else TOGETHER
        return Batches(examples, rows, size, self.device)

    @cached_property
    def _encoder(self) -> Encode:
        """The network whose features are read; built for the first question and kept."""
        precision = self.config.get("features_precision", "float32")
        return encode_of(self.model.vision, self.device, precision)

    def _image_rows(
        self, image_ids: np.ndarray, images: dict[int, Path], stores: Path | None
    ) -> Rows | None:
        vision, self.unreadable = self.model.vision, {}
        if vision is None:
            return None
        if not getattr(vision, "stored", False):
            paths = [images.get(int(image_id)) for image_id in image_ids]
            return PixelRows(paths, self.config["image_size_px"], self.device)
        if stores is None:
            rows, self.unreadable = encode_images(images, image_ids, self._encoder)
            return torch.from_numpy(rows)
        store = fill_store(stores, images, self._encoder)
        self.unreadable = {i: why for i, why in sorted(store.failed.items()) if i in images}
        return store.rows(image_ids)[0]

    def _warn_of_unknown_words(self, questions: pd.Series) -> None:
        vocabulary = self.model.words(self.words)
        if vocabulary is None:
            return
        for question in dict.fromkeys(questions):
            if not any(word in vocabulary.ids for word in tokenize(question)):
                log.warning(
                    "%r: holds no word that the model knows; its answer is a guess", question
                )


def opened(image: Photograph) -> Path | Image.Image:
    """A photograph as it is decoded later: a file, or an image in memory.

    Raises:
        BadImage: it is neither, nor an array of pixels.
    """
    if isinstance(image, str) and image.startswith(("http://", "https://")):
        raise BadImage(f"{image}: is an address, and nothing is downloaded here")
    if isinstance(image, str | Path):
        return Path(image)
    if isinstance(image, Image.Image):
        return image
    with suppress(TypeError, ValueError, AttributeError):
        pixels = np.asarray(image)
        if pixels.ndim > 1 and pixels.size:
            return Image.fromarray(pixels)
    kind = f"{getattr(image, 'dtype', type(image).__name__)} {np.shape(image)}"
    raise BadImage(f"a photograph is {kind}, and no file, PIL image, or array (H, W, 3) of uint8")
