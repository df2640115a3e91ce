"""Cut splits that share no image and no balanced pair.

Three to five questions share an image, so rows split at random put the same photograph on both
sides; a score is then partly memory. Pure functions on tables.
"""

from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from vqa_helpers.data.formats import Tables, in_order
from vqa_helpers.data.pairs import NO_PAIRS, Pairs
from vqa_helpers.errors import InputError

CUT_SHARE = 0.1  # of the train images, for each split that is missing


def arrange(
    folder: Path, splits: Tables, rule: str, seed: int, pairs: Pairs = NO_PAIRS
) -> list[str]:
    """Make the splits of a folder's files, in place, the splits that a run sees.

    Where one split alone has answers it is the one to learn from, whatever its name.

    Args:
        rule: "by-image", or "study": splits that may share images.

    Returns:
        A note for each thing done.

    Raises:
        InputError: where there is no train split with answers, or too little to cut.
    """
    notes = []
    answered = [name for name, table in splits.items() if "answer" in table]
    if "train" not in splits and len(answered) == 1:
        splits["train"] = splits.pop(answered[0])
        notes.append(f"the {answered[0]} split alone has answers: it is used as the train split")
    if "answer" not in splits.get("train", ()):
        expected = "questions_train.json and annotations_train.json (or the official names), "
        expected += "or a table whose answers are named with --columns answer=…"
        raise InputError(f"{folder}: has no train split with answers; expected {expected}")
    if rule != "study":
        notes += keep_apart(splits)
    for split in ("validation", "test"):
        if split not in splits:
            notes.append(cut_from_train(splits, split, CUT_SHARE, seed, pairs))
    return notes


def cut_from_train(
    splits: Tables, name: str, share: float, seed: int, pairs: Pairs = NO_PAIRS
) -> str:
    """Cut a split off train, in place, by image and no pair apart; returns a note of it."""
    train = splits["train"]
    splits["train"], splits[name] = stay, go = cut_by_image(train, share, seed, name, pairs)
    cut = f"the {name} split was cut from train by image: {len(go):,} questions, seed {seed}"
    return "; ".join([cut, *pairs_kept([stay, go], len(train), pairs)])


def pairs_kept(parts: list[pd.DataFrame], questions: int, pairs: Pairs) -> list[str]:
    """The note about pairs when splits were cut; none if there are no pairs.

    Args:
        questions: how many there were before.
    """
    kept, _ = pairs.count(parts)
    left_out = questions - sum(map(len, parts))
    notes = [f"{kept:,} balanced pairs kept together ({pairs.known_by})"] if kept else []
    if left_out:
        line = f"{left_out:,} questions whose other half was cut off were left out"
        notes.append(f"{line}: their photographs hang together, more of them than the cut holds")
    return notes


def cut_by_image(
    table: pd.DataFrame, share: float, seed: int, name: str, pairs: Pairs = NO_PAIRS
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Cut `share` of the images, at least one, off a table.

    Photographs that pairs join are cut together, as long as the cut holds them. A larger group (over
    others, most photographs of VQA v2 may hang together) is cut by image, lest the cut lack what such
    photographs are asked, and what stays loses the questions whose other half was cut.

    Returns:
        What stays and what was cut, both in the order of the table.

    Raises:
        InputError: when there are not two images to tell apart, or nothing stays.
    """
    images = table["image_id"].nunique()
    if images < 2:
        line = f"the {name} split cannot be cut by image from a train split of {images} image"
        raise InputError(f"{line}; add images, or give the folder a {name} split of its own")
    cut = max(1, round(share * images))
    image = np.unique(table["image_id"].to_numpy(), return_inverse=True)[1]
    group = pairs.groups(table)
    too_large = pd.Series(image).groupby(group).transform("nunique").to_numpy() > cut
    group = np.unique(np.where(too_large, len(table) + image, group), return_inverse=True)[1]
    sizes = pd.Series(image).groupby(group).nunique().to_numpy()  # in photographs
    chosen, room = np.zeros(len(sizes), dtype=bool), cut
    for one in np.random.RandomState(seed).permutation(len(sizes)):
        if sizes[one] <= room:
            chosen[one] = True
            room -= sizes[one]
    gone, lost = chosen[group], np.zeros(len(table), dtype=bool)
    first, second = pairs.balanced(table).T
    half, other = np.append(first, second), np.append(second, first)
    lost[half[gone[other] & ~gone[half]]] = True
    if (gone | lost).all():
        line = f"the {name} split cannot be cut: every train question has its other half in it"
        raise InputError(f"{line}; add images, or give the folder a {name} split of its own")
    return table[~gone & ~lost].reset_index(drop=True), table[gone].reset_index(drop=True)


def keep_apart(splits: Tables) -> list[str]:
    """Drop from each split, in place, the questions whose image a later split holds too.

    The later split keeps its questions: it is the one that others are measured on.

    Returns:
        A note for each split that lost questions.
    """
    notes = []
    for name, later in combinations(in_order(splits), 2):
        shared = splits[name]["image_id"].isin(splits[later]["image_id"])
        if not shared.any():
            continue
        images = splits[name].loc[shared, "image_id"].nunique()
        splits[name] = splits[name].loc[~shared].reset_index(drop=True)
        lost = f"{int(shared.sum()):,} {name} questions about {images:,} images"
        notes.append(f"{lost} that {later} holds too were left out of {name}")
        if splits[name].empty:
            line = f"every image of the {name} split stands in the {later} split too"
            raise InputError(f"{line}; give the splits images, or image ids, of their own")
    return notes
