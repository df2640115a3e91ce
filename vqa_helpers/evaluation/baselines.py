"""What a blind guesser gets: answers learnt from the train split without looking at an image.

A model's score means something only beside these.
"""

from collections.abc import Callable

import pandas as pd

from vqa_helpers.evaluation.metrics import Normaliser, percent, vqa_scores

Guesser = Callable[[pd.DataFrame], list[str]]


def most_frequent(train: pd.DataFrame) -> Guesser:
    """Always the most frequent answer of the train split."""
    answer = _mode(train["answer"])
    return lambda table: [answer] * len(table)


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
    "most frequent per question type": most_frequent_per_question_type,
    "most frequent per question": most_frequent_per_question,
}


def measure_baselines(
    train: pd.DataFrame, table: pd.DataFrame, normaliser: Normaliser = "2021"
) -> dict[str, dict[str, float | None]]:
    """Top-1 and VQA accuracy (None where not defined) of every guesser on a split, percent."""
    scores = {}
    for name, learn in GUESSERS.items():
        guesses = learn(train)(table)
        vqa = vqa_scores(guesses, table, normaliser)
        hits = table["answer"].to_numpy() == pd.Series(guesses, dtype=object).to_numpy()
        scores[name] = {"top1": percent(hits), "vqa": None if vqa is None else percent(vqa)}
    return scores


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
