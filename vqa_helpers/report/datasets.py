"""The named datasets and the public files they are made of, as tables: what, how large, whose, and
whether they are on this machine.
"""

from pathlib import Path

import pandas as pd

from vqa_helpers.data.catalogue import ENTRIES, Entry
from vqa_helpers.data.folder import MANIFEST
from vqa_helpers.data.public.download import HERE, state
from vqa_helpers.data.public.sources import Source, read_sources

PHOTOGRAPH_KB = 160  # of a COCO photograph: an archive's bytes over its images
DRAWN_BYTES = 10_000_000  # of the demo


def dataset_list(root: Path, sources: Path | None = None) -> pd.DataFrame:
    """Every named dataset, a row each: source, questions, images, size of its photographs, licence,
    state, what it is."""
    known = {source.name: source for source in read_sources(sources).sources}
    return pd.DataFrame([_row(name, entry, root, known) for name, entry in ENTRIES.items()])


def _row(name: str, entry: Entry, root: Path, known: dict[str, Source]) -> dict[str, object]:
    drawn = entry.release is None
    archives = entry.archives
    needed = [] if drawn else [entry.release, *archives]
    lacking = [s for s in needed if s not in known or state(known[s], root) != HERE]
    sizes = [known[s].bytes if s in known else None for s in archives]
    if not archives:
        sizes = [DRAWN_BYTES if drawn else 1000 * PHOTOGRAPH_KB * entry.images]
    absent = f"not built; lacks {', '.join(lacking)}" if lacking else "not built; all is here"
    absent = "not drawn yet" if drawn else absent
    coco = f"VQA {entry.release}, COCO {' and '.join(entry.subsets)}"
    return {
        "dataset": name,
        "source": "drawn here" if drawn else coco if entry.subsets else "DAQUAR",
        "questions": entry.questions,
        "images": entry.images,
        "on disk": _in_words(None if None in sizes else sum(sizes)),
        "licence": entry.licence,
        "state": "built" if (root / name / MANIFEST).exists() else absent,
        "what": entry.about,
    }


def source_list(root: Path, sources: Path | None = None) -> pd.DataFrame:
    """Every public source that can be downloaded: files, bytes, licence, place, state, what."""
    columns = ["source", "files", "download", "licence", "place", "state", "what"]
    rows = [
        (one.name, len(one.files), _in_words(one.bytes), one.licence, str(root / one.folder),
         state(one, root), one.about)
        for one in read_sources(sources).sources
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def _in_words(size: int | None) -> str:
    """Bytes for people; "size not published" for None."""
    if size is None:
        return "size not published"
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size} bytes"
