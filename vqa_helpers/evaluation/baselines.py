"""What a blind guesser gets: answers learnt from the train split without looking at an image.

A model's score means something only beside these. What guesses with the image in view is in
`neighbours`, and never counts as blind.
"""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from vqa_helpers.evaluation.annotators import Normaliser
from vqa_helpers.evaluation.metrics import percent, vqa_scores
from vqa_helpers.evaluation.neighbours import Guesser, nearest_question


def most_frequent(train: pd.DataFrame) -> Guesser:
    """Always the most frequent answer of the train split."""
    answer = _mode(train["answer"])
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


GUESSERS: dict[str, Callable[[pd.DataFrame], Guesser]] = {
    "most frequent answer": most_frequent,
    "always yes": always_yes,
    "most frequent per question type": most_frequent_per_question_type,
    "most frequent per question": most_frequent_per_question,
    "nearest questions": nearest_question,
}


def learn_guessers(train: pd.DataFrame) -> dict[str, Guesser]:
    """Every blind guesser, by name."""
    return {name: learn(train) for name, learn in GUESSERS.items()}


def measure_guesses(
    guesses: Mapping[str, list[str]], table: pd.DataFrame, normaliser: Normaliser = "2021"
) -> dict[str, dict[str, float | None]]:
    """Top-1 and VQA accuracy (None where not defined), percent, of each guesser's answers."""
    scores = {}
    for name, answers in guesses.items():
        vqa = vqa_scores(answers, table, normaliser)
        scores[name] = {
            "top1": percent(hits(answers, table)),
            "vqa": None if vqa is None else percent(vqa),
        }
    return scores


def measure_baselines(
    train: pd.DataFrame, table: pd.DataFrame, normaliser: Normaliser = "2021"
) -> dict[str, dict[str, float | None]]:
    """Top-1 and VQA accuracy (None where not defined) of every guesser on a split, percent."""
    guesses = {name: guess(table) for name, guess in learn_guessers(train).items()}
    return measure_guesses(guesses, table, normaliser)


def best_guesser(guesses: Mapping[str, list[str]], table: pd.DataFrame) -> str:
    """The name of the guesser with the highest top-1 on this split; of equals the first."""
    return max(guesses, key=lambda name: hits(guesses[name], table).sum())


def hits(answers: list[str], table: pd.DataFrame) -> np.ndarray:
    """(N,) 1 where the answer is the target, word for word, else 0."""
    return (table["answer"].to_numpy() == np.array(answers, dtype=object)).astype(float)


def _mode(answers: pd.Series) -> str:
    counts = answers.value_counts()
    return min(counts.index[counts == counts.max()])  # ties: the first in the alphabet


def _per_key(
    train: pd.DataFrame, key: Callable[[pd.DataFrame], pd.Series], fallback: Guesser
) -> Guesser:
    counts = train.groupby([key(train).rename("key"), "answer"]).size().reset_index(name="count")
    counts = counts.sort_values(["count", "answer"], ascending=[False, True])
    guesses = counts.drop_duplicates("key").set_index("key")["answer"].to_dict()

    def guess(table: pd.DataFrame) -> list[str]:
        keys = key(table)
        return [guesses.get(k, other) for k, other in zip(keys, fallback(table), strict=True)]

    return guess
