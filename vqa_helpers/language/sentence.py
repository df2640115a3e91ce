"""Frozen sentence vectors: one per question, computed once and kept.

The Universal Sentence Encoder 4 is looked for in a local folder, then where it is downloaded to,
then in TensorFlow Hub's cache, then on the network; what it computed is kept in a folder so that neither TensorFlow nor the
network is needed again. The hashed n-grams are its named stand-in where it cannot be had. Knows
nothing of datasets, models or training, and never chooses the stand-in by itself.
"""

import contextlib
import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as from_safetensors
from safetensors.numpy import save as to_safetensors
from sklearn.feature_extraction.text import HashingVectorizer

from vqa_helpers.data.text import tokenize
from vqa_helpers.errors import InputError
from vqa_helpers.files import write_bytes
from vqa_helpers.language import use_worker

log = logging.getLogger(__name__)

HASHED_NGRAMS = "hashed-ngrams"
USE = "universal-sentence-encoder-4"
USE_HANDLE = "https://tfhub.dev/google/universal-sentence-encoder/4"
FOLDER_VARIABLE = "VQA_SENTENCE_ENCODER"
DOWNLOADED = Path("data", "use")  # where `vqa data download use` unpacks it

_WIDTHS = {HASHED_NGRAMS: 512, USE: 512}


def sentence_width(encoder: str) -> int:
    """The width of an encoder's vectors.

    Raises:
        InputError: no encoder has this name.
    """
    if encoder not in _WIDTHS:
        raise InputError(f"sentence encoder {encoder!r}: not one of {', '.join(_WIDTHS)}")
    return _WIDTHS[encoder]


def embed_sentences(
    questions: Sequence[str],
    encoder: str,
    *,
    cache: Path,
    model_folder: Path | None = None,
    offline: bool = False,
) -> np.ndarray:
    """One frozen vector per question; equal questions share the work.

    Args:
        questions: N texts as they were asked; the encoder does its own splitting.
        encoder: `USE` or `HASHED_NGRAMS`.
        cache: folder where the vectors of the Universal Sentence Encoder are kept. The n-grams
            are not: hashing them again is faster than checking what was kept.
        model_folder: an unpacked SavedModel of the encoder; without it the environment's
            VQA_SENTENCE_ENCODER, then `DOWNLOADED`, then TensorFlow Hub's cache.
        offline: do not try the network.

    Returns:
        (N, 512) float32, rows in the order given.

    Raises:
        InputError: no such encoder, the model is nowhere to be had, or it does not work.
    """
    width = sentence_width(encoder)
    # Broken JSON can hold half characters, which no encoder takes: they become "?".
    questions = [question.encode("utf-8", "replace").decode("utf-8") for question in questions]
    row_of = {question: row for row, question in enumerate(dict.fromkeys(questions))}
    distinct = list(row_of)
    if not distinct:
        return np.zeros((0, width), dtype=np.float32)
    if encoder == HASHED_NGRAMS:
        vectors = hash_ngrams(distinct)
    else:
        vectors = _universal(distinct, Path(cache), model_folder, offline)
    return vectors[[row_of[question] for question in questions]]


def hash_ngrams(questions: Sequence[str]) -> np.ndarray:
    """The offline stand-in for a sentence encoder: words and word pairs, hashed.

    It knows which words a question holds and which follow one another, and nothing of what they
    mean; "couch" and "sofa" are strangers to it. A result that used it must say so.

    Returns:
        (N, 512) float32 of unit length, signed, zeros for a question without words. Needs no
        fit: a question's vector depends on that question alone.
    """
    hashing = HashingVectorizer(
        n_features=_WIDTHS[HASHED_NGRAMS], analyzer=_ngrams, norm="l2", dtype=np.float32
    )
    return hashing.transform(questions).toarray()


def _ngrams(question: str) -> list[str]:
    words = tokenize(question)
    return words + [f"{first} {second}" for first, second in pairwise(words)]


# ---------------------------------------------------------------- where the model is


def named_encoder_folder(model_folder: Path | None = None) -> Path | None:
    """The SavedModel folder the user named, by argument or by VQA_SENTENCE_ENCODER, checked.

    Raises:
        InputError: it is named but holds no SavedModel.
    """
    named = model_folder or os.environ.get(FOLDER_VARIABLE)
    if not named:
        return None
    folder = Path(named).expanduser().resolve()
    if folder.is_file():
        raise InputError(f"sentence encoder {folder}: is a file; unpack it, name the folder")
    if not (folder / "saved_model.pb").is_file():
        raise InputError(
            f"sentence encoder {folder}: is not a SavedModel folder; "
            "name the one that holds saved_model.pb and variables"
        )
    return folder


def hub_encoder_folder() -> Path:
    """Where TensorFlow Hub keeps the encoder: below its cache, named by the handle's SHA-1."""
    cache = os.environ.get("TFHUB_CACHE_DIR") or Path(tempfile.gettempdir(), "tfhub_modules")
    name = hashlib.sha1(USE_HANDLE.encode(), usedforsecurity=False).hexdigest()
    return Path(cache).expanduser().resolve() / name


def _published_encoder_folder() -> Path | None:
    """Where the encoder of `USE_HANDLE` lies on this machine, if it does."""
    places = (DOWNLOADED.resolve(), hub_encoder_folder())
    return next((place for place in places if (place / "saved_model.pb").is_file()), None)


def encoder_is_local(model_folder: Path | None = None) -> bool:
    """Whether the Universal Sentence Encoder can be loaded without the network."""
    return bool(named_encoder_folder(model_folder) or _published_encoder_folder())


def encoder_source(encoder: str, model_folder: Path | None = None) -> str:
    """Which encoder exactly: a stand-in's name, a named folder's fingerprint, or the handle.

    What was downloaded, by whichever of the three ways, is the handle's: a model trained with one
    answers with another.
    """
    if encoder != USE:
        return encoder
    folder = named_encoder_folder(model_folder)
    return f"{USE}, {USE_HANDLE if folder is None else _fingerprint(folder)}"


def _fingerprint(folder: Path) -> str:
    """Which model a folder holds: its graph and the checksums of its weights."""
    digest = hashlib.sha256((folder / "saved_model.pb").read_bytes())
    index = folder / "variables" / "variables.index"
    if index.is_file():
        digest.update(index.read_bytes())
    return f"sha256:{digest.hexdigest()}"


def _unavailable(reason: str) -> InputError:
    return InputError(
        f"the Universal Sentence Encoder cannot be had ({reason}). Three remedies: "
        f"`vqa data download use`, or unpack {USE_HANDLE}?tf-hub-format=compressed yourself and "
        f"name the folder with --sentence-encoder DIR or {FOLDER_VARIABLE}; or fill "
        f"TFHUB_CACHE_DIR (looked for "
        f"{hub_encoder_folder()}); or connect to the network. "
        "Or use --offline for the hashed n-gram stand-in"
    )


# ---------------------------------------------------------------- asking it, once


def _universal(
    questions: list[str], cache: Path, model_folder: Path | None, offline: bool
) -> np.ndarray:
    """Vectors of distinct questions: the kept ones, and the model's for the rest; (N, 512)."""
    named = named_encoder_folder(model_folder)
    model = _fingerprint(named) if named else USE_HANDLE
    store = _store(cache, model)
    vectors, missing = _read_kept(store, questions)
    if not missing:
        return vectors

    source = named or _published_encoder_folder()
    if source is None:
        # A machine without TensorFlow may have been given the vectors another one computed.
        others = [folder for folder in cache.glob(f"{USE}-*") if folder != store]
        if len(others) == 1:
            kept, absent = _read_kept(others[0], questions)
            if not absent:
                log.warning("no sentence encoder is named; using what is kept in %s", others[0])
                return kept
        if offline:
            raise _unavailable("it is not on this machine, and the network is not to be used")
        source = USE_HANDLE
    asked = [questions[row] for row in missing]
    log.info("embedding %d of %d distinct questions with %s", len(asked), len(questions), source)
    try:
        new = use_worker.embed_in_subprocess(str(source), asked, _WIDTHS[USE])
    except use_worker.UnavailableError as error:
        raise _unavailable(str(error)) from error
    vectors[missing] = new
    _keep(store, model, asked, new)
    return vectors


# ---------------------------------------------------------------- what is kept
# A store is a folder per model. Each call that computed something adds a pair of files, vectors
# and manifest, the manifest last: nothing is rewritten, so processes need no lock.


def _store(cache: Path, model: str) -> Path:
    return cache / f"{USE}-{hashlib.sha256(model.encode()).hexdigest()[:12]}"


def _key(question: str) -> str:
    return hashlib.sha256(question.encode()).hexdigest()[:32]


def _read_kept(store: Path, questions: list[str]) -> tuple[np.ndarray, list[int]]:
    """Vectors (N, 512) of the questions that are kept, and the rows that are not."""
    vectors = np.zeros((len(questions), _WIDTHS[USE]), dtype=np.float32)
    wanted = {_key(question): row for row, question in enumerate(questions)}
    for manifest_path in sorted(store.glob("part-*.json")):
        try:
            found = _read_part(manifest_path, wanted)
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            reason = use_worker.one_line(error)
            log.warning("%s: the kept vectors cannot be used (%s)", manifest_path, reason)
            with contextlib.suppress(OSError):
                manifest_path.unlink(missing_ok=True)
                manifest_path.with_suffix(".safetensors").unlink(missing_ok=True)
            continue
        for key, vector in found.items():
            vectors[wanted.pop(key)] = vector
    return vectors, sorted(wanted.values())


def _read_part(manifest_path: Path, wanted: dict[str, int]) -> dict[str, np.ndarray]:
    """The wanted vectors of one pair of files, by key; ValueError where it is damaged."""
    text = manifest_path.read_bytes()
    if manifest_path.stem != _part_name(text):
        raise ValueError("the manifest has changed")
    manifest = json.loads(text)
    rows = {key: row for row, key in enumerate(manifest["questions"]) if key in wanted}
    if not rows:
        return {}
    payload = manifest_path.with_suffix(".safetensors").read_bytes()
    if hashlib.sha256(payload).hexdigest() != manifest["sha256"]:
        raise ValueError("their checksum differs")
    vectors = from_safetensors(payload)["vectors"]
    if vectors.shape != (len(manifest["questions"]), _WIDTHS[USE]):
        raise ValueError(f"shape {vectors.shape}")
    return {key: vectors[row] for key, row in rows.items()}


def _keep(store: Path, model: str, questions: list[str], vectors: np.ndarray) -> None:
    """Add a pair of files to a store; a full or read-only disk costs the next call its time."""
    payload = to_safetensors({"vectors": vectors})
    manifest = {
        "encoder": USE,
        "model": model,
        "sha256": hashlib.sha256(payload).hexdigest(),
        "questions": [_key(question) for question in questions],
    }
    text = json.dumps(manifest).encode()
    path = store / f"{_part_name(text)}.json"
    try:
        write_bytes(path.with_suffix(".safetensors"), payload)
        write_bytes(path, text)
    except OSError as error:
        log.warning("%s: sentence vectors are not kept (%s)", store, use_worker.one_line(error))


def _part_name(manifest: bytes) -> str:
    """A pair is named by its manifest, which holds the vectors' checksum."""
    return f"part-{hashlib.sha256(manifest).hexdigest()[:16]}"
