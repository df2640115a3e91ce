"""Archives unpacked safely: all of their files or none, inside one folder.

Every member is looked at before the first byte is written: names that lead elsewhere, links,
devices and bombs are refused. Files are written into a hidden folder beside and moved into place
when all are there; nothing that exists is overwritten.
"""

import errno
import filecmp
import gzip
import logging
import os
import re
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO

from vqa_helpers.errors import InputError, one_line
from vqa_helpers.files import require_space
from vqa_helpers.progress import meter

log = logging.getLogger(__name__)

MOST_BYTES = 100 * 10**9  # of all files unpacked
MOST_RATIO = 200  # of the files unpacked to the archive; text reaches 20
MOST_MEMBERS = 1_000_000

_SMALL_BYTES = 16 << 20  # an archive that unpacks to less is no bomb, whatever its ratio
_CHUNK_BYTES = 1 << 20
_MOST_PADDING = 64 << 20  # bytes after the last member of a tar
_CLUTTER = re.compile(r"__MACOSX/|(.*/)?(\._|\.DS_Store\Z)")  # what a Mac adds
# Absolute, of another system, upwards, or hidden: this package keeps its own notes in such files.
_UNSAFE = re.compile(r"/|[A-Za-z]:|.*\\|(.*/)?\.\.(/|\Z)|(\./)*\.[^/]", re.DOTALL)
# The folder written to is empty: the names in the archive are at fault.
_OWN_FAULTS = {None, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG}

_Info = zipfile.ZipInfo | tarfile.TarInfo
_Member = tuple[str, int, bool, _Info]  # name, bytes as declared, whether it is a folder


class BadArchive(InputError):
    """An archive that is damaged or not to be trusted: its bytes are of no use."""


def unpack(archive: Path, folder: Path) -> list[str]:
    """Unpack a zip, tar or tar.gz into a folder that may hold other files already.

    A kill leaves nothing but a hidden folder, which the next call removes.

    Returns:
        The paths of the files, relative to the folder, in the archive's order.

    Raises:
        BadArchive: it is damaged or not to be trusted.
        InputError: a file in the folder differs from the one it would bring, or the disk has no
            room. In either case no file of it is kept.
    """
    folder.mkdir(parents=True, exist_ok=True)
    staged = folder / f".{archive.name}.unpacking"
    shutil.rmtree(staged, ignore_errors=True)
    try:
        files = _unpack_beside(archive, staged)
        for path in files:
            there = folder / path
            there.parent.mkdir(parents=True, exist_ok=True)
            same = there.is_file() and filecmp.cmp(staged / path, there, shallow=False)
            if os.path.lexists(there) and not same:
                line = "differs from the archive's file of that name; remove it and run again"
                raise InputError(f"{there}: {line}")
        for path in files:
            os.replace(staged / path, folder / path)
    except OSError as error:
        error.filename = error.filename or str(archive)  # that of a full disk has none
        raise
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    log.info("%s: %d files into %s", archive.name, len(files), folder)
    return files


def _unpack_beside(archive: Path, staged: Path) -> list[str]:
    try:
        with _opened(archive) as (members, extract):
            files = _approved(members, archive.stat().st_size)
            total = sum(size for _, size, *_ in files.values())
            require_space(staged.parent, total, f"to unpack {archive.name}")
            with meter(f"unpacking {archive.name}", total) as advance:
                for path, (name, size, _, info) in files.items():
                    extract(info, staged)  # never more bytes than are declared
                    if (staged / path).stat().st_size != size:
                        raise ValueError(f"member {name!r} holds fewer bytes than it declares")
                    advance(size)
        return list(files)
    except InputError:
        raise
    except Exception as error:  # whatever a broken archive makes the libraries raise
        if isinstance(error, OSError) and error.errno not in _OWN_FAULTS:
            raise
        line = (
            f"is damaged or not safe ({one_line(error)}); nothing was unpacked, download it again"
        )
        raise BadArchive(f"{archive}: {line}") from error


@contextmanager
def _opened(archive: Path) -> Iterator[tuple[Iterator[_Member], Callable[[_Info, Path], object]]]:
    """The members of an archive as they are listed, and what extracts one."""
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as opened:
            yield _zip_members(opened), opened.extract
        return
    unzipped = archive.open("rb") if archive.suffix == ".tar" else gzip.open(archive, "rb")
    with unzipped, tarfile.open(fileobj=_ShortReads(unzipped), mode="r:") as opened:
        yield _tar_members(opened, unzipped), partial(opened.extract, filter="data")


class _ShortReads:
    """A stream for tarfile, which reads a header as long as the archive says into memory."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.seek, self.tell = stream.seek, stream.tell

    def read(self, size: int) -> bytes:
        if size > _CHUNK_BYTES:
            raise ValueError(f"it has a header of {size} bytes")
        return self._stream.read(size)


def _zip_members(opened: zipfile.ZipFile) -> Iterator[_Member]:
    for info in opened.infolist():
        kind = stat.S_IFMT(info.external_attr >> 16)
        usual = info.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
        if not usual or kind not in (0, stat.S_IFDIR if info.is_dir() else stat.S_IFREG):
            raise ValueError(f"member {info.filename!r} is a link, a device or oddly compressed")
        yield info.orig_filename, info.file_size, info.is_dir(), info


def _tar_members(opened: tarfile.TarFile, stream: BinaryIO) -> Iterator[_Member]:
    for info in opened:
        if not (info.isreg() or info.isdir()) or info.issparse():
            raise ValueError(f"member {info.name!r} is a link, a device or has holes")
        yield info.name, info.size, info.isdir(), info
    # To the very end, where gzip keeps its sum.
    for _ in range(_MOST_PADDING // _CHUNK_BYTES):
        if not stream.read(_CHUNK_BYTES):
            return
    raise ValueError(f"it goes on for more than {_MOST_PADDING} bytes after its last member")


def _approved(members: Iterator[_Member], archive_bytes: int) -> dict[str, _Member]:
    """The files by their safe path; counted as they are listed, since listing may be the bomb."""
    most = min(MOST_BYTES, max(_SMALL_BYTES, MOST_RATIO * archive_bytes))
    files: dict[str, _Member] = {}
    total = 0
    for number, member in enumerate(members, start=1):
        name, size, is_folder, _ = member
        total += size
        if size < 0 or total > most or number > MOST_MEMBERS:
            line = f"it unpacks to more than {most} bytes or {MOST_MEMBERS} members"
            raise ValueError(f"{line}; it may be a bomb")
        path = os.path.normpath(name)
        if is_folder or _CLUTTER.match(path):
            continue
        if _UNSAFE.match(name) or not name.isprintable() or path in files:
            raise ValueError(f"member {name[:100]!r} leads elsewhere, is hidden, or there twice")
        files[path] = member
    if not files:
        raise ValueError("it holds no file")
    return files
