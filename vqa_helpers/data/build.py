"""A catalogue entry becomes a dataset folder.

Knows the rules and the folders; nothing of models, and of the network only whom to ask.
"""

import json
import logging
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import pandas as pd

from vqa_helpers.data.catalogue import CUT_FROM, DEMO, ENTRIES, RELEASES, RULES, Rule
from vqa_helpers.data.cut import cut
from vqa_helpers.data.folder import MANIFEST, Dataset, read_folder, read_manifest
from vqa_helpers.data.formats import write_split
from vqa_helpers.data.images import find_images
from vqa_helpers.data.release import (
    PHOTOGRAPHS,
    Fetching,
    find_subset,
    provide_archives,
    provide_photographs,
    read_subset,
    release_folder,
)
from vqa_helpers.data.splits import cut_by_image, keep_apart
from vqa_helpers.errors import InputError
from vqa_helpers.files import locked, sha256_of

log = logging.getLogger(__name__)

DATA = Path("data")
MOST_SEED = 2**32 - 1  # that scikit-learn takes
VALIDATION_SHARE = 0.05  # of the train images of a release: more would be lost to training
MOST_ABSENT = 0.1  # of the photographs, beyond which a test set is not worth exporting


def open_dataset(data: str | Path, seed: int = 0, root: Path = DATA) -> Dataset:
    """Open a dataset by the name the catalogue gives it, or by its folder.

    The demo is drawn on first use.

    Args:
        data: "demo", the name of a dataset built under `root`, or a folder.
        seed: of the splits that have to be cut.
    """
    _require_seed(seed)
    return read_folder(_find(data, root), seed)


def _require_seed(seed: int) -> None:
    if not 0 <= seed <= MOST_SEED:
        raise InputError(f"seed {seed}: use 0 to {MOST_SEED}")


def _find(data: str | Path, root: Path) -> Path:
    """The folder of a dataset; the demo's is drawn."""
    name = str(data)
    if name == DEMO:
        return draw_demo(root / DEMO)
    if Path(data).is_dir():
        return Path(data)
    if (root / name / MANIFEST).exists():
        return root / name
    if name in ENTRIES:
        raise InputError(f"dataset {name} is not on this machine; `vqa data build {name}` makes it")
    if Path(data).exists():
        return Path(data)  # a file: refused with its remedy where it is read
    raise InputError(
        f"{name}: is neither a folder nor a named dataset; the names are {', '.join(ENTRIES)}"
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


def build(
    name: str,
    *,
    source: str | Path | None = None,
    rule: Rule = "by-image",
    seed: int = 0,
    out: Path | None = None,
    fetching: Fetching | None = None,
) -> Path:
    """Make a named dataset, downloading what it needs; one that is built already is returned.

    Photographs that are lacking are asked for every time, of a built dataset too unless offline.

    Args:
        source: a dataset, or a folder with a release, to make it from; without it the release the
            study used is downloaded.
        rule: how a cut is split: "by-image", or "study", by row.
        out: the new folder; without it `<data>/[<source>-]<name>[-study]`.

    Raises:
        InputError: for an unknown name or rule, a seed that cannot be used, and a source that lacks
            what is needed.
    """
    fetching = fetching or Fetching()
    if name not in ENTRIES:
        raise InputError(f"{name!r} is no named dataset; the names are {', '.join(ENTRIES)}")
    if rule not in RULES:
        raise InputError(f"split rule {rule!r}: use {' or '.join(RULES)}")
    if name in RELEASES and rule != "by-image":
        raise InputError(f"{name} is an official release with splits of its own; leave --split")
    _require_seed(seed)
    if name == DEMO:
        return draw_demo(out or fetching.root / DEMO, seed)
    default = out is None
    out = out or fetching.root / _folder_name(name, source, rule)
    asked = {
        "dataset": name,
        "rule": rule,
        "seed": seed,
        "from": None if source is None else str(source),
    }
    if out.exists() and not (default and _is_built(out, asked)):
        raise InputError(f"{out}: is there already; choose another --out or remove it")
    with locked(out.with_name(f".{out.name}.build.lock")):
        if default and _is_built(out, asked):  # before, or by the process that was waited for
            log.info("%s: is built already", out)
            if source is None and not fetching.offline:
                _provide_images(name, lambda: read_folder(out).image_ids(), fetching)
            return out
        if name in RELEASES:
            dataset, files = _protocol(name, source, seed, fetching)
        else:
            pool, files = _pool(source, fetching)
            dataset = cut(pool, name, seed, rule)
        if source is None:
            _provide_images(name, dataset.image_ids, fetching)
        return write_dataset(dataset, out, asked, files)


def _provide_images(name: str, image_ids: Callable[[], Iterable[int]], fetching: Fetching) -> None:
    """See that the photographs of a dataset are here, unless none are wanted."""
    if not fetching.photographs:
        return
    if ENTRIES[name].whole:
        provide_archives(ENTRIES[name].subsets, fetching)
    else:
        provide_photographs(CUT_FROM[1], image_ids(), fetching)


def _folder_name(name: str, source: str | Path | None, rule: Rule) -> str:
    parts = [Path(source).resolve().name] if source is not None else []
    return "-".join([*parts, name] + (["study"] if rule == "study" else []))


def _is_built(out: Path, asked: dict) -> bool:
    try:
        record = json.loads((out / "split.json").read_text(encoding="utf-8"))
        return record["built"] == asked
    except (OSError, ValueError, LookupError, TypeError):
        return False


def _pool(source: str | Path | None, fetching: Fetching) -> tuple[Dataset, list[Path]]:
    """What the study's datasets are cut from, and the files it was read from."""
    release, subset = CUT_FROM
    if source is None:
        folder = release_folder(release, fetching)
    elif Path(source).is_dir() and len(find_subset(Path(source), release, subset)) == 2:
        folder = Path(source)  # the release itself, wherever the user keeps it
    else:
        # As its files have it: what a run would cut or leave out is cut anew here.
        return read_folder(_find(source, fetching.root), arranged=False), []
    table = read_subset(folder, release, subset)
    if "answer" not in table.columns:
        raise InputError(f"{folder}: {release} {subset} has no annotations; put them there")
    images = folder if source is not None else fetching.root / PHOTOGRAPHS
    pool = Dataset(
        name=f"{release} {subset}",
        folder=folder,
        splits={"train": table},
        images={},
        image_source=Path(source).resolve().name if source is not None else PHOTOGRAPHS.name,
        seed=0,
        image_folder=images,
    )
    return pool, list(find_subset(folder, release, subset).values())


def _protocol(
    name: str, source: str | Path | None, seed: int, fetching: Fetching
) -> tuple[Dataset, list[Path]]:
    """The field's protocol: train on train2014, choose on a part of it, report on val2014, export
    test2015 where its questions and photographs are here."""
    release = RELEASES[name]
    folder = release_folder(name, fetching) if source is None else Path(source)
    subsets = [release.train, release.test]
    if find_subset(folder, name, release.export):
        subsets.append(release.export)
    tables = {subset: read_subset(folder, name, subset) for subset in subsets}
    for subset in (release.train, release.test):
        if "answer" not in tables[subset].columns:
            raise InputError(f"{folder}: {name} {subset} has no annotations; put them there")
    images = folder if source is not None else fetching.root / PHOTOGRAPHS
    splits = {"train": tables[release.train], "test": tables[release.test]}
    notes = [f"VQA {name}: learnt on {release.train}, reported on {release.test}"]
    notes += _add_export(splits, tables.get(release.export), images, release.export, fetching)
    notes += keep_apart(splits)
    splits["train"], validation = cut_by_image(
        splits["train"], VALIDATION_SHARE, seed, "validation"
    )
    splits = {"train": splits.pop("train"), "validation": validation, **splits}
    notes.append(
        f"the validation split was cut from {release.train} by image: {len(validation):,} "
        f"questions, seed {seed}"
    )
    dataset = Dataset(
        name=name,
        folder=folder,
        splits=splits,
        images={},
        image_source=folder.resolve().name if source is not None else PHOTOGRAPHS.name,
        seed=seed,
        image_folder=images,
        notes=notes,
    )
    return dataset, [f for s in subsets for f in find_subset(folder, name, s).values()]


def _add_export(
    splits: dict, table: pd.DataFrame | None, images: Path, subset: str, fetching: Fetching
) -> list[str]:
    if table is None:
        return []
    asked = set(table["image_id"].tolist())
    here = len(find_images(images, asked)) if images.is_dir() else 0
    if fetching.photographs and len(asked) - here > MOST_ABSENT * len(asked):
        return [
            f"{subset} is not exported: its photographs are not here (`vqa data download "
            f"coco-{subset}` fetches them; then remove this dataset and build it anew)"
        ]
    splits["export"] = table.drop(columns=["answer"], errors="ignore")
    return [f"{subset} is answered and exported for the evaluation server, not scored"]


def write_dataset(
    dataset: Dataset, out: Path, built: dict | None = None, files: list[Path] = ()
) -> Path:
    """Write a dataset that was made as a folder of its own; the images stay where they are.

    Args:
        built: what was asked for, so that the same wish finds it again.
        files: what it was read from; their sha256 go into `split.json`.
    """
    if out.exists():
        raise InputError(f"{out}: is there already; choose another --out or remove it")
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        _write_files(dataset, partial, out, built, files)
        os.replace(partial, out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return out


def _write_files(
    dataset: Dataset, partial: Path, out: Path, built: dict | None, files: list[Path]
) -> None:
    partial.mkdir(parents=True)
    for split, table in dataset.splits.items():
        write_split(partial, "val" if split == "validation" else split, table, dataset.notes[0])
    images = (dataset.image_folder or dataset.folder).resolve()
    manifest = {
        "name": out.name,
        "images": os.path.relpath(images, out.resolve()),
        "image_source": dataset.image_source,
        "drawn": dataset.drawn,
        "rule": dataset.rule,
        "seed": dataset.seed,
        "notes": dataset.notes,
    }
    (partial / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")
    record = {
        "built": built,
        **dataset.split_record(),
        "files": {path.name: sha256_of(path) for path in files},
    }
    (partial / "split.json").write_text(json.dumps(record, indent=1), encoding="utf-8")
