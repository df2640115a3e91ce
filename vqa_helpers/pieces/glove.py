"""Frozen word vectors: published GloVe files read, or a stand-in learned from the questions.

Both are text files of one form, a word and its numbers a line, read by one loader.
"""

import gzip
import hashlib
import logging
import os
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from scipy import sparse
from sklearn.utils.extmath import randomized_svd
from torch import Tensor

from vqa_helpers.errors import InputError
from vqa_helpers.files import write_bytes

log = logging.getLogger(__name__)

LEARNED_WORDS = "learned-"  # how the stand-in's files begin
LEARNED_STAND_IN = "word vectors learned from the training questions, for GloVe"
GLOVE_VARIABLE = "VQA_GLOVE"
GLOVE_URL = "https://nlp.stanford.edu/data/glove.6B.zip"
DOWNLOADED = Path("data", "glove")  # where `vqa data download glove` unpacks it

_NUMBERS = b"0123456789.eE+- "  # every byte that a line of numbers is made of
_DECIMAL = re.compile(rb"-?\d*\.\d+(e[-+]?\d+)?")
_HEADER = re.compile(rb"\d+ \d+")
_WINDOW = 5  # words to either side that count as neighbours: most questions are shorter
_SMOOTHING = 0.75  # of the context counts, so that rare neighbours do not look significant
_ENTRY_SIZE = 0.5  # root mean square of the learned entries, whatever the size of the corpus


# ---------------------------------------------------------------- reading


def read_glove(path: Path, words: Sequence[str], dim: int) -> tuple[Tensor, str]:
    """The vectors of some words out of a GloVe file.

    The file is streamed and only the wanted words are kept. Every line's width and characters
    are checked; its numbers are parsed where the word is wanted. A line "400000 50" at the top,
    word2vec's header, is passed over.

    Args:
        path: text, `.gz`, or a `.zip` with such a text in it, of which `….<dim>d.txt` is read.
        words: V words as the file spells them; the first two stand for no word and for any other.
        dim: the width D.

    Returns:
        (V, D), zeros where the file lacks the word; and which vectors exactly.

    Raises:
        InputError: no such file or member, it is empty or damaged, or a line is malformed.
    """
    wanted = {word.encode("utf-8", "replace"): row for row, word in enumerate(words)}
    try:
        with _open_text(path, dim) as (stream, name):
            vectors = _scan(stream, name, wanted, dim)
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile, RuntimeError) as error:
        raise InputError(f"{path}: cannot be read ({error}); is the download complete?") from error
    matrix = np.zeros((len(words), dim), dtype=np.float32)
    for word, vector in vectors.items():
        matrix[wanted[word]] = vector
    share = 100 * len(vectors) / max(len(words) - 2, 1)
    log.info("%s: knows %.1f %% of the train words", path, share)
    digest = hashlib.sha256(matrix.data).hexdigest()
    return torch.from_numpy(matrix), f"word vectors, sha256 {digest}"


@contextmanager
def _open_text(path: Path, dim: int) -> Iterator[tuple[BinaryIO, str]]:
    """The file's lines as bytes, and its name for messages."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            member = _member(path, archive.namelist(), dim)
            with archive.open(member) as stream:
                yield stream, f"{path}/{member}"
    else:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as stream:
            yield stream, str(path)


def _member(path: Path, names: list[str], dim: int) -> str:
    texts = [name for name in names if name.endswith(".txt") and not name.startswith("__MACOSX")]
    fitting = [name for name in texts if name.endswith(f".{dim}d.txt")]
    if not fitting and len(texts) != 1:
        held = ", ".join(names[:6]) or "nothing"
        raise InputError(f"{path}: no member named like glove.6B.{dim}d.txt (it holds {held})")
    return (fitting or texts)[0]


def _scan(
    stream: BinaryIO, name: str, wanted: dict[bytes, int], dim: int
) -> dict[bytes, np.ndarray]:
    """The vectors of the wanted words, the first of equal ones."""
    vectors: dict[bytes, np.ndarray] = {}
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
        if sound and word in wanted and word not in vectors:
            vectors[word] = _vector(numbers)
            sound = np.isfinite(vectors[word]).all()
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


def find_glove(path: Path | None, dim: int) -> Path | None:
    """The GloVe file to read, or None.

    Args:
        path: what the user named: a file, or a folder of them; then the environment's VQA_GLOVE;
            then the published names are looked for where downloads are kept.
        dim: the width wanted.

    Raises:
        InputError: a file is named and is not there.
    """
    named = path or os.environ.get(GLOVE_VARIABLE)
    place = Path(named).expanduser() if named else DOWNLOADED
    if named and place.is_file():
        return place
    stem = f"glove.6B.{dim}d"
    names = [f"{stem}.txt", f"{stem}.txt.gz", f"{stem}.zip", "glove.6B.zip"]
    found = next((place / name for name in names if (place / name).is_file()), None)
    if named and found is None:
        what = f"none of {', '.join(names)} is in it" if place.is_dir() else "no such file"
        raise InputError(f"GloVe vectors {place}: {what}; check --glove or {GLOVE_VARIABLE}")
    return found


def no_glove(dim: int) -> InputError:
    """What to do where there is no GloVe file."""
    return InputError(
        f"no GloVe vectors of width {dim} in {DOWNLOADED}: download {GLOVE_URL} into it, or name a "
        f"file with --glove FILE or {GLOVE_VARIABLE}; or use --offline for the stand-in, "
        f"{LEARNED_STAND_IN}"
    )


# ---------------------------------------------------------------- the stand-in


def learn_vectors(questions: Sequence[Sequence[str]], path: Path, dim: int) -> None:
    """Learn word vectors from questions and write them as a GloVe text file: the stand-in.

    Words that have the same neighbours get similar vectors: the counts of words within five words
    of one another, a pair at distance d weighing 1/d as in GloVe, become positive pointwise
    mutual information,

        ppmi(w, c) = max(0, log(p(w, c) / (p(w) p(c)))),   p(c) from counts to the power 3/4,

    whose singular value decomposition U S V, cut at `dim`, gives the rows U sqrt(S) (Levy,
    Goldberg and Dagan, 2015). A few thousand questions teach far less than GloVe's six billion
    words; a result that used these must say so. The questions' order does not matter.

    Args:
        questions: the words of each training question, and of no other.
        path: the file to write, atomically; most frequent words first.
        dim: width; a vocabulary with fewer words is padded with zeros.

    Raises:
        InputError: there is no word.
    """
    counts = Counter(chain.from_iterable(questions))
    words = sorted(counts, key=lambda word: (-counts[word], word))
    if not words:
        raise InputError(f"there is no word in {len(questions)} training questions to learn")
    vectors = _factor(_ppmi(_neighbours(questions, words)), dim)
    lines = (
        f"{word} {' '.join(f'{entry:.6f}' for entry in vector)}\n"
        for word, vector in zip(words, vectors, strict=True)
    )
    write_bytes(path, "".join(lines).encode("utf-8", "replace"))


def _neighbours(questions: Sequence[Sequence[str]], words: list[str]) -> sparse.csr_array:
    """How often words stand near one another, (V, V), symmetric, weighed by nearness."""
    row_of = {word: row for row, word in enumerate(words)}
    size = len(words)
    # One long line of words, with enough of -1 between two questions that no window reaches across.
    gap = [-1] * _WINDOW
    lines = ([*map(row_of.get, question), *gap] for question in questions)
    line = np.array(list(chain.from_iterable(lines)))
    total = sparse.csr_array((size, size), dtype=np.float64)
    for distance in range(1, _WINDOW + 1):
        left, right = line[:-distance], line[distance:]
        both = (left >= 0) & (right >= 0)
        pairs = (np.ones(both.sum()), (left[both], right[both]))
        # Whole counts are summed before they are divided: exact in any order of the questions.
        total = total + sparse.coo_array(pairs, shape=(size, size)).tocsr() / distance
    return (total + total.T).tocsr()


def _ppmi(counts: sparse.csr_array) -> sparse.csr_array:
    """Positive pointwise mutual information of a symmetric count matrix, (V, V)."""
    near = counts.tocoo()
    occurrences = np.asarray(counts.sum(axis=1)).ravel()
    contexts = occurrences**_SMOOTHING
    expected = occurrences[near.row] * contexts[near.col] / contexts.sum()
    information = np.maximum(np.log(near.data / expected), 0.0)
    return sparse.coo_array((information, (near.row, near.col)), shape=counts.shape).tocsr()


def _factor(association: sparse.csr_array, dim: int) -> np.ndarray:
    """The first `dim` directions of a (V, V) matrix, each word's place in them; (V, dim)."""
    size = association.shape[0]
    vectors = np.zeros((size, dim))
    kept = min(dim, size)
    left, strength, _ = randomized_svd(association, kept, n_iter=7, random_state=0)
    vectors[:, :kept] = left * np.sqrt(strength)
    # A direction's sign is arbitrary: its largest entry is made positive.
    largest = vectors[np.abs(vectors).argmax(axis=0), np.arange(dim)]
    vectors *= np.where(largest < 0, -1.0, 1.0)
    # Of questions of one word, none of which has neighbours, all stay zero.
    vectors *= _ENTRY_SIZE / max(np.sqrt(np.mean(vectors[:, :kept] ** 2)), 1e-9)
    return np.round(vectors, 6) + 0.0  # no "-0.000000" in the file
