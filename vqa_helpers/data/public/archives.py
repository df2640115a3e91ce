"""Archives unpacked safely: all of their files or none, inside one folder or nowhere.

Every member is looked at before the first byte is written: names that lead elsewhere, links,
devices, encrypted members, doubles and bombs are refused. Files are written into a hidden folder
beside and moved into place when all are there; nothing that exists is overwritten. Knows zip and
tar, and nothing of where an archive came from.
"""

import filecmp
import gzip
import logging
import os
import re
import shutil
import stat
import struct
import tarfile
import unicodedata
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from vqa_helpers.errors import InputError
from vqa_helpers.files import remedy, require_space
from vqa_helpers.progress import meter

log = logging.getLogger(__name__)

_CHUNK_BYTES = 1 << 20
_LONGEST_NAME = 1024  # bytes; of one part of a name 255
_DEEPEST = 32
_SMALL_BYTES = 16 << 20  # an archive that unpacks to less is no bomb, whatever its ratio
_MOST_PADDING = 64 << 20  # bytes after the last member of a tar
_DRIVE = re.compile("[A-Za-z]:")
_ZIP_ENCRYPTED = 0x1 | 0x40 | 0x2000


@dataclass(frozen=True)
class Limits:
    """What an archive may hold.

    Attributes:
        bytes: of all files unpacked.
        ratio: of the files unpacked to the archive; text reaches 20.
        members: files and folders.
    """

    bytes: int = 100 * 10**9
    ratio: int = 200
    members: int = 1_000_000


@dataclass(frozen=True)
class Unpacked:
    """What an archive held.

    Attributes:
        files: how many.
        bytes: of all of them.
        first: the path of the first, relative to the folder, in the archive's order.
        last: of the last.
        folders: how many files each folder got directly; "" is the folder itself.
    """

    files: int
    bytes: int
    first: str
    last: str
    folders: dict[str, int]


class BadArchive(InputError):
    """An archive that is damaged or not to be trusted: its bytes are of no use."""


class _Hostile(Exception):
    """A member, or an archive, that is not to be unpacked."""


@dataclass(frozen=True)
class _Member:
    name: str  # as the archive spells it
    size: int  # bytes, as the archive declares them
    is_folder: bool
    open: Callable[[], BinaryIO]


def unpack(archive: Path, folder: Path, limits: Limits | None = None) -> Unpacked:
    """Unpack a zip, tar or tar.gz into a folder that may hold other files already.

    A kill leaves nothing but a hidden folder, which the next call removes.

    Raises:
        BadArchive: it is damaged or not to be trusted.
        InputError: a file in the folder differs from the one it would bring, or the disk has no
            room. In either case nothing of it is kept.
    """
    limits = limits or Limits()
    folder.mkdir(parents=True, exist_ok=True)
    staged = folder / f".{archive.name}.unpacking"
    shutil.rmtree(staged, ignore_errors=True)
    try:
        with _opened(archive) as members:
            approved = _approve(members, archive.stat().st_size, limits)
            unpacked = _summary(approved)
            require_space(folder, unpacked.bytes, f"to unpack {archive.name}")
            _write(approved, staged, archive.name, unpacked.bytes)
        _check_nothing_differs(staged, folder)
        _move(staged, folder)
    except _Hostile as error:
        raise BadArchive(f"{archive}: {error}; nothing was unpacked, get it anew") from error
    except InputError:
        raise
    except (
        zipfile.BadZipFile, tarfile.TarError, zlib.error, gzip.BadGzipFile, struct.error,
        EOFError, NotImplementedError, RuntimeError, ValueError, MemoryError,
    ) as error:  # fmt: skip
        what = " ".join(str(error).split()) or type(error).__name__
        raise BadArchive(f"{archive}: is damaged ({what}); remove it and get it anew") from error
    except OSError as error:
        raise InputError(
            f"{archive}: cannot be unpacked into {folder} ({error.strerror or error}); "
            f"{remedy(error)}; nothing of it was kept"
        ) from error
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    log.info("%s: %d files into %s", archive.name, unpacked.files, folder)
    return unpacked


# ---------------------------------------------------------------- looking


@contextmanager
def _opened(archive: Path) -> Iterator[Iterator[_Member]]:
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as opened:
            yield _zip_members(opened)
        return
    unzipped = archive.open("rb") if archive.suffix == ".tar" else gzip.open(archive, "rb")
    with unzipped, tarfile.open(fileobj=_Sparing(unzipped), mode="r:") as opened:
        yield _tar_members(opened, unzipped)


class _Sparing:
    """A stream for tarfile, which reads a header as long as the archive says into memory."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.seek, self.tell = stream.seek, stream.tell

    def read(self, size: int) -> bytes:
        if size > _CHUNK_BYTES:
            raise _Hostile(f"has a header of {size} bytes")
        return self._stream.read(size)


def _zip_members(opened: zipfile.ZipFile) -> Iterator[_Member]:
    for info in opened.infolist():
        name = info.orig_filename  # `filename` ends at a zero byte
        kind = stat.S_IFMT(info.external_attr >> 16)
        is_folder = name.endswith("/")
        if kind not in (0, stat.S_IFDIR if is_folder else stat.S_IFREG):
            raise _Hostile(f"member {name!r} is a link or a device")
        if info.flag_bits & _ZIP_ENCRYPTED:
            raise _Hostile(f"member {name!r} is encrypted")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise _Hostile(f"member {name!r} is compressed in an unusual way")
        if info.compress_type == zipfile.ZIP_STORED and info.compress_size != info.file_size:
            raise _Hostile(f"member {name!r} declares two sizes")
        # zipfile stops at the declared size; allowed one byte more, it shows what is beyond.
        generous = copy(info)
        generous.file_size += 1
        yield _Member(name, info.file_size, is_folder, lambda info=generous: opened.open(info))


def _tar_members(opened: tarfile.TarFile, stream: BinaryIO) -> Iterator[_Member]:
    for info in opened:
        if not (info.isreg() or info.isdir()) or info.issparse():
            raise _Hostile(f"member {info.name!r} is a link, a device or has holes")
        yield _Member(
            info.name, info.size, info.isdir(), lambda info=info: opened.extractfile(info)
        )
    # To the very end, where gzip keeps its sum.
    for _ in range(_MOST_PADDING // _CHUNK_BYTES):
        if not stream.read(_CHUNK_BYTES):
            return
    raise _Hostile(f"goes on for more than {_MOST_PADDING} bytes after its last member")


def _approve(members: Iterator[_Member], archive_bytes: int, limits: Limits) -> dict[str, _Member]:
    """The files by their safe path; counted as they are listed, since listing may be the bomb."""
    most = min(limits.bytes, max(_SMALL_BYTES, limits.ratio * archive_bytes))
    files: dict[str, _Member] = {}
    seen: set[str] = set()  # as a file system that ignores case sees them
    folders: set[str] = set()
    total = 0
    for number, member in enumerate(members, start=1):
        if number > limits.members:
            raise _Hostile(f"has more than {limits.members} members")
        if member.size < 0:
            raise _Hostile(f"member {member.name!r} declares {member.size} bytes")
        total += member.size
        if total > most:
            raise _Hostile(f"unpacks to more than {most} bytes; it may be a bomb")
        path = _safe_path(member)
        if path is None or _is_clutter(path):
            continue
        key = unicodedata.normalize("NFC", str(path)).casefold()
        parents = {str(parent) for parent in PurePosixPath(key).parents}
        if member.is_folder:
            folders |= {key, *parents}
            continue
        if key in seen:
            raise _Hostile(f"has two members {member.name!r}")
        seen.add(key)
        folders |= parents
        files[str(path)] = member
    both = seen & folders
    if both:
        raise _Hostile(f"has {min(both)!r} both as a file and as a folder")
    if not files:
        raise _Hostile("holds no file")
    return files


def _safe_path(member: _Member) -> PurePosixPath | None:
    """The member's path below the folder; None for the folder itself."""
    name = member.name
    parts = [part for part in name.split("/") if part not in ("", ".")]
    reason = None
    if name.startswith("/") or ".." in parts:
        reason = "leads out of the folder"
    elif "\\" in name or _DRIVE.match(name):
        reason = "is a path of another system"
    elif any(unicodedata.category(letter) in ("Cc", "Cs") for letter in name):
        reason = "has characters that are no text"
    elif len(name.encode()) > _LONGEST_NAME or any(len(part.encode()) > 255 for part in parts):
        reason = "is too long"
    elif len(parts) > _DEEPEST:
        reason = "is nested too deeply"
    elif not member.is_folder and (not parts or name.endswith(("/", "/."))):
        reason = "is no name of a file"
    elif parts and parts[0].startswith(".") and not _is_clutter(PurePosixPath(*parts)):
        reason = "is hidden"  # where this package keeps its own notes
    if reason:
        shown = name if len(name) < 100 else f"{name[:100]}…"
        raise _Hostile(f"member {shown!r} {reason}")
    return PurePosixPath(*parts) if parts else None


def _is_clutter(path: PurePosixPath) -> bool:
    """What a Mac adds to an archive."""
    return path.parts[0] == "__MACOSX" or path.name.startswith("._") or path.name == ".DS_Store"


def _summary(files: dict[str, _Member]) -> Unpacked:
    paths = list(files)
    parents = Counter(str(PurePosixPath(path).parent) for path in paths)
    return Unpacked(
        files=len(paths),
        bytes=sum(member.size for member in files.values()),
        first=paths[0],
        last=paths[-1],
        folders={"" if parent == "." else parent: count for parent, count in parents.items()},
    )


# ---------------------------------------------------------------- writing


def _write(files: dict[str, _Member], staged: Path, label: str, total: int) -> None:
    with meter(f"unpacking {label}", total) as advance:
        for path, member in files.items():
            target = staged / path
            target.parent.mkdir(parents=True, exist_ok=True)
            came = 0
            with member.open() as stream, target.open("xb") as out:
                while chunk := stream.read(_CHUNK_BYTES):
                    came += len(chunk)
                    if came > member.size:
                        break
                    out.write(chunk)
                    advance(len(chunk))
            if came != member.size:
                what = "more" if came > member.size else "fewer"
                raise _Hostile(f"member {member.name!r} holds {what} bytes than it declares")


def _check_nothing_differs(staged: Path, folder: Path) -> None:
    """A file that is there already must be the one that would be moved onto it."""
    for parent, _, names in os.walk(staged):
        inside = Path(parent).relative_to(staged)
        target = folder / inside
        if os.path.lexists(target) and not target.is_dir():
            raise InputError(f"{target}: is in the way of a folder; remove it and run again")
        for name in names:
            there = target / name
            if not os.path.lexists(there):
                continue
            if not there.is_file() or not filecmp.cmp(Path(parent, name), there, shallow=False):
                raise InputError(
                    f"{there}: differs from the archive's file of that name; "
                    "remove it and run again"
                )


def _move(source: Path, target: Path) -> None:
    """Merge a folder into another; whole folders at once where there is none yet."""
    for entry in sorted(source.iterdir()):
        there = target / entry.name
        if not os.path.lexists(there):
            os.rename(entry, there)
        elif entry.is_dir():
            _move(entry, there)
