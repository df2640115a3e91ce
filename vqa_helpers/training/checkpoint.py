"""Exact resume, and the saved model that answers questions.

A checkpoint holds everything the next epoch depends on and is deleted when the run is done. The
saved model is the best epoch's; its metadata carry a checksum, which safetensors itself does not
have.
"""

import hashlib
import io
import json
import logging
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from vqa_helpers.errors import InputError, one_line
from vqa_helpers.files import write_bytes
from vqa_helpers.pieces.model import VQAModel

log = logging.getLogger(__name__)

CHECKPOINT = "checkpoint.pt"
MODEL = "model.safetensors"
# What reading a model raises whose bytes are not those that were written, or are another model's.
_DAMAGE = (OSError, SafetensorError, RuntimeError, ValueError, LookupError, TypeError)


def save_checkpoint(folder: Path, state: dict) -> None:
    """Write the state of a run atomically."""
    content = io.BytesIO()  # torch itself says nothing of a full disk but "unexpected pos"
    torch.save(state, content)
    write_bytes(folder / CHECKPOINT, content.getbuffer())


def load_checkpoint(folder: Path, config: Mapping) -> dict | None:
    """The state left by an interrupted run of these settings; None, with a line in the log, if
    there is none to resume from."""
    path = folder / CHECKPOINT
    if not path.exists():
        return None
    try:
        with zipfile.ZipFile(path) as archive:  # torch writes checksums but does not read them
            if (record := archive.testzip()) is not None:
                raise ValueError(f"{record} does not match its checksum")
        state = torch.load(path, map_location="cpu", weights_only=True)
        if not (isinstance(state, dict) and {"config", "history", "trainer"} <= state.keys()):
            raise ValueError("it is not one of a run")
    except Exception as error:  # damaged bytes raise whatever they happen to spell
        log.warning("%s: is damaged (%s); the run starts again", path, str(error).split("\n")[0])
        return None
    if not model_is_intact(folder):
        log.warning("%s: the best epoch's model is lost; the run starts again", folder)
        return None
    if state["config"] != json.dumps(config, sort_keys=True):
        log.info("%s: the settings have changed; the run starts again", folder)
        return None
    return state


def remove_checkpoint(folder: Path) -> None:
    """Forget the checkpoint of a run that is done."""
    (folder / CHECKPOINT).unlink(missing_ok=True)


def copy_of(model: VQAModel) -> dict[str, Tensor]:
    """A copy of the saved part of a model, on the CPU."""
    # Clones: safetensors refuses parts of a model that share their numbers.
    return {k: tensor.cpu().contiguous().clone() for k, tensor in model.saved_state().items()}


def save_model(folder: Path, state: dict[str, Tensor]) -> None:
    """Write a copy of a model atomically."""
    write_bytes(folder / MODEL, save(state, {"sha256": _checksum(state)}))


def model_is_intact(folder: Path) -> bool:
    """Whether the saved model exists and is undamaged."""
    try:
        _read_model(folder / MODEL)
    except _DAMAGE as error:
        log.warning("%s: is damaged (%s)", folder / MODEL, str(error).split("\n")[0])
        return False
    return True


def load_model(folder: Path, model: VQAModel) -> None:
    """Load the saved weights into a model of the same pieces.

    Raises:
        InputError: when the file is damaged or of another model.
    """
    path = folder / MODEL
    try:
        model.load_saved_state(_read_model(path))
    except _DAMAGE as error:
        remedy = "delete the run folder and train the run again"
        line = f"does not fit the run's configuration ({one_line(error)}); {remedy}"
        raise InputError(f"{path}: {line}") from None


def _read_model(path: Path) -> dict[str, Tensor]:
    with safe_open(path, framework="pt") as file:
        known = (file.metadata() or {}).get("sha256")
        state = {name: file.get_tensor(name) for name in file.keys()}
    if known not in (None, _checksum(state)):  # models of old versions have none
        raise ValueError("it does not match its checksum")
    return state


def _checksum(state: dict[str, Tensor]) -> str:
    """sha256 of the names, kinds, shapes and numbers of tensors on the CPU."""
    digest = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        digest.update(tensor.view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
