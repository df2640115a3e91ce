"""JSON text to checked dataclasses.

`msgspec` where it is installed (fast, and it never builds what is not asked for); the same checks
with the same words in plain Python elsewhere, since a bare GPU box has no `msgspec`. Knows nothing
of questions and answers.
"""

import dataclasses
import json
import re
import types
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

Shape = TypeVar("Shape")

_NAMES = {
    type(None): "null", bool: "bool", int: "int", float: "float", str: "str",
    list: "array", dict: "object",
}  # fmt: skip
_TOO_DEEP = "JSON is malformed: nested too deeply"
_SURROGATE = re.compile("[\ud800-\udfff]")


class DecodeError(ValueError):
    """JSON that is not JSON, or not of the expected shape; names the place as `questions[3].id`."""


def decode(text: bytes, shape: type[Shape]) -> Shape:
    """Decode JSON into `shape`, a dataclass whose fields are plain types, lists and dataclasses.

    Fields that `shape` does not have are ignored.

    Raises:
        DecodeError: naming the place and what was expected there.
    """
    try:
        import msgspec
    except ModuleNotFoundError:
        return _decode_plainly(text, shape)
    try:
        return msgspec.json.decode(text, type=shape)
    except RecursionError:
        raise DecodeError(_TOO_DEEP) from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        what, _, place = str(error).partition(" - at `$")
        place = place.rstrip("`").removeprefix(".")
        raise DecodeError(f"{place}: {what}" if place else what) from None


def _decode_plainly(text: bytes, shape: type[Shape]) -> Shape:
    try:
        # As strict as msgspec: UTF-8 alone, no NaN. A number beyond Python's limit of digits is a
        # ValueError as well.
        value = json.loads(text.decode("utf-8"), parse_constant=_refuse_constant)
    except RecursionError:
        raise DecodeError(_TOO_DEEP) from None
    except ValueError as error:
        raise DecodeError(f"JSON is malformed: {error}") from None
    return _check(value, shape, "")


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _check(value: Any, shape: Any, place: str) -> Any:
    """`value` as `shape`, or an error that names `place`."""
    origin = get_origin(shape)
    if origin in (Union, types.UnionType):
        if value is None and type(None) in get_args(shape):
            return None
        (of,) = (option for option in get_args(shape) if option is not type(None))
        kind = dict if dataclasses.is_dataclass(of) else get_origin(of) or of
        _expect(value, kind, place, or_null=True)
        return _check(value, of, place)
    if origin is list:
        _expect(value, list, place)
        (of,) = get_args(shape)
        return [_check(item, of, f"{place}[{i}]") for i, item in enumerate(value)]
    if dataclasses.is_dataclass(shape):
        _expect(value, dict, place)
        return _check_fields(value, shape, place)
    _expect(value, shape, place)
    return value


def _check_fields(value: dict, shape: Any, place: str) -> Any:
    hints = get_type_hints(shape)
    filled = {}
    for field in dataclasses.fields(shape):
        if field.name in value:
            inner = f"{place}.{field.name}" if place else field.name
            filled[field.name] = _check(value[field.name], hints[field.name], inner)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            what = f"Object missing required field `{field.name}`"
            raise DecodeError(f"{place}: {what}" if place else what)
    return shape(**filled)


def _expect(value: Any, kind: type, place: str, or_null: bool = False) -> None:
    if isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
        if kind is not str or not _SURROGATE.search(value):
            return
        what = "half a surrogate pair is no text"
    else:
        name = _NAMES[kind] + (" | null" if or_null else "")
        what = f"Expected `{name}`, got `{_NAMES[type(value)]}`"
    raise DecodeError(f"{place}: {what}" if place else what)
