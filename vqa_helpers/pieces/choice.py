"""A choice of a piece is its class and keywords: made, read from a live piece, and built.

A piece is an `nn.Module` with `out_dim`. Its constructor takes the sizes that only the model knows
(`image_dim`, `question_dim` of a fusion; `in_dim`, `answers`, `vocabulary` of a classifier; `vocabulary`
of a language encoder), then plain keywords. There is no list of pieces to keep: those of the package are
the `Piece` classes of `MODULES`; others come from a notebook cell or a file that the user names.
"""

import difflib
import importlib
import importlib.util
import inspect
import sys
import traceback
import types
import typing
import warnings
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from numbers import Integral
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.nn.parameter import UninitializedTensorMixin

from vqa_helpers.errors import InputError, one_line
from vqa_helpers.pieces.identity import code_of, is_ours, is_plain

SIZES = {
    "vision": (),
    "language": ("vocabulary", "vocabulary_size"),
    "fusion": ("image_dim", "question_dim"),
    "classifier": ("in_dim", "answers", "vocabulary"),
}  # what each piece of the puzzle is given by the model, by name
SLOTS = tuple(SIZES)
MODULES = {
    "vision": ("vision",),
    "language": ("language", "words", "transformer"),
    "fusion": ("fusion", "bilinear", "attention"),
    "classifier": ("classifier",),
}  # where the package's pieces of each are
PRETRAINED = "vqa_helpers.pieces.pretrained"  # pieces of all slots, which fit each other alone
ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh}
Activation = typing.Literal["relu", "tanh"]

MOST_NAMED, SOME_NAMED = 60, 12  # a list that no message can hold is begun

_SIZE_NAMES = {name for names in SIZES.values() for name in names}


class Piece(nn.Module):
    """A piece that remembers the keywords it was made with."""

    def __new__(cls, *given: Any, **keywords: Any) -> "Piece":
        piece = super().__new__(cls)
        with suppress(TypeError):  # the constructor, called next, says it better
            bound = inspect.signature(cls.__init__).bind_partial(piece, *given, **keywords)
            piece.__dict__["_made_with"] = dict(list(bound.arguments.items())[1:])
        return piece


@dataclass(frozen=True)
class Choice:
    """The class of a piece and the keywords it is made with."""

    made_by: type[nn.Module]
    keywords: Mapping[str, Any] = field(default_factory=dict)

    def with_(self, **changes: Any) -> "Choice":
        """The same class with other keywords.

        Raises:
            InputError: for a keyword that the class has not, naming the nearest.
        """
        for name in changes:
            if name not in self.settable():
                near = nearest(name, self.settable())
                raise InputError(f"{self.made_by.__name__} has no keyword {name!r}; {near}")
        return Choice(self.made_by, {**self.keywords, **changes})

    def settable(self) -> dict[str, inspect.Parameter]:
        """The parameters that can be chosen; the others are sizes."""
        parameters = parameters_of(self.made_by)
        sizes = _size_parameters(parameters)
        return {name: p for name, p in parameters.items() if name not in sizes}

    def all_keywords(self) -> dict[str, Any]:
        """The keywords that are chosen, and the defaults of the others."""
        settable = self.settable().items()
        defaults = {name: p.default for name, p in settable if is_plain(p.default)}
        return defaults | dict(self.keywords)

    def read(self, name: str, text: str) -> Any:
        """The value of a keyword as the command line spells it.

        Raises:
            InputError: for an unknown keyword, or a text that is not of its type.
        """
        self.with_(**{name: None})
        wanted = _type_of(self.made_by, self.settable()[name])
        return read_value(f"{self.made_by.__name__}.{name}", text, wanted)

    def make(self, slot: str, sizes: Mapping[str, Any], defaults: Mapping[str, Any]) -> nn.Module:
        """Build the piece.

        Args:
            sizes: what the model knows, by the names of `SIZES`.
            defaults: keywords that the data decide, such as `weights`, where they are not chosen.

        Raises:
            InputError: for a class that cannot be built from these.
        """
        name, parameters = self.made_by.__name__, parameters_of(self.made_by)
        given = {key: value for key, value in defaults.items() if key in parameters}
        given |= self.keywords
        by_name = {place: size for place, size in sizes.items() if place in parameters}
        given |= by_name or dict(zip(_size_parameters(parameters), sizes.values(), strict=False))
        for key, parameter in parameters.items():
            if parameter.default is parameter.empty and key not in given:
                known = " or ".join(SIZES[slot]) or "nothing"
                option = f", or --set {slot}.{key}=…" if key in self.settable() else ""
                line = f"{key!r} has no value; a {slot} is given {known} by name, every"
                raise InputError(f"{name}: {line} other keyword needs a default{option}")
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "Initializing zero-element")  # refused below
                piece = self.made_by(**given)
        except InputError:
            raise
        except Exception as error:  # whatever the class raises
            reason = f"{type(error).__name__}: {one_line(error)}"
            raise InputError(f"{name}: cannot be made ({reason})") from error
        # The width of an image or question that is not there is 0.
        if problem := _problem_of(piece, slot, two_sided=0 not in sizes.values()):
            raise InputError(f"{name}: {problem}")
        piece.__dict__.setdefault("_made_with", given)  # one that is no `Piece` does not know
        return piece

    def record(self) -> dict[str, Any]:
        """As `config.json` keeps it."""
        record = {"class": self.made_by.__name__, "keywords": dict(self.keywords)}
        return record if is_ours(self.made_by) else record | {"code": code_of([self.made_by])}


def piece(made_by: type[nn.Module], *given: Any, **keywords: Any) -> Choice:
    """Choose a class and its keywords; those given by position fill its keywords in order."""
    places = Choice(made_by).settable()
    return Choice(made_by).with_(**dict(zip(places, given, strict=False)), **keywords)


def choice_of(live: nn.Module) -> Choice:
    """The choice that describes a live piece: its class and its current keywords.

    A keyword that the piece keeps as an attribute of the same name is read there, others as they
    were given. What is not a number, text, list or None (a vocabulary, a path) is left out.
    """
    settable = Choice(type(live)).settable()
    values = {name: None if p.default is p.empty else p.default for name, p in settable.items()}
    values |= vars(live).get("_made_with", {})
    values |= {name: value for name, value in vars(live).items() if is_plain(value)}
    kept = {name: values[name] for name in settable if is_plain(values[name])}
    lists = {name: list(value) for name, value in kept.items() if isinstance(value, tuple)}
    return Choice(type(live), kept | lists)


def _problem_of(piece: nn.Module, slot: str, two_sided: bool) -> str | None:
    """Why a piece that could be made cannot be used, if so."""
    state = [*piece.state_dict().values(), *piece.parameters()]
    if any(isinstance(value, UninitializedTensorMixin) for value in state):
        return "a lazy layer has no width yet; give its width"
    if not all(isinstance(value, Tensor) for value in state):
        return "keeps state that is no tensor, and could not be saved; use parameters and buffers"
    if two_sided and not all(weights.numel() for weights in piece.parameters()):
        return "a layer would have a width of 0, and give nothing; use whole numbers from 1 on"
    width = getattr(piece, "out_dim", None)
    if slot != "classifier" and not isinstance(width, Integral):
        wrong = f"its `out_dim` is {width!r}, no whole number"
        has = "has no `out_dim`" if width is None else wrong
        return f"{has}; set it to the width of what it returns"
    return None


# ---------------------------------------------------------------- finding classes


def pieces_of(slot: str) -> dict[str, type[nn.Module]]:
    """The package's classes for a slot, by name."""
    modules = [importlib.import_module(f"vqa_helpers.pieces.{name}") for name in MODULES[slot]]
    found = [item for module in modules for item in _classes_of(module, Piece).items()]
    return {name: cls for name, cls in found if not name.startswith("_")}


def read_pieces(path: Path) -> dict[str, type[nn.Module]]:
    """The classes in a Python file that the user has named; the file is executed.

    Raises:
        InputError: for a file that is not there, fails, or defines no `nn.Module`.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: there is no such file of pieces; check --pieces")
    spec = importlib.util.spec_from_file_location(f"own_pieces_{path.stem}", path.resolve())
    if spec is None or spec.loader is None:
        raise InputError(f"{path}: is not a Python file; name one that ends in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # whatever the user's code raises
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if frame.filename == spec.origin]
        line = getattr(error, "lineno", None) or (lines[-1] if lines else "?")
        reason = f"{type(error).__name__}: {one_line(error)}"
        raise InputError(f"{path}: line {line}: {reason}") from error
    classes = _classes_of(module, nn.Module)
    if not classes:
        raise InputError(f"{path}: defines no class derived from torch.nn.Module")
    return classes


def _classes_of(module: types.ModuleType, base: type) -> dict[str, type[nn.Module]]:
    """The classes that a module itself defines, by name."""
    found = {name: cls for name, cls in vars(module).items() if isinstance(cls, type)}
    own = {name: cls for name, cls in found.items() if cls.__module__ == module.__name__}
    return {name: cls for name, cls in own.items() if issubclass(cls, base)}


def find_class(
    slot: str, name: str, own: Mapping[str, type[nn.Module]], others: Sequence[str] = ()
) -> type[nn.Module]:
    """The class of that name: the user's, or else the package's.

    Raises:
        InputError: for none, naming the nearest; `others` are further names to suggest.
    """
    known = {**pieces_of(slot), **own}
    if name not in known:
        near = nearest(name, [*known, *others])
        raise InputError(f"{name!r} is no {slot}; {near}, or name your own with --pieces FILE.py")
    return known[name]


def choice_from(slot: str, record: Any, own: Mapping[str, type[nn.Module]], where: str) -> Choice:
    """The choice that `Choice.record` described; imports nothing that the user has not named.

    Raises:
        InputError: when the class is not here, naming it, or the record is none.
    """
    try:
        name, keywords, others = record["class"], dict(record["keywords"]), "code" in record
        if not isinstance(name, str):
            raise TypeError
    except (TypeError, KeyError, ValueError):
        raise InputError(f"{where}: model.{slot} is not a piece; train the run again") from None
    together = _classes_of(importlib.import_module(PRETRAINED), Piece)
    known = own if others else pieces_of(slot) | together
    if name not in known:
        remedy = "name the file that defines it with --pieces FILE.py" if others else "train again"
        raise InputError(f"{where}: its {slot} is the class {name}, which is not here; {remedy}")
    return Choice(known[name]).with_(**keywords)


# ---------------------------------------------------------------- words of the command line


def fold(name: str) -> str:
    """A name without what does not matter in it: case, "-" and "_"."""
    return name.lower().replace("-", "").replace("_", "")


def nearest(name: str, known: Iterable[str]) -> str:
    """What to say about an unknown name: the nearest known ones, and all if they are few."""
    by_word = {fold(candidate): candidate for candidate in known}
    names, more = list(by_word.values()), ""
    many = len(names) > MOST_NAMED
    if many:
        names, more = names[:SOME_NAMED], f" and {len(names) - SOME_NAMED:,} more"
    near = difflib.get_close_matches(fold(name), by_word, n=3 if many else 1)
    hint = f"did you mean {' or '.join(by_word[word] for word in near)}? " if near else ""
    return f"{hint}there are {', '.join(names) or 'none'}{more}"


def read_value(what: str, text: str, wanted: Any) -> Any:
    """A value of a type: bool, int, float, str, a path, one of several words (`Literal`), a list or
    tuple of these, or one of them or None.

    Raises:
        InputError: naming `what` and the type.
    """
    union = typing.get_origin(wanted) in (types.UnionType, typing.Union)
    options = typing.get_args(wanted) if union else (wanted,)
    if type(None) in options and text.lower() == "none":
        return None
    for kind in options:
        origin = typing.get_origin(kind) or kind
        try:
            if origin is typing.Literal:
                return {str(word).lower(): word for word in typing.get_args(kind)}[text.lower()]
            if kind is bool:
                return {"true": True, "false": False}[text.lower()]
            if kind in (int, float, str, Path):
                return kind(text)
            if isinstance(origin, type) and issubclass(origin, Iterable):
                parts = [part.strip() for part in text.strip("[]()").split(",") if part.strip()]
                items = [read_value(what, part, _item_of(kind)) for part in parts]
                return items if origin is list else tuple(items)
        except (ValueError, KeyError, InputError):
            continue
    raise InputError(f"{what}={text}: use {' or '.join(map(_expected, options))}")


def _item_of(several: Any) -> Any:
    return (typing.get_args(several) or (int,))[0]


def _expected(kind: Any) -> str:
    """What `read_value` takes for a type, in words."""
    origin = typing.get_origin(kind) or kind
    if origin is typing.Literal:
        return f"one of {', '.join(map(str, typing.get_args(kind)))}"
    names = {type(None): "none", bool: "true or false", int: "a whole number", float: "a number"}
    if kind in names:
        return names[kind]
    if isinstance(origin, type) and issubclass(origin, Iterable):
        several = {int: "whole numbers such as [512,256]", float: "numbers such as [0.5,0.1]"}
        return several.get(_item_of(kind), "several in brackets such as [a,b]")
    return f"another way: --set cannot write {getattr(origin, '__name__', origin)}"


def parameters_of(made_by: type[nn.Module]) -> dict[str, inspect.Parameter]:
    """The constructor's parameters, by name."""
    parameters = list(inspect.signature(made_by.__init__).parameters.values())[1:]
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return {p.name: p for p in parameters if p.kind not in kinds}


def _size_parameters(parameters: Mapping[str, inspect.Parameter]) -> list[str]:
    """The parameters that take sizes: those without a default that are named like one; where none
    is, all without a default, which take them in order."""
    without = [name for name, p in parameters.items() if p.default is p.empty]
    return [name for name in without if name in _SIZE_NAMES] or without


def _type_of(made_by: type[nn.Module], parameter: inspect.Parameter) -> Any:
    try:
        hints = typing.get_type_hints(made_by.__init__)
    except Exception:  # an annotation is an expression of the user's
        hints = {}
    wanted = hints.get(parameter.name, Any)
    if wanted is not Any:
        return wanted
    if parameter.default is None:
        return bool | int | float | None | str
    return str if parameter.default is parameter.empty else type(parameter.default)
