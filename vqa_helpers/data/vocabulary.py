"""Words of questions, and the words and answers a model knows, built from the train split alone.

Turns questions into ids and answers into targets; knows nothing of files or tensors on devices.
"""

import logging
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, repeat

import numpy as np
import regex

from vqa_helpers.errors import require_count

log = logging.getLogger(__name__)

PAD, UNKNOWN = 0, 1
_RESERVED = ("<pad>", "<unknown>")
OUTSIDE = -1  # the target of an answer outside the vocabulary

STUDY_ANSWERS = 1_000
MOST_WORDS = 128  # read of a question: people ask in less than 30, and one makes all as wide

# Clitics stand apart, as in the corpora that GloVe was trained on: "isn't" is "is" + "n't",
# "what's" is "what" + "'s". Other words end where Unicode has its borders (annex 29): marks such as
# Hindi's vowel signs belong to their letter, and of scripts without spaces, as Chinese and Thai, each
# character is a word. What is raised or lowered stays: "H₂O".
_WORD = regex.compile(
    r"""
    n't(?!\w) | '(?:s|re|ve|ll|d|m)(?!\w)
    | (?w: (?: [\p{L}\p{N}] [\p{M}\p{No}\u200c\u200d]* )+?
           (?= n't(?!\w) | (?<!\p{No})\b | (?![\p{L}\p{N}]) ) )
    """,
    regex.VERBOSE,
)
_MARKS_AS_SPACES = "".join(c if c.isalnum() else " " for c in map(chr, range(128)))


def tokenize(question: str) -> list[str]:
    """The lower-cased words of a question, in order, without punctuation."""
    text = question.lower().replace("’", "'")
    if text.isascii() and "'" not in text:  # as most are: the same words without the expression
        return text.translate(_MARKS_AS_SPACES).split()
    return _WORD.findall(unicodedata.normalize("NFC", text))


def tokenize_all(questions: Iterable[str]) -> list[tuple[str, ...]]:
    """The words of each question; a question asked again shares the words of the first."""
    known: dict[str, tuple[str, ...]] = {}
    once: dict[str, str] = {}  # one copy of each word: less memory, and its hash is at hand
    rows = []
    for text in questions:
        if text not in known:
            known[text] = tuple([once.setdefault(word, word) for word in tokenize(text)])
        rows.append(known[text])
    return rows


@dataclass(frozen=True)
class WordVocabulary:
    """Words in order of frequency; id 0 pads, id 1 stands for every other word.

    Attributes:
        counts: how often the train questions hold each of `words`, 0 for the two that are none;
            None where that is not known, as in a vocabulary that was saved without.
    """

    words: tuple[str, ...]
    counts: tuple[int, ...] | None = field(default=None, repr=False, compare=False)

    @cached_property
    def ids(self) -> dict[str, int]:
        """Word to id."""
        return {word: i for i, word in enumerate(self.words)}

    def __len__(self) -> int:
        return len(self.words)

    @classmethod
    def build(cls, questions: Iterable[Sequence[str]], min_count: int = 1) -> "WordVocabulary":
        """The words that the tokenised train questions hold at least `min_count` times."""
        counts = Counter(chain.from_iterable(questions))
        words = sorted(counts, key=lambda word: (-counts[word], word))
        every = cls((*_RESERVED, *words), (0, 0, *map(counts.__getitem__, words)))
        return every.at_least(min_count)

    def at_least(self, min_count: int) -> "WordVocabulary":
        """The words that train has at least `min_count` times; itself where no counts are known."""
        if self.counts is None:
            return self
        kept = len(_RESERVED) + sum(count >= min_count for count in self.counts[len(_RESERVED) :])
        return WordVocabulary(self.words[:kept], self.counts[:kept])  # most frequent first

    def encode(
        self, questions: Sequence[Sequence[str]], as_sorted_set: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """Token ids (N, T) int32 padded right with 0, and lengths (N,) int64, at least 1.

        Longer questions are cut to their first 128 words, and the log says how many.

        Args:
            as_sorted_set: each question as the sorted set of its word ids, as two of the study's
                notebooks have it; word order is lost.
        """
        known = self.ids.get
        if long := sum(len(words) > MOST_WORDS for words in questions):
            line = "%d of %d questions are cut to their first %d words"
            log.warning(line, long, len(questions), MOST_WORDS)
            questions = [words[:MOST_WORDS] for words in questions]
        if as_sorted_set:
            questions = [sorted({known(word, UNKNOWN) for word in words}) for words in questions]
            ids = chain.from_iterable(questions)
        else:
            ids = map(known, chain.from_iterable(questions), repeat(UNKNOWN))
        lengths = np.fromiter(map(len, questions), dtype=np.int64, count=len(questions))
        tokens = np.full((len(questions), int(lengths.max(initial=1))), PAD, dtype=np.int32)
        ids = np.fromiter(ids, dtype=np.int32, count=int(lengths.sum()))
        tokens[np.arange(tokens.shape[1]) < lengths[:, None]] = ids
        tokens[lengths == 0, 0] = UNKNOWN  # a question without a word
        return tokens, np.maximum(lengths, 1)

    def coverage(self, questions: Sequence[Sequence[str]]) -> float:
        """Percent of the words of `questions` that the vocabulary knows."""
        known = [word in self.ids for words in questions for word in words]
        return 100 * float(np.mean(known)) if known else 0.0


@dataclass(frozen=True)
class AnswerVocabulary:
    """The answers a model can give, most frequent first."""

    answers: tuple[str, ...]

    @cached_property
    def ids(self) -> dict[str, int]:
        """Answer to id."""
        return {answer: i for i, answer in enumerate(self.answers)}

    def __len__(self) -> int:
        return len(self.answers)

    @classmethod
    def build(cls, answers: Iterable[str], most: int = STUDY_ANSWERS) -> "AnswerVocabulary":
        """The `most` most frequent target answers of the train split (VQA 2015, section 4); an empty
        text is none."""
        require_count("most", most)
        counts = Counter(filter(str.strip, answers))
        ranked = sorted(counts, key=lambda answer: (-counts[answer], answer))
        return cls(tuple(ranked[:most]))

    def encode(self, answers: Iterable[str]) -> np.ndarray:
        """Targets (N,) int64; -1 where the answer is outside the vocabulary."""
        return np.array([self.ids.get(answer, OUTSIDE) for answer in answers], dtype=np.int64)
