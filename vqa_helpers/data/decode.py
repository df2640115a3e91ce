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


def _each(entries: list, field: str, shape: type[Shape]) -> Iterator[Shape | DecodeError]:
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
