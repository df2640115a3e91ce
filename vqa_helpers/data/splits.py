"""Splits that share no image: cut, and kept apart.

Three to five questions share an image, so rows split at random put the same photograph on both
sides; a score is then partly memory. Pure functions on tables.
"""

import numpy as np
import pandas as pd
from sklearn.model_selection import GroupShuffleSplit

from vqa_helpers.errors import InputError


def cut_by_image(
    table: pd.DataFrame, share: float, seed: int, name: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Cut `share` of the images, at least one, off a table.

    Returns:
        What stays and what was cut, both in the order of the table.

    Raises:
        InputError: when there are not two images to tell apart.
    """
    images = table["image_id"].nunique()
    if images < 2:
        raise InputError(
            f"the {name} split cannot be cut by image from a train split of {images} image; "
            f"add images, or give the folder a {name} split of its own"
        )
    cut = max(1, round(share * images))
    splitter = GroupShuffleSplit(n_splits=1, test_size=cut, random_state=seed)
    stay, go = next(splitter.split(table, groups=table["image_id"].to_numpy()))
    return (
        table.iloc[np.sort(stay)].reset_index(drop=True),
        table.iloc[np.sort(go)].reset_index(drop=True),
    )


def cut_by_row(
    table: pd.DataFrame, shares: tuple[float, float, float]
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Cut a table of at least three rows, in its own order, into train, validation and test, as the
    study did; none of them is empty.

    The questions about one image fall on both sides; `shared_images` counts how often.
    """
    train = min(round(shares[0] * len(table)), len(table) - 2)
    validation = max(1, round(shares[1] * len(table)))
    return (
        table.iloc[:train].reset_index(drop=True),
        table.iloc[train : train + validation].reset_index(drop=True),
        table.iloc[train + validation :].reset_index(drop=True),
    )


def shared_images(splits: dict[str, pd.DataFrame]) -> int:
    """How many images stand in more than one split."""
    images = pd.concat([table["image_id"].drop_duplicates() for table in splits.values()])
    return int(images.duplicated().groupby(images).any().sum())


def keep_apart(splits: dict[str, pd.DataFrame]) -> list[str]:
    """Drop from each split, in place, the questions whose image a later split holds too.

    The later split keeps its questions: it is the one that others are measured on.

    Returns:
        A note for each split that lost questions.
    """
    order = [name for name in ("train", "validation", "test", "export") if name in splits]
    notes = []
    for position, name in enumerate(order):
        for later in order[position + 1 :]:
            shared = splits[name]["image_id"].isin(splits[later]["image_id"])
            if not shared.any():
                continue
            images = splits[name].loc[shared, "image_id"].nunique()
            splits[name] = splits[name].loc[~shared].reset_index(drop=True)
            notes.append(
                f"{int(shared.sum()):,} {name} questions about {images:,} images that {later} "
                f"holds too were left out of {name}"
            )
            if splits[name].empty:
                raise InputError(
                    f"every image of the {name} split stands in the {later} split too; give the "
                    "splits images, or image ids, of their own"
                )
    return notes
