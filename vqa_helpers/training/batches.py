"""Questions become batches.

Questions and targets are one row a question; images are one row an image, found by row number, so
that the questions about one image share it. Knows nothing of text or vocabularies.
"""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import torch
from torch import Tensor

from vqa_helpers.data.vocabulary import OUTSIDE
from vqa_helpers.environment import has_room
from vqa_helpers.features.store import RowsOnDisk
from vqa_helpers.training.image_rows import PixelRows, Rows
from vqa_helpers.training.losses import SoftScores

AHEAD = 2  # batches in the making while one is learnt, where they are read from disk
TOGETHER = 400  # questions that are only answered, unless a network must see their photographs


@dataclass
class Batch:
    """A batch of questions.

    Attributes:
        image: features (B, D) or pixels (B, 3, S, S); None without images.
        question: what the language encoder reads: word ids (B, T) and lengths (B,), or sentence
            vectors (B, S); empty without questions.
        target: (B,) the answer's id, -1 where it is outside the vocabulary.
        soft: (B) soft scores, for the losses that want them.
        rows: (B,) which questions of the split they are, on the CPU.
    """

    image: Tensor | None
    question: tuple[Tensor, ...]
    target: Tensor
    soft: SoftScores | None
    rows: Tensor

    def __len__(self) -> int:
        return len(self.target)

    def parts(self, count: int) -> list["Batch"]:
        """At most so many parts, as even as can be, of two questions at least (batch normalisation
        cannot learn from one)."""
        count = min(count, len(self) // 2)
        if count <= 1:
            return [self]
        bounds = torch.linspace(0, len(self), count + 1).round().int().tolist()
        return [self._part(slice(*ends)) for ends in pairwise(bounds)]

    def _part(self, rows: slice) -> "Batch":
        image = None if self.image is None else self.image[rows]
        return Batch(image, *_rows_of(self, rows), self.rows[rows])


@dataclass
class Examples:
    """A split as tensors, one row a question.

    Attributes:
        question: what the language encoder reads of each, (N, …) each; empty without questions.
        image_row: (N,) which row of the images each question is about.
        target: (N,) the answer's id, -1 where it is outside the vocabulary.
        soft: (N) soft scores, for the losses that want them.
    """

    question: tuple[Tensor, ...]
    image_row: Tensor
    target: Tensor
    soft: SoftScores | None = None

    def __len__(self) -> int:
        return len(self.target)

    def to(self, device: torch.device | str) -> "Examples":
        """The same on a device."""
        question = tuple(tensor.to(device) for tensor in self.question)
        soft = None if self.soft is None else self.soft.to(device)
        return Examples(question, self.image_row.to(device), self.target.to(device), soft)

    def learnable(self) -> "Examples":
        """The learnable questions: those whose answer, or with soft scores one of whose answers,
        the model can give."""
        kept = self.target != OUTSIDE if self.soft is None else self.soft.total() > 0
        question, target, soft = _rows_of(self, kept)
        return Examples(question, self.image_row[kept], target, soft)


def _rows_of(
    some: Batch | Examples, rows: Tensor | slice
) -> tuple[tuple[Tensor, ...], Tensor, SoftScores | None]:
    """A selection of questions, with their targets and soft scores."""
    question = tuple(tensor[rows] for tensor in some.question)
    return question, some.target[rows], None if some.soft is None else some.soft[rows]


@dataclass(eq=False)
class Batches:
    """The batches of a split.

    Attributes:
        images: features (I, D) or (I, K, D), in memory or read for each batch, or photographs that are
            decoded for it; None without.
        size: questions a batch.
        share: which process this is and how many there are: each learns from its part of a
            shuffled batch.
    """

    examples: Examples
    images: Rows | None
    size: int
    device: torch.device | str = "cpu"
    share: tuple[int, int] = (0, 1)

    def __len__(self) -> int:
        """The number of questions."""
        return len(self.examples)

    def count(self) -> int:
        """The number of batches in an epoch."""
        return -(-len(self) // self.size)

    def in_order(self) -> Iterator[Batch]:
        """Every question once, in the order of the table; the same in every process."""
        return self._made(list(torch.arange(len(self)).split(self.size)))

    def shuffled(self, generator: torch.Generator) -> Iterator[Batch]:
        """Every question once, in the generator's order (a CPU generator); this process's share of
        each batch."""
        if isinstance(self.images, RowsOnDisk):
            order = self.images.shuffle(self.examples.image_row, generator)
        else:
            order = torch.randperm(len(self), generator=generator)
        chunks = list(order.split(self.size))
        which, processes = self.share
        # Batch normalisation cannot learn from one row, in any process.
        if len(chunks) > 1 and len(chunks[-1]) < 2 * processes:
            chunks[-2:] = [torch.cat(chunks[-2:])]
        return self._made([rows[which::processes] for rows in chunks])

    def _made(self, chunks: list[Tensor]) -> Iterator[Batch]:
        # Sent to a GPU all at once: at each copy it would first finish what it was given.
        placed = torch.cat(chunks).to(self._placed.target.device).split([*map(len, chunks)])
        batches = map(self._batch, chunks, placed)
        return _ahead(batches) if isinstance(self.images, PixelRows | RowsOnDisk) else batches

    @cached_property
    def _placed(self) -> Examples:
        """The questions on the model's device if there is room, so that a GPU waits for no copy."""
        size = sum(tensor.nbytes for tensor in self.examples.question)
        return self.examples.to(self.device) if has_room(self.device, size) else self.examples

    @cached_property
    def _padded(self) -> bool:
        """Whether questions are ids and lengths, with only zeros after them."""
        if len(self.examples.question) != 2:
            return False
        ids, lengths = self.examples.question
        if ids.ndim != 2 or lengths.ndim != 1 or ids.is_floating_point():
            return False
        return not ids[torch.arange(ids.shape[1]) >= lengths[:, None]].any()

    def _batch(self, rows: Tensor, placed: Tensor) -> Batch:
        """The batch of these questions; their numbers on the CPU, and where the questions lie."""
        question, target, soft = _rows_of(self._placed, placed)
        if self._padded:
            longest = int(self.examples.question[1][rows].max())  # on the CPU: a GPU would wait
            question = question[0][:, :longest], question[1]
        image = None
        if self.images is not None:
            beside = isinstance(self.images, Tensor) and self.images.device == placed.device
            image_row = self._placed.image_row[placed] if beside else self.examples.image_row[rows]
            image = self.images[image_row].to(self.device)
        soft = None if soft is None else soft.to(self.device)
        question = tuple(tensor.to(self.device) for tensor in question)
        return Batch(image, question, target.to(self.device), soft, rows)


def _ahead(batches: Iterator[Batch]) -> Iterator[Batch]:
    """The same batches in the same order, prepared in another thread."""
    with ThreadPoolExecutor(1) as thread:
        waiting = deque(thread.submit(next, batches, None) for _ in range(AHEAD))
        while (batch := waiting.popleft().result()) is not None:
            waiting.append(thread.submit(next, batches, None))
            yield batch
