"""What identifies a live model: its modules, and the source of those that belong to no library."""

import ast
import dis
import hashlib
import inspect
import json
import sys
import textwrap
import types
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from torch import nn

_PLAIN = (bool, int, float, str, type(None))
# Where frozen parts come from may move; what they are is recorded by itself.
_NO_STRUCTURE = ("training", "weights", "encoder", "source", "stand_in")


def structure_of(model: nn.Module) -> str:
    """A hash of a live model: its modules, their settings, the shapes of its state, and the source
    of every class that is not part of a library (`code_of`)."""
    modules = []
    for name, module in model.named_modules():
        settings = {
            key: _described(value)
            for key, value in vars(module).items()
            if not key.startswith("_") and key not in _NO_STRUCTURE
        }
        modules.append([name, type(module).__name__, settings])
    state = [[name, list(tensor.shape)] for name, tensor in model.state_dict().items()]
    code = code_of({type(module) for module in model.modules()})
    content = json.dumps([modules, state, code], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def code_of(used: Iterable[Any]) -> str:
    """A hash of the source of classes and functions that belong to no library, and of what their
    code names: bases, functions, constants. Of a library's, the name alone counts."""
    waiting = [("", thing) for thing in sorted(used, key=lambda thing: thing.__qualname__)]
    found, seen = set(), set()
    while waiting:
        name, thing = waiting.pop()
        wrapped = {"property": "fget", "cached_property": "func"}.get(type(thing).__name__)
        thing = getattr(thing, wrapped or "__func__", thing)
        if is_plain(thing):
            found.add(f"{name} = {thing!r}")
            continue
        named = hasattr(thing, "__qualname__")  # a class, or a function
        if named:
            found.add(f"{name} is {thing.__qualname__}")
        if id(thing) in seen or (named and _is_library(thing)):
            continue
        seen.add(id(thing))
        if isinstance(thing, dict | list | tuple):
            items = thing.items() if isinstance(thing, dict) else enumerate(thing)
            waiting += [(f"{name}.{key}", value) for key, value in items]
        elif isinstance(thing, type):
            waiting += [("base", base) for base in thing.__mro__]
            for member, value in vars(thing).items():
                if inspect.isfunction(value) or not member.startswith("__"):
                    waiting.append((f"{thing.__qualname__}.{member}", value))
        elif named and inspect.isfunction(function := inspect.unwrap(thing)):
            found.add(f"{function.__qualname__}: {_source(function)}")
            waiting.append((f"{function.__qualname__} defaults", function.__defaults__))
            waiting.append((f"{function.__qualname__} keywords", function.__kwdefaults__))
            steps = [step for code in _codes(function.__code__) for step in dis.Bytecode(code)]
            words = {step.argval for step in steps if step.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
            waiting += [(word, function.__globals__.get(word)) for word in sorted(words)]
            waiting += inspect.getclosurevars(function).nonlocals.items()
    return hashlib.sha256(json.dumps(sorted(found)).encode()).hexdigest()[:16]


def _source(function: types.FunctionType) -> str:
    """Without comments; the bytecode of what was typed into a bare interpreter."""
    try:
        return ast.unparse(ast.parse(textwrap.dedent(inspect.getsource(function))))
    except (OSError, TypeError, SyntaxError):
        codes = list(_codes(function.__code__))
        return str([(c.co_code, c.co_names, [*filter(is_plain, c.co_consts)]) for c in codes])


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            yield from _codes(inner)


def _described(value: Any) -> Any:
    """A setting of a module as its hash takes it; None for what tells no two models apart, such as
    a path or a vocabulary."""
    if isinstance(value, dict):
        return {str(key): _described(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_described(item) for item in value]
    if hasattr(value, "__qualname__"):  # a class, or a function
        return code_of([value])
    value = value.item() if isinstance(value, np.generic) else value
    return value if isinstance(value, _PLAIN) else None


def is_plain(value: Any) -> bool:
    """Whether a record can keep the value: text, a number, None, or a list of these."""
    if isinstance(value, list | tuple):
        return all(isinstance(item, _PLAIN) for item in value)
    return isinstance(value, _PLAIN)


def is_ours(thing: Any) -> bool:
    """Whether a class or function is this package's."""
    return (getattr(thing, "__module__", None) or "").split(".")[0] == "vqa_helpers"


def _is_library(thing: Any) -> bool:
    module = getattr(thing, "__module__", None) or "builtins"  # what is written in C may name none
    file = getattr(sys.modules.get(module), "__file__", None) or ""
    installed = "site-packages" in file or "dist-packages" in file
    return is_ours(thing) or module.split(".")[0] in sys.stdlib_module_names or installed
