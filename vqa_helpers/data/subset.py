"""Datasets of several sizes that are measured on the same questions.

The study scored its datasets A, C and D each on held-out rows of its own: 25 questions for the
smallest. Here a smaller dataset has fewer train questions alone; validation and test stay, so that
two sizes can be compared question by question. Knows tables; nothing of models.
"""

import dataclasses
from collections.abc import Iterable

import numpy as np

from vqa_helpers.data.build import cut
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

    D is cut by its rule; C has half of D's train questions and A 75, as in the study. Where the
    source is too small for D, C shrinks with it and A has at most half of C. A source without number
    questions gives yes/no questions in their place, or else all that it has, and the notes say so.

    Raises:
        InputError: as `cut`, for a source without answers or with fewer than three images.
    """
    largest, rule = _largest(source, seed)
    total = len(largest.splits["train"])
    half = max(2, total // 2)
    few = max(2, min(75, half // 2))  # 75 of A's 100: the rest is held out
    smaller = {
        letter: keep_train(largest, questions, seed, f"{source.name}-{letter}-of-{rule}")
        for letter, questions in (("A", few), ("C", half))
    }
    return {**smaller, "D": largest}


def _largest(source: Dataset, seed: int) -> tuple[Dataset, str]:
    """D, or what takes its place, and the rule it is cut by."""
    problems = []
    for rule in ("D", "E", "100k"):
        try:
            dataset = cut(source, rule, seed)
        except InputError as error:
            problems.append(str(error))
            continue
        notes = [f"{problem}; dataset {rule} takes its place" for problem in problems[:1]]
        return dataclasses.replace(dataset, notes=[*notes, *dataset.notes]), rule
    raise InputError(problems[0])


def cuts(
    source: Dataset, names: Iterable[str], seed: int = 0
) -> tuple[dict[str, Dataset], list[str]]:
    """The datasets of those names that can be cut from the source, and why others cannot.

    Raises:
        InputError: when none can be cut.
    """
    made, problems = {}, []
    for name in names:
        try:
            made[name] = cut(source, name, seed)
        except InputError as error:
            problems.append(str(error))
    if not made:
        raise InputError(problems[0])
    return made, problems
