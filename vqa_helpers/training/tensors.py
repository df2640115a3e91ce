"""Tables become tensors: questions by the encoder's own words, answers by the vocabulary, images
by row.

The only place where text meets numbers; the loop after it knows numbers alone.
"""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from vqa_helpers.data.text import tokenize
from vqa_helpers.data.vocabulary import AnswerVocabulary, WordVocabulary
from vqa_helpers.errors import InputError
from vqa_helpers.files import write_text
from vqa_helpers.language.sentence import embed_sentences
from vqa_helpers.model.config import Glove, Sentences, Words
from vqa_helpers.training.batches import QuestionTensors

log = logging.getLogger(__name__)

VOCABULARY = "vocabulary.json"


@dataclass(frozen=True)
class Vocabularies:
    """All that turns text into numbers, and numbers back; learnt from the train split.

    Attributes:
        answers: what the model can answer.
        words: what it can read; None where a sentence encoder reads for it.
        sentence_encoder: its name; None where the model learns words.
    """

    answers: AnswerVocabulary
    words: WordVocabulary | None = None
    sentence_encoder: str | None = None

    @classmethod
    def build(
        cls, train: pd.DataFrame, spec: Words | Glove | Sentences, sentence_encoder: str
    ) -> "Vocabularies":
        """Learn the vocabularies that a language piece needs."""
        answers = AnswerVocabulary.build(train["answer"])
        if isinstance(spec, Sentences):
            return cls(answers, sentence_encoder=sentence_encoder)
        min_count = spec.min_count if isinstance(spec, Words) else 1
        return cls(answers, WordVocabulary.build(map(tokenize, train["question"]), min_count))

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
    spec: Words | Glove | Sentences,
    vocabularies: Vocabularies,
    *,
    cache: Path,
    model_folder: Path | None = None,
    offline: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Questions as a language piece takes them.

    Args:
        cache: folder that keeps sentence vectors.
        model_folder: of the sentence encoder.

    Returns:
        Token ids (N, T) int and lengths (N,), or sentence vectors (N, S) and None.
    """
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
    tokens, lengths = vocabularies.words.encode(list(map(tokenize, questions)), sorted_set)
    return torch.from_numpy(tokens), torch.from_numpy(lengths)


def split_tensors(
    table: pd.DataFrame,
    encoded: tuple[Tensor, Tensor | None],
    image_ids: np.ndarray,
    answers: AnswerVocabulary,
) -> QuestionTensors:
    """A table's questions with the rows of their images and their targets.

    Args:
        encoded: as `encode_questions` returns it.
        image_ids: (I,) ascending: the image of each row.
    """
    question, lengths = encoded
    rows = np.searchsorted(image_ids, table["image_id"].to_numpy())
    if "answer" in table.columns:
        target = answers.encode(table["answer"])
    else:
        target = np.full(len(table), -1, dtype=np.int64)
    return QuestionTensors(question, lengths, torch.from_numpy(rows), torch.from_numpy(target))
