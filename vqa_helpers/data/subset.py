"""Smaller datasets from a larger one: cut by the study's rules, or in several sizes that are
measured on the same questions.

The study scored its datasets A, C and D each on held-out rows of its own: 25 questions for the
smallest. Here a smaller dataset has fewer train questions alone; validation and test stay, so that
two sizes can be compared question by question. Knows tables; nothing of models.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import pandas as pd

from vqa_helpers.data.catalogue import CUTS, Answers, Rule
from vqa_helpers.data.folder import Dataset
from vqa_helpers.data.formats import SPLITS
from vqa_helpers.data.splits import cut_by_image, pairs_kept
from vqa_helpers.errors import InputError

QUALIFYING = {"numbers 1-20": list(map(str, range(1, 21))), "yes/no": ["yes", "no"]}
SMALLEST = 100  # triplets: the study's dataset A


def cut(
    source: Dataset, name: str, seed: int = 0, rule: Rule = "by-image",
    answers: Answers | None = None,
) -> Dataset:  # fmt: skip
    """Cut dataset `name` from a larger one by the study's rule.

    A source with fewer questions than the rule asks for gives all it has, and the notes say so.

    Args:
        rule: "by-image" keeps every image in one split; "study" cuts the rows as they come, as the
            study did, for the sake of comparison.
        answers: which answers qualify, where not those of the study's rule; the name and notes then
            say so.

    Raises:
        InputError: for a name that is no cut, a source without questions that qualify, or one whose
            splits use a question id twice.
    """
    if name not in CUTS:
        raise InputError(f"{name!r} is no dataset that can be cut; there are {', '.join(CUTS)}")
    conditions = CUTS[name]
    qualifying = answers or conditions.answers
    answered = [table for split, table in source.splits.items() if source.answered(split)]
    if not answered:
        raise InputError(f"{source.folder}: has no answers to cut a dataset by; add annotations")
    pool = pd.concat(answered, ignore_index=True)
    if len(twice := pool.loc[pool["question_id"].duplicated(), "question_id"]):
        line = f"two splits have a question {twice.iloc[0]}; give every question an id of its own"
        raise InputError(f"{source.folder}: {line} before a dataset is cut from them")
    if qualifying in QUALIFYING:
        pool = pool[pool["answer"].isin(QUALIFYING[qualifying])].reset_index(drop=True)
    if pool["image_id"].nunique() < 3:
        line = f"has too few questions for dataset {name} ({qualifying} answers), {len(pool)}"
        raise InputError(f"{source.folder}: {line}; it needs them on at least three images")
    note = f"cut from {source.name} by the rule of dataset {name} ({conditions.source})"
    notes = [note + (f", but with {answers} answers" if answers else "")]
    if (wanted := conditions.questions) is not None:
        if len(pool) < wanted:
            notes.append(f"scaled: {len(pool):,} questions qualify where the study has {wanted:,}")
        drawn = np.random.default_rng(seed).choice(len(pool), min(wanted, len(pool)), replace=False)
        pool = pool.iloc[drawn if rule == "study" else np.sort(drawn)].reset_index(drop=True)
    train_share, validation_share, test_share = conditions.shares
    if rule == "study":  # in the order of the rows; no split is empty
        end = min(round(train_share * len(pool)), len(pool) - 2)
        start = end + max(1, round(validation_share * len(pool)))
        parts = [pool[:end], pool[end:start], pool[start:]]
        notes.append(f"split by row, as the study did: {_what_is_shared(parts, source)}")
    else:
        rest, test = cut_by_image(pool, test_share, seed, "test", source.pairs)
        share = validation_share / (train_share + validation_share)
        parts = [*cut_by_image(rest, share, seed, "validation", source.pairs), test]
        notes += pairs_kept(parts, len(pool), source.pairs)
    splits = dict(zip(SPLITS, (part.reset_index(drop=True) for part in parts), strict=False))
    asked = set(pool["image_id"])
    images = {image_id: path for image_id, path in source.images.items() if image_id in asked}
    name = f"{source.name}-{name}" + (f"-{answers}" if answers else "")
    made = {"splits": splits, "images": images, "seed": seed, "rule": rule, "notes": notes}
    return dataclasses.replace(source, name=name, **made)


def _what_is_shared(parts: list[pd.DataFrame], source: Dataset) -> str:
    """How many images stand in more than one part, and how many balanced pairs are cut apart."""
    ids = pd.concat([part["image_id"].drop_duplicates() for part in parts])
    shared = ids[ids.duplicated()].nunique()
    line = f"{shared:,} of {ids.nunique():,} images stand in more than one split"
    line += ", so its scores are partly memory" if shared else ""
    balanced, apart = source.pairs.count(parts)
    return line + (f"; {apart:,} of {balanced:,} balanced pairs are cut apart" if balanced else "")


def keep_train(dataset: Dataset, questions: int, seed: int = 0, name: str | None = None) -> Dataset:
    """The dataset with `questions` of its train questions, drawn at random.

    Draws of one seed are nested: the smaller holds no question that the larger has not.

    Args:
        name: of the smaller dataset; by default that of the larger and the number.

    Raises:
        InputError: when there are not so many train questions, or fewer than two are asked for.
    """
    train = dataset.splits["train"]
    total = len(train)
    if not 2 <= questions <= total:
        line = f"{questions:,} train questions cannot be drawn; use 2 to {total:,}"
        raise InputError(f"{dataset.name}: {line}")
    rows = np.sort(np.random.default_rng(seed).permutation(total)[:questions])
    splits = {**dataset.splits, "train": train.iloc[rows].reset_index(drop=True)}
    notes = [*dataset.notes, f"{questions:,} of {total:,} train questions drawn, seed {seed}"]
    name = name or f"{dataset.name}-{questions}"
    return dataclasses.replace(dataset, name=name, splits=splits, notes=notes)


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
    half = max(2, len(largest.splits["train"]) // 2)
    few = max(2, min(75, half // 2))  # 75 of A's 100: the rest is held out
    made = {}
    for letter, questions in (("A", few), ("C", half)):
        name = f"{source.name}-{letter}-of-{rule}"
        made[rule.replace("D", letter)] = keep_train(largest, questions, seed, name)
    return {**made, rule: largest}


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


def cut_or_open(source: Dataset, name: str, seed: int = 0) -> Dataset:
    """Cut a dataset by the study's rule; where too few questions have the answers that the rule
    wants, any answer will do, and the first note says why.

    Raises:
        InputError: as `cut`, for a source whose questions are too few whatever their answers.
    """
    made, problems = cuts(source, [name], seed)
    (dataset,) = made.values()
    return dataclasses.replace(dataset, notes=[*problems, *dataset.notes])
