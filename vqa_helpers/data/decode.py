"""JSON text to checked dataclasses.

`msgspec` where it is installed (fast, and it never builds what is not asked for); the same checks
with the same words in plain Python elsewhere, since a bare GPU box has no `msgspec`. Knows nothing
of questions and answers.
"""

import dataclasses
import json
import re
import types
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

Shape = TypeVar("Shape")

_NAMES = {
    type(None): "null", bool: "bool", int: "int", float: "float", str: "str",
    list: "array", dict: "object",
}  # fmt: skip
_TOO_DEEP = "JSON is malformed: nested too deeply"
_MISSING = "Object missing required field `{}`"
_SURROGATE = re.compile("[\ud800-\udfff]")


class DecodeError(ValueError):
    """JSON that is not JSON, or not of the expected shape; names the place as `questions[3].id`.

    Attributes:
        faults: everything wrong at that place, the message among it.
    """

    def __init__(self, message: str, faults: list[str] | None = None) -> None:
        super().__init__(message)
        self.faults = faults or [message]


class _UnfitError(Exception):
    """A value that is not of the expected shape; `_faults` finds the words."""


def decode(text: bytes, shape: type[Shape]) -> Shape:
    """Decode JSON into `shape`, a dataclass whose fields are plain types, lists and dataclasses.

    Fields that `shape` does not have are ignored.

    Raises:
        DecodeError: naming the place and what was expected there.
    """
    try:
        import msgspec
    except ModuleNotFoundError:
        return _fit(_load(text), shape, "")
    try:
        return msgspec.json.decode(text, type=shape)
    except RecursionError:
        raise DecodeError(_TOO_DEEP) from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise DecodeError(_named(error)) from None


def decode_entries(
    text: bytes, field: str | None, shape: type[Shape]
) -> Iterator[Shape | DecodeError]:
    """Decode the entries of a long list one by one: each as `shape`, or what is wrong with it.

    With msgspec no more than one entry is decoded at a time: millions of small objects cost little
    memory, and the garbage collector has none of them to follow.

    Args:
        field: of the outermost object, that holds the list; None where the list is outermost.

    Raises:
        DecodeError: before the first entry, for text that is not JSON or holds no such list.
    """
    try:
        import msgspec
    except ModuleNotFoundError:
        return _entries_plainly(_list_of(_load(text), field), field or "", shape)
    if field is None:
        return _entries(decode(text, list[msgspec.Raw]), "", shape)
    outermost = msgspec.defstruct("Outermost", [(field, list[msgspec.Raw])])
    return _entries(getattr(decode(text, outermost), field), field, shape)


def _entries(raw: list, field: str, shape: type[Shape]) -> Iterator[Shape | DecodeError]:
    import msgspec

    decoder = msgspec.json.Decoder(shape)
    for number, entry in enumerate(raw):
        try:
            yield decoder.decode(entry)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            place = f"{field}[{number}]"
            try:
                faults = list(_faults(msgspec.json.decode(entry), shape, place))
            except UnicodeDecodeError:
                faults = []
            yield DecodeError(_named(error, place), faults)


def _named(error: Exception, inside: str = "") -> str:
    """The words of a msgspec error, its place in front."""
    what, _, place = str(error).partition(" - at `$")
    place = (inside + place.rstrip("`")).removeprefix(".")
    if inside:
        what = re.sub(r" \(byte \d+\)$", "", what)  # counted from the entry's own beginning
    return f"{place}: {what}" if place else what


def _load(text: bytes) -> Any:
    try:
        # As strict as msgspec: UTF-8 alone, no NaN. A number beyond Python's limit of digits is a
        # ValueError as well.
        return json.loads(text.decode("utf-8"), parse_constant=_refuse_constant)
    except RecursionError:
        raise DecodeError(_TOO_DEEP) from None
    except ValueError as error:
        raise DecodeError(f"JSON is malformed: {error}") from None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _list_of(value: Any, field: str | None) -> list:
    """The list that the outermost object holds in `field`, or that is outermost itself."""
    if field is not None:
        if wrong := _misfit(value, dict):
            raise DecodeError(wrong)
        if field not in value:
            raise DecodeError(_MISSING.format(field))
        value = value[field]
    if wrong := _misfit(value, list):
        raise DecodeError(f"{field}: {wrong}" if field else wrong)
    return value


def _entries_plainly(
    entries: list, field: str, shape: type[Shape]
) -> Iterator[Shape | DecodeError]:
    for number in range(len(entries)):
        entry, entries[number] = entries[number], None  # what was read is let go
        try:
            yield _fit(entry, shape, f"{field}[{number}]")
        except DecodeError as error:
            yield error


def _fit(value: Any, shape: type[Shape], place: str) -> Shape:
    """`value` as `shape`, or an error that names `place`."""
    try:
        return _builder(shape)(value)
    except _UnfitError:
        faults = list(_faults(value, shape, place))
        raise DecodeError(faults[0], faults) from None


@lru_cache
def _builder(shape: Any) -> Callable[[Any], Any]:
    """A function that takes what `json` read for a `shape`, or raises `_UnfitError`."""
    if optional := _without_null(shape):
        build_present = _builder(optional)
        return lambda value: None if value is None else build_present(value)
    if get_origin(shape) is list:
        build_item = _builder(get_args(shape)[0])

        def build_list(value: Any) -> list:
            if type(value) is not list:
                raise _UnfitError
            return [build_item(item) for item in value]

        return build_list
    if dataclasses.is_dataclass(shape):
        fields = [(*field, _builder(field[1])) for field in _fields_of(shape)]

        def build_object(value: Any) -> Any:
            if type(value) is not dict:
                raise _UnfitError
            filled = {}
            for name, _, required, build in fields:
                if name in value:
                    filled[name] = build(value[name])
                elif required:
                    raise _UnfitError
            return shape(**filled)

        return build_object

    def build_plain(value: Any) -> Any:
        if type(value) is not shape or (shape is str and _is_torn(value)):
            raise _UnfitError
        return value

    return build_plain


def _faults(value: Any, shape: Any, place: str) -> Iterator[str]:
    """Each place where `value` is not as `shape` has it, and what was expected there."""
    optional = _without_null(shape)
    if optional and value is None:
        return
    shape = optional or shape
    kind = dict if dataclasses.is_dataclass(shape) else get_origin(shape) or shape
    if what := _misfit(value, kind, or_null=bool(optional)):
        yield f"{place}: {what}" if place else what
    elif kind is list:
        for number, item in enumerate(value):
            yield from _faults(item, get_args(shape)[0], f"{place}[{number}]")
    elif kind is dict:
        for name, hint, required in _fields_of(shape):
            if name in value:
                yield from _faults(value[name], hint, f"{place}.{name}" if place else name)
            elif required:
                what = _MISSING.format(name)
                yield f"{place}: {what}" if place else what


def _without_null(shape: Any) -> Any:
    """T where the shape is `T | None`, else None."""
    if get_origin(shape) not in (Union, types.UnionType):
        return None
    (of,) = (option for option in get_args(shape) if option is not type(None))
    return of


@lru_cache
def _fields_of(shape: Any) -> list[tuple[str, Any, bool]]:
    """Name, type and whether it must be there, of each field."""
    hints, missing = get_type_hints(shape), dataclasses.MISSING
    return [
        (field.name, hints[field.name], field.default is field.default_factory is missing)
        for field in dataclasses.fields(shape)
    ]


def _misfit(value: Any, kind: type, or_null: bool = False) -> str | None:
    """Why `value` is no `kind`, as msgspec says it; None where it is one."""
    if type(value) is kind:
        torn = kind is str and _is_torn(value)
        return "half a surrogate pair is no text" if torn else None
    name = _NAMES[kind] + (" | null" if or_null else "")
    return f"Expected `{name}`, got `{_NAMES[type(value)]}`"


def _is_torn(text: str) -> bool:
    return not text.isascii() and _SURROGATE.search(text) is not None
