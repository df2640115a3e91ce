"""The annotators' answers of a split as numbers, so that hundreds of thousands are scored at once.

Each distinct text is normalised once and gets a number; two texts that the official rules hold
equal get the same one. `metrics.vqa_score` states the rule for one question. Knows nothing of
models.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Literal

import numpy as np
import pandas as pd

from vqa_helpers.data.text import clean_white_space, normalise, strip_punctuation

Normaliser = Literal["2021", "2015"]

NOBODY = -1  # pads the rows of questions with fewer annotators than others


class Annotators:
    """Who said what.

    Args:
        answers: for each question the annotators' answers, as they are; at least one each.
        normaliser: the version of the official code, see `metrics.vqa_score`.
    """

    def __init__(self, answers: Iterable[Sequence[str]], normaliser: Normaliser = "2021") -> None:
        answers = list(answers)
        self.normaliser = normaliser
        self._numbers: dict[str, int] = {}
        self._count = np.fromiter(map(len, answers), dtype=np.int64, count=len(answers))  # (N,)
        texts = np.array([text for given in answers for text in given], dtype=object)
        codes, distinct = pd.factorize(texts)
        if normaliser == "2021":
            plain = self._numbered(distinct, clean_white_space)[codes]
            changed = self._numbered(distinct, lambda t: normalise(clean_white_space(t)))[codes]
        else:
            plain = self._numbered(distinct, str)[codes]
            changed = self._numbered(distinct, strip_punctuation)[codes]
        said = self._rows(plain)
        self._unanimous = np.all((said == said[:, :1]) | (said == NOBODY), axis=1)  # (N,)
        # Where all agree nothing of theirs is normalised, in either version.
        self._said = np.where(self._unanimous[:, None], said, self._rows(changed))  # (N, A)

    def __len__(self) -> int:
        return len(self._count)

    def score(self, predictions: Sequence[str]) -> np.ndarray:
        """The official accuracy of an answer to each question, (N,) 0 to 1."""
        if len(predictions) != len(self):
            raise ValueError(f"{len(predictions)} predictions for {len(self)} questions")
        plain, changed = self._of_prediction(predictions)
        meant = np.where(self._unanimous, plain, changed)
        return self._accuracy((self._said == meant[:, None]).sum(axis=1))

    def best(self, vocabulary: Sequence[str]) -> np.ndarray:
        """The highest accuracy that any answer of `vocabulary` gets at each question, (N,)."""
        plain, changed = self._of_prediction(vocabulary)
        known = np.where(self._unanimous[:, None], self._among(plain), self._among(changed))
        matches = np.zeros(len(self), dtype=np.int64)
        for one in range(self._said.shape[1]):  # what each annotator said, where it can be said
            agreeing = (self._said == self._said[:, one : one + 1]).sum(axis=1)
            matches = np.maximum(matches, np.where(known[:, one], agreeing, 0))
        return self._accuracy(matches)

    def _among(self, numbers: np.ndarray) -> np.ndarray:
        """Where an annotator's answer is one of `numbers`, (N, A)."""
        sayable = np.zeros(len(self._numbers) + 1, dtype=bool)  # the last is NOBODY's
        sayable[numbers] = True
        return sayable[self._said]

    def _of_prediction(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Numbers of predictions (P,): where the annotators are unanimous, and elsewhere."""
        codes, distinct = pd.factorize(np.array(list(texts), dtype=object))
        changed = self._numbered(distinct, lambda text: normalise(clean_white_space(text)))
        if self.normaliser == "2015":
            return changed[codes], changed[codes]
        return self._numbered(distinct, clean_white_space)[codes], changed[codes]

    def _numbered(self, texts: Iterable[str], form: Callable[[str], str]) -> np.ndarray:
        numbers = self._numbers
        forms = [form(text) for text in texts]
        return np.array([numbers.setdefault(text, len(numbers)) for text in forms], dtype=np.int32)

    def _rows(self, flat: np.ndarray) -> np.ndarray:
        """One row a question, (N, A), A the most annotators that a question has."""
        rows = np.full((len(self), int(self._count.max(initial=1))), NOBODY, dtype=np.int32)
        rows[np.arange(rows.shape[1]) < self._count[:, None]] = flat
        return rows

    def _accuracy(self, matches: np.ndarray) -> np.ndarray:
        """The mean over the annotators, each left out once; see `metrics.vqa_score`."""
        matching = matches * np.clip((matches - 1) / 3, 0, 1)
        return (matching + (self._count - matches) * np.minimum(1, matches / 3)) / self._count
