"""Parameters of notebooks: what a notebook declares, and whether given values fit.

A notebook declares them in its cell tagged `parameters`, one line each: `EPOCHS: int = 0  # help`.
papermill itself only warns of an unknown name, never looks at types, and executes names as code;
so nothing is handed to it that did not pass here. Nothing here runs a notebook.
"""

import ast
import difflib
import logging
from collections.abc import Sequence
from pathlib import Path

from vqa_helpers.errors import InputError

Value = str | int | float | bool
TYPES = {"str": str, "int": int, "float": float, "bool": bool}


def read_parameters(assignments: Sequence[str], notebooks: Sequence[Path]) -> dict[str, Value]:
    """`["EPOCHS=2", "DATA=demo"]` as values of the types the notebooks declare.

    Raises:
        InputError: not NAME=VALUE, a name no notebook has, or a value of another type.
    """
    declared = {name: kind for path in notebooks for name, kind in _declared(path).items()}
    parameters: dict[str, Value] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals:
            raise InputError(f"parameter {assignment!r}: write it as NAME=VALUE")
        _check_name(name, declared, "the notebooks")
        try:
            parameters[name] = _from_text(text, declared[name])
        except ValueError:
            raise InputError(f"parameter {name}={text}: not of type {declared[name]}") from None
    return parameters


def check_parameters(parameters: dict[str, Value], notebooks: Sequence[Path]) -> None:
    """Refuse a parameter that one of the notebooks does not declare, or declares otherwise.

    A whole number passes for a float.

    Raises:
        InputError: naming the notebook, the parameter and the nearest name or the two types.
    """
    for path in notebooks if parameters else []:
        declared = _declared(path)
        for name, value in parameters.items():
            _check_name(name, declared, path.name)
            kind, given = declared[name], type(value).__name__
            fits = given == kind or (given == "int" and kind == "float")
            if not fits or (given == "str" and "\0" in value):
                raise InputError(
                    f"{path.name}: parameter {name} is declared {kind}, but {value!r} is {given}"
                )


def literal_path(path: Path) -> str:
    """A path as papermill reads it: it takes braces for placeholders."""
    return str(path).replace("{", "{{").replace("}", "}}")


def _declared(path: Path) -> dict[str, str]:
    """Parameter names of a notebook and their types: as declared, else those of the defaults."""
    import papermill

    logging.getLogger("papermill").setLevel(logging.WARNING)
    try:
        found = papermill.inspect_notebook(literal_path(path))
    except Exception as error:  # what is no notebook breaks papermill in many ways
        reason = str(error).split("\n")[0]
        raise InputError(f"{path}: cannot be read as a notebook ({reason})") from None
    return {name: _kind(entry) for name, entry in found.items()}


def _kind(entry: dict) -> str:
    if entry["inferred_type_name"] in TYPES:
        return entry["inferred_type_name"]
    try:
        return type(ast.literal_eval(entry["default"])).__name__
    except (ValueError, SyntaxError):
        return "unknown"


def _check_name(name: str, declared: dict[str, str], where: str) -> None:
    # papermill executes the name as code: only names the notebook itself declares may pass.
    if name in declared and name.isidentifier():
        return
    by_lower = {known.lower(): known for known in declared}
    near = difflib.get_close_matches(name.lower(), by_lower, n=1)
    hint = f"did you mean {by_lower[near[0]]}?" if near else "see their parameters cell"
    there = ", ".join(declared) or "none"
    raise InputError(f"{where}: no parameter {name!r}; {hint} (there: {there})")


def _from_text(text: str, kind: str) -> Value:
    if kind == "bool":
        if text.lower() not in ("true", "false"):
            raise ValueError(text)
        return text.lower() == "true"
    return TYPES.get(kind, str)(text)
