"""A catalogue entry becomes a dataset folder with image-disjoint splits.

Knows the rules and the folders; nothing of models.
"""

import json
import logging
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd

from vqa_helpers.data.catalogue import ABOUT, CUTS, DEMO, Cut
from vqa_helpers.data.folder import MANIFEST, Dataset, read_folder, read_manifest
from vqa_helpers.data.formats import write_split
from vqa_helpers.data.splits import cut_by_image
from vqa_helpers.errors import InputError
from vqa_helpers.files import locked

log = logging.getLogger(__name__)

DATA = Path("data")
MOST_SEED = 2**32 - 1  # that scikit-learn takes


def open_dataset(data: str | Path, seed: int = 0, root: Path = DATA) -> Dataset:
    """Open a dataset by the name the catalogue gives it, or by its folder.

    The demo is drawn on first use.

    Args:
        data: "demo", the name of a dataset built under `root`, or a folder.
        seed: of the splits that have to be cut.
    """
    if not 0 <= seed <= MOST_SEED:
        raise InputError(f"seed {seed}: use 0 to {MOST_SEED}")
    name = str(data)
    if name == DEMO:
        return read_folder(draw_demo(root / DEMO), seed)
    if Path(data).is_dir():
        return read_folder(Path(data), seed)
    if (root / name / MANIFEST).exists():
        return read_folder(root / name, seed)
    if name in CUTS:
        raise InputError(
            f"dataset {name} is not on this machine; cut it from a larger one with "
            f"`vqa data build {name} --from FOLDER --out {root / name}`"
        )
    if Path(data).exists():
        return read_folder(Path(data), seed)  # a file: refused with its remedy
    raise InputError(
        f"{name}: is neither a folder nor a named dataset; the names are {', '.join(ABOUT)}"
    )


def draw_demo(folder: Path = DATA / DEMO, seed: int = 0) -> Path:
    """The folder of the embedded dataset, drawn if there is nothing yet."""
    from vqa_helpers.data.demo.dataset import make_demo

    with locked(folder.with_name(f".{folder.name}.lock")):  # notebooks that start together
        if not (folder / "questions_train.json").exists():
            log.info("drawing the demo dataset into %s", folder)
            make_demo(folder, seed=seed)
    drawn = read_manifest(folder).drawn
    if drawn != seed:
        what = "another dataset" if drawn is None else f"the demo of seed {drawn}"
        raise InputError(f"{folder}: holds {what}; choose another --out or remove it")
    return folder


def cut(source: Dataset, name: str, seed: int = 0) -> Dataset:
    """Cut dataset `name` from a larger one by the study's rule, split by image.

    A source with fewer questions than the rule asks for gives all it has, and the notes say so.

    Raises:
        InputError: for a name that is no cut, a source without questions that qualify, or one whose
            splits use a question id twice.
    """
    if name not in CUTS:
        raise InputError(f"{name!r} is no dataset that can be cut; there are {', '.join(CUTS)}")
    rule = CUTS[name]
    answered = [table for split, table in source.splits.items() if source.answered(split)]
    pool = pd.concat(answered, ignore_index=True)
    twice = pool.loc[pool["question_id"].duplicated(), "question_id"]
    if len(twice):
        raise InputError(
            f"{source.folder}: two splits have a question {twice.iloc[0]}; give every question an "
            "id of its own before a dataset is cut from them"
        )
    pool = pool.loc[_qualifies(pool["answer"], rule)].reset_index(drop=True)
    if pool["image_id"].nunique() < 3:
        raise InputError(
            f"{source.folder}: has {len(pool)} questions answered by {rule.answers}; "
            f"dataset {name} needs them on at least three images"
        )
    notes = [f"cut from {source.name} by the rule of dataset {name} ({rule.source})"]
    if rule.questions is not None and len(pool) < rule.questions:
        notes.append(
            f"scaled: {len(pool):,} questions qualify where the study has {rule.questions:,}"
        )
    elif rule.questions is not None:
        rows = np.random.default_rng(seed).choice(len(pool), rule.questions, replace=False)
        pool = pool.iloc[np.sort(rows)].reset_index(drop=True)
    train_share, validation_share, test_share = rule.shares
    rest, test = cut_by_image(pool, test_share, seed, "test")
    share = validation_share / (train_share + validation_share)
    train, validation = cut_by_image(rest, share, seed, "validation")
    splits = {"train": train, "validation": validation, "test": test}
    wanted = set(pool["image_id"])
    return Dataset(
        name=f"{source.name}-{name}",
        folder=source.folder,
        splits=splits,
        images={i: path for i, path in source.images.items() if i in wanted},
        image_source=source.image_source,
        seed=seed,
        drawn=source.drawn,
        notes=notes,
    )


def _qualifies(answers: pd.Series, rule: Cut) -> pd.Series:
    if rule.answers == "numbers 1-20":
        return answers.isin([str(number) for number in range(1, 21)])
    if rule.answers == "yes/no":
        return answers.isin(["yes", "no"])
    return pd.Series(True, index=answers.index)


def write_dataset(dataset: Dataset, out: Path) -> Path:
    """Write a dataset that was cut as a folder of its own; the images stay where they are."""
    if out.exists():
        raise InputError(f"{out}: is there already; choose another --out or remove it")
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for split, name in (("train", "train"), ("validation", "val"), ("test", "test")):
        write_split(partial, name, dataset.splits[split], dataset.notes[0])
    images = dataset.folder / read_manifest(dataset.folder).images  # of a cut: its source's
    manifest = {
        "name": out.name,
        "images": os.path.relpath(images.resolve(), out.resolve()),
        "image_source": dataset.image_source,
        "drawn": dataset.drawn,
        "notes": dataset.notes,
    }
    (partial / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")
    record = json.dumps(dataset.split_record(), indent=1)
    (partial / "split.json").write_text(record, encoding="utf-8")
    os.replace(partial, out)
    return out
