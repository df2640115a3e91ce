"""The batch runner, on real notebooks run by the real papermill."""

import json
import logging
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from vqa_helpers.batch.runner import Outcome, run_batch, select
from vqa_helpers.errors import InputError

pytest.importorskip("papermill")
nbformat = pytest.importorskip("nbformat")

REPOSITORY = Path(__file__).resolve().parents[1]
PARAMETERS = 'NAME: str = "demo"  # a name\nCOUNT: int = 1\nRATE: float = 0.5\nFLAG: bool = False'
FINISH = "from vqa_helpers.notebook import finish\nfinish({'name': NAME, 'count': COUNT})"
HANG = """\
import os, subprocess, sys, time
from pathlib import Path
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"],
                         start_new_session=True)
pids = Path(NAME)
pids.with_suffix(".new").write_text(f"{os.getpid()} {child.pid}")
pids.with_suffix(".new").rename(pids)
time.sleep(600)"""


def write(folder: Path, name: str, *cells: str, after: str | None = None) -> Path:
    """A notebook with the parameters cell, then `cells`; kernelspec python3."""
    folder.mkdir(exist_ok=True)
    code = [nbformat.v4.new_code_cell(source) for source in (PARAMETERS, *cells)]
    code[0].metadata["tags"] = ["parameters"]
    kernel = {"name": "python3", "language": "python", "display_name": "Python 3"}
    metadata = {"kernelspec": kernel} | ({"vqa": {"after": after}} if after else {})
    path = folder / f"{name}.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=code, metadata=metadata), path)
    return path


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_for(path: Path, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < end, f"{path} did not come"
        time.sleep(0.05)


def partials(out: Path) -> list[Path]:
    return [path for path in out.rglob(".*") if path.name != ".lock"]


@dataclass
class Ran:
    notebooks: Path
    out: Path
    outcomes: dict[str, Outcome]
    order: list[str]
    lines: list[str]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """One batch with a notebook for each way to end, two at a time."""
    folder = tmp_path_factory.mktemp("batch")
    source, out = folder / "notebooks", folder / "out"
    picture = "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()"
    where = "import os\nprint(os.getcwd(), os.environ.get('OMP_NUM_THREADS'), flush=True)"
    where += "\nimport time\ntime.sleep(0.5)\nprint('on')"
    forged = "import json, os\nfrom pathlib import Path\n" + (
        "Path(os.environ['VQA_NOTEBOOK_RECORD']).write_text(json.dumps({'token': 'guess'}))"
    )
    # The summary's name sorts first; its metadata alone moves it to the end.
    write(source, "A_Summary", f"assert {str(out)!r}", FINISH, after="all")
    write(source, "Bad", "undefined_name", FINISH)
    write(source, "Exits", "import sys\nsys.exit(0)", FINISH)
    write(source, "Forged", forged)
    write(source, "Good", where, picture, FINISH)
    write(source, "Killed", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", FINISH)
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    logger = logging.getLogger("vqa_helpers.batch")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(REPOSITORY))
        patch.setenv("MPLBACKEND", "agg")
        patch.chdir(REPOSITORY)
        outcomes = run_batch(
            select(source), {"NAME": 'a "b" $c', "RATE": 2}, out=out, jobs=2, timeout_s=120
        )
    logger.removeHandler(handler)
    names = [outcome.notebook.stem for outcome in outcomes]
    return Ran(source, out, dict(zip(names, outcomes, strict=True)), names, lines)


def test_only_the_notebooks_that_finished_are_done(ran: Ran) -> None:
    status = {name: outcome.status for name, outcome in ran.outcomes.items()}
    assert status == {
        "A_Summary": "done",
        "Bad": "failed",
        "Exits": "failed",
        "Forged": "failed",
        "Good": "done",
        "Killed": "failed",
    }
    assert ran.order[-1] == "A_Summary"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Bad", "NameError: name 'undefined_name' is not defined"),
        ("Exits", "no success record: the notebook stopped before its check cell"),
        ("Forged", "the success record is not of this run"),
        ("Killed", "the kernel died: killed from outside, or out of memory"),
    ],
)
def test_a_failure_says_why_and_can_be_looked_at(ran: Ran, name: str, reason: str) -> None:
    assert ran.outcomes[name].reason == reason
    assert any(f"failed {name} (" in line and reason in line for line in ran.lines)
    assert not (ran.out / f"{name}.ipynb").exists()
    assert not (ran.out / "records" / f"{name}.json").exists()
    assert (ran.out / "failed" / f"{name}.ipynb").is_file()
    assert (ran.out / "logs" / f"{name}.log").stat().st_size > 0


def test_the_executed_notebook_is_whole_and_tidy(ran: Ran) -> None:
    executed = nbformat.read(ran.out / "Good.ipynb", as_version=4)
    nbformat.validate(executed)
    assert set(executed.metadata) == {"kernelspec", "language_info"}
    assert [set(cell.metadata) for cell in executed.cells] == [
        {"tags"},
        {"tags"},
        set(),
        set(),
        set(),
    ]
    assert executed.cells[1].metadata.tags == ["injected-parameters"]
    # From the project's folder, which goes by the name of "."; one thread each of two cores.
    assert executed.cells[2].outputs[0].text == f". {max(1, (os.cpu_count() or 1) // 2)}\non\n"
    assert executed.cells[2].outputs[1:] == []  # printed in two goes, shown as one
    kinds = {kind for output in executed.cells[3].outputs for kind in output.get("data", {})}
    assert "image/png" in kinds


def test_no_output_names_a_folder_of_this_machine(ran: Ran) -> None:
    for path in [*ran.out.glob("*.ipynb"), *(ran.out / "failed").glob("*.ipynb")]:
        for cell in json.loads(path.read_text())["cells"]:
            outputs = json.dumps(cell["outputs"])
            assert str(REPOSITORY) not in outputs
            assert sys.prefix not in outputs
            assert "ipykernel_" not in outputs
            assert "papermill" not in json.dumps(cell["metadata"])


def test_the_record_keeps_parameters_and_results(ran: Ran) -> None:
    record = json.loads((ran.out / "records" / "Good.json").read_text())
    assert record["parameters"] == {"NAME": 'a "b" $c', "RATE": 2}
    assert record["results"] == {"name": 'a "b" $c', "count": 1}
    assert record["seconds"] == ran.outcomes["Good"].seconds > 0


def test_nothing_half_written_stays(ran: Ran) -> None:
    assert partials(ran.out) == []


def test_progress_is_told_in_lines(ran: Ran) -> None:
    assert "started Good" in ran.lines
    assert any(line.startswith("finished Good (") and "of 6) in" in line for line in ran.lines)
    assert ran.lines[-1] == "6 notebooks: 2 done, 0 skipped, 4 failed"


def test_a_batch_resumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    source, out = tmp_path / "notebooks", tmp_path / "out"
    write(source, "One", FINISH)
    write(source, "Summary", FINISH, after="all")
    notebooks = select(source)

    def statuses(parameters: dict, only: int | None = None, force: bool = False) -> list[str]:
        outcomes = run_batch(
            notebooks[:only], parameters, out=out, jobs=2, timeout_s=120, force=force
        )
        return [outcome.status for outcome in outcomes]

    assert statuses({}) == ["done", "done"]
    executed = nbformat.read(out / "One.ipynb", as_version=4)
    assert all(
        "injected-parameters" not in cell.metadata.get("tags", []) for cell in executed.cells
    )
    assert statuses({}) == ["skipped", "skipped"]
    # Outputs of the source do not count, its code does.
    content = json.loads(notebooks[0].read_text())
    content["cells"][1]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "old"}]
    notebooks[0].write_text(json.dumps(content))
    assert statuses({}) == ["skipped", "skipped"]
    content["cells"][1]["source"] = "raise ValueError('first\\nsecond')"
    notebooks[0].write_text(json.dumps(content))
    # The changed notebook runs and fails; the summary of what has changed runs again.
    assert statuses({}) == ["failed", "done"]
    assert (out / "One.ipynb").exists()
    content["cells"][1]["source"] = FINISH
    notebooks[0].write_text(json.dumps(content))
    assert statuses({"COUNT": 2}, only=1) == ["done"]
    assert not (out / "failed" / "One.ipynb").exists()
    assert statuses({"COUNT": 2}, only=1) == ["skipped"]
    assert statuses({"COUNT": 2}, only=1, force=True) == ["done"]


def test_the_time_limit_ends_the_kernel_and_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    notebook = write(tmp_path / "notebooks", "Hangs", HANG, FINISH)
    pids, out = tmp_path / "pids", tmp_path / "out"
    [outcome] = run_batch([notebook], {"NAME": str(pids)}, out=out, timeout_s=10)
    assert (outcome.status, outcome.reason) == ("failed", "time limit of 10 s")
    # On a machine so busy that the kernel never got to its cell there is nothing to look for.
    started = pids.read_text().split() if pids.exists() else []
    assert not any(alive(int(pid)) for pid in started)
    assert partials(out) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_every_child_and_leaves_no_part(tmp_path: Path, number: int) -> None:
    notebook = write(tmp_path / "notebooks", "Hangs", HANG, FINISH)
    pids, out = tmp_path / "pids", tmp_path / "out"
    code = (
        "from pathlib import Path; from vqa_helpers.batch.runner import run_batch; "
        f"run_batch([Path({str(notebook)!r})], {{'NAME': {str(pids)!r}}}, out=Path({str(out)!r}))"
    )
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    batch = subprocess.Popen(
        [sys.executable, "-c", code],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        # A shell that runs the tests in the background has them ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    wait_for(pids)
    with pytest.raises(InputError, match="another batch"):
        run_batch([notebook], {}, out=out)
    batch.send_signal(number)
    _, errors = batch.communicate(timeout=30)
    if number == signal.SIGTERM:
        assert batch.returncode == 143
    else:
        assert "KeyboardInterrupt" in errors
    assert not any(alive(int(pid)) for pid in pids.read_text().split())
    assert partials(out) == []
    assert not list(out.rglob("*.ipynb"))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
def test_a_killed_batch_leaves_no_notebook_running(tmp_path: Path) -> None:
    notebook = write(tmp_path / "notebooks", "Hangs", HANG, FINISH)
    pids, out = tmp_path / "pids", tmp_path / "out"
    code = (
        "from pathlib import Path; from vqa_helpers.batch.runner import run_batch; "
        f"run_batch([Path({str(notebook)!r})], {{'NAME': {str(pids)!r}}}, out=Path({str(out)!r}))"
    )
    batch = subprocess.Popen(
        [sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(REPOSITORY)}
    )
    wait_for(pids)
    batch.kill()
    batch.wait()
    kernel, child = map(int, pids.read_text().split())
    end = time.monotonic() + 30
    while alive(kernel):
        assert time.monotonic() < end
        time.sleep(0.05)
    os.kill(child, signal.SIGKILL)  # it had left the kernel's session, and nobody looks for it


@pytest.mark.parametrize(
    ("parameters", "says"),
    [({"COUNTS": 2}, "One.ipynb.*COUNTS.*did you mean COUNT"), ({"COUNT": "2"}, "declared int")],
)
def test_wrong_parameters_run_nothing(tmp_path: Path, parameters: dict, says: str) -> None:
    notebook = write(tmp_path / "notebooks", "One", FINISH)
    with pytest.raises(InputError, match=says):
        run_batch([notebook], parameters, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_unusable_notebooks_and_places_are_refused(tmp_path: Path) -> None:
    source = tmp_path / "notebooks"
    good, twin = write(source, "One", FINISH), write(tmp_path / "twin", "One", FINISH)
    broken = source / "Broken.ipynb"
    broken.write_text('{"cells": [')
    injected = write(source, "Injected", FINISH)
    content = json.loads(injected.read_text())
    content["cells"][1]["metadata"] = {"tags": ["injected-parameters"]}
    injected.write_text(json.dumps(content))
    out = tmp_path / "out"
    for notebooks, place, says in [
        ([good, twin], out, "this name"),
        ([broken], out, "not a notebook"),
        ([injected], out, "earlier run"),
        ([source / "Gone.ipynb"], out, "cannot be read"),
        ([good], source, "overwritten"),
    ]:
        with pytest.raises(InputError, match=says):
            run_batch(notebooks, {}, out=place)
    with pytest.raises(InputError, match="above zero"):
        run_batch([good], {}, out=out, jobs=0)
    assert good.exists()
    assert not out.exists()


def test_notebooks_are_found_by_pattern(tmp_path: Path) -> None:
    for name in ("b", "a", "ab"):
        (tmp_path / f"{name}.ipynb").touch()
    (tmp_path / ".a.partial.ipynb").touch()
    assert [path.stem for path in select(tmp_path)] == ["a", "ab", "b"]
    assert [path.stem for path in select(tmp_path, "a*")] == ["a", "ab"]
    assert [path.stem for path in select(tmp_path, "b.ipynb")] == ["b"]
    with pytest.raises(InputError, match="there are a, ab, b"):
        select(tmp_path, "z*")
    with pytest.raises(InputError, match="no notebooks here"):
        select(tmp_path / "none")
