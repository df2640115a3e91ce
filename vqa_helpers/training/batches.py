"""Tensors become batches by index, on the device where the model is.

Questions, lengths and targets are one row a question; images are one row an image, found by row
number, so that the questions about one image share it. Knows nothing of text or vocabularies.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import repeat

import torch
from torch import Tensor

from vqa_helpers.data.vocabulary import OUTSIDE
from vqa_helpers.training.losses import SoftScores
from vqa_helpers.training.pixels import PixelRows
from vqa_helpers.training.team import ALONE, Team


class FeatureRows:
    """Image features on the device: (I, D) half floats."""

    def __init__(self, features: Tensor, device: torch.device | str = "cpu") -> None:
        self.features = features.to(device)

    def __getitem__(self, rows: Tensor) -> Tensor:
        """(B,) row numbers to (B, D)."""
        return self.features[rows.to(self.features.device)]

    def stream(self, asked: Iterable[Tensor]) -> Iterator[Tensor]:
        """The features of one batch of rows after another."""
        return map(self.__getitem__, asked)


@dataclass
class Batch:
    """Some questions.

    Attributes:
        question: token ids (B, T), or sentence vectors (B, S); None without questions.
        lengths: (B,) on the CPU; None where there are no tokens.
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
    soft: SoftScores | None
    rows: Tensor
    least: int

    def __len__(self) -> int:
        return len(self.target)

    def cut(self, parts: int) -> list["Batch"]:
        """At most so many parts, as even as can be, of two questions at least (batch normalisation
        cannot learn from one); the same number in every process."""
        parts = max(1, min(parts, self.least // 2))
        if parts == 1:
            return [self]
        bounds = torch.linspace(0, len(self), parts + 1).round().int().tolist()
        return [self._part(slice(*ends)) for ends in zip(bounds, bounds[1:], strict=False)]

    def _part(self, rows: slice) -> "Batch":
        fields = self.question, self.lengths, self.image, self.target, self.soft, self.rows
        return Batch(*(None if field is None else field[rows] for field in fields), self.least)


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
    """The batches of a split; where several processes train, this one's share of each.

    Args:
        split: the tensors; they are moved to the device once.
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
        self.question = None if split.question is None else split.question.to(device)
        self.lengths = split.lengths  # packing wants them on the CPU
        self.image_row = split.image_row
        self.target = split.target.to(device)
        self.soft = None if split.soft is None else split.soft.to(device)
        self.images = images
        self.size = size
        self.team = team

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
        shares = [(rows, fewest) for rows, fewest in shares if len(rows)]
        images = repeat(None)
        if self.images is not None:
            images = self.images.stream(self.image_row[rows] for rows, _ in shares)
        for (rows, fewest), image in zip(shares, images, strict=False):
            yield self._batch(rows, image, fewest)

    def _batch(self, rows: Tensor, image: Tensor | None, least: int) -> Batch:
        on_device = rows.to(self.target.device)
        question = None if self.question is None else self.question[on_device]
        lengths = None if self.lengths is None else self.lengths[rows]
        if lengths is not None:
            question = question[:, : int(lengths.max())]
        soft = None if self.soft is None else self.soft[on_device]
        return Batch(question, lengths, image, self.target[on_device], soft, rows, least)
