"""Frozen word vectors: published GloVe files read, or a stand-in learned from the questions.

Both are text files of one form, a word and its numbers a line, read by one loader.
"""

import gzip
import hashlib
import logging
import os
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
    elif path.suffix == ".gz":
        with gzip.open(path, "rb") as stream:
            yield stream, str(path)
    else:
        with path.open("rb") as stream:
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
    for number, raw in enumerate(stream, start=1):
        line = raw.rstrip()
        if not line or (number == 1 and _is_header(line)):
            continue
        entries += 1
        if line.count(b" ") == dim:
            word, numbers = line.split(b" ", 1)
        else:
            word, numbers = _long_word(line, dim, name, number)
        if numbers.translate(None, _NUMBERS):
            raise _no_number(name, number, numbers)
        if word in wanted and word not in vectors:
            vectors[word] = _parse(numbers, name, number)
    if not entries:
        raise InputError(f"{name}: holds no word vectors; is the download complete?")
    return vectors


def _is_header(line: bytes) -> bool:
    fields = line.split(b" ")
    return len(fields) == 2 and all(field.isdigit() for field in fields)


def _long_word(line: bytes, width: int, name: str, number: int) -> tuple[bytes, bytes]:
    """A word with spaces in it ("at name@domain.com") and its numbers, the last `width` fields.

    Raises:
        InputError: the line is no such thing, but one with too few numbers or too many.
    """
    parts = line.rsplit(b" ", width)
    if len(parts) == width + 1 and not _looks_numeric(parts[0].rsplit(b" ", 1)[-1]):
        return parts[0], line[len(parts[0]) + 1 :]
    found = 0
    for field in reversed(line.split(b" ")[1:]):
        if not field or field.translate(None, _NUMBERS):
            break
        found += 1
    raise InputError(
        f"{name}: line {number}: expected {width} numbers after the word, found {found}; "
        "is the download complete, and the width the right one?"
    )


def _looks_numeric(field: bytes) -> bool:
    """Whether a field has the form of a vector's entry, as no published word's last part has."""
    return b"." in field and field.strip(b"-.") != b"" and not field.translate(None, _NUMBERS)


def _parse(numbers: bytes, name: str, number: int) -> np.ndarray:
    try:
        with np.errstate(over="ignore"):  # too large becomes infinite, which is refused below
            vector = np.array(list(map(float, numbers.split(b" "))), dtype=np.float32)
    except ValueError:
        raise _no_number(name, number, numbers) from None
    if not np.isfinite(vector).all():
        raise InputError(f"{name}: line {number}: a number is too large for a vector's entry")
    return vector


def _no_number(name: str, number: int, numbers: bytes) -> InputError:
    for field in numbers.split(b" "):
        try:
            if np.isfinite(float(field)):
                continue
        except ValueError:
            pass
        shown = field[:30].decode("utf-8", "replace")
        return InputError(f"{name}: line {number}: {shown!r} is not a finite number")
    return InputError(f"{name}: line {number}: holds something that is not a number")


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


def learn_vectors(
    questions: Sequence[Sequence[str]], path: Path, dim: int = 50, min_count: int = 1
) -> None:
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
        min_count: rarer words get no vector.

    Raises:
        InputError: no word occurs `min_count` times.
    """
    counts = Counter(chain.from_iterable(questions))
    words = sorted((w for w in counts if counts[w] >= min_count), key=lambda w: (-counts[w], w))
    if not words:
        raise InputError(f"no word occurs {min_count} times in {len(questions)} training questions")
    association = _ppmi(_neighbours(questions, words))
    vectors = _factor(association, dim)
    lines = (
        f"{word} {' '.join(f'{entry:.6f}' for entry in vector)}\n"
        for word, vector in zip(words, vectors, strict=True)
    )
    write_bytes(path, "".join(lines).encode("utf-8", "replace"))


def _neighbours(questions: Sequence[Sequence[str]], words: list[str]) -> sparse.csr_array:
    """How often words stand near one another, (V, V), symmetric, weighed by nearness."""
    row_of = {word: row for row, word in enumerate(words)}
    size = len(words)
    # One long line of words; -1 for the rare, and enough of them between two questions that no
    # window reaches across.
    gap = [-1] * _WINDOW
    line = np.array(
        [row for question in questions for row in (*(row_of.get(w, -1) for w in question), *gap)],
        dtype=np.int64,
    )
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
    expected = occurrences[near.row] * contexts[near.col] / max(contexts.sum(), 1.0)
    information = np.maximum(np.log(near.data / expected), 0.0)
    matrix = sparse.coo_array((information, (near.row, near.col)), shape=counts.shape).tocsr()
    matrix.eliminate_zeros()
    return matrix


def _factor(association: sparse.csr_array, dim: int) -> np.ndarray:
    """The first `dim` directions of a (V, V) matrix, each word's place in them; (V, dim)."""
    size = association.shape[0]
    vectors = np.zeros((size, dim))
    if association.nnz == 0:  # questions of one word: no word has neighbours
        return vectors
    kept = min(dim, size)
    left, strength, _ = randomized_svd(association, kept, n_iter=7, random_state=0)
    vectors[:, :kept] = left * np.sqrt(strength)
    # A direction's sign is arbitrary: its largest entry is made positive.
    largest = vectors[np.abs(vectors).argmax(axis=0), np.arange(dim)]
    vectors *= np.where(largest < 0, -1.0, 1.0)
    vectors *= _ENTRY_SIZE / np.sqrt(np.mean(vectors[:, :kept] ** 2))
    return np.round(vectors, 6) + 0.0  # no "-0.000000" in the file
