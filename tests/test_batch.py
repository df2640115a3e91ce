"""The batch runner, on real notebooks run by the real papermill."""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.calling import wait_until
from vqa_helpers.batch import run_batch, select
from vqa_helpers.errors import InputError
from vqa_helpers.execution import read_parameters

pytest.importorskip("papermill")
nbformat = pytest.importorskip("nbformat")

ROOT = Path(__file__).resolve().parents[1]
PARAMETERS = """\
NAME: str = "demo"  # a name
COUNT: int = 1
RATE: float = 0.5
FLAG: bool = False
SEED = 3"""
FINISH = "from vqa_helpers.notebook import finish\nfinish({'name': NAME, 'count': COUNT})"
# Tells in the file NAME which processes it is, and never ends.
HANG = """\
import os, subprocess, sys, time
from pathlib import Path
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"],
                         start_new_session=True)
pids = Path(NAME)
pids.with_suffix(".new").write_text(f"{os.getpid()} {child.pid}")
pids.with_suffix(".new").rename(pids)
time.sleep(600)"""


@pytest.fixture(autouse=True)
def kernels_import_this_package(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


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


def partials(out: Path) -> list[Path]:
    return [path for path in out.rglob(".*") if path.name != ".lock"]


# ---------------------------------------------------------------- every way to end


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """One batch with a notebook for each way to end, two at a time: its folder and outcomes."""
    folder = tmp_path_factory.mktemp("batch")
    source, out = folder / "notebooks", folder / "out"
    picture = "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()"
    where = """\
import os, time
from pathlib import Path
from ipykernel.connect import get_connection_info
print(os.getcwd(), Path.home() / 'b', os.environ.get('OMP_NUM_THREADS'), flush=True)
time.sleep(0.5)
print(get_connection_info(unpack=True)['transport'])"""
    forged = """\
import json, os
from pathlib import Path
Path(os.environ['VQA_NOTEBOOK_RECORD']).write_text(json.dumps({'token': 'guess'}))"""
    # The summary's name sorts first; its metadata alone moves it to the end.
    write(source, "A_Summary", f"assert {str(out)!r}", FINISH, after="all")
    write(source, "Bad", "import os\nraise ValueError(f'{os.getcwd()}/c: no\\nsecond')", FINISH)
    write(source, "Exits", "import sys\nsys.exit(0)", FINISH)
    write(source, "Forged", forged)
    write(source, "Good {x}", where, picture, FINISH)
    write(source, "Killed", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", FINISH)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.setenv("MPLBACKEND", "agg")
        patch.chdir(ROOT)
        outcomes = run_batch(
            select(source), ['NAME=a "b" $c=', "RATE=2"], out=out, jobs=2, timeout_s=120
        )
    return out, outcomes


@pytest.mark.slow
def test_only_the_notebooks_that_finished_are_done(ran):
    out, outcomes = ran
    assert outcomes[-1].notebook.stem == "A_Summary"
    reasons = {outcome.notebook.stem: outcome.reason for outcome in outcomes}
    assert reasons == {
        "A_Summary": "",
        "Bad": f"ValueError: {ROOT}/c: no",
        "Exits": "no success record: the notebook stopped before its check cell",
        "Forged": "the success record is not of this run",
        "Good {x}": "",
        "Killed": "the kernel died: killed from outside, or out of memory",
    }
    for outcome in outcomes:
        name, failed = outcome.notebook.stem, bool(outcome.reason)
        assert outcome.status == ("failed" if failed else "done")
        assert (out / f"{name}.ipynb").exists() == (not failed)
        assert (out / "records" / f"{name}.json").exists() == (not failed)
        assert (out / "failed" / f"{name}.ipynb").exists() == failed
        assert (out / "logs" / f"{name}.log").stat().st_size > 0
    assert partials(out) == []


def test_the_executed_notebook_is_valid_and_tidy(ran):
    executed = nbformat.read(ran[0] / "Good {x}.ipynb", as_version=4)
    nbformat.validate(executed)
    assert set(executed.metadata) == {"kernelspec", "language_info"}
    assert [set(cell.metadata) for cell in executed.cells] == [{"tags"}] * 2 + [set()] * 3
    assert executed.cells[1].metadata.tags == ["injected-parameters"]
    # From the project's folder, which goes by the name of "."; one thread each of two cores; the
    # kernel listens on files; printed in two goes, shown as one.
    [output] = executed.cells[2].outputs
    assert output.text == f". ~/b {max(1, (os.cpu_count() or 1) // 2)}\nipc\n"
    assert "image/png" in {kind for shown in executed.cells[3].outputs for kind in shown.data}


@pytest.mark.slow
def test_no_output_names_a_folder_of_this_machine(ran):
    paths = [*ran[0].glob("*.ipynb"), *(ran[0] / "failed").glob("*.ipynb")]
    assert len(paths) == 6
    for path in paths:
        for cell in json.loads(path.read_text())["cells"]:
            outputs = json.dumps(cell["outputs"])
            assert not [name for name in (str(ROOT), sys.prefix, "ipykernel_") if name in outputs]
            assert "papermill" not in json.dumps(cell["metadata"])


def test_the_record_keeps_parameters_and_results(ran):
    record = json.loads((ran[0] / "records" / "Good {x}.json").read_text())
    assert record["parameters"] == {"NAME": 'a "b" $c=', "RATE": 2.0}
    assert record["results"] == {"name": 'a "b" $c=', "count": 1}
    assert record["seconds"] > 0


def test_a_process_that_is_killed_or_cannot_start(tmp_path, monkeypatch):
    notebook = write(
        tmp_path / "notebooks", "One", "import os, psutil\npsutil.Process(os.getppid()).kill()"
    )
    [outcome] = run_batch([notebook], out=tmp_path / "out")
    assert outcome.reason == "killed by signal 9"
    (tmp_path / "nbclient").mkdir()
    (tmp_path / "nbclient" / "__init__.py").write_text("raise SystemExit('no kernel here')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    [outcome] = run_batch([notebook], out=tmp_path / "out")
    assert outcome.reason == "no kernel here"


# ---------------------------------------------------------------- going on, and being ended


@pytest.mark.slow
def test_a_batch_resumes(tmp_path):
    source, out = tmp_path / "notebooks", tmp_path / "out"
    write(source, "One", FINISH)
    write(source, "Summary", FINISH, after="all")
    notebooks = select(source)

    def statuses(*parameters: str, only: int | None = None, force: bool = False) -> list[str]:
        given = notebooks[:only], parameters
        return [o.status for o in run_batch(*given, out=out, jobs=2, force=force)]

    def change(cell: int, **entries) -> None:
        content = json.loads(notebooks[0].read_text())
        content["cells"][cell] |= entries
        notebooks[0].write_text(json.dumps(content))

    assert statuses() == ["done", "done"]
    assert "injected-parameters" not in (out / "One.ipynb").read_text()
    assert statuses() == ["skipped", "skipped"]
    # Outputs of the source do not count, its code does.
    change(1, outputs=[{"output_type": "stream", "name": "stdout", "text": "old"}])
    assert statuses() == ["skipped", "skipped"]
    change(1, source="raise ValueError('first\\nsecond')")
    # The changed notebook runs and fails; the summary of what has changed runs again.
    assert statuses() == ["failed", "done"]
    assert (out / "One.ipynb").exists()
    change(1, source=FINISH)
    assert statuses("COUNT=2", only=1) == ["done"]
    assert not (out / "failed" / "One.ipynb").exists()
    assert statuses("COUNT=2", only=1) == ["skipped"]
    assert statuses("COUNT=2", only=1, force=True) == ["done"]


@pytest.fixture
def hanging(tmp_path):
    """A notebook that never ends, where it tells its processes, and a batch of it in a process."""
    notebook = write(tmp_path / "notebooks", "Hangs", HANG, FINISH)
    pids, out = tmp_path / "pids", tmp_path / "out"
    code = (
        "from pathlib import Path; from vqa_helpers.batch import run_batch; "
        f"run_batch([Path({str(notebook)!r})], [{f'NAME={pids}'!r}], out=Path({str(out)!r}))"
    )

    def begin() -> subprocess.Popen:
        batch = subprocess.Popen(
            [sys.executable, "-c", code], stderr=subprocess.PIPE, text=True,
            # A shell that runs the tests in the background has them ignore Ctrl-C.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )  # fmt: skip
        wait_until(pids.exists)
        return batch

    return notebook, pids, out, begin


def alive(pid: int) -> bool:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


@pytest.mark.slow
def test_the_time_limit_ends_the_kernel_and_its_children(hanging):
    notebook, pids, out, _ = hanging
    [outcome] = run_batch([notebook], [f"NAME={pids}"], out=out, timeout_s=10)
    assert (outcome.status, outcome.reason) == ("failed", "time limit of 10 s")
    # On a machine so busy that the kernel never got to its cell there is nothing to look for.
    started = pids.read_text().split() if pids.exists() else []
    assert not any(alive(int(pid)) for pid in started)
    assert partials(out) == []


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_every_child_and_leaves_no_part(hanging, number):
    notebook, pids, out, begin = hanging
    batch = begin()
    with pytest.raises(InputError, match="another batch"):
        run_batch([notebook], out=out)
    batch.send_signal(number)
    errors = batch.communicate(timeout=30)[1]
    assert batch.returncode == 143 if number == signal.SIGTERM else "KeyboardInterrupt" in errors
    assert not any(alive(int(pid)) for pid in pids.read_text().split())
    assert partials(out) == [] and not list(out.rglob("*.ipynb"))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
def test_a_killed_batch_leaves_no_notebook_running(hanging):
    _, pids, _, begin = hanging
    batch = begin()
    batch.kill()
    batch.communicate()
    kernel, child = map(int, pids.read_text().split())
    wait_until(lambda: not alive(kernel), 30)
    os.kill(child, signal.SIGKILL)  # it had left the kernel's session, and nobody looks for it


@pytest.mark.slow
def test_an_error_of_the_disk_ends_the_other_notebooks(hanging, monkeypatch):
    notebook, pids, out, _ = hanging
    other = write(notebook.parent, "Other", "import time\nfrom pathlib import Path\n"
                  "while not Path(NAME).exists():\n    time.sleep(0.1)", FINISH)  # fmt: skip

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("vqa_helpers.batch.write_text", full)
    with pytest.raises(OSError, match="No space left"):
        run_batch([notebook, other], [f"NAME={pids}"], out=out, jobs=2)
    assert not any(alive(int(pid)) for pid in pids.read_text().split())
    assert partials(out) == []


# ---------------------------------------------------------------- before anything runs


def test_text_is_read_by_the_declared_types(tmp_path):
    given = ["NAME=2014", "COUNT=5", "RATE=5", "FLAG=false"]
    values = read_parameters(given, write(tmp_path, "With {braces}"))
    assert str(values) == "{'NAME': '2014', 'COUNT': 5, 'RATE': 5.0, 'FLAG': False}"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("COUNT", "write it as NAME=VALUE"),
        ("COUNT=two", "One.ipynb: parameter COUNT=two: not of type int"),
        ("FLAG=2", "FLAG=2: not of type bool; write true or false"),
        ("SEED=1", "SEED=1: not of type None; declare it, as in `SEED: int = 0`"),
        ("count=2", "One.ipynb: no parameter 'count'; did you mean COUNT?"),
        ("import os; COUNT=1", "no parameter 'import os; COUNT'"),
    ],
)
def test_wrong_parameters_run_nothing(tmp_path, given, says):
    notebook = write(tmp_path / "notebooks", "One", FINISH)
    with pytest.raises(InputError) as error:
        run_batch([notebook], [given], out=tmp_path / "out")
    assert says in str(error.value) and "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_unusable_notebooks_and_places_are_refused(tmp_path):
    source, out = tmp_path / "notebooks", tmp_path / "out"
    good, twin = write(source, "One", FINISH), write(tmp_path / "twin", "One", FINISH)
    broken = source / "Broken.ipynb"
    broken.write_text('{"cells": [')
    injected = write(source, "Injected", FINISH)
    injected.write_text(injected.read_text().replace('"parameters"', '"injected-parameters"'))
    for notebooks, place, says in [
        ([good, twin], out, "this name"),
        ([broken], out, "not a notebook"),
        ([injected], out, "earlier run"),
        ([source / "Gone.ipynb"], out, "cannot be read"),
        ([good], source, "overwritten"),
    ]:
        with pytest.raises(InputError, match=says):
            run_batch(notebooks, out=place)
    with pytest.raises(InputError, match="above zero"):
        run_batch([good], out=out, jobs=0)
    assert good.exists() and not out.exists()


def test_notebooks_are_found_by_pattern(tmp_path):
    with pytest.raises(InputError, match="no notebooks here"):
        select(tmp_path)
    for name in ("b", "a", "ab", ".c"):
        (tmp_path / f"{name}.ipynb").touch()
    for only, names in ((None, ["a", "ab", "b"]), ("a*", ["a", "ab"]), ("b.ipynb,a", ["a", "b"])):
        assert [path.stem for path in select(tmp_path, only)] == names
    with pytest.raises(InputError, match="no notebook matches 'x'; there are a, ab, b"):
        select(tmp_path, "a*,x")
