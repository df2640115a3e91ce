"""Exact resume, and the saved model that answers questions.

A checkpoint holds all that the next epoch depends on; it goes when the run is done. The saved
model is the best epoch's.
"""

import logging
import os
import zipfile
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from vqa_helpers.errors import InputError
from vqa_helpers.model.vqa import VQAModel

log = logging.getLogger(__name__)

CHECKPOINT = "checkpoint.pt"
MODEL = "model.safetensors"


def save_checkpoint(folder: Path, state: dict) -> None:
    """Write the state of a run atomically."""
    partial = folder / f".{CHECKPOINT}.partial"
    torch.save(state, partial)
    os.replace(partial, folder / CHECKPOINT)


def load_checkpoint(folder: Path) -> dict | None:
    """The state an interrupted run left, or None where there is none to go on from."""
    path = folder / CHECKPOINT
    if not path.exists():
        return None
    try:
        with zipfile.ZipFile(path) as archive:  # torch writes checksums but does not read them
            if (record := archive.testzip()) is not None:
                raise ValueError(f"{record} does not match its checksum")
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged bytes raise whatever they happen to spell
        log.warning("%s: is damaged (%s); the run starts again", path, str(error).split("\n")[0])
        return None


def remove_checkpoint(folder: Path) -> None:
    """Forget the checkpoint of a run that is done."""
    (folder / CHECKPOINT).unlink(missing_ok=True)


def save_model(folder: Path, model: VQAModel) -> None:
    """Write the model atomically."""
    state = {name: tensor.cpu().contiguous() for name, tensor in model.saved_state().items()}
    partial = folder / f".{MODEL}.partial"
    save_file(state, partial)
    os.replace(partial, folder / MODEL)


def load_model(folder: Path, model: VQAModel) -> None:
    """Load the saved weights into a model of the same pieces.

    Raises:
        InputError: when the file is damaged or of another model.
    """
    path = folder / MODEL
    try:
        state = load_file(path)
        model.load_saved_state(state)
    except (OSError, SafetensorError, RuntimeError, ValueError) as error:
        raise InputError(
            f"{path}: does not fit the run's configuration ({error}); train the run again".replace(
                "\n", " "
            )
        ) from None
