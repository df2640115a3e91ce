"""Fills a feature store: every image decoded once, the bad ones named, a kill resumed.

Decoding runs in threads while the network computes; memory holds a shard and two batches, however
many images there are.
"""

import hashlib
import json
import logging
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from vqa_helpers.errors import InputError
from vqa_helpers.files import locked, remove_partials, write_text
from vqa_helpers.progress import track
from vqa_helpers.vision.encoders import (
    VisionEncoder,
    weights_label,
    weights_sha256,
    weights_source,
)
from vqa_helpers.vision.features import MANIFEST, FeatureStore, Shard, read_shard, write_shard
from vqa_helpers.vision.preprocess import DESCRIPTION, BadImage, load_square

log = logging.getLogger(__name__)

SHARD_IMAGES = 1024
BATCH_IMAGES = 32
_SAMPLE_BYTES = 4096


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
    batch_images: int = BATCH_IMAGES,
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

    Returns:
        The store; `failed` names the images that could not be read.

    Raises:
        InputError: when there is no image, or not one of them can be read.
    """
    if not images:
        raise InputError("there is no image to compute features of; check the dataset's folder")
    description = {
        "encoder": encoder,
        "weights": weights_source(encoder, weights),
        "preprocessing": DESCRIPTION.format(size=size_px),
    }
    folder = store_folder(stores, encoder, weights, size_px)
    identity = hashlib.sha256(json.dumps(description).encode()).hexdigest()
    with locked(folder / ".lock"):
        shards = _usable_shards(folder, identity, images)
        known = set().union(*(shard.image_ids | shard.failed.keys() for shard in shards.values()))
        lacking = [image_id for image_id in sorted(images) if image_id not in known]
        if lacking or not _manifest_lists(folder, shards):
            network = VisionEncoder(encoder, weights).eval().to(device)
            _compute(folder, network, identity, lacking, images, shards, size_px, batch_images)
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
    network = VisionEncoder(encoder, weights).eval().to(device)
    rows = np.zeros((len(image_ids), network.out_dim), dtype=np.float16)
    for row, image_id in enumerate(image_ids.tolist()):
        try:
            if image_id in images:
                rows[row] = _encode(network, load_square(images[image_id], size_px)[None])[0]
        except BadImage as error:
            log.warning("%s: %s; its questions are answered without it", images[image_id], error)
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
    for path in sorted(folder.glob("shard-*.safetensors")):
        shard = read_shard(path, identity)
        if shard is not None and _changed(shard, images):
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


def _changed(shard: Shard, images: dict[int, Path]) -> bool:
    for image_id, mark in zip(shard.image_ids.tolist(), shard.marks.tolist(), strict=True):
        if image_id in images and _mark(images[image_id]) != mark:
            return True
    # An image that could not be read and has been mended since.
    return any(i in images and _readable(images[i]) for i in shard.failed)


def _mark(path: Path) -> int:
    """What tells a file from another: its size and samples of its bytes, hashed; -1 if not there.

    Reading every byte would cost minutes on a large set; any change of a compressed image moves
    all that follows it.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            digest = hashlib.blake2b(size.to_bytes(8, "little"), digest_size=7)
            for place in (0, size // 3, 2 * size // 3, max(0, size - _SAMPLE_BYTES)):
                file.seek(place)
                digest.update(file.read(_SAMPLE_BYTES))
    except OSError:
        return -1
    return int.from_bytes(digest.digest(), "little")


def _readable(path: Path) -> bool:
    try:
        load_square(path, 8)
    except BadImage:
        return False
    return True


def _compute(
    folder: Path,
    network: VisionEncoder,
    identity: str,
    lacking: Sequence[int],
    images: dict[int, Path],
    shards: dict[str, _Entry],
    size_px: int,
    batch_images: int,
) -> None:
    """Compute the lacking rows shard by shard, adding to `shards`."""
    names = (f"shard-{number:05d}.safetensors" for number in range(10**5))
    free = (name for name in names if name not in shards)
    chunks = [lacking[i : i + SHARD_IMAGES] for i in range(0, len(lacking), SHARD_IMAGES)]
    batches = [
        (number, chunk[i : i + batch_images])
        for number, chunk in enumerate(chunks)
        for i in range(0, len(chunk), batch_images)
    ]
    label = f"features {folder.name}"
    vectors: list[np.ndarray] = []
    failed: dict[int, str] = {}
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as threads:
        decoded = _decode_ahead(threads, [ids for _, ids in batches], images, size_px)
        for position, ((number, _), (pixels, bad)) in enumerate(
            zip(track(batches, label, unit="batches"), decoded, strict=True)
        ):
            failed |= bad
            if pixels is not None:
                vectors.append(_encode(network, pixels))
            if position + 1 < len(batches) and batches[position + 1][0] == number:
                continue
            shard = _shard(chunks[number], images, vectors, failed, network.out_dim)
            name = next(free)
            checksum = write_shard(folder / name, shard, identity)
            shards[name] = _Entry(frozenset(shard.image_ids.tolist()), shard.failed, checksum)
            vectors, failed = [], {}


def _decode_ahead(
    threads: ThreadPoolExecutor, batches: list[list[int]], images: dict[int, Path], size_px: int
) -> Iterator[tuple[np.ndarray | None, dict[int, str]]]:
    """Decode the next batch while the caller computes this one: (b, S, S, 3) and the bad ones."""

    def load(image_id: int) -> np.ndarray | str:
        try:
            return load_square(images[image_id], size_px)
        except BadImage as error:
            return str(error)

    waiting = [[threads.submit(load, i) for i in ids] for ids in batches[:1]]
    for position, ids in enumerate(batches):
        if position + 1 < len(batches):
            waiting.append([threads.submit(load, i) for i in batches[position + 1]])
        results = [future.result() for future in waiting.pop(0)]
        bad = {i: result for i, result in zip(ids, results, strict=True) if isinstance(result, str)}
        good = [result for result in results if not isinstance(result, str)]
        yield (np.stack(good) if good else None), bad


@torch.inference_mode()
def _encode(network: VisionEncoder, pixels: np.ndarray) -> np.ndarray:
    device = network.mean.device
    image = torch.from_numpy(pixels.copy()).to(device).permute(0, 3, 1, 2)  # (b, 3, S, S)
    vectors = network(image).half().cpu().numpy()  # (b, D)
    if not np.isfinite(vectors).all():
        raise InputError(
            "the features exceed the range of half floats (65,504); the weights are not those of "
            "a trained network"
        )
    return vectors


def _shard(
    chunk: Sequence[int],
    images: dict[int, Path],
    vectors: list[np.ndarray],
    failed: dict[int, str],
    width: int,
) -> Shard:
    good = [image_id for image_id in chunk if image_id not in failed]
    empty = np.zeros((0, width), dtype=np.float16)
    return Shard(
        image_ids=np.array(good, dtype=np.int64),
        marks=np.array([_mark(images[i]) for i in good], dtype=np.int64),
        features=np.concatenate(vectors) if vectors else empty,
        failed=dict(failed),
    )


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
