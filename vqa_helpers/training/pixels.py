"""Photographs become pixels, for a vision network inside the loop.

Memory holds the batches that are asked for and a cache of bounded size, however large the dataset;
`streaming` asks for the next ones while a model learns. Knows files and pixels; nothing of networks.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vqa_helpers.features.pixels import BadImage, decoding_threads, load_square
from vqa_helpers.training.streaming import send

log = logging.getLogger(__name__)

CACHED_BYTES = 1 << 30  # of decoded pixels, so that a small dataset is decoded once


class PixelRows:
    """Photographs decoded in threads, each once a batch however many questions are about it.

    Args:
        paths: the file of each row; None, or a file that cannot be read, gives black.
        size_px: side of the square.

    Attributes:
        resident: never on the device as a whole.
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
        self._threads = decoding_threads(yielding=self.device.type == "cpu")

    def __getitem__(self, rows: Tensor) -> Tensor:
        """(B,) row numbers to pixels (B, 3, S, S) uint8."""
        images, place = rows.unique(return_inverse=True)
        squares = torch.empty(
            (len(images), self.size_px, self.size_px, 3),
            dtype=torch.uint8,
            pin_memory=self.device.type == "cuda",  # so that the copy need not be waited for
        )
        for _ in self._threads.map(self._load, images.tolist(), squares.numpy()):
            pass  # an error is raised here
        if self.device.type == "cpu":
            # torch would give this thread helpers of its own, and with more threads than cores
            # they all sleep, the model's too, where they would have waited for each other.
            return torch.from_numpy(squares.numpy()[place.numpy()]).permute(0, 3, 1, 2)
        return send(squares, self.device)[place.to(self.device)].permute(0, 3, 1, 2)

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
