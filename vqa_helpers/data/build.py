"""A name of the catalogue becomes a dataset folder, downloading what that takes.

Knows the rules, the folders and the official file names; nothing of models, and of the network only
whom to ask.
"""

import json
import logging
import os
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from vqa_helpers.data import catalogue, formats
from vqa_helpers.data.daquar import daquar_files, read_daquar
from vqa_helpers.data.folder import DATA, MANIFEST, Dataset, draw_demo, open_dataset, require_seed
from vqa_helpers.data.images import find_images
from vqa_helpers.data.pairs import NO_PAIRS, PAIRS, find_pairs, pair_lists
from vqa_helpers.data.public.download import PHOTOGRAPHS, download, fetch_images
from vqa_helpers.data.public.sources import read_sources
from vqa_helpers.data.splits import arrange, cut_from_train, keep_apart
from vqa_helpers.data.subset import cut
from vqa_helpers.errors import InputError
from vqa_helpers.files import folder_in_one_step, locked, read_json, sha256_of

log = logging.getLogger(__name__)

VALIDATION_SHARE = 0.05  # of the train images of a release: more would be lost to training
MOST_ABSENT = 0.1  # of the photographs, beyond which a test set is not worth exporting

Source = str | Path | None
"""A dataset or a folder with a release; None for the release the study used, downloaded."""
Made = tuple[Dataset, list[Path]]
"""A dataset in memory and the files it was read from."""


@dataclass(frozen=True)
class Fetching:
    """How missing files are had.

    Attributes:
        root: the data folder.
        offline: do not try the network; say which file to put where.
        mirror: an address that is tried first.
        sources: a JSON file that replaces the built-in list of public files.
        photographs: whether images are fetched at all; a question-only model needs none.
    """

    root: Path = DATA
    offline: bool = False
    mirror: str | None = None
    sources: Path | None = None
    photographs: bool = True

    def download(self, name: str) -> Path:
        """The folder of a public source, downloaded if it is not here."""
        source = read_sources(self.sources)[name]
        return download(source, self.root, mirror=self.mirror, offline=self.offline)


def build(
    name: str, *, source: Source = None, rule: catalogue.Rule = "by-image", seed: int = 0,
    out: Path | None = None, fetching: Fetching = Fetching(),
) -> Path:  # fmt: skip
    """Make a named dataset, downloading what it needs; one that was built as asked is returned.

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
    if name not in catalogue.ENTRIES:
        raise InputError(
            f"{name!r} is no named dataset; the names are {', '.join(catalogue.ENTRIES)}"
        )
    if rule not in catalogue.RULES:
        raise InputError(f"split rule {rule!r}: use {' or '.join(catalogue.RULES)}")
    if name not in catalogue.CUTS and rule != "by-image":
        raise InputError(f"{name} has splits of its own; leave --split")
    require_seed(seed)
    if name == catalogue.DEMO:
        return draw_demo(out or fetching.root / catalogue.DEMO, seed)
    if out is None:
        parts = [name] if source is None else [Path(source).resolve().name, name]
        out = fetching.root / "-".join(parts + ["study"] * (rule == "study"))
    asked = {"dataset": name, "rule": rule, "seed": seed, "from": source and str(source)}
    with locked(out.with_name(f".{out.name}.build.lock")):
        # It may be built by the process that was waited for.
        if read_json(out / "split.json").get("built") == asked:
            log.info("%s: is built already", out)
            if source is None and not fetching.offline:
                _provide_photographs(name, formats.read_tables(out), fetching)
            return out
        if out.exists():
            raise InputError(f"{out}: is there already; choose another --out or remove it")
        if name in catalogue.RELEASES:
            dataset, files = _follow_protocol(name, source, seed, fetching)
        elif name == catalogue.DAQUAR:
            dataset, files = _as_published(source, seed, fetching)
        else:
            pool, files = _read_pool(source, fetching)
            dataset = cut(pool, name, seed, rule)
        if source is None:
            _provide_photographs(name, dataset.splits, fetching)
        _write(dataset, out, asked, files)
        return out


def _provide_photographs(name: str, splits: dict[str, pd.DataFrame], fetching: Fetching) -> None:
    """See that the photographs of a dataset are here: all of its subsets, or those asked about.

    Of the latter, what cannot be had is named and left out: a run counts it and says so.
    """
    if not fetching.photographs:
        return
    if catalogue.ENTRIES[name].archives:
        for archive in catalogue.ENTRIES[name].archives:
            fetching.download(archive)
        return
    folder, subset = fetching.root / PHOTOGRAPHS, catalogue.CUT_FROM[1][0]
    wanted = set().union(*(table["image_id"].tolist() for table in splits.values()))
    lacking = sorted(wanted - find_images(folder / subset, wanted).keys())
    if lacking:
        log.info("%s: fetching %d photographs of %s", folder, len(lacking), subset)
        failed = fetch_images(
            lacking, subset, fetching.root, read_sources(fetching.sources),
            mirror=fetching.mirror, offline=fetching.offline,
        )  # fmt: skip
        for image_id, reason in sorted(failed.items()):
            log.warning("%s: image %d of %s: %s", folder, image_id, subset, reason)


def _subset_files(folder: Path, release: str, subset: str) -> dict[str, Path]:
    """The official files of a subset that lie in a folder: "questions" and "annotations"."""
    version, found = catalogue.RELEASES[release], {}
    for kind, test in (("questions", "OpenEnded_"), ("annotations", "")):
        for end in (".json.gz", ".json"):
            path = folder / f"{version}{test}mscoco_{subset}_{kind}{end}"
            if path.is_file():
                found[kind] = path
    return found


def _read_subset(folder: Path, release: str, subset: str) -> tuple[pd.DataFrame, list[Path]]:
    """An answered subset of a release, and the files it was read from."""
    files = _subset_files(folder, release, subset)
    if len(files) < 2:
        line = f"lacks the official questions or annotations of {release} {subset}; put them there"
        raise InputError(f"{folder}: {line}, or fetch them with `vqa data download {release}`")
    return formats.read_split(files), list(files.values())


def _of_release(release: str, source: Source, fetching: Fetching) -> tuple[Path, str, Path]:
    """The folder of a release, what the features of its photographs are filed under, and where
    these lie."""
    if source is None:
        return fetching.download(release), PHOTOGRAPHS.name, fetching.root / PHOTOGRAPHS
    return Path(source), Path(source).resolve().name, Path(source)


def _read_pool(source: Source, fetching: Fetching) -> Made:
    """What the study's datasets are cut from."""
    release, (subset,) = catalogue.CUT_FROM
    if source is not None and len(_subset_files(Path(source), release, subset)) < 2:
        # A dataset, as its files have it: what a run would cut or leave out is cut again here.
        return open_dataset(source, root=fetching.root, arranged=False), []
    folder, filed, images = _of_release(release, source, fetching)
    table, files = _read_subset(folder, release, subset)
    return Dataset(f"{release} {subset}", folder, {"train": table}, {}, filed, 0, images), files


def _follow_protocol(name: str, source: Source, seed: int, fetching: Fetching) -> Made:
    """The field's protocol: train on train2014, choose on a part of it, report on val2014, export
    test2015 where its questions and photographs are here."""
    folder, filed, images = _of_release(name, source, fetching)
    learnt, reported, exported = catalogue.SUBSETS
    train, files = _read_subset(folder, name, learnt)
    test, more = _read_subset(folder, name, reported)
    splits, files = {"train": train, "test": test}, files + more
    notes = [f"VQA {name}: learnt on {learnt}, reported on {reported}"]
    if path := _subset_files(folder, name, exported).get("questions"):
        table = formats.read_questions(path)
        asked = set(table["image_id"].tolist())
        absent = len(asked) - len(find_images(images, asked))
        if fetching.photographs and absent > MOST_ABSENT * len(asked):
            remedy = f"`vqa data download coco-{exported}`, remove this dataset, build it again"
            notes.append(f"{exported} is not exported: its photographs are not here ({remedy})")
        else:
            splits["export"] = table
            files.append(path)
            notes.append(f"{exported} is answered and exported for the server, not scored")
    pairs = NO_PAIRS
    if name == "v2":
        pairs = find_pairs(folder, splits)
        files += pair_lists(folder)
    notes += keep_apart(splits)
    notes.append(cut_from_train(splits, "validation", VALIDATION_SHARE, seed, pairs))
    splits = {split: splits[split] for split in formats.SPLITS if split in splits}
    made = Dataset(name, folder, splits, {}, filed, seed, images, notes=notes, pairs=pairs)
    return made, files


def _as_published(source: Source, seed: int, fetching: Fetching) -> Made:
    """DAQUAR with its own test split; validation is cut from train, as of any folder."""
    folder = fetching.download(catalogue.DAQUAR) if source is None else Path(source)
    files = daquar_files(folder)
    if "train" not in files:
        line = "lacks qa.894.raw.train.txt; put it, qa.894.raw.test.txt and the unpacked"
        raise InputError(f"{folder}: {line} nyu_depth_images.tar of {catalogue.DAQUAR_PAGE} there")
    tables = {split: read_daquar(path, formats.refuse) for split, path in files.items()}
    notes = [f"DAQUAR as published: {', '.join(path.name for path in files.values())}"]
    notes += arrange(folder, tables, "by-image", seed)
    splits = {split: tables[split] for split in formats.SPLITS if split in tables}
    filed = catalogue.DAQUAR if source is None else folder.resolve().name
    made = Dataset(catalogue.DAQUAR, folder, splits, {}, filed, seed, folder, notes=notes)
    return made, list(files.values())


def convert(dataset: Dataset, out: Path) -> Path:
    """Write a dataset of any layout in the official one, its images as links named by their ids.

    Raises:
        InputError: for a folder that exists.
    """
    if out.exists():
        raise InputError(f"{out}: is there already; choose another folder or remove it")
    with folder_in_one_step(out) as partial:
        for split, table in dataset.splits.items():
            formats.write_split(partial, split, table, f"converted from {dataset.name}")
        (partial / "images").mkdir()
        for image_id, path in dataset.images.items():
            link = partial / "images" / f"{image_id:012d}{path.suffix.lower()}"
            link.symlink_to(path.resolve())
    return out


def _write(dataset: Dataset, out: Path, asked: dict, files: list[Path]) -> None:
    """Write a dataset as a folder of its own, in one step; the images stay where they are.

    Args:
        asked: what it was made for, so that the same request finds it again.
        files: what it was read from; their sha256 go into `split.json`.
    """
    images = (dataset.image_folder or dataset.folder).resolve()
    manifest = {"name": out.name, "images": os.path.relpath(images, out.resolve())}
    for kept in ("image_source", "drawn", "rule", "seed", "notes"):
        manifest[kept] = getattr(dataset, kept)
    sums = {path.name: sha256_of(path) for path in files}
    record = {"built": asked, **dataset.split_record(), "files": sums}
    with folder_in_one_step(out) as partial:
        for split, table in dataset.splits.items():
            formats.write_split(partial, split, table, dataset.notes[0])
        for name, content in ((MANIFEST, manifest), ("split.json", record)):
            (partial / name).write_text(json.dumps(content, indent=1), encoding="utf-8")
        if len(dataset.pairs.ids):  # else what is rare in a part of the data would pass for pairs
            (partial / PAIRS).write_text(json.dumps(dataset.pairs.ids.tolist()), encoding="utf-8")
