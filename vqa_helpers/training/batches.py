"""Tensors become batches by index, on the device where the model is.

Questions, lengths and targets are one row a question; images are one row an image, found by row
number, so that the questions about one image share it. Tables lie on the device where they fit
there, and are streamed to it where they do not. Knows nothing of text or vocabularies.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from vqa_helpers.data.vocabulary import OUTSIDE
from vqa_helpers.training.losses import SoftScores
from vqa_helpers.training.pixels import PixelRows
from vqa_helpers.training.streaming import ahead, home, send
from vqa_helpers.training.team import ALONE, Team

log = logging.getLogger(__name__)

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


@dataclass
class Batch:
    """Some questions.

    Attributes:
        question: token ids (B, T), or sentence vectors (B, S); None without questions.
        lengths: (B,); None where there are no tokens.
        image: features (B, D) or pixels (B, 3, S, S); None without images.
        target: (B,) the answer's id, -1 where it is outside the vocabulary.
        soft: (B) soft scores, for the losses that want them.
        rows: (B,) which questions of the split they are, on the CPU.
        least: how many questions the process with the fewest has of this step.
    """

    question: Tensor | None
    lengths: Tensor | None
    image: Tensor | None
    target: Tensor
    soft: SoftScores | None = None
    rows: Tensor | None = None
    least: int = 0

    def __len__(self) -> int:
        return len(self.target)

    def tensors(self) -> tuple[Tensor, ...]:
        """All that a model reads, in one order."""
        return _tensors(*self._parts())

    def clone(self) -> "Batch":
        """The same in other memory."""
        parts = (None if part is None else part.clone() for part in self._parts())
        return Batch(*parts, self.rows, self.least)

    def cut(self, pieces: int) -> list["Batch"]:
        """At most so many pieces, as even as can be, of two questions at least (batch normalisation
        cannot learn from one); the same number in every process."""
        pieces = max(1, min(pieces, self.least // 2))
        if pieces == 1:
            return [self]
        bounds = torch.linspace(0, len(self), pieces + 1).round().int().tolist()
        return [self._piece(slice(*ends)) for ends in pairwise(bounds)]

    def _piece(self, rows: slice) -> "Batch":
        parts = (*self._parts(), self.rows)
        return Batch(*(None if part is None else part[rows] for part in parts), self.least)

    def _parts(self) -> tuple[Tensor | SoftScores | None, ...]:
        return self.question, self.lengths, self.image, self.target, self.soft


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
    """The batches of a split; where several processes train, this one's share of each.

    Args:
        split: the tensors; those a device reads are moved to it once, where they fit there.
        images: rows of features or pixels; None for a model without vision.
        size: questions a batch, of all processes together.
        team: the processes that share them.
    """

    def __init__(
        self,
        split: QuestionTensors,
        images: FeatureRows | PixelRows | None,
        size: int,
        device: torch.device | str = "cpu",
        team: Team = ALONE,
    ) -> None:
        self.team = team
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
        return self._batches(torch.arange(len(self)), least=0)

    def shuffled(self, generator: torch.Generator) -> Iterator[Batch]:
        """Every question once, in the generator's order (a CPU generator)."""
        order = torch.randperm(len(self), generator=generator)
        # Batch normalisation cannot learn from one row, nor any process from none.
        return self._batches(order, least=max(2, self.team.count))

    def count(self) -> int:
        """The number of batches in an epoch."""
        return -(-len(self) // self.size)

    def _batches(self, order: Tensor, least: int) -> Iterator[Batch]:
        """The batches of an order; a last one with fewer than `least` joins its neighbour."""
        chunks = list(order.split(self.size))
        if len(chunks) > 1 and len(chunks[-1]) < least:
            chunks[-2:] = [torch.cat(chunks[-2:])]
        shares = [(self.team.share(rows), len(rows) // self.team.count) for rows in chunks]
        made = self._made([(rows, fewest) for rows, fewest in shares if len(rows)])
        return made if self.resident else ahead(made, self._stream)

    def _made(self, shares: list[tuple[Tensor, int]]) -> Iterator[Batch]:
        """The batches of these rows; everything moves to the device once an epoch.

        Args:
            shares: this process's rows of each step, and how many the one with the fewest has.
        """
        order = torch.cat([rows for rows, _ in shares])
        tables = self.target.device
        images = self.image_row[order]
        if isinstance(self.images, FeatureRows):
            images = images.to(self.images.features.device)
        lengths = None if self.lengths is None else self.lengths[order]
        lengths_there = None if lengths is None else lengths.to(self.device)
        there = order.to(tables)
        start = 0
        for own, fewest in shares:
            part = slice(start, start + len(own))
            start += len(own)
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
                own,
                fewest,
            )

    def _send(self, tensor: Tensor) -> Tensor:
        return send(tensor, self.device)

    def _width(self, lengths: Tensor) -> int:
        longest = int(lengths.max())
        if self.device.type == "cpu":
            return longest
        return min(-(-longest // WIDTH_STEP) * WIDTH_STEP, self.question.shape[1])
