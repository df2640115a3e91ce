"""Photographs become pixels while the model is busy with the batch before.

For a vision network inside the loop. Memory holds the batch in use, the few that are being decoded
and a cache of bounded size, however large the dataset. Knows files and pixels; nothing of networks.
"""

import logging
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from vqa_helpers.vision.preprocess import BadImage, load_square

log = logging.getLogger(__name__)

CACHED_BYTES = 1 << 30  # of decoded pixels, so that a small dataset is decoded once
AHEAD = 2  # batches that are decoded before they are asked for


class _Decoding(NamedTuple):
    """A batch on its way: its images (U, S, S, 3), the work on each, and whose each row is (B,)."""

    squares: Tensor
    work: list[Future]
    place: Tensor


class PixelRows:
    """Photographs decoded in threads, each once a batch however many questions are about it.

    Args:
        paths: the file of each row; None, or a file that cannot be read, gives black.
        size_px: side of the square.

    Attributes:
        unreadable: row to the reason its file could not be read, of those asked for so far.
    """

    resident = True  # as good as: `stream` brings each batch to the device in time

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
        return self._finish(self._begin(rows))

    def stream(self, asked: Iterable[Tensor]) -> Iterator[Tensor]:
        """The pixels of one batch of rows after another; the next ones are decoded meanwhile."""
        waiting: deque[_Decoding] = deque()
        for rows in asked:
            waiting.append(self._begin(rows))
            if len(waiting) > AHEAD:
                yield self._finish(waiting.popleft())
        while waiting:
            yield self._finish(waiting.popleft())

    def _begin(self, rows: Tensor) -> _Decoding:
        images, place = rows.unique(return_inverse=True)
        squares = torch.empty(
            (len(images), self.size_px, self.size_px, 3),
            dtype=torch.uint8,
            pin_memory=self.device.type == "cuda",  # so that the copy need not be waited for
        )
        slots = zip(squares.numpy(), images.tolist(), strict=True)
        work = [self._threads.submit(self._load, row, slot) for slot, row in slots]
        return _Decoding(squares, work, place)

    def _finish(self, batch: _Decoding) -> Tensor:
        for one in batch.work:
            one.result()
        squares = batch.squares.to(self.device, non_blocking=True)
        return squares[batch.place.to(self.device)].permute(0, 3, 1, 2)

    def _load(self, row: int, square: np.ndarray) -> None:
        """Fill the square (S, S, 3) of a row."""
        kept = self._cache.get(row)
        if kept is None:
            kept = self._decode(row)
            if len(self._cache) < self._room:
                self._cache[row] = kept
        square[:] = kept

    def _decode(self, row: int) -> np.ndarray:
        path = self.paths[row]
        if path is not None:
            try:
                return load_square(path, self.size_px)
            except BadImage as error:  # its questions stay in every score
                reason = str(error)
                if self.unreadable.setdefault(row, reason) is reason:  # the first thread to see it
                    log.warning("%s: %s; its questions see black", path, reason)
        return np.zeros((self.size_px, self.size_px, 3), dtype=np.uint8)
