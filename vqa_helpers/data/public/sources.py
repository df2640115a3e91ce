"""The public files, as data: where each lies, how long it is, its sum, its licence.

`sources.json` beside this module lists them; the environment's VQA_SOURCES names another list of
the same form, for a mirror with other files.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated
from urllib.parse import urlsplit

from msgspec import Meta

from vqa_helpers.data.json_files import read_as
from vqa_helpers.errors import InputError

PHOTOGRAPH = "COCO_{subset}_{image_id:012d}.jpg"
ADDRESS = r"^https?://([^/@\s]+@)?(\[[0-9a-fA-F:.]+\]|[\w.-]+)(:\d+)?([/?]\S*)?\Z"

_NAME = r"[A-Za-z0-9_][A-Za-z0-9_.+-]*"
_Address = Annotated[str, Meta(pattern=ADDRESS)]
_Folder = Annotated[str, Meta(pattern=rf"^{_NAME}(/{_NAME})*\Z")]


@dataclass(frozen=True)
class File:
    """A public file.

    Attributes:
        url: its address, http or https.
        bytes: its length; None where none is published.
        sha256: its sum in hexadecimal; None where none is published.
        mirrors: other addresses of the same file.
        saved_as: its name on this machine; the last part of the address where None.
    """

    url: _Address
    bytes: Annotated[int, Meta(gt=0)] | None
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")] | None
    mirrors: tuple[_Address, ...] = ()
    saved_as: str | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch(_NAME, self.name):
            raise ValueError(f"saved_as {self.name!r} cannot be used; give a plain file name")

    @property
    def name(self) -> str:
        return self.saved_as or PurePosixPath(urlsplit(self.url).path).name


@dataclass(frozen=True)
class Source:
    """Files that are downloaded together.

    Attributes:
        folder: where they go, below the data folder.
        unpack: whether they are archives whose content is wanted, not the archive.
        expands: about how many times its length an archive takes once unpacked, rounded up.
    """

    name: Annotated[str, Meta(min_length=1)]
    about: str
    licence: str
    folder: _Folder
    unpack: bool
    files: Annotated[tuple[File, ...], Meta(min_length=1)]
    expands: Annotated[int, Meta(gt=0)] = 1

    @property
    def bytes(self) -> int | None:
        """The length of all its files; None where one is not published."""
        lengths = [file.bytes for file in self.files]
        return None if None in lengths else sum(lengths)


@dataclass(frozen=True)
class Sources:
    """The list of public files.

    Attributes:
        sources: all of them; one is found by its name, as in `sources["glove"]`.
        single_image: the address of one photograph, with {subset} and {name} left open.
    """

    sources: tuple[Source, ...]
    single_image: _Address

    def __post_init__(self) -> None:
        if not ("{subset}" in self.single_image and "{name}" in self.single_image):
            raise ValueError(f"single_image {self.single_image!r} lacks {{subset}} or {{name}}")
        used = [source.name for source in self.sources]
        used += [f"{source.folder}/{file.name}" for source in self.sources for file in source.files]
        if twice := [name for name in used if used.count(name) > 1]:
            raise ValueError(f"two entries are called {twice[0]!r}; give each its own name")

    def __getitem__(self, name: str) -> Source:
        named = {source.name: source for source in self.sources}
        if name not in named:
            raise InputError(f"{name!r}: no such download; there are {', '.join(named)}")
        return named[name]

    def photograph(self, subset: str, image_id: int) -> str:
        """The address of one COCO photograph of a subset: "train2014", "val2014"."""
        name = PHOTOGRAPH.format(subset=subset, image_id=image_id)
        return self.single_image.replace("{subset}", subset).replace("{name}", name)


def read_sources(path: Path | None = None) -> Sources:
    """Read a list of public files.

    Args:
        path: a JSON file; without it the environment's VQA_SOURCES, then the package's own.

    Raises:
        InputError: no such file, or it is malformed; names the field.
    """
    own = Path(__file__).with_name("sources.json")
    path = Path(path or os.environ.get("VQA_SOURCES") or own).expanduser()
    return read_as(path, Sources, "correct the list or leave it out")
