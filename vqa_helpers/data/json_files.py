"""JSON files, read by msgspec against a class: what is wrong with one is named with its place."""

import codecs
import gzip
import re
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import msgspec

from vqa_helpers.errors import InputError

Shape = TypeVar("Shape")


def read_bytes(path: Path) -> bytes:
    """The contents of a text file as UTF-8, unpacked if it ends in `.gz`, without a byte order mark."""
    try:
        data = path.read_bytes()
        if path.suffix.lower() == ".gz" and data:
            data = gzip.decompress(data)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        line = f"is not a complete gzip file ({error}); copy or download it again"
        raise InputError(f"{path}: {line}") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None
    data = data.removeprefix(codecs.BOM_UTF8)  # some editors begin a file with it
    encoding = {0: "utf-16-be", 1: "utf-16-le"}.get(data[:2].find(b"\0"))
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):  # as PowerShell writes files
        encoding = "utf-16"
    if encoding:
        try:
            data = data.decode(encoding).encode()
        except UnicodeDecodeError as error:
            line = f"begins as UTF-16 and is not ({error}); save it as UTF-8"
            raise InputError(f"{path}: {line}") from None
    if not data or data.isspace():
        raise InputError(f"{path}: is empty; copy or download it again")
    return data


class DecodeError(ValueError):
    """JSON that is not JSON, or not of the expected shape; the message names the place.

    Attributes:
        faults: everything wrong at that place, the message among it.
    """

    def __init__(self, *faults: str) -> None:
        super().__init__(faults[0])
        self.faults = list(faults)


def decode(text: bytes, shape: type[Shape], place: str = "") -> Shape:
    """Decode JSON into `shape`, a dataclass or msgspec struct; fields it does not have are ignored.

    Args:
        place: where the text comes from, for the message.

    Raises:
        DecodeError: naming the place and what was expected there.
    """
    try:
        return msgspec.json.decode(text, type=shape)
    except RecursionError:
        raise DecodeError("JSON is malformed: nested too deeply") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        what, _, inner = str(error).partition(" - at `$")
        if place:
            what = re.sub(r" \(byte \d+\)$", "", what)  # counted from the beginning of this text
        place = (place + inner.rstrip("`")).removeprefix(".")
        raise DecodeError(f"{place}: {what}" if place else what) from None


def read_as(path: Path, shape: type[Shape], remedy: str) -> Shape:
    """Read a JSON file into `shape`, as `decode` does.

    Args:
        remedy: what to do about a file that is not of that shape.

    Raises:
        InputError: naming the file, the place and the remedy.
    """
    try:
        return decode(read_bytes(path), shape)
    except DecodeError as error:
        raise InputError(f"{path}: {error}; {remedy}") from None


def decode_entries(
    text: bytes, field: str | None, shape: type[Shape]
) -> Iterator[Shape | DecodeError]:
    """Decode the entries of a long list one by one: each as `shape`, or what is wrong with it.

    The list may also be outermost, or stand as JSON lines, an entry a line.

    No more than one entry is decoded at a time: millions of small objects cost little memory, and
    the garbage collector has none of them to follow.

    Args:
        field: of the outermost object, that holds the list; None where the list is outermost.
        shape: a msgspec struct.

    Raises:
        DecodeError: before the first entry, for text that is not JSON or holds no such list.
    """
    start, lines = text.lstrip()[:1], []
    if start == b"{":
        with suppress(msgspec.MsgspecError, RecursionError):  # then it is no object a line
            lines = msgspec.json.Decoder(msgspec.Raw).decode_lines(text)
    if len(lines) > 1:
        entries = lines
    elif field is None or start == b"[":
        entries = decode(text, list[msgspec.Raw])
    else:
        outermost = msgspec.defstruct("Outermost", [(field, list[msgspec.Raw])])
        entries = getattr(decode(text, outermost), field)
    return _decoded(entries, field or "", shape)


def _decoded(entries: list, field: str, shape: type[Shape]) -> Iterator[Shape | DecodeError]:
    decoder = msgspec.json.Decoder(shape)
    # The shape with one field alone: each of them says what is wrong with that field.
    alone = [
        msgspec.defstruct("Alone", [(f.name, f.type, *([] if f.required else [f.default]))])
        for f in msgspec.structs.fields(shape)
    ]
    for number, entry in enumerate(entries):
        try:
            yield decoder.decode(entry)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            faults = {}
            for shape in alone:
                try:
                    decode(entry, shape, f"{field}[{number}]")
                except DecodeError as error:
                    faults[str(error)] = None
            yield DecodeError(*faults)
