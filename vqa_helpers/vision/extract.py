"""Fills a feature store: every image decoded once, the bad ones named, a kill resumed.

What is lacking is cut into chunks, each of which becomes a shard. Who computes them, here or on
many machines, is the caller's business; this process alone writes.
"""

import hashlib
import json
import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vqa_helpers.errors import InputError
from vqa_helpers.files import locked, remove_partials, write_text
from vqa_helpers.vision.encoders import (
    VisionEncoder,
    weights_label,
    weights_sha256,
    weights_source,
)
from vqa_helpers.vision.features import MANIFEST, FeatureStore, Shard, read_shard, write_shard
from vqa_helpers.vision.pipeline import compute_shard, compute_shards
from vqa_helpers.vision.preprocess import DESCRIPTION, BadImage, file_mark, load_square

log = logging.getLogger(__name__)

SHARD_IMAGES = 1024
MOST_SHARDS = 100_000  # that have a name
_READERS = 8  # threads that look whether files have changed


@dataclass(frozen=True)
class Recipe:
    """What makes an image's row.

    Attributes:
        encoder: its name.
        weights: "imagenet", "random" or a file.
        size_px: side of the square the network sees.
    """

    encoder: str
    weights: str
    size_px: int

    def description(self) -> dict[str, str]:
        """In words; a row is of use to whoever has the same."""
        return {
            "encoder": self.encoder,
            "weights": weights_source(self.encoder, self.weights),
            "preprocessing": DESCRIPTION.format(size=self.size_px),
        }

    def network(self, device: str = "cpu") -> VisionEncoder:
        return VisionEncoder(self.encoder, self.weights).eval().to(device)


@dataclass(frozen=True)
class Chunk:
    """One unit of work: the images of a shard that is not there yet.

    Attributes:
        file: the shard's name.
        image_ids: ascending.
    """

    file: str
    image_ids: tuple[int, ...]


# Computes chunks, on whatever machines: a recipe, the chunks and the image files to each chunk with
# its shard (`pipeline.compute_shard`), in any order.
Compute = Callable[[Recipe, Sequence[Chunk], Mapping[int, Path]], Iterator[tuple[Chunk, Shard]]]


def plan(lacking: Sequence[int], taken: Mapping[str, object]) -> list[Chunk]:
    """The chunks of the images that have no row, under the shard names that are not taken.

    A run that was interrupted plans the same chunks for what it had left, so its files are in the
    end those of a run that was not.

    Raises:
        InputError: when a store cannot hold so many.
    """
    names = (f"shard-{number:05d}.safetensors" for number in range(MOST_SHARDS))
    free = (name for name in names if name not in taken)
    starts = range(0, len(lacking), SHARD_IMAGES)
    if len(starts) + len(taken) > MOST_SHARDS:
        raise InputError(
            f"{len(lacking):,} images are more than a store has names for "
            f"({MOST_SHARDS * SHARD_IMAGES:,}); cut the collection into several dataset folders"
        )
    return [Chunk(next(free), tuple(lacking[i : i + SHARD_IMAGES])) for i in starts]


def store_folder(stores: Path, encoder: str, weights: str, size_px: int) -> Path:
    """`<stores>/<encoder>-<weights>-<size>`."""
    return stores / f"{encoder}-{weights_label(weights)}-{size_px}"


def fill_store(
    stores: Path,
    images: dict[int, Path],
    *,
    encoder: str,
    weights: str,
    size_px: int,
    device: str = "cpu",
    batch_images: int | None = None,
    compute: Compute | None = None,
) -> FeatureStore:
    """Compute the features that a store still lacks, and open it.

    Shards that are damaged, or were made by other weights, are computed again; finished ones are
    kept. A second process that fills the same store waits for the first.

    Args:
        stores: the folder of the dataset's stores.
        images: image id to file.
        weights: "imagenet", "random" or a file.
        size_px: side of the square the network sees.
        device: where the network runs.
        batch_images: how many images the network sees at a time; chosen by size where not given.
        compute: who computes the chunks; this process, on `device`, where not given.

    Returns:
        The store; `failed` names the images that could not be read.

    Raises:
        InputError: when there is no image, or not one of them can be read.
    """
    if not images:
        raise InputError("there is no image to compute features of; check the dataset's folder")
    recipe = Recipe(encoder, weights, size_px)
    description = recipe.description()
    folder = store_folder(stores, encoder, weights, size_px)
    identity = hashlib.sha256(json.dumps(description).encode()).hexdigest()
    with locked(folder / ".lock"):
        shards = _usable_shards(folder, identity, images)
        known = set().union(*(shard.image_ids | shard.failed.keys() for shard in shards.values()))
        lacking = [image_id for image_id in sorted(images) if image_id not in known]
        if lacking or not _manifest_lists(folder, shards):
            network = recipe.network(device)
            compute = compute or _here(network, batch_images)
            done = compute(recipe, plan(lacking, shards), images)
            shards |= _write(folder, identity, done)
            if not any(shard.image_ids for shard in shards.values()):
                image_id = min(images)
                why = next(s.failed[image_id] for s in shards.values() if image_id in s.failed)
                raise InputError(
                    f"{images[image_id]}: {why}; none of the {len(images)} images could be read"
                )
            description |= {"weights_sha256": weights_sha256(network), "width": network.out_dim}
            _write_manifest(folder, {**description, "identity": identity}, shards)
    store = FeatureStore(folder)
    for image_id in sorted(store.failed.keys() & images.keys()):
        log.warning(
            "%s: %s; it gets no features, its questions stay; mend the file and run again",
            images[image_id],
            store.failed[image_id],
        )
    return store


def encode_images(
    images: dict[int, Path],
    image_ids: np.ndarray,
    *,
    encoder: str,
    weights: str,
    size_px: int,
    device: str = "cpu",
) -> np.ndarray:
    """The features of a few images, in memory.

    Returns:
        Half floats (N, D), a row for each of `image_ids`, zeros for an image that is missing or
        cannot be read.
    """
    present = sorted(images.keys() & set(image_ids.tolist()))
    network = Recipe(encoder, weights, size_px).network(device)
    rows = np.zeros((len(image_ids), network.out_dim), dtype=np.float16)
    if not present:
        return rows
    shard = compute_shard(network, present, images, size_px)
    for image_id, why in shard.failed.items():
        log.warning("%s: %s; its questions are answered without it", images[image_id], why)
    row_of = {image_id: row for row, image_id in enumerate(shard.image_ids.tolist())}
    for row, image_id in enumerate(image_ids.tolist()):
        if image_id in row_of:
            rows[row] = shard.features[row_of[image_id]]
    return rows


@dataclass(frozen=True)
class _Entry:
    """What stays in memory of a finished shard."""

    image_ids: frozenset[int]
    failed: dict[int, str]
    sha256: str


def _usable_shards(folder: Path, identity: str, images: dict[int, Path]) -> dict[str, _Entry]:
    """The shards that can be kept, by file name; the others are removed, the manifest with them."""
    remove_partials(folder)
    kept = {}
    with ThreadPoolExecutor(_READERS, "read") as threads:
        for path in sorted(folder.glob("shard-*.safetensors")):
            shard = read_shard(path, identity)
            if shard is not None and _changed(shard, images, threads):
                log.info("%s: image files have changed since; computed again", path)
                shard = None
            if shard is None:
                (folder / MANIFEST).unlink(missing_ok=True)
                path.unlink()
            else:
                ids = frozenset(shard.image_ids.tolist())
                kept[path.name] = _Entry(ids, shard.failed, shard.checksum())
    return kept


def _manifest_lists(folder: Path, shards: dict[str, _Entry]) -> bool:
    """Whether the manifest is whole and lists exactly these shards.

    A run that added shards and was killed before its end leaves an older manifest behind.
    """
    try:
        listed = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["shards"]
        found = {entry["file"]: entry["sha256"] for entry in listed}
    except (OSError, ValueError, LookupError, TypeError):
        return False
    return found == {name: shard.sha256 for name, shard in shards.items()}


def _changed(shard: Shard, images: Mapping[int, Path], threads: ThreadPoolExecutor) -> bool:
    marks = zip(shard.image_ids.tolist(), shard.marks.tolist(), strict=True)
    then = {images[image_id]: mark for image_id, mark in marks if image_id in images}
    # In threads: files on another machine take long to open, and each waits by itself.
    if list(threads.map(file_mark, then)) != list(then.values()):
        return True
    # An image that could not be read and has been mended since.
    return any(i in images and _readable(images[i]) for i in shard.failed)


def _readable(path: Path) -> bool:
    try:
        load_square(path, 8)
    except BadImage:
        return False
    return True


def _here(network: VisionEncoder, batch_images: int | None) -> Compute:
    """One machine, this process."""

    def compute(
        recipe: Recipe, chunks: Sequence[Chunk], images: Mapping[int, Path]
    ) -> Iterator[tuple[Chunk, Shard]]:
        ids = [chunk.image_ids for chunk in chunks]
        label = f"features {recipe.encoder}"
        shards = compute_shards(network, ids, images, recipe.size_px, batch_images, label)
        return zip(chunks, shards, strict=True)

    return compute


def _write(folder: Path, identity: str, done: Iterable[tuple[Chunk, Shard]]) -> dict[str, _Entry]:
    """Write each shard as it comes, while the next is computed; by file name."""
    written: dict[str, _Entry] = {}
    waiting: deque[tuple[Chunk, Shard, Future[str]]] = deque()

    def wait() -> None:
        chunk, shard, checksum = waiting.popleft()
        ids = frozenset(shard.image_ids.tolist())
        written[chunk.file] = _Entry(ids, shard.failed, checksum.result())

    with ThreadPoolExecutor(1, "write") as thread:
        for chunk, shard in done:
            if waiting:
                wait()
            future = thread.submit(write_shard, folder / chunk.file, shard, identity)
            waiting.append((chunk, shard, future))
        while waiting:
            wait()
    return written


def _write_manifest(folder: Path, description: dict, shards: dict[str, _Entry]) -> None:
    manifest = {
        **description,
        "dtype": "float16",
        "shards": [
            {"file": name, "rows": len(shard.image_ids), "sha256": shard.sha256}
            for name, shard in sorted(shards.items())
        ],
        "failed": {str(i): why for s in shards.values() for i, why in sorted(s.failed.items())},
    }
    write_text(folder / MANIFEST, json.dumps(manifest, indent=1))
