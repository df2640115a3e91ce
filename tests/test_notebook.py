"""The set-up and check cells: project folder, logging, errors in one line, success record."""

import json
import logging
from pathlib import Path

import matplotlib
import nbformat
import numpy as np
import pandas
import pytest

from vqa_helpers.notebook import (
    RECORD_VARIABLE,
    TOKEN_VARIABLE,
    finish,
    project_root,
    start,
    with_parameters,
)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "notebooks" / "deep").mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "vqa-helpers"\n')
    return tmp_path


@pytest.fixture
def plain_logging():
    root, package = logging.getLogger(), logging.getLogger("vqa_helpers")
    before = root.handlers[:], root.level, package.level
    yield
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    package.setLevel(before[2])


def test_the_project_is_found_from_below(project: Path) -> None:
    assert project_root(project / "notebooks" / "deep") == project_root(project) == project


@pytest.mark.parametrize("content", ['[project]\nname = "another"\n', "not = [toml", None])
def test_another_project_is_not_taken_for_this_one(project: Path, content: str | None) -> None:
    (project / "pyproject.toml").unlink()
    if content is not None:
        (project / "pyproject.toml").write_text(content)
    assert project_root(project / "notebooks") == project / "notebooks"


def test_start_works_from_the_project_and_logs_plain_lines(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys, plain_logging: None
) -> None:
    monkeypatch.chdir(project / "notebooks")
    with matplotlib.rc_context(), pandas.option_context("styler.format.escape", None):
        assert start() == project
        assert start() == project  # a second call adds no second handler
        assert matplotlib.rcParams["figure.dpi"] == 80
        shown = pandas.DataFrame({"a": ["<b>bold</b>", None, 1.25]}).style.to_html()
    assert "&lt;b&gt;bold" in shown and "<b>" not in shown  # a text is never markup
    assert Path.cwd() == project
    logging.getLogger("vqa_helpers.training").info("epoch 1: %d %%", 40)
    logging.getLogger("somebody.else").info("chatter")
    assert capsys.readouterr().out == "epoch 1: 40 %\n"


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
    assert with_parameters(message, {"OFFLINE": False, "WEIGHTS": "auto", "IMAGE_SIZE": 0}) == shown


def test_a_notebook_shows_an_input_error_as_one_line(tmp_path: Path) -> None:
    preprocessors = pytest.importorskip("nbconvert.preprocessors")
    cells = [
        "OFFLINE = False\nfrom vqa_helpers.notebook import start\nstart()",
        "from vqa_helpers.errors import InputError\nraise InputError('none here; use --offline')",
    ]
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    with pytest.raises(preprocessors.CellExecutionError):  # still a failure
        preprocessors.ExecutePreprocessor(kernel_name="python3").preprocess(made)
    [error] = made.cells[1].outputs
    assert error.traceback == ["InputError: none here; use OFFLINE = True"]
    assert error.evalue == "none here; use OFFLINE = True"


def test_finish_by_hand_only_logs(tmp_path: Path, monkeypatch, caplog) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(RECORD_VARIABLE, raising=False)
    with caplog.at_level(logging.INFO, logger="vqa_helpers.notebook"):
        finish({"top-1": 43.6})
    assert caplog.messages == ["top-1: 43.6"]
    assert list(tmp_path.iterdir()) == []


def test_finish_leaves_a_complete_record_or_none(tmp_path: Path, monkeypatch) -> None:
    record = tmp_path / "record.json"
    monkeypatch.setenv(RECORD_VARIABLE, str(record))
    monkeypatch.setenv(TOKEN_VARIABLE, "secret")
    circle: dict[str, object] = {}
    circle["itself"] = circle
    with pytest.raises(ValueError, match="Circular"):
        finish(circle)
    assert not record.exists()
    finish({"top1": np.float32(0.5), "counts": np.arange(2), "run": tmp_path})
    assert json.loads(record.read_text()) == {
        "token": "secret",
        "results": {"top1": 0.5, "counts": [0, 1], "run": str(tmp_path)},
    }
    assert list(tmp_path.iterdir()) == [record]
