"""TensorBoard's files of a run: epochs as they come, and what a finished run has to show.

Each kind of result has an event file of its own, replaced when it is written again, so that a
resumed run doubles nothing. Knows numbers, pictures and vectors with labels; nothing of models or
metrics.
"""

import sys
import types
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from vqa_helpers.files import write_text

FOLDER = "tensorboard"
PROJECTOR = "projector_config.pbtxt"
DIMENSIONS = 64  # of projected vectors; the projector begins with their principal components too


def without_tensorflow() -> None:
    """Keep TensorBoard, imported after this, from importing TensorFlow.

    Where TensorFlow is installed TensorBoard imports it whole (7 s, and all of a GPU's memory); this
    name tells it to use its own small copy of the file functions.
    """
    sys.modules.setdefault("tensorboard.compat.notf", types.ModuleType("tensorboard.compat.notf"))


def open_writer(folder: Path, first_epoch: int):  # -> SummaryWriter, imported only when needed
    """A writer of the epochs from `first_epoch` on; what is there of them is discarded.

    So is what an earlier end of the same training left: a run in training has no results.
    """
    without_tensorflow()
    from torch.utils.tensorboard import SummaryWriter

    stale = "events.*" if first_epoch == 1 else "events.*.*-of-run"
    _remove(folder, stale, PROJECTOR)
    purged = {} if first_epoch == 1 else {"purge_step": first_epoch}
    return SummaryWriter(str(folder / FOLDER), **purged)


def write_results(
    folder: Path,
    epoch: int,
    scalars: Mapping[str, float],
    settings: Mapping[str, str | float],
    scores: Mapping[str, float],
) -> None:
    """Write the last word on a run, in place of an earlier one.

    Args:
        scalars: tag to value, shown at `epoch`.
        settings: the run's row in the table of hyperparameters.
        scores: what that table compares runs by.
    """
    with _writer_of(folder, "results") as writer:
        from torch.utils.tensorboard.summary import hparams

        for summary in hparams(dict(settings), dict(scores)):
            writer.file_writer.add_summary(summary)
        for tag, value in (scalars | scores).items():
            writer.add_scalar(tag, value, epoch)


def write_pictures(folder: Path, kind: str, epoch: int, pictures: Mapping[str, np.ndarray]) -> None:
    """Write pictures (H, W, 3) uint8, by tag, in place of earlier ones of that kind."""
    with _writer_of(folder, kind) as writer:
        for tag, picture in pictures.items():
            writer.add_image(tag, picture, epoch, dataformats="HWC")


def write_vectors(
    folder: Path, vectors: Mapping[str, tuple[np.ndarray, Mapping[str, Sequence[object]]]]
) -> None:
    """Write vectors for TensorBoard's projector, in place of earlier ones.

    Wide vectors are given as their principal components, which keep their distances nearly.

    Args:
        vectors: name to vectors (N, D) and their labels, column name to N texts or numbers.
    """
    place, entries = folder / FOLDER, []
    for name, (points, labels) in vectors.items():
        rows = ["\t".join(f"{number:.5g}" for number in row) for row in _components(points)]
        write_text(place / f"{name}.tsv", "\n".join(rows) + "\n")
        cells = [[_cell(label) for label in column] for column in labels.values()]
        lines = ["\t".join(row) for row in zip(*cells, strict=True)]
        if len(labels) > 1:  # of a single column the projector takes the head for a label
            lines.insert(0, "\t".join(labels))
        write_text(place / f"{name}_labels.tsv", "\n".join(lines) + "\n")
        entries.append(
            f'embeddings {{\n  tensor_name: "{name}"\n  tensor_path: "{name}.tsv"\n'
            f'  metadata_path: "{name}_labels.tsv"\n}}\n'
        )
    write_text(place / PROJECTOR, "".join(entries))


def _writer_of(folder: Path, kind: str):  # -> SummaryWriter
    """A writer of one kind of result; what is there of it is removed."""
    without_tensorflow()
    from torch.utils.tensorboard import SummaryWriter

    _remove(folder, f"events.*.{kind}-of-run")
    return SummaryWriter(str(folder / FOLDER), filename_suffix=f".{kind}-of-run")


def _remove(folder: Path, *patterns: str) -> None:
    for pattern in patterns:
        for path in (folder / FOLDER).glob(pattern):
            path.unlink()


def _components(points: np.ndarray) -> np.ndarray:
    """Vectors (N, D), centred, on their first principal axes: (N, at most DIMENSIONS)."""
    centred = points - points.mean(axis=0)
    if centred.shape[1] <= DIMENSIONS:
        return centred
    left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    return left[:, :DIMENSIONS] * sizes[:DIMENSIONS]


def _cell(label: object) -> str:
    """A label without what would end its cell or its line."""
    return " ".join(str(label).split()) or "(empty)"
