"""One notebook in its own processes; the ways to end that the batch's tests do not cover."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from vqa_helpers.batch.execution import Execution, begin, conclude, text_of

pytest.importorskip("papermill")
nbformat = pytest.importorskip("nbformat")
REPOSITORY = Path(__file__).resolve().parents[1]


def started(folder: Path, source: str) -> Execution:
    kernel = {"name": "python3", "language": "python", "display_name": "Python 3"}
    cells = [nbformat.v4.new_code_cell(source)]
    path = folder / "One.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)
    return begin(path, {}, partial=folder / "part.ipynb", log_file=folder / "log", root=REPOSITORY)


def concluded(execution: Execution) -> tuple[str, Any]:
    return conclude(execution, 60, parameters_given=False, root=REPOSITORY)


def test_an_error_is_told_in_one_line_and_without_this_machines_paths(tmp_path: Path) -> None:
    source = (
        "from pathlib import Path\n"
        "print(Path.cwd() / 'a', Path.home() / 'b')\n"
        "raise ValueError(f'{Path.cwd()}/c: wrong\\nsecond line')"
    )
    execution = started(tmp_path, source)
    execution.process.wait(60)
    reason, results = concluded(execution)
    assert reason == f"ValueError: {REPOSITORY}/c: wrong"
    assert results is None
    [cell] = json.loads(execution.partial.read_text())["cells"]
    assert text_of(cell["outputs"][0]["text"]) == "./a ~/b\n"
    assert text_of(cell["outputs"][1]["evalue"]) == "./c: wrong\nsecond line"
    assert str(REPOSITORY) not in json.dumps(cell["outputs"])
    assert not execution.folder.exists()


def test_a_killed_runner_is_told_by_its_signal(tmp_path: Path) -> None:
    execution = started(tmp_path, "1")
    os.kill(execution.process.pid, signal.SIGKILL)
    execution.process.wait(60)
    assert concluded(execution) == ("killed by signal 9", None)
    assert not execution.partial.exists()


def test_a_runner_that_cannot_start_is_told_by_its_last_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "papermill.py").write_text("raise SystemExit('no kernel here')")
    execution = started(tmp_path, "1")
    execution.process.wait(60)
    assert concluded(execution) == ("no kernel here", None)


def test_text_is_one_string_or_lines() -> None:
    assert text_of(["a\n", "b"]) == text_of("a\nb") == "a\nb"


@pytest.mark.skipif(os.name != "posix", reason="no files to speak through")
def test_the_kernel_listens_on_files_of_its_own(tmp_path: Path) -> None:
    source = (
        "from ipykernel.connect import get_connection_info\n"
        "print(get_connection_info(unpack=True)['transport'])"
    )
    execution = started(tmp_path, source)
    execution.process.wait(60)
    concluded(execution)
    [cell] = json.loads(execution.partial.read_text())["cells"]
    assert text_of(cell["outputs"][0]["text"]) == "ipc\n"
