"""What a notebook's set-up cell and check cell call, and how notebooks are read.

`start` makes a notebook behave the same wherever it is opened; `finish` leaves the success record
that `vqa_helpers.batch` believes. Nothing here knows models, data or figures.
"""

import gc
import json
import logging
import os
import re
import sys
import tomllib
import warnings
from collections.abc import Mapping
from pathlib import Path

from vqa_helpers.errors import InputError
from vqa_helpers.files import write_text

log = logging.getLogger(__name__)

RECORD_VARIABLE = "VQA_NOTEBOOK_RECORD"
TOKEN_VARIABLE = "VQA_NOTEBOOK_TOKEN"
TRUTH = {"true": True, "yes": True, "on": True, "1": True,
         "false": False, "no": False, "off": False, "0": False}  # fmt: skip
# A text as a value of a type that a notebook declares, and what to do about one that is none.
READ = {"str": str, "int": int, "float": float, "bool": lambda text: TRUTH[text.lower()]}
REMEDY = {
    "str": "; give it with papermill's -r, which keeps a text as it is",
    "bool": "; write true or false",
    "None": "; declare it, as in `SEED: int = 0`",
}
# Figures are kept inside the notebooks: at this size a notebook stays under 500 kB.
FIGURE_DPI = 80
# A flag and the value after it: a number, a placeholder (DIR), or a word that ends the clause.
FLAG = re.compile(r"--([a-z]+(?:-[a-z]+)*)(?: ([A-Z]+\b|\d[\w.]*|[a-z]\w*(?=[`,;.)]|$)))?")


def project_root(start: Path | None = None) -> Path:
    """The project's folder: the nearest one at or above `start` (the working folder).

    It is known by a `pyproject.toml` of the project `vqa-helpers` and a folder `notebooks`.
    Where there is none (the package installed, the notebook downloaded alone), `start` itself.
    """
    start = Path.cwd() if start is None else Path(start).resolve()
    for folder in (start, *start.parents):
        try:
            content = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
            continue
        ours = content.get("project", {}).get("name") == "vqa-helpers"
        if ours and (folder / "notebooks").is_dir():
            return folder
    return start


def start() -> Path:
    """Work from the project's folder, log in plain lines, show figures and tables alike everywhere.

    From then on IPython shows an `InputError` as one line, with the notebook's own parameters, which
    have the types that they declare.

    Returns:
        the folder that is now the working folder; relative paths in the notebook start there.

    Raises:
        InputError: a parameter that is not of its type.
    """
    root = project_root()
    os.chdir(root)
    # Importing torch makes half a million objects, which would be gone through again and again.
    gc.set_threshold(50_000)
    # Standard output, because notebooks show standard error on red.
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stdout, force=True)
    logging.getLogger("vqa_helpers").setLevel(logging.INFO)
    InputError._render_traceback_ = _one_line  # what IPython asks an exception for
    warnings.filterwarnings("ignore", message="IProgress not found")  # bars of text will do

    import matplotlib

    matplotlib.rcParams.update({"figure.dpi": FIGURE_DPI, "figure.figsize": (8.0, 4.0)})

    import pandas

    tables = {"precision": 1, "na_rep": "–", "escape": "html"}  # a text in a cell is never markup
    for name, value in tables.items():
        pandas.set_option(f"styler.format.{name}", value)
    as_declared(vars(sys.modules["__main__"]))
    return root


def as_declared(names: dict[str, object]) -> None:
    """Give a notebook's parameters the types that it declares: papermill takes the folder 2014 for a
    number, and "false" for a text, which counts as true.

    Args:
        names: the notebook's own, in capitals those of parameters; changed in place.

    Raises:
        InputError: for a value that is none of its type.
    """
    for name, declared in names.get("__annotations__", {}).items():
        kind, value = getattr(declared, "__name__", declared), names.get(name)
        if name.isupper() and kind in READ:
            names[name] = read_declared(kind, value, f"parameter {name} = {value!r}")


def read_declared(kind: str, given: object, what: str) -> str | int | float | bool:
    """A text, or what papermill made of it, as a value of a type that a notebook declares.

    Raises:
        InputError: for one of another type; opens with `what`.
    """
    try:
        if kind == "str" and type(given) not in (str, int):
            raise ValueError  # "1.10" is the number 1.1 by now
        return READ[kind](str(given))
    except (KeyError, ValueError):
        raise InputError(f"{what}: not of type {kind}{REMEDY.get(kind, '')}") from None


def finish(results: dict[str, object]) -> None:
    """Record that the notebook reached its end; the last call of its check cell.

    Args:
        results: what was measured, by name; shown in the notebook. Kept in the record as JSON
            (numpy scalars and arrays as numbers and lists, anything else unknown as text).

    The record is written only when a batch asks for one, in one step and after everything else:
    a record that is there is complete, and nothing of the notebook failed before it.
    """
    for name, value in results.items():
        log.info("%s: %s", name, value)
    record = os.environ.get(RECORD_VARIABLE)
    if record:
        content = {"token": os.environ.get(TOKEN_VARIABLE, ""), "results": results}
        text = json.dumps(content, default=lambda x: x.tolist() if hasattr(x, "tolist") else str(x))
        write_text(Path(record), text)


def read_notebook(path: Path):
    """A notebook, as nbformat has it.

    Raises:
        InputError: it cannot be read, or is none.
    """
    import nbformat

    try:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook, relax_add_props=True)
        return notebook
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except Exception:  # what is no notebook breaks nbformat in many ways
        raise InputError(f"{path}: not a notebook; save it again in Jupyter") from None


def with_parameters(message: str, parameters: Mapping[str, object]) -> str:
    """An error's advice in terms of the notebook: "--offline" becomes "OFFLINE = True".

    Args:
        parameters: names and values in the notebook; flags without one of that name stay.
    """

    def renamed(flag: re.Match[str]) -> str:
        name, value = flag[1].replace("-", "_").upper(), flag[2]
        if name not in parameters:
            return flag[0]
        if isinstance(parameters[name], bool):
            return f"{name} = True" + (f" {value}" if value else "")
        if value and value.islower() and isinstance(parameters[name], str):
            value = f'"{value}"'
        return f"{name} = {value}" if value else name

    return FLAG.sub(renamed, message)


def _one_line(error: InputError) -> list[str]:
    """What IPython shows and a notebook keeps of an error the user can correct: no traceback."""
    error.args = (with_parameters(str(error), vars(sys.modules["__main__"])),)
    return [f"{type(error).__name__}: {error}"]
