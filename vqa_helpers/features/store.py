"""The feature store: one row of half floats per image, in safetensors shards that check themselves.

`<store>/shard-00000.safetensors …` and `manifest.json`. A shard is written beside its place and
renamed, so a kill loses at most one shard of work. Its metadata hold a sum of its contents and the
identity of what made it: encoder, weights and preprocessing.
"""

import hashlib
import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from vqa_helpers.errors import InputError
from vqa_helpers.files import write_bytes

log = logging.getLogger(__name__)

# What reading a file raises whose bytes are not those that were written.
_DAMAGE = (OSError, SafetensorError, LookupError, TypeError, ValueError, AttributeError)


@dataclass
class Shard:
    """One file of rows.

    Attributes:
        image_ids: (n,) ascending.
        marks: (n,) `pixels.file_mark` of each image; a row whose image file has changed is stale.
        features: (n, D) or (n, K, D) half floats.
        failed: image id to the reason it has no row.
    """

    image_ids: np.ndarray
    marks: np.ndarray
    features: np.ndarray
    failed: dict[int, str] = field(default_factory=dict)

    def arrays(self) -> dict[str, np.ndarray]:
        names = ("image_ids", "marks", "features")
        return {name: np.ascontiguousarray(getattr(self, name)) for name in names}

    def checksum(self) -> str:
        """sha256 of the contents."""
        digest = hashlib.sha256()
        for array in self.arrays().values():
            digest.update(array.data)
        digest.update(json.dumps(sorted(self.failed.items())).encode())
        return digest.hexdigest()


def write_shard(path: Path, shard: Shard, identity: str) -> None:
    """Write a shard atomically."""
    failed = dict(sorted(shard.failed.items()))
    made = {"identity": identity, "sha256": shard.checksum(), "failed": failed}
    # One entry: safetensors writes several in an order that changes from run to run.
    write_bytes(path, save(shard.arrays(), {"made": json.dumps(made)}))


def read_shard(path: Path, identity: str) -> Shard | None:
    """A shard, or None and a line in the log where the file is damaged or of another origin."""
    try:
        with safe_open(path, framework="numpy") as file:
            made = json.loads((file.metadata() or {})["made"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}
        failed = {int(image_id): why for image_id, why in made["failed"].items()}
        shard = Shard(**tensors, failed=failed)
        if made["identity"] != identity:
            problem = "was made by another encoder"
        elif made["sha256"] != shard.checksum():
            problem = "does not match its checksum"
        else:
            return shard
    except _DAMAGE as error:
        problem = f"is damaged ({error})"
    log.warning("%s: %s; its images are computed again", path, problem)
    return None


class FeatureStore:
    """A complete store, ready to be read.

    Attributes:
        folder: where the shards are.
        manifest: encoder, weights, sha256 of the weights, preprocessing, dtype, width, the rows
            and sha256 of each shard, the failed images with their reasons.
        failed: image id to the reason it has no row.

    Raises:
        InputError: where no complete store is.
    """

    MANIFEST = "manifest.json"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        path = folder / self.MANIFEST
        try:
            self.manifest = json.loads(path.read_text(encoding="utf-8"))
            self.failed = {int(i): why for i, why in self.manifest["failed"].items()}
            self._files = [folder / entry["file"] for entry in self.manifest["shards"]]
            self._identity = self.manifest["identity"]
        except FileNotFoundError:
            raise InputError(
                f"{folder}: is no complete feature store; fill it with `vqa features`"
            ) from None
        except _DAMAGE as error:
            raise InputError(f"{path}: is damaged ({error}); run `vqa features` again") from None

    def read(self, image_ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The rows of images.

        Args:
            image_ids: (N,) distinct ids.

        Returns:
            Half floats (N, D) or (N, K, D), zeros where the store has no row, and a mask (N,) of
            the rows that it has.

        Raises:
            InputError: for a shard that is damaged.
        """
        return gather_rows(map(self._open, self._files), image_ids)

    def _open(self, path: Path) -> Shard:
        shard = read_shard(path, self._identity)
        if shard is None:
            raise InputError(f"{path}: is damaged; run `vqa features` again")
        return shard


def gather_rows(shards: Iterable[Shard], image_ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rows of `image_ids` among shards, of which there is at least one; see `read`."""
    rows = None
    found = np.zeros(len(image_ids), dtype=bool)
    wanted = pd.Index(image_ids)
    for shard in shards:
        if rows is None:
            rows = np.zeros((len(image_ids), *shard.features.shape[1:]), dtype=np.float16)
        place = wanted.get_indexer(shard.image_ids)  # (n,) -1 for an image that is not wanted
        rows[place[place >= 0]] = shard.features[place >= 0]
        found[place[place >= 0]] = True
    return rows, found
