"""Checks before training starts, of what could only fail or prove nothing."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from vqa_helpers.data.folder import Dataset
from vqa_helpers.errors import InputError, one_line
from vqa_helpers.pieces.fusion import OneSide
from vqa_helpers.pieces.identity import is_ours, structure_of
from vqa_helpers.pieces.model import VQAModel
from vqa_helpers.recipe import Training
from vqa_helpers.training.batches import Batches
from vqa_helpers.training.inputs import Data, build_model


def refuse_unrecorded(model: VQAModel, data: Data) -> None:
    """Refuse a user's piece that its recorded keywords do not rebuild, because another model would
    answer in its place.

    Raises:
        InputError: for such a piece.
    """
    chosen, own = model.choices(), _own_pieces(model)
    if not own:
        return
    usual = {slot: data.usual(slot, choice) for slot, choice in chosen.items()}
    again = build_model(chosen, data.words, data.answers, usual)
    for slot in own:
        piece = getattr(model, slot)
        if structure_of(piece) != structure_of(getattr(again, slot)):
            raise InputError(
                f"{type(piece).__name__}: its recorded keywords build another piece; keep each as an "
                "attribute of the same name, or derive the class from vqa_helpers.pieces.choice.Piece, "
                "and change nothing that they do not say"
            )


@contextmanager
def own_pieces_named(model: VQAModel) -> Iterator[None]:
    """Turn whatever a user's piece raises into one line that names it.

    Raises:
        InputError: in its place; not of a machine that has no memory or disk left.
    """
    try:
        yield
    except (InputError, OSError, MemoryError):
        raise
    except Exception as error:
        own = [type(getattr(model, slot)).__name__ for slot in _own_pieces(model)]
        if not own or "memory" in str(error):
            raise
        reason = f"{type(error).__name__}: {one_line(error, 200)}"
        line = f"does not fit the other pieces, or fails ({reason}); --debug shows where"
        raise InputError(f"{', '.join(own)}: {line}") from error


@torch.no_grad()  # not inference mode: a piece may keep what it computes here
def refuse_unfit_pieces(model: VQAModel, batches: Batches, answers: int) -> None:
    """Refuse a user's pieces that do not fit the others, or a classifier that does not give a logit
    for each answer.

    Args:
        batches: of which the first is answered.

    Raises:
        InputError: for such a classifier, or in place of what a piece raises.
    """
    if not _own_pieces(model):
        return
    batch = next(iter(batches.in_order()))
    with own_pieces_named(model):
        logits = model.to(batches.device).eval()(batch.image, batch.question)
    given = tuple(logits.shape) if isinstance(logits, Tensor) else f"a {type(logits).__name__}"
    if given != (len(batch), answers):
        raise InputError(
            f"{type(model.classifier).__name__}: gives {given} for {len(batch)} "
            f"questions, not {(len(batch), answers)}; end in a logit for each of the {answers} answers"
        )


def _own_pieces(model: VQAModel) -> list[str]:
    """The slots that hold a user's piece."""
    return [
        slot for slot, choice in model.choices().items() if choice and "code" in choice.record()
    ]


def refuse_unusable_settings(model: VQAModel, training: Training, dataset: Dataset) -> None:
    """Refuse settings that this model cannot use, or data that cannot judge it.

    Raises:
        InputError: for data without a validation score, pieces that do not fit each other, or
            settings that change nothing.
    """
    if not dataset.answered("validation"):
        line = "the validation split has no annotations, and the epoch is chosen on it"
        remedy = "add them, or take its questions away and it is cut from train"
        raise InputError(f"{dataset.folder}: {line}; {remedy}")
    vision, language, fusion = model.vision, model.language, model.fusion
    pieces = (vision, language, fusion, model.classifier)
    if len({getattr(piece, "pretrained", None) for piece in pieces}) > 1:
        raise InputError("the pieces of a published model go together; exchange none of them")
    one_sided = vision is None or language is None
    if one_sided and is_ours(type(fusion)) and not isinstance(fusion, OneSide):
        raise InputError("this fusion takes an image and a question; try OneSide for one of them")
    grid, attends = getattr(vision, "grid", None), getattr(fusion, "attends", None)
    if grid and attends is False:
        raise InputError("this fusion takes one vector of an image; try AttendedProduct for a grid")
    if attends and grid is False:
        raise InputError("this fusion looks at places of an image; try --vision StoredGrid")
    gives, reads = getattr(language, "gives_words", False), getattr(fusion, "reads_words", False)
    if reads and not gives:
        raise InputError("this fusion takes a vector of each word; try --language WordStates")
    if gives and not reads:
        raise InputError(
            "this language piece gives a vector of each word; try --fusion CoAttention"
        )
    if training.augments and (vision is None or getattr(vision, "stored", False)):
        what = "flip, crop and jitter vary photographs, and this model sees none"
        raise InputError(f"{what}; choose a network inside the loop, as 1.f and 1.fC have it")
    normalised = any(isinstance(part, nn.BatchNorm1d) for part in model.modules())
    if training.batch == 1 and normalised:
        line = "batch normalisation cannot learn from batches of one question"
        raise InputError(f"batch 1: {line}; use 2 or more")
    learns = vision is not None and any(p.requires_grad for p in vision.parameters())
    if training.vision_rate and not learns:
        raise InputError("vision_rate: no part of the vision piece is trained; try 1.f or 1.fC")
