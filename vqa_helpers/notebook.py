"""What a notebook's set-up cell and check cell call.

`start` makes a notebook behave the same wherever it is opened; `finish` leaves the success record
that `vqa_helpers.batch` believes. Nothing here knows models, data or figures.
"""

import json
import logging
import os
import sys
import tomllib
from pathlib import Path

from vqa_helpers.files import write_text

log = logging.getLogger(__name__)

RECORD_VARIABLE = "VQA_NOTEBOOK_RECORD"
TOKEN_VARIABLE = "VQA_NOTEBOOK_TOKEN"
# Figures are kept inside the notebooks: at this size a notebook stays under 500 kB.
FIGURE_DPI = 80


def project_root(start: Path | None = None) -> Path:
    """The project's folder: the nearest one at or above `start` (the working folder).

    It is known by a `pyproject.toml` of the project `vqa-helpers` and a folder `notebooks`.
    Where there is none (the package installed, the notebook downloaded alone), `start` itself.
    """
    start = Path.cwd() if start is None else Path(start).resolve()
    for folder in (start, *start.parents):
        if (folder / "notebooks").is_dir() and _project_name(folder) == "vqa-helpers":
            return folder
    return start


def start() -> Path:
    """Work from the project's folder, log in plain lines, show figures and tables alike everywhere.

    Returns:
        the folder that is now the working folder; relative paths in the notebook start there.
    """
    root = project_root()
    os.chdir(root)
    # Standard output, because notebooks show standard error on red.
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("vqa_helpers").setLevel(logging.INFO)

    import matplotlib

    matplotlib.rcParams.update({"figure.dpi": FIGURE_DPI, "figure.figsize": (8.0, 4.0)})

    import pandas

    tables = {"precision": 1, "na_rep": "–", "escape": "html"}  # a text in a cell is never markup
    for name, value in tables.items():
        pandas.set_option(f"styler.format.{name}", value)
    return root


def finish(results: dict[str, object]) -> None:
    """Record that the notebook reached its end; the last call of its check cell.

    Args:
        results: what was measured, by name; shown in the notebook. Kept in the record as JSON
            (numpy scalars as numbers, anything else unknown as text).

    The record is written only when a batch asks for one, in one step and after everything else:
    a record that is there is whole, and nothing of the notebook failed before it.
    """
    for name, value in results.items():
        log.info("%s: %s", name, value)
    record = os.environ.get(RECORD_VARIABLE)
    if not record:
        return
    content = {"token": os.environ.get(TOKEN_VARIABLE, ""), "results": results}
    write_text(Path(record), json.dumps(content, default=_plain))


def _plain(value: object) -> object:
    """A value JSON does not know, as one it does."""
    as_list = getattr(value, "tolist", None)  # numpy and torch scalars and arrays
    return as_list() if callable(as_list) else str(value)


def _project_name(folder: Path) -> str | None:
    try:
        content = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return None
    return content.get("project", {}).get("name")
