"""The set-up and check cells: project folder, logging, success record."""

import json
import logging
from pathlib import Path

import numpy as np
import pandas
import pytest

from vqa_helpers.notebook import RECORD_VARIABLE, TOKEN_VARIABLE, finish, project_root, start


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
    assert project_root(project / "notebooks" / "deep") == project
    assert project_root(project) == project


@pytest.mark.parametrize("content", ['[project]\nname = "another"\n', "not = [toml", None])
def test_another_project_is_not_taken_for_this_one(project: Path, content: str | None) -> None:
    if content is None:
        (project / "pyproject.toml").unlink()
    else:
        (project / "pyproject.toml").write_text(content)
    assert project_root(project / "notebooks") == project / "notebooks"


def test_a_project_without_notebooks_is_not_the_root(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "vqa-helpers"\n')
    (tmp_path / "sub").mkdir()
    assert project_root(tmp_path / "sub") == tmp_path / "sub"


def test_start_works_from_the_project_and_logs_plain_lines(
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    plain_logging: None,
) -> None:
    import matplotlib

    monkeypatch.chdir(project / "notebooks")
    with matplotlib.rc_context():
        assert start() == project
        assert start() == project  # a second call adds no second handler
        assert matplotlib.rcParams["figure.dpi"] == 80
    assert Path.cwd() == project
    logging.getLogger("vqa_helpers.training").info("epoch 1: %d %%", 40)
    logging.getLogger("somebody.else").info("chatter")
    assert capsys.readouterr().out == "epoch 1: 40 %\n"


def test_finish_by_hand_only_logs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(RECORD_VARIABLE, raising=False)
    with caplog.at_level(logging.INFO, logger="vqa_helpers.notebook"):
        finish({"top-1": 43.6})
    assert caplog.messages == ["top-1: 43.6"]
    assert list(tmp_path.iterdir()) == []


def test_finish_leaves_a_whole_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = tmp_path / "record.json"
    monkeypatch.setenv(RECORD_VARIABLE, str(record))
    monkeypatch.setenv(TOKEN_VARIABLE, "secret")
    finish({"top1": np.float32(0.5), "counts": np.arange(2), "run": tmp_path})
    assert json.loads(record.read_text()) == {
        "token": "secret",
        "results": {"top1": 0.5, "counts": [0, 1], "run": str(tmp_path)},
    }
    assert list(tmp_path.iterdir()) == [record]


def test_a_record_that_cannot_be_written_leaves_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = tmp_path / "record.json"
    monkeypatch.setenv(RECORD_VARIABLE, str(record))
    circle: dict[str, object] = {}
    circle["itself"] = circle
    with pytest.raises(ValueError, match="Circular"):
        finish(circle)
    assert not record.exists()


def test_a_text_in_a_table_is_never_markup(
    project: Path, monkeypatch: pytest.MonkeyPatch, plain_logging: None
) -> None:
    monkeypatch.chdir(project)
    with pandas.option_context("styler.format.escape", None):
        start()
        shown = pandas.DataFrame({"a": ["<b>bold</b>", None, 1.25]}).style.to_html()
    assert "&lt;b&gt;bold" in shown and "<b>" not in shown
