"""Where a model is right and where it is wrong: tables by kind of question, of answer, of count.

Everything starts from `judge`: predictions beside the questions they answer. Works on tables; knows
nothing of models, runs, files or figures. Shares are in percent, each with its 95 % interval by a
bootstrap over images.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

import numpy as np
import pandas as pd

from vqa_helpers.data.text import normalise, tokenize_all
from vqa_helpers.errors import InputError
from vqa_helpers.evaluation.metrics import TOP, per_kind

FEWEST = 10  # questions of a kind below which its score is mostly luck
YES_NO = "yes/no"
FREQUENCY_EDGES = (1, 3, 10, 30, 100, 300, 1_000, 3_000, 10_000, 30_000, 100_000)
COUNT_EDGES = (*range(11), 11, 21)  # each count up to ten by itself, then 11-20, 21 and more
OTHER = "any other"


def judge(predictions: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """Each question of an answered split beside what a model said to it.

    Args:
        predictions: question_id, answers and probabilities (lists, most probable first).
        table: the split's questions with their targets, (N) rows.

    Returns:
        (N) rows in the order of `table`: question_id, image_id, question, question_type,
        answer_type, truth, answers, probabilities; `rank`, the place of the truth among the first
        five answers from 1 on, 0 where it is not among them; `first`, the first answer, `sure`, its
        probability, and `vqa`, its official accuracy, NaN where that is not defined.

    Raises:
        InputError: when a question has no prediction, or another target than the prediction says.
    """
    if "answer" not in table:
        raise InputError("the split has no answers to judge by; name one that has annotations")
    said = predictions.drop_duplicates("question_id").set_index("question_id")
    missing = ~table["question_id"].isin(said.index)
    if missing.any():
        raise InputError(
            f"question {table['question_id'][missing].iloc[0]} has no prediction; were they made "
            "on this dataset and split?"
        )
    said = said.loc[table["question_id"]]
    truth = table["answer"].astype(object).to_numpy()
    if "truth" in said and (wrong := said["truth"].to_numpy() != truth).any():
        raise InputError(
            f"question {said.index[wrong][0]} has another answer than when it was predicted; has "
            "the dataset changed? train the run again"
        )
    kept = ["question_id", "image_id", "question", "question_type", "answer_type"]
    judged = table[kept].reset_index(drop=True)
    judged["truth"] = pd.Series(truth, dtype=object)
    for name in ("answers", "probabilities"):
        judged[name] = pd.Series([list(row) for row in said[name]], dtype=object)
    pairs = list(zip(judged["answers"], truth, strict=True))
    judged["rank"] = [
        answers.index(right) + 1 if right in answers[:TOP] else 0 for answers, right in pairs
    ]
    judged["first"] = pd.Series([answers[0] for answers, _ in pairs], dtype=object)
    judged["sure"] = [float(chances[0]) for chances in judged["probabilities"]]
    judged["vqa"] = pd.to_numeric(said["vqa"]).to_numpy(dtype=float) if "vqa" in said else np.nan
    return judged


def without_yes_no(judged: pd.DataFrame) -> pd.DataFrame:
    """The questions of those types that are mostly not answered yes or no.

    A coin gets half of the others right, which would fill the head of every table (the study
    leaves them out too).
    """
    share = judged["answer_type"].eq(YES_NO).groupby(judged["question_type"]).transform("mean")
    return judged[share < 0.5]


# Kinds of questions


def kind_table(
    judged: pd.DataFrame, kinds: str | pd.Series, fewest: int = 1, by: str | None = "top-1"
) -> pd.DataFrame:
    """Hits of each kind of question.

    Args:
        kinds: a column of `judged`, or the kind of each question (N,).
        fewest: kinds with fewer questions are left out.
        by: the column to sort by, highest first; None keeps the kinds in their own order.

    Returns:
        A row a kind: questions, hits, top-1 with its low and high, top-5 hits, top-5 with its own.
    """
    kinds = judged[kinds] if isinstance(kinds, str) else kinds
    hits = {"top-1": judged["rank"].eq(1), "top-5": judged["rank"].gt(0)}
    table = _shares(judged, kinds, hits)
    for name, counted in (("top-1", "hits"), ("top-5", "top-5 hits")):
        table.insert(table.columns.get_loc(name), counted, hits[name].groupby(kinds).sum())
    table = table[table["questions"] >= fewest]
    if by is not None:
        ascending = [False, True]
        table = table.reset_index().sort_values([by, table.index.name], ascending=ascending)
        table = table.set_index(table.columns[0])
    return table


def best_and_worst(table: pd.DataFrame, most: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The first and the last `most` rows of a sorted table, the worst first; no row is in both."""
    most = min(most, (len(table) + 1) // 2)
    return table.head(most), table.iloc[most:].tail(most).iloc[::-1]


def frequency_table(judged: pd.DataFrame, train_answers: Iterable[str]) -> pd.DataFrame:
    """Hits by how often the true answer stands in train: never, 1-2, 3-9, 10-29, … times."""
    counts = Counter(train_answers)
    frequency = np.array([counts[truth] for truth in judged["truth"]])
    edges = (0, *FREQUENCY_EDGES)
    return kind_table(judged, _binned(frequency, edges, "times in train", judged.index), by=None)


def length_table(judged: pd.DataFrame, share: float = 0.03) -> pd.DataFrame:
    """Hits by the number of words in the question.

    Args:
        share: of the questions that a row holds at least; neighbouring lengths are put together
            until they do.
    """
    words = np.array([len(tokens) for tokens in tokenize_all(judged["question"])])
    fewest, edges, held = max(FEWEST, share * len(words)), [int(min(words, default=0))], 0
    for length, questions in zip(*np.unique(words, return_counts=True), strict=True):
        if held >= fewest and (words >= length).sum() >= fewest:
            edges.append(int(length))
            held = 0
        held += questions
    kinds = _binned(words, edges, "words in the question", judged.index)
    return kind_table(judged, kinds, by=None)


def _binned(values: np.ndarray, edges: Sequence[int], name: str, index: pd.Index) -> pd.Series:
    """The bin of each whole number as an ordered category "3-9"; each bin begins at its edge."""
    edges = [edge for edge in edges if edge <= values.max(initial=0)] or [0]
    ends = [*(edge - 1 for edge in edges[1:]), int(values.max(initial=0))]
    labels = [
        f"{low:,}" if low == high else f"{low:,}–{high:,}"
        for low, high in zip(edges, ends, strict=True)
    ]
    place = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, None)
    return pd.Series(pd.Categorical.from_codes(place, labels, ordered=True), index, name=name)


def _shares(judged: pd.DataFrame, kinds: pd.Series, flags: dict[str, pd.Series]) -> pd.DataFrame:
    """The share of each flag (N,) within each kind: questions, and value, low, high for each."""
    columns = [f"{name}{part}" for name in flags for part in ("", " low", " high")]
    if judged.empty:
        return pd.DataFrame(columns=["questions", *columns]).rename_axis(kinds.name)
    ordered = isinstance(kinds.dtype, pd.CategoricalDtype)
    names = [name for name in kinds.cat.categories if (kinds == name).any()] if ordered else None
    values = {name: flag.to_numpy(dtype=float) for name, flag in flags.items()}
    (kept,) = per_kind(values, [kinds.astype(str)], judged["image_id"].to_numpy())
    rows = {
        name: [kept[name]["questions"]]
        + [kept[name][flag][part] for flag in flags for part in ("value", "low", "high")]
        for name in names or kept
    }
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["questions", *columns])
    return table.rename_axis(kinds.name)


# Confusions


def confusion_table(judged: pd.DataFrame, most: int = 20) -> pd.DataFrame:
    """The most frequent mistakes: truth, the answer given instead, how often.

    Returns:
        A row a pair: truth, answered, questions, "of the truth" (percent of all the questions with
        that true answer), and "back" (percent the other way round).
    """
    asked = judged["truth"].value_counts()
    pairs = Counter(zip(judged["truth"], judged["first"], strict=True))
    rows = [
        {
            "truth": truth,
            "answered": given,
            "questions": count,
            "of the truth": 100 * count / asked[truth],
            "back": 100 * pairs[given, truth] / asked[given] if given in asked else np.nan,
        }
        for (truth, given), count in pairs.items()
        if truth != given
    ]
    rows.sort(key=lambda row: (-row["questions"], row["truth"], row["answered"]))
    columns = ["truth", "answered", "questions", "of the truth", "back"]
    return pd.DataFrame(rows[:most], columns=columns)


def confusion_matrix(judged: pd.DataFrame, most: int = 14) -> pd.DataFrame:
    """For the most frequent true answers, what was answered: percent, each row sums to 100.

    Returns:
        (A, A + 1): a row a true answer, numbers in their order first, then the others, most
        frequent first; the same answers as columns, and a last column for any other.
    """
    counts = Counter(judged["truth"])
    order = sorted(counts, key=lambda answer: (-counts[answer], answer))[:most]
    order.sort(key=lambda answer: (count_of(answer) is None, count_of(answer) or 0))
    place = {answer: row for row, answer in enumerate(order)}
    table = np.zeros((len(order), len(order) + 1))
    for truth, given in zip(judged["truth"], judged["first"], strict=True):
        if truth in place:
            table[place[truth], place.get(given, len(order))] += 1
    shares = 100 * table / table.sum(axis=1, keepdims=True)
    return pd.DataFrame(shares, pd.Index(order, name="truth", dtype=object), [*order, OTHER])


# Counting


@lru_cache(maxsize=1 << 16)
def count_of(answer: str) -> int | None:
    """The number an answer says, "2" or "two"; None for any other answer."""
    text = normalise(answer)
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text) else None


def asks_how_many(question: str) -> bool:
    """Whether a question begins with "how many"."""
    return re.match(r"\s*how\s+many\b", question, re.IGNORECASE) is not None


def counting(judged: pd.DataFrame) -> pd.DataFrame:
    """The "how many" questions whose true answer is a number; `count` is that number."""
    chosen = judged[_each(judged["question"], asks_how_many).astype(bool)]
    counts = _each(chosen["truth"], count_of)
    known = counts.notna()
    return chosen[known].assign(count=counts[known].astype(int))


def count_table(counted: pd.DataFrame) -> pd.DataFrame:
    """Where the truth stands by the true count: percent of the questions with that count.

    Args:
        counted: from `counting`.

    Returns:
        A row a count, or a few of them: questions, top-1, second, "third to fifth" and "not among
        five", each with low and high; "mean first", the mean of the first answers that are numbers.
    """
    count = counted["count"].to_numpy(dtype=int)
    kinds = _binned(count, COUNT_EDGES, "true count", counted.index)
    rank = counted["rank"]
    flags = {
        "top-1": rank.eq(1),
        "second": rank.eq(2),
        "third to fifth": rank.gt(2),
        "not among five": rank.eq(0),
    }
    table = _shares(counted, kinds, flags)
    said = _each(counted["first"], count_of).astype(float)
    table["mean first"] = said.groupby(kinds.astype(str)).mean().reindex(table.index)
    return table


def _each(column: pd.Series, function: Callable[[str], object]) -> pd.Series:
    """`function` of every value, as objects: how pandas maps None differs by version."""
    return pd.Series([function(value) for value in column], index=column.index, dtype=object)
