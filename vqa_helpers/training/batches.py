"""Tensors become batches by index, on the device where the model is.

Questions, lengths and targets are one row a question; images are one row an image, found by row
number, so that the questions about one image share it. Tables lie on the device where they fit
there, and are streamed to it where they do not. Knows nothing of text or vocabularies.
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
from vqa_helpers.training.streaming import ahead, home, send
from vqa_helpers.vision.preprocess import BadImage, load_square

log = logging.getLogger(__name__)

CACHED_BYTES = 1 << 30  # of decoded pixels, so that a small dataset is decoded once
WIDTH_STEP = 4  # words; a GPU meets few widths of questions, and keeps a captured step for each


class FeatureRows:
    """Image features, (I, D) half floats, on the device where they fit there.

    Attributes:
        resident: whether they do.
    """

    def __init__(self, features: Tensor, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        self.features = features.to(home(features.nbytes, self.device))
        self.resident = self.features.device.type == self.device.type
        if not self.resident:
            log.info("%.1f GB of features are streamed to the device", features.nbytes / 1e9)

    def __getitem__(self, rows: Tensor) -> Tensor:
        """(B,) row numbers to (B, D)."""
        chosen = self.features.index_select(0, rows.to(self.features.device))
        return send(chosen, self.device)


class PixelRows:
    """Photographs decoded when they are asked for, for a vision network inside the loop.

    Args:
        paths: the file of each row; None, or a file that cannot be read, gives black.
        size_px: side of the square.

    Attributes:
        unreadable: row to the reason its file could not be read, of those asked for so far.
    """

    resident = False

    def __init__(
        self, paths: Sequence[Path | None], size_px: int, device: torch.device | str = "cpu"
    ) -> None:
        self.paths = list(paths)
        self.size_px = size_px
        self.device = torch.device(device)
        self.unreadable: dict[int, str] = {}
        self._cache: dict[int, np.ndarray] = {}
        self._room = CACHED_BYTES // (3 * size_px * size_px)
        self._threads = ThreadPoolExecutor()

    def __getitem__(self, rows: Tensor) -> Tensor:
        """(B,) row numbers to pixels (B, 3, S, S) uint8."""
        squares = np.stack(list(self._threads.map(self._load, rows.tolist())))  # (B, S, S, 3)
        return send(torch.from_numpy(squares), self.device).permute(0, 3, 1, 2)

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
        lengths: (B,); None where there are no tokens.
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

    def tensors(self) -> tuple[Tensor, ...]:
        """All there are, in one order."""
        return _tensors(self.question, self.lengths, self.image, self.target, self.soft)

    def clone(self) -> "Batch":
        """The same in other memory."""
        parts = self.question, self.lengths, self.image, self.target, self.soft
        return Batch(*(None if part is None else part.clone() for part in parts))


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

    def nbytes(self) -> int:
        """What it takes in memory."""
        return sum(tensor.nbytes for tensor in _tensors(*self._parts()))

    def _parts(self) -> tuple[Tensor | SoftScores | None, ...]:
        return self.question, self.lengths, self.image_row, self.target, self.soft


def _tensors(*parts: Tensor | SoftScores | None) -> tuple[Tensor, ...]:
    """The tensors among the parts, soft scores being two."""
    flat = []
    for part in parts:
        flat += [part.ids, part.scores] if isinstance(part, SoftScores) else [part]
    return tuple(tensor for tensor in flat if tensor is not None)


class Batches:
    """The batches of a split.

    Args:
        split: the tensors; those a device reads are moved to it once, where they fit there.
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
        self.device = torch.device(device)
        where = home(split.nbytes(), self.device)
        self.question = None if split.question is None else split.question.to(where)
        self.lengths = split.lengths  # the widest of a batch is looked up without asking a GPU
        self.image_row = split.image_row
        self.target = split.target.to(where)
        self.soft = None if split.soft is None else split.soft.to(where)
        self.images = images
        self.size = size
        self.resident = where == self.device and (images is None or images.resident)
        streams = not self.resident and self.device.type == "cuda"
        self._stream = torch.cuda.Stream(self.device) if streams else None

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
        sizes = [len(chunk) for chunk in order.split(self.size)]
        if at_least_two and len(sizes) > 1 and sizes[-1] == 1:
            # Batch normalisation cannot learn from one row.
            sizes[-2:] = [self.size + 1]
        made = self._made(order, sizes)
        return made if self.resident else ahead(made, self._stream)

    def _made(self, order: Tensor, sizes: list[int]) -> Iterator[Batch]:
        """The batches of the rows in `order`; everything moves to the device once an epoch."""
        tables = self.target.device
        images = self.image_row[order]
        if isinstance(self.images, FeatureRows):
            images = images.to(self.images.features.device)
        lengths = None if self.lengths is None else self.lengths[order]
        lengths_there = None if lengths is None else lengths.to(self.device)
        there = order.to(tables)
        start = 0
        for size in sizes:
            part = slice(start, start + size)
            start += size
            question = self.question
            if lengths is not None:
                question = question[:, : self._width(lengths[part])]
            rows = there[part]
            yield Batch(
                None if question is None else self._send(question.index_select(0, rows)),
                None if lengths is None else lengths_there[part],
                None if self.images is None else self.images[images[part]],
                self._send(self.target[rows]),
                None if self.soft is None else self.soft[rows].to(self.device),
            )

    def _send(self, tensor: Tensor) -> Tensor:
        return send(tensor, self.device)

    def _width(self, lengths: Tensor) -> int:
        longest = int(lengths.max())
        if self.device.type == "cpu":
            return longest
        return min(-(-longest // WIDTH_STEP) * WIDTH_STEP, self.question.shape[1])
