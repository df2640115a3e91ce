"""The feature store: one row of half floats per image, in safetensors shards that check themselves.

`<store>/shard-00000.safetensors …` and `manifest.json`. A shard is written beside its place and
renamed, so a kill loses at most one shard of work. Its metadata hold a sum of its contents and the
identity of what made it: encoder, weights and preprocessing.
"""

import hashlib
import json
import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save
from torch import Tensor

from vqa_helpers.errors import InputError
from vqa_helpers.files import write_bytes

log = logging.getLogger(__name__)

MOST_IN_MEMORY = 1 << 30  # bytes of rows; more stay on disk
READ_AHEAD = 1 << 29  # bytes of the files from which questions are mixed at a time
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

    def rows(
        self, image_ids: np.ndarray, without: Sequence[int] = ()
    ) -> "tuple[Tensor | RowsOnDisk, np.ndarray]":
        """As `read`, where the rows are few enough for memory; else they stay on disk.

        Args:
            without: ids whose rows are not to be seen, such as those of files that are gone.
        """
        gone, on_disk = np.isin(image_ids, without), RowsOnDisk(self._files, image_ids)
        on_disk.file_of[gone] = -1
        if np.prod(on_disk.shape) * on_disk.dtype.itemsize > MOST_IN_MEMORY:
            return on_disk, on_disk.file_of >= 0
        features, found = self.read(image_ids)
        features[gone], found[gone] = 0, False
        return torch.from_numpy(features), found

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


class RowsOnDisk:
    """The rows of images, each read when it is asked for.

    Args:
        files: whole shards, at least one.
        image_ids: (I,) distinct ids.

    Attributes:
        shape: (I, D) or (I, K, D).
        file_of: (I,) which of the files has a row; -1 where none has, and the row is zeros.
    """

    dtype = torch.float16

    def __init__(self, files: list[Path], image_ids: np.ndarray) -> None:
        self._files, wanted = files, pd.Index(image_ids)
        self.file_of = np.full(len(image_ids), -1)
        self._start = np.zeros(len(image_ids), dtype=np.int64)  # of a row in its file, in bytes
        for number, path in enumerate(files):
            with path.open("rb") as file:  # the form of safetensors: a length, JSON, the numbers
                length = int.from_bytes(file.read(8), "little")
                header = json.loads(file.read(length))
            with safe_open(path, framework="numpy") as file:
                ids = file.get_tensor("image_ids")
            first, end = (8 + length + at for at in header["features"]["data_offsets"])
            place = wanted.get_indexer(ids)
            here = place >= 0
            starts = np.linspace(first, end, len(ids), endpoint=False, dtype=np.int64)
            self.file_of[place[here]], self._start[place[here]] = number, starts[here]
        self.shape = (len(image_ids), *header["features"]["shape"][1:])
        self._at_once = max(1, READ_AHEAD // max(path.stat().st_size for path in files))
        self._ahead: set[int] = set()  # files that the disk was told of

    def __getitem__(self, rows: Tensor) -> Tensor:
        """(B,) row numbers to half floats (B, D) or (B, K, D)."""
        taken = torch.zeros(len(rows), *self.shape[1:], dtype=self.dtype)
        numbers, into = rows.numpy(), taken.numpy()
        near = set(self.file_of[numbers].tolist()) - {-1}
        for number in near:
            with self._files[number].open("rb", buffering=0) as file:
                if number not in self._ahead and len(near) <= 2 * self._at_once:
                    _read_ahead(file.fileno())
                for place in np.flatnonzero(self.file_of[numbers] == number):
                    file.seek(self._start[numbers[place]])
                    file.readinto(into[place].data)
        self._ahead = near
        return taken

    def shuffle(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        """An order (N,) of things that each need a row: files come in any order, some at a time, and
        what needs them is mixed, so that the disk is read in long stretches."""
        turn = torch.randperm(len(self._files) + 1, generator=generator)  # the last: of no file
        turn = turn[torch.from_numpy(self.file_of)[rows]] // self._at_once
        order = torch.randperm(len(rows), generator=generator)
        return order[torch.sort(turn[order], stable=True).indices]


def _read_ahead(file: int) -> None:
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_WILLNEED)
