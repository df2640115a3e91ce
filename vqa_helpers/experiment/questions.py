"""The question side of an experiment: vocabularies learnt from the train split, every split's
questions as numbers, and the frozen vectors that some presets read with.
"""

import hashlib
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path

import torch
from torch import Tensor

from vqa_helpers.data.folder import Dataset
from vqa_helpers.data.text import tokenize_all
from vqa_helpers.experiment.options import Options
from vqa_helpers.files import is_sealed, locked, seal
from vqa_helpers.language.sentence import HASHED_NGRAMS, USE, encoder_is_local, encoder_source
from vqa_helpers.language.word_vectors import (
    STAND_IN_NAME,
    find_glove,
    learn_vectors,
    read_glove,
    require_glove,
)
from vqa_helpers.model.config import Glove, Questions
from vqa_helpers.training.tensors import Encoded, Vocabularies, encode_questions

log = logging.getLogger(__name__)

HASHED_SENTENCES = "hashed n-grams for the Universal Sentence Encoder"
LEARNED_WORDS = f"{STAND_IN_NAME}, for GloVe"


@dataclass(frozen=True)
class QuestionSide:
    """What a model reads.

    Attributes:
        vocabularies: learnt from the train split.
        encoded: each split's questions, as `encode_questions` returns them.
        word_vectors: GloVe's row for each word id (V, D); None for presets that learn theirs.
        source: which frozen vectors questions are read with; None where all are learnt.
        stand_in: what took the place of frozen vectors that had to be downloaded.
    """

    vocabularies: Vocabularies
    encoded: dict[str, Encoded]
    word_vectors: Tensor | None = None
    source: str | None = None
    stand_in: str | None = None


def open_questions(spec: Questions, dataset: Dataset, options: Options) -> QuestionSide:
    """Learn the vocabularies and read every split as a preset's language channel needs it.

    Raises:
        InputError: when the frozen vectors that the preset reads with are not here, or damaged.
    """
    vocabularies = Vocabularies.build(dataset.splits["train"], spec, _sentence_encoder(options))
    word_vectors = source = stand_in = None
    if isinstance(spec, Glove):
        word_vectors, learned = _word_vectors(spec, dataset, vocabularies, options)
        stand_in = LEARNED_WORDS if learned else None
        source = f"word vectors, sha256 {hashlib.sha256(word_vectors.numpy().data).hexdigest()}"
    if vocabularies.sentence_encoder:
        source = encoder_source(vocabularies.sentence_encoder, options.sentence_encoder)
        stand_in = HASHED_SENTENCES if source == HASHED_NGRAMS else None
    # One call for all splits: a sentence encoder costs a process of its own each time.
    encoded = encode_questions(
        [text for table in dataset.splits.values() for text in table["question"]],
        spec,
        vocabularies,
        cache=options.features / dataset.name / "sentences",
        model_folder=options.sentence_encoder,
        offline=options.offline,
    )
    parts = _apart(encoded, map(len, dataset.splits.values()))
    return QuestionSide(
        vocabularies,
        dict(zip(dataset.splits, parts, strict=True)),
        word_vectors,
        source,
        stand_in,
    )


def _apart(encoded: Encoded, counts: Iterable[int]) -> list[Encoded]:
    """What was encoded together, as parts of so many questions each."""
    bounds = accumulate(counts, initial=0)
    return [
        tuple(None if part is None else part[start:end] for part in encoded)
        for start, end in pairwise(bounds)
    ]


def _sentence_encoder(options: Options) -> str:
    """The sentence encoder to use: its stand-in only offline, and only where it is not here."""
    if options.offline and not encoder_is_local(options.sentence_encoder):
        return HASHED_NGRAMS
    return USE


def _word_vectors(
    spec: Glove, dataset: Dataset, vocabularies: Vocabularies, options: Options
) -> tuple[Tensor, bool]:
    """GloVe's row for each word id (V, D), and whether the stand-in took its place."""
    downloads = Path("data") / "glove"
    path = find_glove(options.glove, downloads, spec.dim)
    learned = path is None and options.offline
    if learned:
        train = dataset.splits["train"]
        name = f"learned-{dataset.sha256()[:12]}.{spec.dim}d.txt"
        path = options.features / dataset.name / "words" / name
        with locked(path.with_name(".lock")):
            if not is_sealed(path):  # a flipped digit would be another vector
                learn_vectors(tokenize_all(train["question"]), path, spec.dim)
                seal(path)
                log.info("%s: %s", path, STAND_IN_NAME)
    elif path is None:
        path = require_glove(options.glove, downloads, spec.dim)
    matrix, found = read_glove(path, vocabularies.words.words, spec.dim)
    log.info("%s: knows %.1f %% of the train words", path, 100 * found[2:].mean())
    return torch.from_numpy(matrix), learned
