"""Blind baselines: answers learnt from the train split without looking at an image.

A model's score means something only beside these. `nearest_question_and_image`, which sees, never
counts as blind.
"""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import pandas as pd
from scipy import sparse

from vqa_helpers.data.vocabulary import AnswerVocabulary, tokenize
from vqa_helpers.evaluation.metrics import percent, vqa_scores

Guesser = Callable[[pd.DataFrame], list[str]]

NEAREST = 4  # distinct questions (VQA 2015, section 4, asks for as many)
CHUNK_CELLS = 1 << 21  # similarities held at a time, 8 MB: what a cache holds is twice as fast


def answered(train: pd.DataFrame) -> pd.DataFrame:
    """The questions that a guesser learns from: those with an answer; an empty text is none."""
    return train[train["answer"].str.strip() != ""]


def most_frequent(train: pd.DataFrame) -> Guesser:
    """Always the most frequent answer of the train split; of equals the first in the alphabet."""
    (answer,) = AnswerVocabulary.build(train["answer"], 1).answers
    return lambda table: [answer] * len(table)


def always_yes(train: pd.DataFrame) -> Guesser:
    """ "yes", whatever is asked ("prior", VQA 2015, section 4)."""
    return lambda table: ["yes"] * len(table)


def most_frequent_per_question_type(train: pd.DataFrame) -> Guesser:
    """The most frequent answer of the question's type ("per Q-type prior", VQA 2015)."""
    return _per_key(train, lambda table: table["question_type"], most_frequent(train))


def most_frequent_per_question(train: pd.DataFrame) -> Guesser:
    """The most frequent answer to the very same question, else to its type.

    On drawn or templated questions it is the strongest guess without an image.
    """
    fallback = most_frequent_per_question_type(train)
    return _per_key(train, lambda table: table["question"].str.lower(), fallback)


def _per_key(
    train: pd.DataFrame, key: Callable[[pd.DataFrame], pd.Series], fallback: Guesser
) -> Guesser:
    """The most frequent answer of each key, of equals the first in the alphabet."""
    counts = train.groupby([key(train).rename("key"), "answer"]).size()
    counts = counts.sort_values(ascending=False, kind="stable").reset_index()
    guesses = counts.drop_duplicates("key").set_index("key")["answer"].to_dict()

    def guess(table: pd.DataFrame) -> list[str]:
        pairs = zip(key(table), fallback(table), strict=True)
        return [guesses.get(own, other) for own, other in pairs]

    return guess


class QuestionSpace:
    """The distinct questions of a train split, compared by the cosine of their word counts.

    Attributes:
        texts: (T,) the distinct lower-cased questions, in alphabetical order.
        rows: (N,) the text of each train question.
    """

    def __init__(self, train: pd.DataFrame) -> None:
        # Takes half a second, and a dataset's guesses are made once.
        from sklearn.feature_extraction.text import TfidfVectorizer

        self.rows, self.texts = pd.factorize(_texts(train), sort=True)
        # No inverse document frequency: it weakens "how many" and "is there", which tell the
        # kind of the answer. On a held-out eighth of 48,000 VQA v2 questions: 24.8 % for 27.2 %.
        self._counts = TfidfVectorizer(
            tokenizer=tokenize, token_pattern=None, lowercase=False, use_idf=False, dtype=np.float32
        )
        self._counts.fit([*self.texts, "word"])  # else not one word in all of train is an error
        self._words = self._counts.transform(self.texts).T.tocsr()  # (V, T)

    def nearest(self, texts: np.ndarray) -> Iterator[tuple[slice, sparse.csr_array]]:
        """The nearest train texts of lower-cased questions (Q,), chunk by chunk.

        Yields:
            Which of `texts`, and their neighbours, 1 in (chunk, T): the `NEAREST`, and all that
            are as near as the last of them, so that no tie is decided by chance. A question
            without a word that train knows is equally near to all.
        """
        step = max(1, CHUNK_CELLS // len(self.texts))
        for start in range(0, len(texts), step):
            part = slice(start, min(start + step, len(texts)))
            near = (self._counts.transform(texts[part]) @ self._words).toarray()  # (chunk, T)
            near = np.round(near, 5)  # the last bits depend on the order of the words
            every = np.arange(len(near))
            kept = np.zeros(near.shape, dtype=bool)
            for _ in range(min(NEAREST, len(self.texts)) - 1):  # faster than to sort
                best = near.argmax(axis=1)
                kept[every, best] = True
                near[every, best] = -1
            kept |= near >= near.max(axis=1, keepdims=True)
            yield part, sparse.csr_array(kept, dtype=np.int32)


def nearest_question(train: pd.DataFrame) -> Guesser:
    """The most frequent target of the 4 nearest train questions.

    Of equally frequent ones that which train has more often, then the first in the alphabet.
    """
    space = QuestionSpace(train)
    vocabulary = AnswerVocabulary.build(train["answer"], len(train))
    answers, codes = np.array(vocabulary.answers, dtype=object), vocabulary.encode(train["answer"])
    # (T, A): how often each text has each target
    counts = sparse.csr_array((np.ones(len(codes), np.int32), (space.rows, codes)))

    def guess(table: pd.DataFrame) -> list[str]:
        rows, texts = pd.factorize(_texts(table))
        chosen = np.empty(len(texts), dtype=np.int64)
        for part, neighbours in space.nearest(texts):
            chosen[part] = (neighbours @ counts).argmax(axis=1)  # (chunk, A), sparse
        return answers[chosen[rows]].tolist()

    return guess


def nearest_question_and_image(
    train: pd.DataFrame, image_ids: np.ndarray, image_vectors: np.ndarray
) -> Guesser:
    """The target of the train question whose image is most similar, among the 4 nearest questions.

    The nearest neighbour of VQA 2015, section 4. It sees, so it is no blind guess.

    Args:
        image_ids: (I,) in any order.
        image_vectors: (I, D), compared by cosine. An image that has none is similar to nothing.
    """
    from sklearn.preprocessing import normalize

    space = QuestionSpace(train)
    place = pd.Index(image_ids)
    vectors = normalize(np.asarray(image_vectors, dtype=np.float32))
    vectors = np.vstack([vectors, np.zeros_like(vectors[:1])])
    answers = train["answer"].to_numpy()
    seen = place.get_indexer(train["image_id"])  # -1, the row of zeros, where there is no vector
    rows_of = pd.Series(space.rows).groupby(space.rows).indices  # text to its train rows

    def guess(table: pd.DataFrame) -> list[str]:
        rows, texts = pd.factorize(_texts(table))
        asked = pd.Series(rows).groupby(rows).indices
        images = place.get_indexer(table["image_id"])
        chosen = np.empty(len(table), dtype=np.int64)
        for part, neighbours in space.nearest(texts):
            neighbours_of = np.split(neighbours.indices, neighbours.indptr[1:-1])
            for text, near in enumerate(neighbours_of, part.start):
                # Of equally similar images the first in the table.
                candidates = np.sort(np.concatenate([rows_of[t] for t in near]))
                similar = vectors[images[asked[text]]] @ vectors[seen[candidates]].T
                chosen[asked[text]] = candidates[np.round(similar, 5).argmax(axis=1)]
        return answers[chosen].tolist()

    return guess


def _texts(table: pd.DataFrame) -> np.ndarray:
    return table["question"].str.lower().to_numpy(dtype=object)


GUESSERS: dict[str, Callable[[pd.DataFrame], Guesser]] = {
    "most frequent answer": most_frequent,
    "always yes": always_yes,
    "most frequent per question type": most_frequent_per_question_type,
    "most frequent per question": most_frequent_per_question,
    "nearest questions": nearest_question,
}


def measure_guesses(
    guesses: Mapping[str, list[str]], table: pd.DataFrame
) -> dict[str, dict[str, float | None]]:
    """Top-1 and VQA accuracy (None where not defined), percent, of each guesser's answers."""
    scores = {name: (hits(said, table), vqa_scores(said, table)) for name, said in guesses.items()}
    return {
        name: {"top1": percent(top1), "vqa": None if vqa is None else percent(vqa)}
        for name, (top1, vqa) in scores.items()
    }


def best_guesser(guesses: Mapping[str, list[str]], table: pd.DataFrame) -> str:
    """The name of the guesser with the highest top-1 on this split; of equals the first."""
    return max(guesses, key=lambda name: hits(guesses[name], table).sum())


def hits(answers: list[str], table: pd.DataFrame) -> np.ndarray:
    """(N,) 1 where the answer is the target, word for word, else 0."""
    return (table["answer"].to_numpy() == np.array(answers, dtype=object)).astype(float)
