"""TensorBoard events of a run. Knows scalars; nothing of models."""

import sys
import types
from pathlib import Path

FOLDER = "tensorboard"


def open_writer(folder: Path, first_epoch: int):  # -> SummaryWriter, imported only when needed
    """A writer of TensorBoard events; those of epochs from `first_epoch` on are discarded."""
    # Where TensorFlow is installed TensorBoard imports it whole (7 s, and all of a GPU's memory);
    # this name tells it to use its own small copy of the file functions.
    sys.modules.setdefault("tensorboard.compat.notf", types.ModuleType("tensorboard.compat.notf"))
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder / FOLDER), purge_step=first_epoch)
