"""Fill a feature store: decode every image once, encode it, write it in shards.

The images without a row are cut into shards, the unit of work. They are computed in this process,
with decoding threads ahead of the network, or wherever `map_units` sends them (a Ray cluster); only
this process writes. Images that cannot be read are named and get no row.
"""

import hashlib
import json
import logging
import socket
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from vqa_helpers.environment import keep_memory, pick_device, pick_precision
from vqa_helpers.errors import InputError
from vqa_helpers.features.pixels import DESCRIPTION, BadImage, decode, decode_ahead, file_mark
from vqa_helpers.features.store import FeatureStore, Shard, gather_rows, read_shard, write_shard
from vqa_helpers.files import locked, remove_partials, write_text
from vqa_helpers.pieces import networks, vision
from vqa_helpers.progress import track

log = logging.getLogger(__name__)

SHARD_IMAGES = 1024


@dataclass(frozen=True)
class Unit:
    """The images of a shard that is yet to be computed: all that is sent to where it is computed.

    Attributes:
        file: name of the shard.
        images: image id to file, ids ascending.
    """

    file: str
    images: dict[int, Path]


MapUnits = Callable[[Callable[[Unit], Shard], Iterable[Unit]], Iterator[tuple[Unit, Shard]]]


@dataclass(frozen=True)
class Encode:
    """Computes shards; the network is built for the first and kept.

    Attributes:
        encoder: name of a vision network.
        weights: "imagenet", "packaged", "random" or a file.
        size_px: side of the square that the network sees.
        device: where it runs; "auto" is a GPU where the machine has one.
        grid: whether it gives the grid before its pooling instead of the vector.
        precision: what its numbers are multiplied in, "float32" or "bfloat16".
    """

    encoder: str
    weights: str
    size_px: int
    device: str
    grid: bool = False
    precision: str = "float32"

    @cached_property
    def network(self) -> vision.VisionEncoder:
        network = vision.VisionEncoder(self.encoder, self.weights, grid=self.grid)
        return network.eval().to(pick_device(self.device))

    @cached_property
    def quick(self) -> vision.VisionEncoder:
        """The same, faster."""
        keep_memory()
        return vision.for_inference(self.network, half=self.precision == "bfloat16")

    def __call__(self, unit: Unit) -> Shard:
        """Compute one shard, on whatever machine.

        Raises:
            InputError: when this machine sees none of the images; a few that are missing are named
                in the shard.
        """
        paths = list(unit.images.values())
        if not any(path.exists() for path in paths):
            raise InputError(
                f"{paths[0]}: the machine {socket.gethostname()} sees neither this image nor the "
                f"{len(paths) - 1} after it; all machines must see the dataset's folder under the "
                "same path"
            )
        return next(self.stream([unit]))[1]

    def stream(self, units: Sequence[Unit], label: str = "") -> Iterator[tuple[Unit, Shard]]:
        """Compute shards one after the other; images are decoded ahead, across their borders.

        Args:
            label: of the progress shown; without one, none is.

        Raises:
            InputError: when the features do not fit half floats.
        """
        network = self.quick
        device = next(network.parameters()).device
        batch = batch_size(self.size_px, device)
        paths = [path for unit in units for path in unit.images.values()]
        watched = track(paths, label, unit="images") if label else paths
        decoded = decode_ahead(watched, self.size_px, 2 * batch, yielding=device.type == "cpu")
        for unit in units:
            marks, failed, squares, rows = {}, {}, [], []
            files = islice(decoded, len(unit.images))
            for image_id, (mark, square) in zip(unit.images, files, strict=True):
                if isinstance(square, BadImage):
                    failed[image_id] = str(square)
                    continue
                marks[image_id] = mark
                squares.append(square)
                if len(squares) == batch:
                    rows.append(self._encode(network, squares))
                    squares = []
            if squares or not rows:  # no row at all has the shape of the others
                rows.append(self._encode(network, squares))
            ids, values = np.array([*marks], np.int64), np.array([*marks.values()], np.int64)
            yield unit, Shard(ids, values, np.concatenate(rows), failed)

    @torch.inference_mode()
    def _encode(self, network: vision.VisionEncoder, squares: list[np.ndarray]) -> np.ndarray:
        """B squares (S, S, 3) uint8 to half floats (B, D) or (B, K, D)."""
        pixels = np.array(squares, dtype=np.uint8).reshape(-1, self.size_px, self.size_px, 3)
        image = torch.from_numpy(pixels).permute(0, 3, 1, 2)  # (B, 3, S, S), channels last
        rows = network(image.to(next(network.parameters()).device)).half().cpu().numpy()
        if not np.isfinite(rows).all():
            raise InputError("features exceed half floats (65,504); use trained weights")
        return rows


def batch_size(size_px: int, device: torch.device) -> int:
    """How many squares the network sees at a time: about as many pixels whatever their size.

    Enough to keep the device busy; more would cost a CPU memory and cache, and gain nothing (VGG16:
    34 kB a pixel at its widest).
    """
    pixels, most = (2**19, 64) if device.type == "cpu" else (2**23, 512)
    return min(max(pixels // size_px**2, 1), most)


def encode_of(piece: nn.Module, device: str, precision: str) -> Encode:
    """The network of a vision piece whose features are stored."""
    network = piece.network, piece.weights, piece.size_px
    return Encode(*network, device, getattr(piece, "grid", False), precision)


def encode_images(
    images: dict[int, Path], image_ids: np.ndarray, work: Encode
) -> tuple[np.ndarray, dict[int, str]]:
    """The features of a few images, in memory.

    Args:
        work: the network, which is built for the first images and kept.

    Returns:
        Half floats (N, D) or (N, K, D), a row for each of `image_ids`, zeros for an image that is
        missing or cannot be read; and these to the reason.
    """
    present = sorted(images.keys() & set(image_ids.tolist()))
    [(_, shard)] = work.stream([Unit("", {image_id: images[image_id] for image_id in present})])
    return gather_rows([shard], image_ids)[0], shard.failed


def store_name(
    encoder: str, weights: str, size_px: int, grid: bool = False, precision: str = "float32"
) -> str:
    """What the store of a network's features is called; rows of two precisions never share one."""
    parts = [networks.built_network(encoder, weights), networks.weights_label(weights), size_px]
    parts += ["grid"] * grid + ["bfloat16"] * (precision == "bfloat16")
    return "-".join(map(str, parts))


def stored_precision(stores: Path, device: str, *network: Any) -> str:
    """The precision of a network's store that is there, or of a new one: what the device is best at.

    Args:
        network: as `store_name` takes it, without the precision.
    """
    best = pick_precision(device)
    kinds = (best, "float32", "bfloat16")
    return next((k for k in kinds if (stores / store_name(*network, k)).is_dir()), best)


def fill_store(
    stores: Path, images: dict[int, Path], work: Encode, map_units: MapUnits | None = None
) -> FeatureStore:
    """Compute the features that a store below `stores` (`store_name`) lacks, and open it.

    Finished shards are kept; those that are damaged, or whose image files have changed, are
    computed again. A complete store is only read, and may lie on a read-only disk. A second process
    that fills the same store waits for the first.

    Args:
        images: image id to file.
        work: the network; of packaged weights that are a stand-in's, the store is the stand-in's.
        map_units: computes the units of work elsewhere, in any order; yields each with its result.

    Returns:
        The store; `failed` names the images that could not be read.

    Raises:
        InputError: when there is no image, or not one of them can be read.
    """
    if not images:
        raise InputError("there is no image to compute features of; check the dataset's folder")
    encoder = networks.built_network(work.encoder, work.weights)
    description = {
        "encoder": encoder,
        "weights": networks.weights_source(encoder, work.weights),
        "preprocessing": DESCRIPTION.format(size=work.size_px),
    } | ({"grid": True} if work.grid else {})
    if work.precision == "bfloat16":
        description["precision"] = work.precision
    identity = hashlib.sha256(json.dumps(description).encode()).hexdigest()
    network = work.encoder, work.weights, work.size_px, work.grid, work.precision
    folder = stores / store_name(*network)
    with locked(folder / ".lock"):
        kept = _usable(folder, identity, images)
        lacking = sorted(images.keys() - kept.image_ids - kept.failed.keys())
        if lacking or not kept.listed(folder):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / ".lock").touch()  # a read-only disk shows before anything is computed
            remove_partials(folder)
            units, label = _cut(lacking, images, kept.entries), f"features {encoder}"
            done = work.stream(units, label)
            if map_units is not None:
                done = track(map_units(work, units), label, len(units), "shards")
            for unit, shard in done:
                write_shard(folder / unit.file, shard, identity)
                kept.add(unit.file, shard)
            if not kept.image_ids:
                first, why = images[min(images)], kept.failed[min(images)]
                raise InputError(f"{first}: {why}; none of the {len(images)} images can be read")
            manifest = description | {
                "weights_sha256": vision.weights_sha256(work.network),
                "width": work.network.out_dim,
                "identity": identity,
                "dtype": "float16",
                "shards": kept.shards(),
                "failed": dict(sorted(kept.failed.items())),
            }
            write_text(folder / FeatureStore.MANIFEST, json.dumps(manifest, indent=1))
    store = FeatureStore(folder)
    remedy = "it gets no features, its questions stay; repair the file and run again"
    for image_id in sorted(store.failed.keys() & images.keys()):
        log.warning("%s: %s; %s", images[image_id], store.failed[image_id], remedy)
    return store


@dataclass
class _Kept:
    """The finished shards of a store.

    Attributes:
        entries: file name to its entry in the manifest.
        image_ids: of the images that have a row.
        failed: image id to the reason it has none.
    """

    entries: dict[str, dict] = field(default_factory=dict)
    image_ids: set[int] = field(default_factory=set)
    failed: dict[int, str] = field(default_factory=dict)

    def add(self, file: str, shard: Shard) -> None:
        rows, sha256 = len(shard.image_ids), shard.checksum()
        self.entries[file] = {"file": file, "rows": rows, "sha256": sha256}
        self.image_ids.update(shard.image_ids.tolist())
        self.failed |= shard.failed

    def shards(self) -> list[dict]:
        """As the manifest lists them."""
        return [entry for _, entry in sorted(self.entries.items())]

    def listed(self, folder: Path) -> bool:
        """Whether the manifest is intact and lists these shards.

        A run that added shards and was killed before its end leaves an older manifest behind.
        """
        try:
            return FeatureStore(folder).manifest["shards"] == self.shards()
        except InputError:
            return False


def _usable(folder: Path, identity: str, images: dict[int, Path]) -> _Kept:
    """The shards that can be kept; the others are removed, the manifest with them."""
    kept = _Kept()
    for path in sorted(folder.glob("shard-*.safetensors")):
        shard = read_shard(path, identity)
        if shard is not None and _has_changed(shard, images):
            log.info("%s: image files have changed since; computed again", path)
            shard = None
        if shard is None:
            (folder / FeatureStore.MANIFEST).unlink(missing_ok=True)
            path.unlink()
        else:
            kept.add(path.name, shard)
    return kept


def _has_changed(shard: Shard, images: dict[int, Path]) -> bool:
    """Whether an image file is not what it was, or has been mended since."""
    marks = zip(shard.image_ids.tolist(), shard.marks.tolist(), strict=True)
    then = {images[image_id]: mark for image_id, mark in marks if image_id in images}
    with ThreadPoolExecutor(8, "read") as threads:  # files on another machine take long to open
        if list(threads.map(file_mark, then)) != list(then.values()):
            return True
    failed = (images[image_id] for image_id in shard.failed if image_id in images)
    return any(not isinstance(decode(path, 8)[1], BadImage) for path in failed)


def _cut(lacking: list[int], images: dict[int, Path], taken: Container[str]) -> list[Unit]:
    """Units of work for the images without a row, under the shard names that are not taken.

    A run that was interrupted cuts what it had left as before, so its files are in the end those of
    a run that was not.
    """
    names = (f"shard-{number:05d}.safetensors" for number in count())
    free = (name for name in names if name not in taken)
    starts = range(0, len(lacking), SHARD_IMAGES)
    parts = (lacking[start : start + SHARD_IMAGES] for start in starts)
    return [Unit(next(free), {i: images[i] for i in part}) for part in parts]
