"""Photographs to rows of features: threads decode while the device computes.

A batch is decoded while the one before it is on its way through the network and the rows of the
one before that are read back, so neither waits for the other. Memory holds a few batches, however
many images there are. Knows nothing of stores: `compute_shard` is one unit of work, for whoever
hands out the units.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vqa_helpers.errors import InputError
from vqa_helpers.progress import track
from vqa_helpers.vision.encoders import VisionEncoder, for_inference
from vqa_helpers.vision.features import Shard
from vqa_helpers.vision.preprocess import (
    THREADS,
    BadImage,
    decoding_threads,
    file_mark,
    load_square,
)

log = logging.getLogger(__name__)

# A batch holds about as many pixels whatever their squares: enough to keep the device busy. More
# would cost a CPU memory and cache, and gain nothing (VGG16: 34 kB a pixel at its widest).
_BATCH_PIXELS = {"cpu": 2**19, "cuda": 2**23}  # 2 and 32 squares of 512 px
_MOST_IMAGES = {"cpu": 64, "cuda": 512}


def compute_shard(
    network: VisionEncoder,
    image_ids: Sequence[int],
    images: Mapping[int, Path],
    size_px: int,
    batch_images: int | None = None,
) -> Shard:
    """The rows of some images: one unit of work.

    Args:
        network: frozen, on the device that computes.
        image_ids: ascending.
        images: image id to file.
        size_px: side of the square the network sees.
        batch_images: how many of them the network sees at a time; chosen by `size_px` if not given.

    Raises:
        InputError: when the features do not fit half floats.
    """
    return next(compute_shards(network, [image_ids], images, size_px, batch_images))


def compute_shards(
    network: VisionEncoder,
    chunks: Sequence[Sequence[int]],
    images: Mapping[int, Path],
    size_px: int,
    batch_images: int | None = None,
    label: str | None = None,
) -> Iterator[Shard]:
    """The shard of each chunk of image ids, in turn; the next chunk is begun before one is done.

    Args:
        label: of the progress shown; without one, none is.
    """
    device = network.mean.device
    batch_images = batch_images or batch_size(size_px, device)
    batches = (
        _Batch(chunk[i : i + batch_images], last=i + batch_images >= len(chunk))
        for chunk in chunks
        for i in range(0, len(chunk), batch_images)
    )
    total = sum(-(-len(chunk) // batch_images) for chunk in chunks)
    done: list[_Batch] = []
    with decoding_threads(yielding=device.type == "cpu") as threads:
        watched = track(batches, label, total, "batches") if label else batches
        decoded = _decode_ahead(threads, watched, images, size_px, device)
        for batch in _encode_ahead(network, decoded):
            done.append(batch)
            if batch.last:
                yield _shard(done)
                done = []


def batch_size(size_px: int, device: torch.device) -> int:
    """How many squares the network sees at a time, where nobody says."""
    kind = device.type if device.type in _BATCH_PIXELS else "cuda"
    return min(max(_BATCH_PIXELS[kind] // size_px**2, 1), _MOST_IMAGES[kind])


@dataclass
class _Batch:
    """Some images on their way.

    Attributes:
        image_ids: b of them.
        last: whether their chunk ends here.
        pixels: (b, S, S, 3) uint8; zeros for a bad image. Gone once the rows are there.
        marks: (b,) of the files.
        failed: image id to the reason.
        rows: (b, D) half floats.
    """

    image_ids: Sequence[int]
    last: bool
    pixels: Tensor | None = None
    marks: list[int] = field(default_factory=list)
    failed: dict[int, str] = field(default_factory=dict)
    rows: np.ndarray | None = None


def _decode_ahead(
    threads: ThreadPoolExecutor,
    batches: Iterable[_Batch],
    images: Mapping[int, Path],
    size_px: int,
    device: torch.device,
) -> Iterator[_Batch]:
    """Decode the next batches while the caller computes."""

    def load(path: Path, place: np.ndarray) -> tuple[int, str | None]:
        mark = file_mark(path)
        try:
            place[:] = load_square(path, size_px)
        except BadImage as error:
            place[:] = 0
            return mark, str(error)
        return mark, None

    def begin(batch: _Batch) -> list[Future]:
        shape = (len(batch.image_ids), size_px, size_px, 3)
        # Pinned memory comes from a cache that takes a block back once the copy out of it is done.
        batch.pixels = torch.empty(shape, dtype=torch.uint8, pin_memory=device.type == "cuda")
        places = batch.pixels.numpy()
        return [
            threads.submit(load, images[image_id], place)
            for image_id, place in zip(batch.image_ids, places, strict=True)
        ]

    def end(batch: _Batch, futures: list[Future]) -> _Batch:
        for image_id, future in zip(batch.image_ids, futures, strict=True):
            mark, why = future.result()
            batch.marks.append(mark)
            if why is not None:
                batch.failed[image_id] = why
        return batch

    begun: deque[tuple[_Batch, list[Future]]] = deque()
    for batch in batches:
        begun.append((batch, begin(batch)))
        # Two batches, and work for every thread while the first one's last image is waited for.
        if len(begun) > max(2, 2 * THREADS // len(batch.image_ids)):
            yield end(*begun.popleft())
    while begun:
        yield end(*begun.popleft())


def _encode_ahead(network: VisionEncoder, batches: Iterable[_Batch]) -> Iterator[_Batch]:
    """Give each batch its rows, one step late: the device has the next before it is waited for."""
    encode = _Encode(network)
    begun: deque[tuple[_Batch, Callable[[], np.ndarray]]] = deque()

    def end(batch: _Batch, wait: Callable[[], np.ndarray]) -> _Batch:
        batch.rows = wait()
        if not np.isfinite(batch.rows).all():
            batch.rows = encode.exactly(batch.pixels)
        batch.pixels = None
        return batch

    for batch in batches:
        begun.append((batch, encode(batch.pixels)))
        if len(begun) > 1:
            yield end(*begun.popleft())
    while begun:
        yield end(*begun.popleft())


class _Encode:
    """Pixels to rows: begun by the call, waited for by what it returns.

    A GPU computes in half floats, as rows are stored; bfloat16, whose eight bits are coarser than
    the store, would be no faster.
    """

    def __init__(self, network: VisionEncoder) -> None:
        self.network = network
        self.device = network.mean.device
        on_gpu = self.device.type == "cuda"
        self.quick = for_inference(network, torch.float16 if on_gpu else torch.float32)
        self.copying = torch.cuda.Stream(self.device) if on_gpu else None

    @torch.inference_mode()
    def __call__(self, pixels: Tensor) -> Callable[[], np.ndarray]:
        """(b, S, S, 3) on the CPU to a function that gives half floats (b, D)."""
        if self.copying is None:
            rows = _rows(self.quick, pixels.to(self.device)).cpu().numpy()
            return lambda: rows
        computing = torch.cuda.current_stream(self.device)
        with torch.cuda.stream(self.copying):
            image = pixels.to(self.device, non_blocking=True)
        computing.wait_stream(self.copying)
        image.record_stream(computing)  # its memory is not given away before the network is done
        vectors = _rows(self.quick, image)
        rows = torch.empty(vectors.shape, dtype=vectors.dtype, pin_memory=True)
        rows.copy_(vectors, non_blocking=True)
        there = computing.record_event()

        def wait() -> np.ndarray:
            there.synchronize()
            return rows.numpy().copy()

        return wait

    @torch.inference_mode()
    def exactly(self, pixels: Tensor) -> np.ndarray:
        """The rows in single floats, for weights whose inner values half floats cannot hold.

        Raises:
            InputError: when the features themselves are beyond half floats.
        """
        rows = _rows(self.network, pixels.to(self.device)).cpu().numpy()
        if not np.isfinite(rows).all():
            raise InputError(
                "the features exceed the range of half floats (65,504); the weights are not those "
                "of a trained network"
            )
        return rows


def _rows(network: VisionEncoder, image: Tensor) -> Tensor:
    """(b, S, S, 3) to half floats (b, D)."""
    return network(image.permute(0, 3, 1, 2)).half()


def _shard(batches: Sequence[_Batch]) -> Shard:
    failed = {image_id: why for batch in batches for image_id, why in batch.failed.items()}
    image_ids = np.array([i for batch in batches for i in batch.image_ids], dtype=np.int64)
    good = np.array([image_id not in failed for image_id in image_ids.tolist()], dtype=bool)
    marks = np.array([mark for batch in batches for mark in batch.marks], dtype=np.int64)
    rows = np.concatenate([batch.rows for batch in batches])
    return Shard(image_ids[good], marks[good], rows[good], failed)
