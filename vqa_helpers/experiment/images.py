"""The image side of an experiment: features of every image asked about, or photographs for a
network inside the loop, and the train statistics that random weights need.
"""

import hashlib
import json
import logging
import time
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vqa_helpers.data.folder import Dataset
from vqa_helpers.errors import InputError
from vqa_helpers.experiment.options import Options
from vqa_helpers.features.extract import fill_store
from vqa_helpers.features.pixels import BadImage, load_square
from vqa_helpers.model.config import Images
from vqa_helpers.training.batches import FeatureRows
from vqa_helpers.training.pixels import PixelRows
from vqa_helpers.vision.encoders import VisionEncoder
from vqa_helpers.vision.normalise import train_statistics

log = logging.getLogger(__name__)

STATISTICS_IMAGES = 256  # enough for a mean, where the network runs inside the loop
MOST_UNREADABLE = 0.1  # of the images, beyond which a score would mean nothing


@dataclass(frozen=True)
class ImageSide:
    """What a model sees.

    Attributes:
        ids: (I,) image ids, ascending: the image of each row.
        rows: features or pixels; None for a model without vision.
        statistics: mean and standard deviation over train images, (D,) each, where the weights
            are random.
        seconds: how long the features took.
        sha256: of the stored features.
        unseen: ids of images that are missing or cannot be read; their questions stay.
    """

    ids: np.ndarray
    rows: FeatureRows | PixelRows | None = None
    statistics: tuple[Tensor, Tensor] | None = None
    seconds: float | None = None
    sha256: str | None = None
    unseen: tuple[int, ...] = ()


def open_images(spec: Images | None, dataset: Dataset, options: Options) -> ImageSide:
    """Compute or open what a preset's vision channel needs.

    Raises:
        InputError: when there are no images, or too many are missing or cannot be read.
    """
    ids = dataset.image_ids()
    if spec is None:
        return ImageSide(ids)
    missing = _refuse_missing_images(dataset)
    train_ids = dataset.splits["train"]["image_id"].to_numpy()
    if spec.in_loop:
        return _photographs(spec, dataset, options, ids, missing)
    start = time.perf_counter()
    asked_about = set(ids.tolist())
    store = fill_store(
        options.features / dataset.image_source,
        {i: path for i, path in dataset.images.items() if i in asked_about},
        encoder=spec.encoder,
        weights=options.weights,
        size_px=options.image_size_px,
        device=options.device,
    )
    seconds = time.perf_counter() - start
    unreadable = {i: why for i, why in store.failed.items() if i in asked_about}
    _refuse_unreadable_images(dataset, unreadable, len(ids))
    features, found = store.read(ids)
    gone = np.isin(ids, missing)  # the store may hold rows of files that have been removed since
    features[gone], found[gone] = 0, False
    statistics = None
    if is_standardised(spec, options):
        statistics = train_statistics(features[np.isin(ids, train_ids) & found])
    shards = [shard["sha256"] for shard in store.manifest["shards"]]
    return ImageSide(
        ids,
        FeatureRows(torch.from_numpy(features), options.device),
        statistics,
        seconds,
        hashlib.sha256(json.dumps(shards).encode()).hexdigest(),
        tuple(sorted({*missing, *unreadable})),
    )


def is_standardised(spec: Images, options: Options) -> bool:
    """Whether features are centred and scaled first: random weights that never learn."""
    return options.weights == "random" and spec.trained == "none"


def _photographs(
    spec: Images, dataset: Dataset, options: Options, ids: np.ndarray, missing: list[int]
) -> ImageSide:
    """Images for a network inside the loop; some are tried first, and give the statistics."""
    squares, unreadable = _try_photographs(dataset, options)
    _refuse_unreadable_images(dataset, unreadable, len(squares) + len(unreadable))
    statistics = None
    if is_standardised(spec, options):
        statistics = train_statistics(_vectors(spec, squares, options))
    paths = [dataset.images.get(int(image_id)) for image_id in ids]
    rows = PixelRows(paths, options.image_size_px, options.device)
    return ImageSide(ids, rows, statistics, unseen=tuple(missing))


def photograph_statistics(
    spec: Images, dataset: Dataset, options: Options
) -> tuple[Tensor, Tensor]:
    """The statistics of a network inside the loop, (D,) each, over some of the train images."""
    squares, _ = _try_photographs(dataset, options)
    return train_statistics(_vectors(spec, squares, options))


def _try_photographs(dataset: Dataset, options: Options) -> tuple[list[np.ndarray], dict[int, str]]:
    """Some train images, (S, S, 3) each, and why others could not be read."""
    train_ids = np.unique(dataset.splits["train"]["image_id"].to_numpy())
    drawn = np.random.default_rng(options.seed).permutation(train_ids)[:STATISTICS_IMAGES]
    tried, unreadable = [], {}
    for image_id in drawn.tolist():
        if image_id not in dataset.images:
            continue
        try:
            tried.append(load_square(dataset.images[image_id], options.image_size_px))
        except BadImage as error:
            unreadable[image_id] = str(error)
    return tried, unreadable


@torch.inference_mode()
def _vectors(spec: Images, squares: list[np.ndarray], options: Options) -> np.ndarray:
    """What a network gives for some squares, (n, D); one at a time, as memory allows any size."""
    network = VisionEncoder(spec.encoder, options.weights).eval().to(options.device)
    pixels = (torch.from_numpy(square.copy()).permute(2, 0, 1)[None] for square in squares)
    return np.concatenate([network(one.to(options.device)).cpu().numpy() for one in pixels])


def _refuse_missing_images(dataset: Dataset) -> list[int]:
    """The images without a file, named; too many are refused."""
    if not dataset.images:
        raise InputError(
            f"{dataset.folder}: has no images, or none whose name ends in an image id; a preset "
            "without vision is Question_Only"
        )
    missing = dataset.missing_images()
    if missing:
        asked = len(dataset.image_ids())
        named = ", ".join(map(str, missing[:5])) + (" …" if len(missing) > 5 else "")
        message = (
            f"{dataset.folder}: no file for {len(missing)} of {asked} images ({named}); "
            "image names must end in the image id"
        )
        if len(missing) > MOST_UNREADABLE * asked:
            raise InputError(message)
        log.warning("%s; their questions are answered without an image", message)
    return missing


def _refuse_unreadable_images(dataset: Dataset, unreadable: dict[int, str], of: int) -> None:
    if len(unreadable) > MOST_UNREADABLE * of:
        first = min(unreadable)
        raise InputError(
            f"{dataset.folder}: {len(unreadable)} of {of} images cannot be read, the first is "
            f"{dataset.images[first]}: {unreadable[first]}; mend or remove them"
        )
