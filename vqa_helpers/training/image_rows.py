"""The model's view of images: a stored vector for each, or the photograph, decoded for each batch
if the network runs inside the loop.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from vqa_helpers.data.folder import Dataset
from vqa_helpers.data.images import names_of
from vqa_helpers.environment import has_room
from vqa_helpers.errors import InputError
from vqa_helpers.features.extract import encode_of, fill_store
from vqa_helpers.features.pixels import BadImage, decoding_threads, load_square
from vqa_helpers.features.store import RowsOnDisk

log = logging.getLogger(__name__)

CACHED_BYTES = 1 << 30  # of decoded pixels, so that a small dataset is decoded once
TRIED_IMAGES = 256  # of train, before a network runs inside the loop; enough for a mean
MOST_MEASURED = 10_000  # of stored rows that stay on disk; as many give their mean
MOST_UNREADABLE = 0.1  # of the images, beyond which a score would mean nothing


class PixelRows:
    """Photographs decoded in threads, each once a batch however many questions are about it.

    Args:
        paths: the file of each row; None, or a file that cannot be read, gives black.
        size_px: side of the square.

    Attributes:
        unreadable: row to the reason its file could not be read, of those asked for so far.
    """

    def __init__(self, paths: Sequence[Path | None], size_px: int, device: str = "cpu") -> None:
        self.paths = list(paths)
        self.size_px = size_px
        self.unreadable: dict[int, str] = {}
        self._cache: dict[int, np.ndarray] = {}
        self._room = CACHED_BYTES // (3 * size_px * size_px)
        self._threads = decoding_threads(yielding=device == "cpu")

    def __getitem__(self, rows: Tensor) -> Tensor:
        """(B,) row numbers to pixels (B, 3, S, S) uint8."""
        images, place = np.unique(rows.numpy(), return_inverse=True)
        squares = np.stack(list(self._threads.map(self._load, images.tolist())))  # (b, S, S, 3)
        return torch.from_numpy(squares[place]).permute(0, 3, 1, 2)

    def _load(self, row: int) -> np.ndarray:
        if row in self._cache:
            return self._cache[row]
        path, square = self.paths[row], np.zeros((self.size_px, self.size_px, 3), dtype=np.uint8)
        if path is not None:
            try:
                square = load_square(path, self.size_px)
            except BadImage as error:  # its questions stay in every score
                reason = str(error)
                if self.unreadable.setdefault(row, reason) is reason:  # the first thread to see it
                    log.warning("%s: %s; its questions see black", path, reason)
        if len(self._cache) < self._room:
            self._cache[row] = square
        return square


Rows = Tensor | RowsOnDisk | PixelRows  # an image each, asked for by (B,) row numbers


@dataclass(frozen=True)
class ImageRows:
    """What a model sees of a dataset.

    Attributes:
        ids: (I,) image ids, ascending: the image of each row.
        rows: features (I, D) or (I, K, D), or photographs; None for a model without vision.
        missing: ids of images that have no file, or whose file could not be stored.
        seconds: how long the features took.
    """

    ids: np.ndarray
    rows: Rows | None = None
    missing: tuple[int, ...] = ()
    seconds: float | None = None

    def unseen(self) -> list[int]:
        """The ids of images that are missing or could not be read, so far as is known now."""
        unreadable = self.rows.unreadable if isinstance(self.rows, PixelRows) else ()
        return sorted({*self.missing, *(int(self.ids[row]) for row in unreadable)})


def open_images(
    vision: nn.Module, dataset: Dataset, stores: Path, size_px: int, device: str, seed: int,
    precision: str = "float32",
) -> ImageRows:  # fmt: skip
    """Compute or open what a vision piece needs; one whose weights are random takes the statistics
    of the train images.

    Args:
        stores: the folder of the dataset's feature stores.
        size_px: of photographs, for a piece that does not say.
        seed: of the choice of photographs that are tried first.
        precision: of the features that are stored.

    Raises:
        InputError: when there are no images, or too many are missing or cannot be read.
    """
    ids = dataset.image_ids()
    names = names_of(dataset.splits.values())
    missing = name_missing(dataset.image_folder or dataset.folder, dataset.images, ids, names)
    if getattr(vision, "stored", False):
        return _stored(vision, dataset, stores, device, ids, missing, precision)
    size_px = getattr(vision, "size_px", size_px)
    squares = _try_photographs(dataset, size_px, seed)
    if getattr(vision, "standardised", False):
        vision.standardise(_vectors(vision.encoder, squares, device))
    paths = [dataset.images.get(int(image_id)) for image_id in ids]
    return ImageRows(ids, PixelRows(paths, size_px, device), tuple(missing))


def _stored(
    vision: nn.Module, dataset: Dataset, stores: Path, device: str, ids: np.ndarray,
    missing: list[int], precision: str,
) -> ImageRows:  # fmt: skip
    start = time.perf_counter()
    asked_about = set(ids.tolist())
    images = {i: path for i, path in dataset.images.items() if i in asked_about}
    store = fill_store(stores, images, encode_of(vision, device, precision))
    seconds = time.perf_counter() - start
    unreadable = {i: why for i, why in store.failed.items() if i in asked_about}
    _refuse_unreadable(dataset, unreadable, len(ids))
    rows, found = store.rows(ids, missing)
    if vision.standardised:
        of_train = np.isin(ids, dataset.splits["train"]["image_id"].to_numpy())
        seen = np.flatnonzero(of_train & found)
        if isinstance(rows, RowsOnDisk):
            seen = seen[:: -(-len(seen) // MOST_MEASURED) or 1]
        vision.standardise(rows[torch.from_numpy(seen)])
    if isinstance(rows, Tensor):
        rows = place_rows(rows, device)
    return ImageRows(ids, rows, tuple(sorted({*missing, *unreadable})), seconds)


def place_rows(rows: Tensor, device: str) -> Tensor:
    """Features (I, D) or (I, K, D) on a GPU where they take half of its free memory at most, else
    where they are: copying those of each batch costs more than many models' steps."""
    return rows.to(device) if has_room(device, rows.nbytes) else rows


def _try_photographs(dataset: Dataset, size_px: int, seed: int) -> list[np.ndarray]:
    """Some train images, (S, S, 3) each."""
    train_ids = np.unique(dataset.splits["train"]["image_id"].to_numpy())
    drawn = np.random.default_rng(seed).permutation(train_ids)[:TRIED_IMAGES]
    squares, unreadable = [], {}
    for image_id in drawn.tolist():
        if image_id in dataset.images:
            try:
                squares.append(load_square(dataset.images[image_id], size_px))
            except BadImage as error:
                unreadable[image_id] = str(error)
    _refuse_unreadable(dataset, unreadable, len(squares) + len(unreadable))
    return squares


@torch.inference_mode()
def _vectors(encoder: nn.Module, squares: list[np.ndarray], device: str) -> Tensor:
    """What a network gives for some squares, (n, D); one at a time, as memory allows any size."""
    encoder = encoder.eval().to(device)
    pixels = (torch.from_numpy(square.copy()).permute(2, 0, 1)[None] for square in squares)
    return torch.cat([encoder(one.to(device)).cpu() for one in pixels])


def name_missing(
    folder: Path, images: Mapping[int, Path], ids: np.ndarray, names: Mapping[int, str]
) -> list[int]:
    """The images asked about that have no file; they are logged.

    Args:
        folder: where images were looked for.
        images: image id to file.
        ids: (I,) of the images asked about.
        names: image ids to what the questions call them.

    Raises:
        InputError: when there is no image, or more than a tenth of them have no file.
    """
    if not images:
        raise InputError(
            f"{folder}: has no images, or none whose name ends in an image id, or is what the "
            "questions say; name their folder with --images; a preset without vision is Question_Only"
        )
    missing = [image_id for image_id in ids.tolist() if image_id not in images]
    if missing:
        named = ", ".join(str(names.get(image_id, image_id)) for image_id in missing[:5])
        more = " …" if len(missing) > 5 else ""
        message = f"{folder}: no file for {len(missing)} of {len(ids)} images ({named}{more}); "
        message += "their names must end in the image id, or be what the questions say"
        if len(missing) > MOST_UNREADABLE * len(ids):
            raise InputError(message)
        log.warning("%s; their questions are answered without an image", message)
    return missing


def _refuse_unreadable(dataset: Dataset, unreadable: dict[int, str], of: int) -> None:
    if len(unreadable) > MOST_UNREADABLE * of:
        line = f"{len(unreadable)} of {of} images cannot be read, the first is"
        first, why = dataset.images[min(unreadable)], unreadable[min(unreadable)]
        raise InputError(f"{dataset.folder}: {line} {first}: {why}; repair or remove them")
