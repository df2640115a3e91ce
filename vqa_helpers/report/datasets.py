"""The named datasets and the public files they are made of, as tables: what, how large, whose, and
whether they are on this machine.
"""

from pathlib import Path

import pandas as pd

from vqa_helpers.data.catalogue import DEMO, ENTRIES, Entry
from vqa_helpers.data.folder import MANIFEST
from vqa_helpers.data.public.download import HERE, state
from vqa_helpers.data.public.sources import Sources, read_sources

PHOTOGRAPH_KB = 160  # of a COCO photograph: an archive's bytes over its images


def dataset_list(root: Path, sources: Path | None = None) -> pd.DataFrame:
    """Every named dataset, a row each: source, questions, images, size on disk, licence, state,
    what it is."""
    known = read_sources(sources)
    rows = [
        {
            "dataset": name,
            "source": _source(entry),
            "questions": entry.questions,
            "images": entry.images,
            "on disk": _size(entry, known),
            "licence": entry.licence,
            "state": _state(name, entry, root, known),
            "what": entry.about,
        }
        for name, entry in ENTRIES.items()
    ]
    return pd.DataFrame(rows)


def source_list(root: Path, sources: Path | None = None) -> pd.DataFrame:
    """Every public source that can be downloaded: files, bytes, licence, place, state, what."""
    rows = [
        {
            "source": source.name,
            "files": len(source.files),
            "download": _in_words(source.bytes),
            "licence": source.licence,
            "place": str(root / source.folder),
            "state": state(source, root),
            "what": source.about,
        }
        for source in read_sources(sources).values()
    ]
    return pd.DataFrame(rows)


def _source(entry: Entry) -> str:
    if entry.release is None:
        return "drawn here"
    return f"VQA {entry.release}, COCO {' and '.join(entry.subsets)}"


def _size(entry: Entry, sources: Sources) -> str:
    """Of the photographs, which outweigh everything else."""
    if entry.release is None:
        return "10 MB"
    if entry.whole:
        archives = [sources.get(f"coco-{subset}") for subset in entry.subsets]
        sizes = [archive and archive.bytes for archive in archives]
        return _in_words(None if None in sizes else sum(sizes))
    return _in_words(1000 * PHOTOGRAPH_KB * entry.images)


def _state(name: str, entry: Entry, root: Path, sources: Sources) -> str:
    if (root / name / MANIFEST).exists():
        return "built"
    if name == DEMO:
        return "not drawn yet"
    needed = [entry.release]
    if entry.whole:
        needed += [f"coco-{subset}" for subset in entry.subsets]
    known = sources.keys()  # a list of one's own may be shorter
    lacking = [s for s in needed if s not in known or state(sources[s], root) != HERE]
    return f"not built; lacks {', '.join(lacking)}" if lacking else "not built; all is here"


def _in_words(size: int | None) -> str:
    """Bytes for people; "size not published" for None."""
    if size is None:
        return "size not published"
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size} bytes"
