"""Where a model is right and where it is wrong: tables by kind of question, of answer, of count.

Everything starts from `judge`: predictions beside the questions they answer. Works on tables; knows
nothing of models, runs, files or figures. Shares are in percent, each with its 95 % interval by a
bootstrap over images.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from types import SimpleNamespace

import numpy as np
import pandas as pd

from vqa_helpers.data.text import normalise
from vqa_helpers.data.vocabulary import AnswerVocabulary, tokenize_all
from vqa_helpers.errors import InputError, require_count
from vqa_helpers.evaluation.compare import Difference, paired_difference
from vqa_helpers.evaluation.metrics import TOP, per_kind, with_interval

FEWEST_MISSES = 20  # of counts, below which no verdict is given
FEWEST = 10  # questions of a kind below which its score is mostly luck
FREQUENCY_EDGES = (0, 1, 3, 10, 30, 100, 300, 1_000, 3_000, 10_000, 30_000, 100_000)
COUNT_EDGES = (*range(11), 11, 21)  # each count up to ten by itself, then 11-20, 21 and more
OTHER = "any other"


def judge(predictions: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """Each question of an answered split beside what a model said to it.

    Args:
        predictions: question_id, answers and probabilities (lists, most probable first), truth,
            vqa, and perhaps blind, what a guesser says.
        table: the split's questions with their targets, (N) rows.

    Returns:
        (N) rows in the order of `table`: question_id, image_id, question, question_type,
        answer_type, truth, answers, probabilities, blind where it was given; `rank`, the place of
        the truth among the first five answers from 1 on, 0 where it is not among them; `first`, the
        first answer, `sure`, its probability, and `vqa`, its official accuracy, NaN where that is
        not defined.

    Raises:
        InputError: when a question has no prediction, or another target than the prediction says.
    """
    if "answer" not in table:
        raise InputError("the split has no answers to judge by; name one that has annotations")
    said = predictions.drop_duplicates("question_id").set_index("question_id")
    missing = table["question_id"][~table["question_id"].isin(said.index)]
    if not missing.empty:
        what = f"question {missing.iloc[0]} has no prediction"
        raise InputError(f"{what}; was it of this dataset and split?")
    said = said.loc[table["question_id"]].reset_index()
    changed = said["question_id"][said["truth"].to_numpy() != table["answer"].to_numpy()]
    if not changed.empty:
        what = f"question {changed.iloc[0]} has another answer than when it was predicted"
        raise InputError(f"{what}; has the dataset changed? train the run again")
    columns = ["question_id", "image_id", "question", "question_type", "answer_type"]
    judged = table[columns].reset_index(drop=True)
    judged = judged.join(said.filter(["truth", "answers", "probabilities", "blind"]))
    pairs = zip(judged["answers"], judged["truth"], strict=True)
    judged["rank"] = [row.index(right) + 1 if right in row[:TOP] else 0 for row, right in pairs]
    judged["first"] = judged["answers"].str[0]
    judged["sure"] = judged["probabilities"].str[0].astype(float)
    return judged.assign(vqa=said["vqa"].astype(float))


def without_yes_no(judged: pd.DataFrame) -> pd.DataFrame:
    """The questions of those types that are mostly not answered yes or no.

    A coin gets half of the others right, which would fill the head of every table (the study
    leaves them out too).
    """
    share = judged["answer_type"].eq("yes/no").groupby(judged["question_type"]).transform("mean")
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
    if by is None:
        return table
    return table.sort_index().sort_values(by, ascending=False, kind="stable")


def best_and_worst(table: pd.DataFrame, most: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The first and the last `most` rows of a sorted table, the worst first; no row is in both."""
    require_count("most", most)
    most = min(most, (len(table) + 1) // 2)
    return table.head(most), table.iloc[most:].tail(most).iloc[::-1]


def frequency_table(judged: pd.DataFrame, train_answers: Iterable[str]) -> pd.DataFrame:
    """Hits by how often the true answer stands in train: never, 1-2, 3-9, 10-29, … times."""
    frequency = judged["truth"].map(Counter(train_answers)).to_numpy(dtype=int)
    kinds = _binned(frequency, FREQUENCY_EDGES, "times in train", judged.index)
    return kind_table(judged, kinds, by=None)


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
    labels = [f"{a:,}" if a == b else f"{a:,}–{b:,}" for a, b in zip(edges, ends, strict=True)]
    return pd.Series(pd.cut(values, [*edges, np.inf], right=False, labels=labels), index, name=name)


def _shares(judged: pd.DataFrame, kinds: pd.Series, flags: dict[str, pd.Series]) -> pd.DataFrame:
    """The share of each flag (N,) within each kind: questions, and value, low, high for each."""
    columns = [f"{name}{part}" for name in flags for part in ("", " low", " high")]
    if judged.empty:
        return pd.DataFrame(columns=["questions", *columns]).rename_axis(kinds.name)
    values = {name: flag.to_numpy(dtype=float) for name, flag in flags.items()}
    (kept,) = per_kind(values, [kinds.astype(str)], judged["image_id"].to_numpy())
    table = pd.json_normalize(list(kept.values()), sep=" ").set_axis(list(kept))
    table.columns = table.columns.str.removesuffix(" value")
    order = kinds.sort_values().astype(str).unique()  # that of the categories, if there are any
    return table.loc[order].rename_axis(kinds.name)


# Confusions


def confusion_table(judged: pd.DataFrame, most: int = 20) -> pd.DataFrame:
    """The most frequent mistakes: truth, the answer given instead, how often.

    Returns:
        A row a pair: truth, answered, questions, "of the truth" (percent of all the questions with
        that true answer), and "back" (percent the other way round).
    """
    require_count("most", most)
    asked = judged["truth"].value_counts()
    pairs = Counter(zip(judged["truth"], judged["first"], strict=True))
    mistakes = [(count, *pair) for pair, count in pairs.items() if pair[0] != pair[1]]
    mistakes.sort(key=lambda row: (-row[0], *row[1:]))
    rows = [
        (truth, given, count, 100 * count / asked[truth],
         100 * pairs[given, truth] / asked[given] if given in asked else np.nan)
        for count, truth, given in mistakes[:most]
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["truth", "answered", "questions", "of the truth", "back"])


def confusion_matrix(judged: pd.DataFrame, most: int = 14) -> pd.DataFrame:
    """For the most frequent true answers, what was answered: percent, each row sums to 100.

    Returns:
        (A, A + 1): a row a true answer, numbers in their order first, then the others, most
        frequent first; the same answers as columns, and a last column for any other.
    """
    frequent = AnswerVocabulary.build(judged["truth"], most).answers
    order = sorted(frequent, key=lambda answer: (count_of(answer) is None, count_of(answer) or 0))
    index = pd.Index(order, name="truth", dtype=object)
    truth, given = index.get_indexer(judged["truth"]), index.get_indexer(judged["first"])
    table = np.zeros((len(order), len(order) + 1))
    np.add.at(table, (truth[truth >= 0], given[truth >= 0]), 1)  # -1, any other: the last column
    shares = 100 * table / table.sum(axis=1, keepdims=True)
    return pd.DataFrame(shares, index, [*order, OTHER])


# Counting


def count_of(answer: str) -> int | None:
    """The number an answer says, "2" or "two"; None for any other answer."""
    text = normalise(answer)
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text) else None


def counting(rows: pd.DataFrame, answer: str = "truth") -> pd.DataFrame:
    """The "how many" questions whose true answer is a number; `count` is that number.

    Args:
        answer: the column of true answers.
    """
    asked = rows["question"].str.match(r"\s*how\s+many\b", flags=re.IGNORECASE).astype(bool)
    counted = rows[asked].assign(count=_counts(rows[answer][asked]))
    return counted.dropna(subset="count").astype({"count": int})


def count_table(counted: pd.DataFrame) -> pd.DataFrame:
    """Where the truth stands by the true count: percent of the questions with that count.

    Args:
        counted: from `counting`.

    Returns:
        A row a count, or a few of them: questions, top-1, second, "third to fifth" and "not among
        five", each with low and high; "mean first", the mean of the first answers that are numbers.
    """
    kinds = _binned(counted["count"].to_numpy(), COUNT_EDGES, "true count", counted.index)
    rank = counted["rank"]
    places = {"top-1": rank.eq(1), "second": rank.eq(2), "third to fifth": rank.gt(2)}
    table = _shares(counted, kinds, places | {"not among five": rank.eq(0)})
    means = _counts(counted["first"]).groupby(kinds.astype(str)).mean()
    return table.assign(**{"mean first": means.reindex(table.index)})


def _counts(answers: pd.Series) -> pd.Series:
    """The number that each answer says, NaN for any other."""
    return pd.Series(map(count_of, answers), answers.index, dtype=float)


# The second answer to "how many"


def second_answers(judged: pd.DataFrame, train: pd.DataFrame) -> SimpleNamespace | None:
    """Is the true count often the second answer? None where no "how many" question was missed.

    The study saw that where individuals are partly hidden the second answer to "how many" is often
    right. No dataset says which individuals are hidden, so what must follow is tested: where the
    first answer is wrong the second is right more often than a guess by frequency would be, and the
    first one falls short, since what is hidden is not counted.

    Args:
        judged: from `judge`.
        train: the train split, question and answer of each row.

    Returns:
        misses: "how many" questions with a number for truth whose first answer is wrong.
        second: percent of them whose second answer is right: value, low, high.
        guess: the same for the most frequent train answer to "how many" that was not said first.
        gain: points of `second` over `guess`, question by question.
        often: whether the second answer is right more often than that guess: "better", "worse".
        others: misses among the other open questions.
        elsewhere: percent of those whose second answer is right; None without one.
        told: misses whose second answer is right.
        short: of those, the percent whose first is a lower number; None without one.
        falls_short: whether that is more than half of them: "better", or less: "worse".
    """
    counted = counting(judged)
    missed = counted[counted["rank"] != 1]
    if missed.empty:
        return None
    others = without_yes_no(judged)
    others = others[(others["rank"] != 1) & ~others["question_id"].isin(counted["question_id"])]
    told = missed[missed["rank"] == 2]
    second, guess = missed["rank"].eq(2).to_numpy(float), _guess_by_frequency(missed, train)
    gain = paired_difference(second, guess, missed["image_id"].to_numpy())
    short = _share(_counts(told["first"]).lt(told["count"]).to_numpy(float), told)
    over_half = short and Difference(*(short[part] - 50 for part in ("value", "low", "high")))
    return SimpleNamespace(
        misses=len(missed),
        second=_share(second, missed),
        guess=_share(guess, missed),
        gain=gain,
        often=gain.verdict if len(missed) >= FEWEST_MISSES else "cannot tell",
        others=len(others),
        elsewhere=_share(others["rank"].eq(2).to_numpy(float), others),
        told=len(told),
        short=short,
        falls_short=over_half.verdict if len(told) >= FEWEST_MISSES else "cannot tell",
    )


def _share(flags: np.ndarray, rows: pd.DataFrame) -> dict[str, float] | None:
    return with_interval(flags, rows["image_id"].to_numpy()) if len(rows) else None


def _guess_by_frequency(missed: pd.DataFrame, train: pd.DataFrame) -> np.ndarray:
    """(N,) 1 where the most frequent count in train that was not said first is right."""
    leading = AnswerVocabulary.build(counting(train, "answer")["answer"], 2).answers
    pairs = zip(missed["first"], missed["truth"], strict=True)
    guesses = [next((a for a in leading if a != first), None) == truth for first, truth in pairs]
    return np.array(guesses, dtype=float)
