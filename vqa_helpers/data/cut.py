"""A smaller dataset is cut from a larger one by the study's rules: which answers qualify, how many
questions, and how they are shared out.
"""

import dataclasses

import numpy as np
import pandas as pd

from vqa_helpers.data.catalogue import CUTS, Answers, Cut, Rule
from vqa_helpers.data.folder import Dataset
from vqa_helpers.data.splits import cut_by_image, cut_by_row, shared_images
from vqa_helpers.errors import InputError


def cut(
    source: Dataset,
    name: str,
    seed: int = 0,
    rule: Rule = "by-image",
    answers: Answers | None = None,
) -> Dataset:
    """Cut dataset `name` from a larger one by the study's rule.

    A source with fewer questions than the rule asks for gives all it has, and the notes say so.

    Args:
        rule: "by-image" keeps every image in one split; "study" cuts the rows as they come, as the
            study did, for the sake of comparison.
        answers: which answers qualify, where not those of the study's rule; the name and notes then say so.

    Raises:
        InputError: for a name that is no cut, a source without questions that qualify, or one whose
            splits use a question id twice.
    """
    if name not in CUTS:
        raise InputError(f"{name!r} is no dataset that can be cut; there are {', '.join(CUTS)}")
    conditions = CUTS[name]
    if answers:
        conditions = dataclasses.replace(conditions, answers=answers)
    answered = [table for split, table in source.splits.items() if source.answered(split)]
    if not answered:
        raise InputError(f"{source.folder}: has no answers to cut a dataset by; add annotations")
    pool = pd.concat(answered, ignore_index=True)
    twice = pool.loc[pool["question_id"].duplicated(), "question_id"]
    if len(twice):
        raise InputError(
            f"{source.folder}: two splits have a question {twice.iloc[0]}; give every question an "
            "id of its own before a dataset is cut from them"
        )
    pool = pool.loc[_qualifies(pool["answer"], conditions)].reset_index(drop=True)
    if pool["image_id"].nunique() < 3:
        raise InputError(
            f"{source.folder}: has too few questions for dataset {name} ({conditions.answers} "
            f"answers), {len(pool)}; it needs them on at least three images"
        )
    notes = [f"cut from {source.name} by the rule of dataset {name} ({conditions.source})"]
    notes[0] += f", but with {answers} answers" if answers else ""
    wanted = conditions.questions
    if wanted is not None and len(pool) < wanted:
        notes.append(f"scaled: {len(pool):,} questions qualify where the study has {wanted:,}")
    if wanted is not None:
        most = min(wanted, len(pool))
        rows = np.random.default_rng(seed).choice(len(pool), most, replace=False)
        pool = pool.iloc[rows if rule == "study" else np.sort(rows)].reset_index(drop=True)
    splits = _shared_out(pool, conditions, seed, rule)
    if rule == "study":
        shared = shared_images(splits)
        notes.append(
            f"split by row, as the study did: {shared:,} of {pool['image_id'].nunique():,} images "
            "stand in more than one split" + (", so its scores are partly memory" if shared else "")
        )
    asked_about = set(pool["image_id"])
    return Dataset(
        name=f"{source.name}-{name}" + (f"-{answers}" if answers else ""),
        folder=source.folder,
        splits=splits,
        images={i: path for i, path in source.images.items() if i in asked_about},
        image_source=source.image_source,
        seed=seed,
        image_folder=source.image_folder,
        drawn=source.drawn,
        rule=rule,
        notes=notes,
    )


def cut_or_open(source: Dataset, name: str, seed: int = 0) -> Dataset:
    """Cut a dataset by the study's rule; where too few questions have the answers that the rule
    wants, any answer will do, and the first note says why.

    Raises:
        InputError: as `cut`, for a source whose questions are too few whatever their answers.
    """
    try:
        return cut(source, name, seed)
    except InputError as error:
        dataset = cut(source, name, seed, answers="open")
        return dataclasses.replace(dataset, notes=[str(error), *dataset.notes])


def _shared_out(
    pool: pd.DataFrame, conditions: Cut, seed: int, rule: Rule
) -> dict[str, pd.DataFrame]:
    if rule == "study":
        train, validation, test = cut_by_row(pool, conditions.shares)
    else:
        train_share, validation_share, test_share = conditions.shares
        rest, test = cut_by_image(pool, test_share, seed, "test")
        share = validation_share / (train_share + validation_share)
        train, validation = cut_by_image(rest, share, seed, "validation")
    return {"train": train, "validation": validation, "test": test}


def _qualifies(answers: pd.Series, conditions: Cut) -> pd.Series:
    if conditions.answers == "numbers 1-20":
        return answers.isin([str(number) for number in range(1, 21)])
    if conditions.answers == "yes/no":
        return answers.isin(["yes", "no"])
    return pd.Series(True, index=answers.index)
