"""JSON text to checked objects, by msgspec; what is wrong is named by its place: `questions[3].id`.

Knows nothing of questions and answers.
"""

import re
from collections.abc import Iterator
from typing import TypeVar

import msgspec

Shape = TypeVar("Shape")


class DecodeError(ValueError):
    """JSON that is not JSON, or not of the expected shape; the message names the place.

    Attributes:
        faults: everything wrong at that place, the message among it.
    """

    def __init__(self, *faults: str) -> None:
        super().__init__(faults[0])
        self.faults = list(faults)


def decode(text: bytes, shape: type[Shape]) -> Shape:
    """Decode JSON into `shape`, a dataclass or msgspec struct; fields it does not have are ignored.

    Raises:
        DecodeError: naming the place and what was expected there.
    """
    try:
        return msgspec.json.decode(text, type=shape)
    except RecursionError:
        raise DecodeError("JSON is malformed: nested too deeply") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise DecodeError(_named(error)) from None


def decode_entries(
    text: bytes, field: str | None, shape: type[Shape]
) -> Iterator[Shape | DecodeError]:
    """Decode the entries of a long list one by one: each as `shape`, or what is wrong with it.

    No more than one entry is decoded at a time: millions of small objects cost little memory, and
    the garbage collector has none of them to follow.

    Args:
        field: of the outermost object, that holds the list; None where the list is outermost.
        shape: a msgspec struct.

    Raises:
        DecodeError: before the first entry, for text that is not JSON or holds no such list.
    """
    if field is None:
        entries = decode(text, list[msgspec.Raw])
    else:
        outermost = msgspec.defstruct("Outermost", [(field, list[msgspec.Raw])])
        entries = getattr(decode(text, outermost), field)
    return _each(entries, field or "", shape)


def _each(
    entries: list[msgspec.Raw], field: str, shape: type[Shape]
) -> Iterator[Shape | DecodeError]:
    decoder = msgspec.json.Decoder(shape)
    for number, entry in enumerate(entries):
        try:
            yield decoder.decode(entry)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            place = f"{field}[{number}]"
            yield DecodeError(*(_faults(entry, shape, place) or [_named(error, place)]))


def _faults(entry: msgspec.Raw, shape: type, place: str) -> list[str]:
    """What is wrong with each field of an entry; nothing where the entry is no object."""
    try:
        given = msgspec.json.decode(entry, type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return []
    faults = []
    for field in msgspec.structs.fields(shape):
        if field.name in given:
            try:
                msgspec.json.decode(given[field.name], type=field.type)
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                faults.append(_named(error, f"{place}.{field.name}"))
        elif field.required:
            faults.append(f"{place}: Object missing required field `{field.name}`")
    return faults


def _named(error: Exception, inside: str = "") -> str:
    """The words of a msgspec error, its place in front."""
    what, _, place = str(error).partition(" - at `$")
    place = (inside + place.rstrip("`")).removeprefix(".")
    if inside:
        what = re.sub(r" \(byte \d+\)$", "", what)  # counted from the entry's own beginning
    return f"{place}: {what}" if place else what
