"""Tensors become batches by index, on the device where the model is.

Questions, lengths and targets are one row a question; images are one row an image, found by row
number, so that the questions about one image share it. Knows nothing of text or vocabularies.
"""

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vqa_helpers.data.vocabulary import OUTSIDE
from vqa_helpers.training.losses import SoftScores
from vqa_helpers.vision.preprocess import BadImage, load_square

log = logging.getLogger(__name__)

CACHED_BYTES = 1 << 30  # of decoded pixels, so that a small dataset is decoded once


class FeatureRows:
    """Image features on the device: (I, D) half floats."""

    def __init__(self, features: Tensor, device: torch.device | str = "cpu") -> None:
        self.features = features.to(device)

    def __getitem__(self, rows: Tensor) -> Tensor:
        """(B,) row numbers to (B, D)."""
        return self.features[rows.to(self.features.device)]


class PixelRows:
    """Photographs decoded when they are asked for, for a vision network inside the loop.

    Args:
        paths: the file of each row; None, or a file that cannot be read, gives black.
        size_px: side of the square.

    Attributes:
        unreadable: row to the reason its file could not be read, of those asked for so far.
    """

    def __init__(
        self, paths: Sequence[Path | None], size_px: int, device: torch.device | str = "cpu"
    ) -> None:
        self.paths = list(paths)
        self.size_px = size_px
        self.device = device
        self.unreadable: dict[int, str] = {}
        self._cache: dict[int, np.ndarray] = {}
        self._room = CACHED_BYTES // (3 * size_px * size_px)
        self._threads = ThreadPoolExecutor()

    def __getitem__(self, rows: Tensor) -> Tensor:
        """(B,) row numbers to pixels (B, 3, S, S) uint8."""
        squares = np.stack(list(self._threads.map(self._load, rows.tolist())))  # (B, S, S, 3)
        return torch.from_numpy(squares).to(self.device).permute(0, 3, 1, 2)

    def _load(self, row: int) -> np.ndarray:
        if row in self._cache:
            return self._cache[row]
        path = self.paths[row]
        square = np.zeros((self.size_px, self.size_px, 3), dtype=np.uint8)
        if path is not None:
            try:
                square = load_square(path, self.size_px)
            except BadImage as error:  # its questions stay in every score
                if row not in self.unreadable:
                    log.warning("%s: %s; its questions see black", path, error)
                self.unreadable[row] = str(error)
        if len(self._cache) < self._room:
            self._cache[row] = square
        return square


@dataclass
class Batch:
    """Some questions.

    Attributes:
        question: token ids (B, T), or sentence vectors (B, S); None without questions.
        lengths: (B,) on the CPU; None where there are no tokens.
        image: features (B, D) or pixels (B, 3, S, S); None without images.
        target: (B,) the answer's id, -1 where it is outside the vocabulary.
        soft: (B) soft scores, for the losses that want them.
    """

    question: Tensor | None
    lengths: Tensor | None
    image: Tensor | None
    target: Tensor
    soft: SoftScores | None = None

    def __len__(self) -> int:
        return len(self.target)


@dataclass
class QuestionTensors:
    """A split as tensors.

    Attributes:
        question: token ids (N, T), or sentence vectors (N, S); None without questions.
        lengths: (N,); None where there are no tokens.
        image_row: (N,) which row of the images each question is about.
        target: (N,) the answer's id, -1 where it is outside the vocabulary.
        soft: (N) soft scores, for the losses that want them.
    """

    question: Tensor | None
    lengths: Tensor | None
    image_row: Tensor
    target: Tensor
    soft: SoftScores | None = None

    def __len__(self) -> int:
        return len(self.target)

    def learnable(self) -> "QuestionTensors":
        """The questions that teach: the model can give their answer, or with soft scores one of
        their answers."""
        kept = self.target != OUTSIDE if self.soft is None else self.soft.total() > 0
        return QuestionTensors(*(None if part is None else part[kept] for part in self._parts()))

    def _parts(self) -> tuple[Tensor | SoftScores | None, ...]:
        return self.question, self.lengths, self.image_row, self.target, self.soft


class Batches:
    """The batches of a split.

    Args:
        split: the tensors; they are moved to the device once.
        images: rows of features or pixels; None for a model without vision.
        size: questions a batch.
    """

    def __init__(
        self,
        split: QuestionTensors,
        images: FeatureRows | PixelRows | None,
        size: int,
        device: torch.device | str = "cpu",
    ) -> None:
        self.question = None if split.question is None else split.question.to(device)
        self.lengths = split.lengths  # packing wants them on the CPU
        self.image_row = split.image_row
        self.target = split.target.to(device)
        self.soft = None if split.soft is None else split.soft.to(device)
        self.images = images
        self.size = size

    def __len__(self) -> int:
        """The number of questions."""
        return len(self.target)

    def in_order(self) -> Iterator[Batch]:
        """Every question once, in the order of the table."""
        return self._batches(torch.arange(len(self)))

    def shuffled(self, generator: torch.Generator) -> Iterator[Batch]:
        """Every question once, in the generator's order (a CPU generator)."""
        return self._batches(torch.randperm(len(self), generator=generator), at_least_two=True)

    def count(self) -> int:
        """The number of batches in an epoch."""
        return -(-len(self) // self.size)

    def _batches(self, order: Tensor, at_least_two: bool = False) -> Iterator[Batch]:
        chunks = list(order.split(self.size))
        if at_least_two and len(chunks) > 1 and len(chunks[-1]) == 1:
            # Batch normalisation cannot learn from one row.
            chunks[-2:] = [torch.cat(chunks[-2:])]
        for rows in chunks:
            yield self._batch(rows)

    def _batch(self, rows: Tensor) -> Batch:
        on_device = rows.to(self.target.device)
        question = None if self.question is None else self.question[on_device]
        lengths = None if self.lengths is None else self.lengths[rows]
        if lengths is not None:
            question = question[:, : int(lengths.max())]
        image = None if self.images is None else self.images[self.image_row[rows]]
        soft = None if self.soft is None else self.soft[on_device]
        return Batch(question, lengths, image, self.target[on_device], soft)
