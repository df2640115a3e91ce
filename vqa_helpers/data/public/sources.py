"""The public files, as data: where each lies, how long it is, its sum, its licence.

`sources.json` beside this module lists them; the environment's VQA_SOURCES names a list of one's
own in the same form, for a mirror with other files. Knows no network.
"""

import os
import re
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from vqa_helpers.data.decode import DecodeError, decode
from vqa_helpers.errors import InputError

SOURCES_VARIABLE = "VQA_SOURCES"
ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz")
PHOTOGRAPH = "COCO_{subset}_{image_id:012d}.jpg"

_SHA256 = re.compile("[0-9a-f]{64}")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")


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

    url: str
    bytes: int | None
    sha256: str | None
    mirrors: tuple[str, ...] = ()
    saved_as: str | None = None

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

    name: str
    about: str
    licence: str
    folder: str
    unpack: bool
    files: tuple[File, ...]
    expands: int = 1

    @property
    def bytes(self) -> int | None:
        """The length of all its files; None where one is not published."""
        lengths = [file.bytes for file in self.files]
        return None if None in lengths else sum(lengths)


class Sources(dict[str, Source]):
    """Sources by name, in the order of the list; a name that is not there is an `InputError`.

    Attributes:
        single_image: the address of one photograph, with {subset} and {name} left open.
    """

    def __init__(self, sources: tuple[Source, ...], single_image: str) -> None:
        super().__init__({source.name: source for source in sources})
        self.single_image = single_image

    def __missing__(self, name: str) -> Source:
        raise InputError(f"{name!r}: no such download; there are {', '.join(self)}")

    def photograph(self, subset: str, image_id: int) -> str:
        """The address of one COCO photograph of a subset: "train2014", "val2014"."""
        name = PHOTOGRAPH.format(subset=subset, image_id=image_id)
        return self.single_image.replace("{subset}", subset).replace("{name}", name)


# As the JSON has them: `decode` reads lists.


@dataclass(frozen=True)
class _ListedFile:
    url: str
    bytes: int | None
    sha256: str | None
    mirrors: list[str] = field(default_factory=list)
    saved_as: str | None = None


@dataclass(frozen=True)
class _ListedSource:
    name: str
    about: str
    licence: str
    folder: str
    unpack: bool
    files: list[_ListedFile]
    expands: int = 1


@dataclass(frozen=True)
class _Listed:
    single_image: str
    sources: list[_ListedSource]


def _source(listed: _ListedSource) -> Source:
    files = (File(**vars(file) | {"mirrors": tuple(file.mirrors)}) for file in listed.files)
    return Source(**vars(listed) | {"files": tuple(files)})


def read_sources(path: Path | None = None) -> Sources:
    """Read a list of public files.

    Args:
        path: a JSON file; without it the environment's VQA_SOURCES, then the package's own.

    Raises:
        InputError: no such file, or it is malformed; names the field.
    """
    path = path or os.environ.get(SOURCES_VARIABLE) or None
    if path is None:
        label = "sources.json"
        text = resources.files("vqa_helpers.data.public").joinpath("sources.json").read_bytes()
    else:
        label = str(path)
        try:
            text = Path(path).expanduser().read_bytes()
        except OSError as error:
            raise InputError(f"{label}: cannot be read ({error.strerror})") from error
    try:
        listed = decode(text, _Listed)
        sources = tuple(_source(source) for source in listed.sources)
        _check(sources, listed.single_image)
    except (DecodeError, _WrongField) as error:
        raise InputError(f"{label}: {error}") from error
    return Sources(sources, listed.single_image)


class _WrongField(ValueError):
    """A field of the right type whose value cannot be used."""


def _check(sources: tuple[Source, ...], template: str) -> None:
    _require(
        is_web_address(template) and "{subset}" in template and "{name}" in template,
        "single_image", template, "write an http(s) address with {subset} and {name} in it",
    )  # fmt: skip
    names: set[str] = set()
    places: set[tuple[str, str]] = set()
    for number, source in enumerate(sources):
        place = f"sources[{number}]"
        unused = source.name and source.name not in names
        _require(unused, f"{place}.name", source.name, "give every source a name of its own")
        names.add(source.name)
        folder = PurePosixPath(source.folder)
        parts = source.folder.split("/")
        below = not folder.is_absolute() and all(_NAME.fullmatch(part) for part in parts)
        _require(below, f"{place}.folder", source.folder, "name a folder below the data folder")
        _require(source.files, f"{place}.files", [], "list at least one file")
        _require(source.expands > 0, f"{place}.expands", source.expands, "use more than 0")
        for index, file in enumerate(source.files):
            where = f"{place}.files[{index}]"
            _check_file(file, where, source.unpack)
            unused = (source.folder, file.name) not in places
            _require(unused, f"{where}.saved_as", file.name, "give every file a name of its own")
            places.add((source.folder, file.name))


def _check_file(file: File, place: str, unpack: bool) -> None:
    for name, address in [("url", file.url), *(("mirrors", mirror) for mirror in file.mirrors)]:
        _require(is_web_address(address), f"{place}.{name}", address, "use an http(s) address")
    fits = file.bytes is None or file.bytes > 0
    _require(fits, f"{place}.bytes", file.bytes, "use a positive number, or null")
    fits = file.sha256 is None or _SHA256.fullmatch(file.sha256)
    _require(fits, f"{place}.sha256", file.sha256, "use 64 lower-case hexadecimal digits, or null")
    fits = _NAME.fullmatch(file.name)
    _require(fits, f"{place}.saved_as", file.name, "give a plain file name")
    fits = not unpack or file.name.endswith(ARCHIVES)
    ends = f"let it end in one of {', '.join(ARCHIVES)}, or do not unpack it"
    _require(fits, f"{place}.saved_as", file.name, ends)


def _require(holds: object, place: str, value: object, remedy: str) -> None:
    if not holds:
        raise _WrongField(f"{place}: {value!r} cannot be used; {remedy}")


def is_web_address(address: str) -> bool:
    """Whether an address is http or https and names a host."""
    try:
        parts = urlsplit(address)
        return parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return False
