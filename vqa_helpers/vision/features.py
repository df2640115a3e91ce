"""The feature store: one row per image, in safetensors shards that check themselves.

A shard is written beside and renamed, so a kill loses at most one shard of work; its metadata
carry a checksum of its contents and the identity of what made it. Knows nothing of networks.
"""

import hashlib
import json
import logging
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from vqa_helpers.errors import InputError
from vqa_helpers.files import write_bytes

log = logging.getLogger(__name__)

MANIFEST = "manifest.json"
# What reading a file raises whose bytes are not those that were written.
_DAMAGE = (OSError, SafetensorError, LookupError, TypeError, ValueError, AttributeError)


@dataclass
class Shard:
    """One file of rows.

    Attributes:
        image_ids: (n,) ascending.
        marks: (n,) what each image file was told by; a row whose file has changed is stale.
        features: (n, …) half floats.
        failed: image id to the reason it has no row.
    """

    image_ids: np.ndarray
    marks: np.ndarray
    features: np.ndarray
    failed: dict[int, str] = field(default_factory=dict)

    def checksum(self) -> str:
        """sha256 of the contents."""
        digest = hashlib.sha256()
        for array in (self.image_ids, self.marks, self.features):
            digest.update(np.ascontiguousarray(array).data)
        digest.update(json.dumps(sorted(self.failed.items())).encode())
        return digest.hexdigest()


def write_shard(path: Path, shard: Shard, identity: str) -> str:
    """Write a shard atomically; returns its checksum."""
    checksum = shard.checksum()
    made = {
        "identity": identity,
        "sha256": checksum,
        "failed": {str(image_id): why for image_id, why in sorted(shard.failed.items())},
    }
    # One entry: safetensors writes several in an order that changes from run to run.
    metadata = {"made": json.dumps(made)}
    tensors = {
        "image_ids": shard.image_ids,
        "marks": shard.marks,
        "features": np.ascontiguousarray(shard.features),
    }
    write_bytes(path, save(tensors, metadata))
    return checksum


def read_shard(path: Path, identity: str) -> Shard | None:
    """A shard, or None (and a line in the log) where the file is damaged or of another origin."""
    try:
        with safe_open(path, framework="numpy") as file:
            made = json.loads((file.metadata() or {})["made"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}
        failed = {int(image_id): why for image_id, why in made["failed"].items()}
        shard = Shard(**tensors, failed=failed)
        origin, checksum = made["identity"], made["sha256"]
    except _DAMAGE as error:
        log.warning("%s: is damaged (%s); its images are computed again", path, error)
        return None
    if origin != identity:
        log.warning("%s: was made by another encoder; its images are computed again", path)
        return None
    if checksum != shard.checksum():
        log.warning("%s: does not match its checksum; its images are computed again", path)
        return None
    return shard


class FeatureStore:
    """A finished store, ready to be read.

    Attributes:
        folder: where the shards lie.
        manifest: encoder, weights sha256, preprocessing, dtype, width, the rows and sha256 of each
            shard, the failed images with their reasons.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        path = folder / MANIFEST
        try:
            self.manifest = json.loads(path.read_text(encoding="utf-8"))
            self.failed = {int(i): why for i, why in self.manifest["failed"].items()}
        except FileNotFoundError:
            raise InputError(
                f"{folder}: is no finished feature store; fill it with `vqa features`"
            ) from None
        except _DAMAGE as error:
            raise InputError(f"{path}: is damaged ({error}); run `vqa features` again") from None

    @property
    def width(self) -> int:
        """Numbers in a row (the last dimension of a grid)."""
        return int(self.manifest["width"])

    def read(self, image_ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The rows of some images.

        Args:
            image_ids: (N,) distinct ids.

        Returns:
            Half floats (N, …), zeros where the store has no row, and a mask (N,) of the rows it
            has.
        """
        rows: np.ndarray | None = None
        found = np.zeros(len(image_ids), dtype=bool)
        order = np.argsort(image_ids, kind="stable")
        ascending = np.asarray(image_ids)[order]
        for entry in self.manifest["shards"]:
            shard = read_shard(self.folder / entry["file"], self.manifest["identity"])
            if shard is None:
                raise InputError(
                    f"{self.folder / entry['file']}: is damaged; run `vqa features` again to "
                    "compute this shard anew"
                )
            if rows is None:
                rows = np.zeros((len(image_ids), *shard.features.shape[1:]), dtype=np.float16)
            places = np.searchsorted(ascending, shard.image_ids)
            places = np.minimum(places, max(len(ascending) - 1, 0))
            wanted = ascending[places] == shard.image_ids if len(ascending) else np.zeros(0, bool)
            rows[order[places[wanted]]] = shard.features[wanted]
            found[order[places[wanted]]] = True
        if rows is None:
            rows = np.zeros((len(image_ids), self.width), dtype=np.float16)
        return rows, found
