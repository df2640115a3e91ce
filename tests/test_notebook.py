"""The set-up and check cells: project folder, logging, errors in one line, success record."""

import json
import logging
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbconvert.preprocessors import CellExecutionError, ExecutePreprocessor

from vqa_helpers import notebook
from vqa_helpers.errors import InputError
from vqa_helpers.notebook import RECORD_VARIABLE, TOKEN_VARIABLE, finish, project_root

CELLS = (
    "DATA: str = 'demo'\nOFFLINE: bool = False",
    "DATA, OFFLINE = 2014, 'false'",  # as papermill -p has them
    "from vqa_helpers.notebook import start\nstart()\nstart(); print((DATA, OFFLINE))",
    "import logging, os, matplotlib\nlogging.getLogger('vqa_helpers.training').info('epoch 1: %d %%', 40)\n"
    "logging.getLogger('other').info('chatter')\nprint(matplotlib.rcParams['figure.dpi'], os.getcwd())",
    "import pandas\npandas.DataFrame({'a': ['<b>bold</b>', None, 1.25]}).style",
    "from vqa_helpers.errors import InputError\nraise InputError('none here; use --offline')",
)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "notebooks" / "deep").mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "vqa-helpers"\n')
    return tmp_path


@pytest.mark.parametrize("content", ['[project]\nname = "another"\n', "not = [toml", None])
def test_the_project_is_known_by_its_name(project: Path, content: str | None) -> None:
    deep = project / "notebooks" / "deep"
    assert project_root(deep) == project_root(project) == project
    (project / "pyproject.toml").unlink()
    if content is not None:
        (project / "pyproject.toml").write_text(content)
    assert project_root(deep) == deep


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("or use --offline for the stand-in", "or use OFFLINE = True for the stand-in"),
        ("or use --weights random", 'or use WEIGHTS = "random"'),
        ("add --image-size PX; or --image-size 64.", "add IMAGE_SIZE = PX; or IMAGE_SIZE = 64."),
        ("name it with --weights or none", "name it with WEIGHTS or none"),
        ("choose another --out", "choose another --out"),  # no parameter of this notebook
    ],
)
def test_advice_names_the_parameters_of_the_notebook(message: str, shown: str) -> None:
    parameters = {"OFFLINE": False, "WEIGHTS": "auto", "IMAGE_SIZE": 0}
    assert notebook.with_parameters(message, parameters) == shown


@pytest.mark.slow
def test_start_makes_a_notebook_behave_alike_everywhere(project: Path, monkeypatch) -> None:
    """From the project's folder, with plain log lines, escaped tables, and errors in one line."""
    monkeypatch.setenv("PYTHONPATH", str(Path(notebook.__file__).parents[1]))
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    run = ExecutePreprocessor(kernel_name="python3")
    with pytest.raises(CellExecutionError):  # an error in one line is still a failure
        run.preprocess(made, {"metadata": {"path": str(project / "notebooks")}})
    [read], logged, [table], [error] = (cell.outputs for cell in made.cells[2:])
    assert read.text == "('2014', False)\n"
    assert "".join(part.text for part in logged) == f"epoch 1: 40 %\n80.0 {project}\n"
    assert {part.name for part in logged} == {"stdout"}
    assert "&lt;b&gt;bold" in table.data["text/html"] and "<b>" not in table.data["text/html"]
    assert error.traceback == ["InputError: none here; use OFFLINE = True"]
    assert error.evalue == "none here; use OFFLINE = True"


@pytest.mark.parametrize(
    ("kind", "given", "read"),
    [
        *((bool, text, True) for text in ("true", "True", "YES", "on", "1", 1, True)),
        *((bool, text, False) for text in ("false", "FALSE", "no", "off", "0", 0, False)),
        *((bool, odd, None) for odd in ("maybe", "", "None", 2, 0.0, None)),
        (str, 2014, "2014"), (str, "2014", "2014"), (str, "", ""), ("str", 7, "7"),
        *((str, odd, None) for odd in (1.1, True, None, ["a"])),
        (int, "7", 7), (int, -1, -1), *((int, odd, None) for odd in ("two", 1.5, True, "", None)),
        (float, 1, 1.0), (float, "1e-4", 1e-4), *((float, odd, None) for odd in ("fast", False)),
    ],
)  # fmt: skip
def test_parameters_have_the_types_that_the_notebook_declares(kind, given, read) -> None:
    others = {"UNTYPED": "false", "lower": "1", "LIST": "1"}
    names = {"NAME": given, "__annotations__": {"NAME": kind, "lower": int, "LIST": list}, **others}
    if read is None:
        name = getattr(kind, "__name__", kind)
        with pytest.raises(InputError, match=f"^parameter NAME = .*: not of type {name}") as caught:
            notebook.as_declared(names)
        assert "\n" not in str(caught.value)
    else:
        notebook.as_declared(names)
        assert names["NAME"] == read and type(names["NAME"]) is type(read)
    assert names.items() >= others.items()


def test_finish_logs_and_leaves_a_complete_record_or_none(tmp_path, monkeypatch, caplog) -> None:
    monkeypatch.delenv(RECORD_VARIABLE, raising=False)
    with caplog.at_level(logging.INFO, logger="vqa_helpers.notebook"):
        finish({"top-1": 43.6})  # by hand
    assert caplog.messages == ["top-1: 43.6"]
    record, circle = tmp_path / "record.json", {}
    monkeypatch.setenv(RECORD_VARIABLE, str(record))
    monkeypatch.setenv(TOKEN_VARIABLE, "secret")
    circle["itself"] = circle
    with pytest.raises(ValueError, match="Circular"):
        finish(circle)
    assert list(tmp_path.iterdir()) == []
    finish({"top1": np.float32(0.5), "counts": np.arange(2), "run": tmp_path})
    results = {"top1": 0.5, "counts": [0, 1], "run": str(tmp_path)}
    assert json.loads(record.read_text()) == {"token": "secret", "results": results}
    assert list(tmp_path.iterdir()) == [record]
