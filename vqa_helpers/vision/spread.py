"""Chunks of a feature store computed by a `cluster.Map`.

Images are read where the work is done, so every machine must see them under the same path; shards
come back, and the process that fills the store writes them. Knows nothing of clusters.
"""

import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from vqa_helpers.cluster import Map
from vqa_helpers.device import pick_device
from vqa_helpers.errors import InputError
from vqa_helpers.progress import track
from vqa_helpers.vision.encoders import VisionEncoder
from vqa_helpers.vision.extract import Chunk, Compute, Recipe
from vqa_helpers.vision.features import Shard
from vqa_helpers.vision.pipeline import compute_shard


def spread(map_units: Map, device: str = "auto") -> Compute:
    """What `extract.fill_store` takes: chunks computed by the workers of `map_units`.

    Args:
        device: of each worker; "auto" is a GPU where its machine has one.
    """

    def compute(
        recipe: Recipe, chunks: Sequence[Chunk], images: Mapping[int, Path]
    ) -> Iterator[tuple[Chunk, Shard]]:
        units = (_Unit(chunk, {i: images[i] for i in chunk.image_ids}) for chunk in chunks)
        done = map_units(ShardWork(recipe, device), units)
        for unit, shard in track(done, f"features {recipe.encoder}", len(chunks), "shards"):
            yield unit.chunk, shard

    return compute


@dataclass(frozen=True)
class _Unit:
    """A chunk and its files: all that must travel."""

    chunk: Chunk
    images: dict[int, Path]

    def __str__(self) -> str:
        return self.chunk.file


@dataclass(frozen=True)
class ShardWork:
    """Computes a shard at a time; the network is made at the first and kept."""

    recipe: Recipe
    device: str

    @cached_property
    def network(self) -> VisionEncoder:
        return self.recipe.network(pick_device(self.device))

    def __call__(self, unit: _Unit) -> Shard:
        """
        Raises:
            InputError: when this machine sees none of the images; a few that are missing are named
                in the shard.
        """
        if not any(path.exists() for path in unit.images.values()):
            path = next(iter(unit.images.values()))
            raise InputError(
                f"{path}: the machine {socket.gethostname()} sees neither this image nor the "
                f"{len(unit.images) - 1} after it; all machines must see the dataset's folder "
                "under the same path"
            )
        return compute_shard(self.network, unit.chunk.image_ids, unit.images, self.recipe.size_px)
