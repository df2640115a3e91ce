"""Datasets of several sizes that are measured on the same questions.

The study scored its datasets A, C and D each on held-out rows of its own: 25 questions for the
smallest. Here a smaller dataset has fewer train questions alone; validation and test stay, so that
two sizes can be compared question by question. Knows tables; nothing of models.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from vqa_helpers.data.cut import cut, cut_or_open
from vqa_helpers.data.folder import Dataset
from vqa_helpers.errors import InputError

SMALLEST = 100  # triplets: the study's dataset A


def keep_train(dataset: Dataset, questions: int, seed: int = 0, name: str | None = None) -> Dataset:
    """The dataset with `questions` of its train questions, drawn at random.

    Draws of one seed are nested: the smaller holds no question that the larger has not.

    Args:
        name: of the smaller dataset; by default that of the larger and the number.

    Raises:
        InputError: when there are not so many train questions, or fewer than two are asked for.
    """
    train = dataset.splits["train"]
    if not 2 <= questions <= len(train):
        raise InputError(
            f"{dataset.name}: {questions:,} train questions cannot be drawn; use 2 to {len(train):,}"
        )
    rows = np.random.default_rng(seed).permutation(len(train))[:questions]
    fewer = train.iloc[np.sort(rows)].reset_index(drop=True)
    note = f"{questions:,} of {len(train):,} train questions drawn, seed {seed}"
    return dataclasses.replace(
        dataset,
        name=name or f"{dataset.name}-{questions}",
        splits={**dataset.splits, "train": fewer},
        notes=[*dataset.notes, note],
    )


def sizes(total: int) -> list[int]:
    """Numbers of train questions for a learning curve: 100, 300, 1,000, 3,000 … and `total`.

    A step that `total` hardly exceeds is left out; a set too small for two gives half and all.
    """
    steps = (lead * SMALLEST * 10**power for power in range(8) for lead in (1, 3))
    kept = [step for step in steps if step * 1.5 <= total]
    return [*(kept or [max(2, total // 2)]), total]


def nested(source: Dataset, seed: int = 0) -> dict[str, Dataset]:
    """The study's datasets A, C and D, each a part of the next, held-out questions in common.

    D is cut as `cut_or_open` does; C has half of its train questions and A 75, as in the study.
    Where the source is too small for D, C shrinks with it and A has at most half of C.

    Returns:
        By name, the smallest first: A, C and D, or "A-open", "C-open" and "D-open".

    Raises:
        InputError: as `cut_or_open`.
    """
    largest = cut_or_open(source, "D", seed)
    rule = largest.name.removeprefix(f"{source.name}-")
    total = len(largest.splits["train"])
    half = max(2, total // 2)
    few = max(2, min(75, half // 2))  # 75 of A's 100: the rest is held out
    smaller = {
        rule.replace("D", letter): keep_train(
            largest, questions, seed, f"{source.name}-{letter}-of-{rule}"
        )
        for letter, questions in (("A", few), ("C", half))
    }
    return {**smaller, rule: largest}


def cuts(
    source: Dataset, names: Sequence[str], seed: int = 0
) -> tuple[dict[str, Dataset], list[str]]:
    """The datasets of those names that can be cut from the source, and why others cannot.

    Where none can, the first is cut with any answers, and named "D-open".

    Raises:
        InputError: as `cut`, for a source whose questions are too few whatever their answers.
    """
    made, problems = {}, []
    for name in names:
        try:
            made[name] = cut(source, name, seed)
        except InputError as error:
            problems.append(str(error))
    if not made:
        made[f"{names[0]}-open"] = cut(source, names[0], seed, answers="open")
    return made, problems
