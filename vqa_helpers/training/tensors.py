"""Tables become tensors: questions by the encoder's own words, answers by the vocabulary, images
by row.

The only place where text meets numbers; the loop after it knows numbers alone.
"""

import json
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from vqa_helpers.data.text import clean_white_space, normalise, tokenize_all
from vqa_helpers.data.vocabulary import OUTSIDE, AnswerVocabulary, WordVocabulary
from vqa_helpers.errors import InputError
from vqa_helpers.evaluation.metrics import vqa_accuracy
from vqa_helpers.files import write_text
from vqa_helpers.language.sentence import embed_sentences
from vqa_helpers.model.config import Glove, Questions, Sentences, Words
from vqa_helpers.training.batches import QuestionTensors
from vqa_helpers.training.losses import SoftScores

log = logging.getLogger(__name__)

VOCABULARY = "vocabulary.json"

Encoded = tuple[Tensor | None, Tensor | None]


@dataclass(frozen=True)
class Vocabularies:
    """All that turns text into numbers, and numbers back; learnt from the train split.

    Attributes:
        answers: what the model can answer.
        words: what it can read; None where a sentence encoder reads for it, or nothing does.
        sentence_encoder: its name; None where the model learns words, or reads nothing.
    """

    answers: AnswerVocabulary
    words: WordVocabulary | None = None
    sentence_encoder: str | None = None

    @classmethod
    def build(cls, train: pd.DataFrame, spec: Questions, sentence_encoder: str) -> "Vocabularies":
        """Learn the vocabularies that a language piece needs."""
        answers = AnswerVocabulary.build(train["answer"])
        if isinstance(spec, Sentences):
            return cls(answers, sentence_encoder=sentence_encoder)
        if spec is None:
            return cls(answers)
        min_count = 1 if isinstance(spec, Glove) else spec.min_count
        return cls(answers, WordVocabulary.build(tokenize_all(train["question"]), min_count))

    def save(self, folder: Path) -> None:
        """Write `vocabulary.json`."""
        content = {
            "answers": list(self.answers.answers),
            "words": list(self.words.words) if self.words else None,
            "sentence_encoder": self.sentence_encoder,
        }
        write_text(folder / VOCABULARY, json.dumps(content, ensure_ascii=False, indent=0))

    @classmethod
    def load(cls, folder: Path) -> "Vocabularies":
        """Read `vocabulary.json`."""
        path = folder / VOCABULARY
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            words = content["words"]
            return cls(
                AnswerVocabulary(tuple(content["answers"])),
                WordVocabulary(tuple(words)) if words else None,
                content["sentence_encoder"],
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path}: cannot be read ({error}); train the run again") from None


def encode_questions(
    questions: Sequence[str],
    spec: Questions,
    vocabularies: Vocabularies,
    *,
    cache: Path,
    model_folder: Path | None = None,
    offline: bool = False,
) -> Encoded:
    """Questions as a language piece takes them.

    Args:
        cache: folder that keeps sentence vectors.
        model_folder: of the sentence encoder.

    Returns:
        Token ids (N, T) int and lengths (N,), or sentence vectors (N, S) and None, or None twice
        where no question is read.
    """
    if spec is None:
        return None, None
    if isinstance(spec, Sentences):
        vectors = embed_sentences(
            questions,
            vocabularies.sentence_encoder,
            cache=cache,
            model_folder=model_folder,
            offline=offline,
        )
        return torch.from_numpy(vectors), None
    sorted_set = isinstance(spec, Words) and spec.sorted_set
    tokens, lengths = vocabularies.words.encode(tokenize_all(questions), sorted_set)
    return torch.from_numpy(tokens), torch.from_numpy(lengths)


def split_tensors(
    table: pd.DataFrame,
    encoded: Encoded,
    image_ids: np.ndarray,
    answers: AnswerVocabulary,
    soft: bool = False,
) -> QuestionTensors:
    """A table's questions with the rows of their images and their targets.

    Args:
        encoded: as `encode_questions` returns it.
        image_ids: (I,) ascending: the image of each row.
        soft: whether the soft scores are wanted too.
    """
    question, lengths = encoded
    rows = np.searchsorted(image_ids, table["image_id"].to_numpy())
    answered = "answer" in table.columns
    if answered:
        target = answers.encode(table["answer"])
    else:
        target = np.full(len(table), OUTSIDE, dtype=np.int64)
    return QuestionTensors(
        question,
        lengths,
        torch.from_numpy(rows),
        torch.from_numpy(target),
        soft_scores(table["answers"], answers) if soft and answered else None,
    )


def soft_scores(given: Iterable[Sequence[str]], vocabulary: AnswerVocabulary) -> SoftScores:
    """How much of the official accuracy each answer would earn, question by question.

    What an annotator wrote counts for the answer of the vocabulary that is the same text, or else
    for the most frequent one that is the same after the official normalisation of both. An answer
    that m of ten annotators gave scores 0.3, 0.6, 0.9, and 1 from m = 4 on (see `metrics.vqa_accuracy`);
    where n annotators answered, m is scaled to ten, 10 m / n, so that a lone answer scores 1.

    Args:
        given: (N) what the annotators of each question wrote.
    """
    given = list(given)
    people = np.fromiter(map(len, given), dtype=np.int64, count=len(given))
    known = _Reader(vocabulary)
    ids = np.fromiter(map(known.__getitem__, chain.from_iterable(given)), dtype=np.int64)
    questions = np.repeat(np.arange(len(given)), people)[ids != OUTSIDE]
    pairs, agreeing = np.unique(
        questions * len(vocabulary) + ids[ids != OUTSIDE], return_counts=True
    )  # (P,) each: a question and an answer that somebody gave
    questions, ids = np.divmod(pairs, len(vocabulary))
    scores = vqa_accuracy(10 * agreeing / people[questions], 10)
    place = np.arange(len(pairs)) - np.searchsorted(questions, questions)  # within its question
    shape = len(given), int(place.max(initial=0)) + 1
    padded = np.zeros(shape, dtype=np.int32), np.zeros(shape, dtype=np.float32)
    for kept, values in zip(padded, (ids, scores), strict=True):
        kept[questions, place] = values
    return SoftScores(*map(torch.from_numpy, padded))


class _Reader(dict[str, int]):
    """What an annotator wrote to the answer it counts for, each text normalised once."""

    def __init__(self, vocabulary: AnswerVocabulary) -> None:
        super().__init__(vocabulary.ids)
        self._normal: dict[str, int] = {}
        for text, answer_id in vocabulary.ids.items():
            self._normal.setdefault(normalise(clean_white_space(text)), answer_id)

    def __missing__(self, text: str) -> int:
        self[text] = self._normal.get(normalise(clean_white_space(text)), OUTSIDE)
        return self[text]
