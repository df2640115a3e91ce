"""The official releases on this machine: their files found or fetched, their subsets read.

Knows the official names and where `download` puts things; nothing of cuts, splits or models.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from vqa_helpers.data.catalogue import RELEASES
from vqa_helpers.data.formats import read_annotations, read_questions
from vqa_helpers.data.images import find_images
from vqa_helpers.data.public.download import PHOTOGRAPHS, download, fetch_images
from vqa_helpers.data.public.sources import read_sources
from vqa_helpers.errors import InputError

log = logging.getLogger(__name__)


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

    root: Path = Path("data")
    offline: bool = False
    mirror: str | None = None
    sources: Path | None = None
    photographs: bool = True


def find_subset(folder: Path, release: str, subset: str) -> dict[str, Path]:
    """The official files of a subset in a folder: "questions" and, where published,
    "annotations"; empty without questions."""
    names = RELEASES[release]
    found = {}
    for kind, name in (
        ("questions", names.questions(subset)),
        ("annotations", names.annotations(subset)),
    ):
        for path in (folder / name, folder / f"{name}.gz"):
            if path.is_file():
                found.setdefault(kind, path)
    return found if "questions" in found else {}


def read_subset(folder: Path, release: str, subset: str) -> pd.DataFrame:
    """A subset as a table; without answers where none are published.

    Raises:
        InputError: when the folder lacks its questions, or a file is malformed.
    """
    files = find_subset(folder, release, subset)
    if not files:
        raise InputError(
            f"{folder}: has no {RELEASES[release].questions(subset)}; put the files of {release} "
            f"there, or fetch them with `vqa data download {release}`"
        )
    questions = read_questions(files["questions"])
    if "annotations" not in files:
        return questions
    return read_annotations(files["annotations"], questions)


def release_folder(release: str, fetching: Fetching) -> Path:
    """The folder with a release's questions and annotations, downloaded if it is not here."""
    source = read_sources(fetching.sources)[release]
    return download(source, fetching.root, mirror=fetching.mirror, offline=fetching.offline)


def provide_archives(subsets: Iterable[str], fetching: Fetching) -> None:
    """See that all the photographs of some subsets are here.

    Raises:
        InputError: when an archive cannot be had.
    """
    sources = read_sources(fetching.sources)
    for subset in subsets:
        source = sources[f"coco-{subset}"]
        download(source, fetching.root, mirror=fetching.mirror, offline=fetching.offline)


def provide_photographs(subset: str, image_ids: Iterable[int], fetching: Fetching) -> None:
    """See that some photographs of a subset are here, fetching those that lack one by one.

    What cannot be had is named and left out: a run counts it and says so.
    """
    folder = fetching.root / PHOTOGRAPHS
    wanted = {int(image_id) for image_id in image_ids}
    lacking = sorted(wanted - find_images(folder / subset, wanted).keys())
    if not lacking:
        return
    log.info("%s: fetching %d photographs of %s", folder, len(lacking), subset)
    failed = fetch_images(
        lacking,
        subset,
        fetching.root,
        read_sources(fetching.sources),
        mirror=fetching.mirror,
        offline=fetching.offline,
    )
    for image_id, reason in sorted(failed.items()):
        log.warning("%s: image %d of %s: %s", folder, image_id, subset, reason)
