"""The named datasets and the public files they are made of, as tables: what, how large, whose, and
whether they are on this machine.
"""

from pathlib import Path

import pandas as pd
from matplotlib.ticker import EngFormatter

from vqa_helpers.data.catalogue import ENTRIES
from vqa_helpers.data.folder import MANIFEST
from vqa_helpers.data.public.download import HERE, state
from vqa_helpers.data.public.sources import read_sources

PHOTOGRAPH_KB = 160  # of a COCO photograph: an archive's bytes over its images
DRAWN_BYTES = 10_000_000  # of the demo


def dataset_list(root: Path, sources: Path | None = None) -> pd.DataFrame:
    """Every named dataset, a row each: source, questions, images, size of its photographs, licence,
    state, what it is."""
    known, rows = {source.name: source for source in read_sources(sources).sources}, []
    for name, entry in ENTRIES.items():
        needed = filter(None, (entry.release, *entry.archives))
        lacking = [s for s in needed if s not in known or state(known[s], root) != HERE]
        sizes = [known[s].bytes if s in known else None for s in entry.archives]
        size = None if None in sizes else sum(sizes) or 1000 * PHOTOGRAPH_KB * entry.images
        source = f"VQA {entry.release}, COCO {' and '.join(entry.subsets)}"
        source = source if entry.subsets else "DAQUAR"
        absent = f"not built; lacks {', '.join(lacking)}" if lacking else "not built; all is here"
        if entry.release is None:
            size, source, absent = DRAWN_BYTES, "drawn here", "not drawn yet"
        rows.append({
            "dataset": name, "source": source, "questions": entry.questions,
            "images": entry.images, "on disk": _in_words(size), "licence": entry.licence,
            "state": "built" if (root / name / MANIFEST).exists() else absent,
            "what": entry.about,
        })  # fmt: skip
    return pd.DataFrame(rows)


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
    return "size not published" if size is None else EngFormatter("B", places=1)(size)
