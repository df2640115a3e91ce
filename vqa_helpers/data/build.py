"""Builds a dataset folder from a name in the catalogue, downloading what it needs.

Knows the rules, the folders and the official file names; nothing of models, and of the network only
whom to ask.
"""

import json
import logging
import os
from dataclasses import dataclass
from pathlib import Path

from vqa_helpers.data import catalogue, formats
from vqa_helpers.data.daquar import daquar_files, read_daquar
from vqa_helpers.data.folder import DATA, MANIFEST, Dataset, draw_demo, open_dataset, require_seed
from vqa_helpers.data.images import find_images
from vqa_helpers.data.pairs import PAIRS, find_pairs, pair_lists
from vqa_helpers.data.public.download import PHOTOGRAPHS, download, fetch_images
from vqa_helpers.data.public.sources import read_sources
from vqa_helpers.data.splits import arrange, cut_from_train, keep_apart
from vqa_helpers.data.subset import cut
from vqa_helpers.errors import InputError
from vqa_helpers.files import folder_in_one_step, locked, read_json, sha256_of

log = logging.getLogger(__name__)

VALIDATION_SHARE = 0.05  # of the train images of a release: more would be lost to training
MOST_ABSENT = 0.1  # of the photographs, beyond which a test set is not worth exporting
EXPORTED = "test2015"  # whose answers only the evaluation server knows

# A dataset or a folder with a release; None for the release the study used, downloaded.
Source = str | Path | None


@dataclass(frozen=True)
class Fetching:
    """How missing files are obtained.

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
    """Build a named dataset, downloading what it needs; one already built as asked is returned.

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
        names = ", ".join(catalogue.ENTRIES)
        raise InputError(f"{name!r} is no named dataset; the names are {names}")
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
        if name in catalogue.CUTS:
            pool, files = _read_pool(name, source, fetching)
            dataset = cut(pool, name, seed, rule)
        else:
            dataset = _of_release(name, source, seed, fetching)
            read = _as_published if name == catalogue.DAQUAR else _follow_protocol
            files = read(dataset, fetching)
        if source is None:
            _provide_photographs(name, dataset.splits, fetching)
        _write(dataset, out, asked, files)
        return out


def _provide_photographs(name: str, splits: formats.Tables, fetching: Fetching) -> None:
    """Make sure that the photographs of a dataset are here: all of its subsets, or those asked
    about.

    Of the latter, what cannot be had is named and left out: a run counts it and says so.
    """
    if not fetching.photographs:
        return
    entry = catalogue.ENTRIES[name]
    for archive in entry.archives:
        fetching.download(archive)
    if entry.archives:
        return
    folder, (subset,) = fetching.root / PHOTOGRAPHS, entry.subsets
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


def _of_release(name: str, source: Source, seed: int, fetching: Fetching) -> Dataset:
    """A dataset of a release, its splits still to be read."""
    entry = catalogue.ENTRIES[name]
    folder = fetching.download(entry.release) if source is None else Path(source)
    if source is None and entry.subsets:  # of COCO, whose photographs several releases share
        return Dataset(name, folder, {}, {}, PHOTOGRAPHS.name, seed, fetching.root / PHOTOGRAPHS)
    return Dataset(name, folder, {}, {}, folder.resolve().name, seed, folder)


def _read_pool(name: str, source: Source, fetching: Fetching) -> tuple[Dataset, list[Path]]:
    """What a dataset of the study is cut from, and the files it was read from."""
    release, (subset,) = catalogue.ENTRIES[name].release, catalogue.ENTRIES[name].subsets
    if source is not None and len(_subset_files(Path(source), release, subset)) < 2:
        # A dataset, as its files have it: what a run would cut or leave out is cut again here.
        return open_dataset(source, root=fetching.root, arranged=False), []
    pool = _of_release(name, source, 0, fetching)
    pool.name = f"{release} {subset}"
    return pool, _read_subset(pool, "train", release, subset)


def _follow_protocol(made: Dataset, fetching: Fetching) -> list[Path]:
    """The standard protocol: train on train2014, select on a part of it, report on val2014, export
    test2015 if its questions and photographs are here. Returns the files that were read."""
    learnt, reported = catalogue.ENTRIES[made.name].subsets
    files = _read_subset(made, "train", made.name, learnt)
    files += _read_subset(made, "test", made.name, reported)
    made.notes.append(f"VQA {made.name}: learnt on {learnt}, reported on {reported}")
    if path := _subset_files(made.folder, made.name, EXPORTED).get("questions"):
        table = formats.read_questions(path)
        asked = set(table["image_id"].tolist())
        absent = len(asked) - len(find_images(made.image_folder, asked))
        if fetching.photographs and absent > MOST_ABSENT * len(asked):
            line = f"{EXPORTED} is not exported: its photographs are not here"
            remedy = f"`vqa data download coco-{EXPORTED}`, remove this dataset, build it again"
            made.notes.append(f"{line} ({remedy})")
        else:
            made.splits["export"] = table
            files.append(path)
            made.notes.append(f"{EXPORTED} is answered and exported for the server, not scored")
    if made.name == "v2":
        made.pairs = find_pairs(made.folder, made.splits)
        files += pair_lists(made.folder)
    made.notes += keep_apart(made.splits)
    cut_off = cut_from_train(made.splits, "validation", VALIDATION_SHARE, made.seed, made.pairs)
    made.notes.append(cut_off)
    return files


def _read_subset(made: Dataset, split: str, release: str, subset: str) -> list[Path]:
    """Read an answered subset of a release as a split; the files it was read from."""
    files = _subset_files(made.folder, release, subset)
    if len(files) < 2:
        line = f"lacks the official questions or annotations of {release} {subset}; put them there"
        raise InputError(f"{made.folder}: {line}, or fetch them with `vqa data download {release}`")
    made.splits[split] = formats.read_split(files)
    return list(files.values())


def _subset_files(folder: Path, release: str, subset: str) -> dict[str, Path]:
    """The official files of a subset that lie in a folder: "questions" and "annotations"."""
    version, found = "v2_" if release == "v2" else "", {}
    for kind, test in (("questions", "OpenEnded_"), ("annotations", "")):
        path = folder / f"{version}{test}mscoco_{subset}_{kind}.json"
        for packed_or_not in (path.with_name(f"{path.name}.gz"), path):
            if packed_or_not.is_file():
                found[kind] = packed_or_not
    return found


def _as_published(made: Dataset, fetching: Fetching) -> list[Path]:
    """DAQUAR with its own test split; validation is cut from train, as of any folder. Returns the
    files that were read."""
    files = daquar_files(made.folder)
    if "train" not in files:
        line = "lacks qa.894.raw.train.txt; put it, qa.894.raw.test.txt and the unpacked"
        page = f"nyu_depth_images.tar of {catalogue.DAQUAR_PAGE} there"
        raise InputError(f"{made.folder}: {line} {page}")
    made.splits = {split: read_daquar(path, formats.refuse) for split, path in files.items()}
    made.notes.append(f"DAQUAR as published: {', '.join(path.name for path in files.values())}")
    made.notes += arrange(made.folder, made.splits, "by-image", made.seed)
    return list(files.values())


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
    dataset.splits = formats.in_order(dataset.splits)
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
