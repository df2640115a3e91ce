"""Run one notebook in a process of its own, and tell whether it reached its end.

papermill executes it. Its exit code and the record that `vqa_helpers.notebook.finish` writes decide
together whether it succeeded. The executed notebook is no evidence: after a time-out or a killed
kernel every cell reads as completed, and `sys.exit(0)` passes for success.
"""

import contextlib
import difflib
import errno
import json
import logging
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vqa_helpers.errors import InputError
from vqa_helpers.files import read_json
from vqa_helpers.notebook import RECORD_VARIABLE, TOKEN_VARIABLE, read_declared, read_notebook

log = logging.getLogger(__name__)

Value = str | int | float | bool
PROCESS = Path(__file__).with_name("papermill_process.py")  # by its path: it needs no package
POLL_S = 0.1
FULL_BYTES = 1 << 16  # fewer are free: no notebook can be written
WIDGET = "application/vnd.jupyter.widget-view+json"
NOTES = {"papermill", "execution", "widgets"}


@dataclass(frozen=True)
class Outcome:
    """How one notebook of a batch ended: "done", "skipped" or "failed", and why; what it recorded."""

    notebook: Path
    status: str
    seconds: float = 0.0
    reason: str = ""
    results: object = None


def read_parameters(assignments: Sequence[str], notebook: Path) -> dict[str, Value]:
    """`["EPOCHS=2", "DATA=demo"]` as values of the types that a notebook declares.

    It declares them in the cell tagged `parameters`, one line each: `EPOCHS: int = 0  # help`.
    papermill itself only warns of an unknown name, never looks at types, and executes names as
    code; so nothing is handed to it that did not pass here.

    Raises:
        InputError: not NAME=VALUE, a name the notebook does not declare, or text of another type.
    """
    import papermill

    logging.getLogger("papermill").setLevel(logging.WARNING)
    declared = papermill.inspect_notebook(_literal(notebook)) if assignments else {}
    values: dict[str, Value] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals:
            raise InputError(f"parameter {name!r}: write it as NAME=VALUE")
        if name not in declared or not name.isidentifier():
            near = difflib.get_close_matches(name.upper(), declared, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(declared)}"
            raise InputError(f"{notebook.name}: no parameter {name!r}; {hint}")
        what = f"{notebook.name}: parameter {name}={text}"
        values[name] = read_declared(declared[name]["inferred_type_name"], text, what)
    return values


def _literal(path: Path) -> str:
    """A path as papermill reads it: it takes braces for placeholders."""
    return str(path).replace("{", "{{").replace("}", "}}")


@dataclass(frozen=True)
class NotebookRun:
    """Runs one notebook to its end.

    Attributes:
        parameters: of each notebook, checked: their names are executed as code.
        out: the batch's folder.
        root: working folder of the notebook.
        timeout_s: wall-clock limit.
        threads: how many threads numerical libraries may use; None leaves it to them.
        hold: file descriptors that stay open until the notebook's process ends.
        stop: once set, the notebook is given up.
    """

    parameters: dict[Path, dict[str, Value]]
    out: Path
    root: Path
    timeout_s: float
    threads: int | None
    hold: tuple[int, ...]
    stop: threading.Event | None

    def __getstate__(self) -> dict[str, object]:
        # On another machine this process's descriptors and events mean nothing.
        return self.__dict__ | {"hold": (), "stop": None}

    def __call__(self, notebook: Path) -> Outcome | None:
        """Returns None for a notebook that was given up."""
        stop = self.stop or threading.Event()
        log.info("started %s", notebook.stem)
        try:
            own = tempfile.TemporaryDirectory(prefix="vqa-notebook-", ignore_cleanup_errors=True)
            with own as folder:
                return self._run(notebook, Path(folder), stop)
        except BaseException:
            stop.set()  # such as a full disk: nothing else is left running
            raise

    def _run(self, notebook: Path, folder: Path, stop: threading.Event) -> Outcome | None:
        executed, parameters = partial_of(notebook, self.out), self.parameters[notebook]
        executed.unlink(missing_ok=True)  # of a batch that was itself killed
        log_file = self.out / "logs" / f"{notebook.stem}.log"
        token, start = secrets.token_hex(16), time.monotonic()
        job = {"input_path": _literal(notebook), "output_path": _literal(executed)}
        job = json.dumps({**job, "parameters": parameters})
        environment = os.environ | {
            RECORD_VARIABLE: str(folder / "record.json"),
            TOKEN_VARIABLE: token,
            "JUPYTER_RUNTIME_DIR": str(folder),  # a killed kernel leaves its connection file here
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        }
        environment.pop("MPLBACKEND", None)  # a backend set outside would keep figures out
        if self.threads is not None:
            environment["OMP_NUM_THREADS"] = str(self.threads)
        with log_file.open("wb") as stream:
            process = subprocess.Popen(
                [sys.executable, "-P", str(PROCESS), str(os.getpid()), job], cwd=self.root,
                env=environment, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream,
                start_new_session=True, pass_fds=self.hold,
            )  # fmt: skip
        try:
            while process.poll() is None and time.monotonic() - start <= self.timeout_s:
                if stop.wait(POLL_S):
                    return None
            code, seconds = process.poll(), round(time.monotonic() - start, 1)
        finally:
            _kill(process, token)
        record = read_json(folder / "record.json")
        readable = _tidy(executed, bool(parameters), self.root)
        if code is None:
            reason = f"time limit of {self.timeout_s:g} s"
        elif code < 0:
            reason = f"killed by signal {-code}"
        elif code > 0:
            lines = log_file.read_text(encoding="utf-8", errors="replace").strip().split("\n")
            reason = lines[-1] or f"papermill ended with exit code {code}"
        elif not record:
            reason = "no success record: the notebook stopped before its check cell"
        elif record.get("token") != token:
            reason = "the success record is not of this run"
        else:
            reason = "" if readable else "the executed notebook cannot be read"
        full = shutil.disk_usage(self.out).free < FULL_BYTES  # then the log has no room to say so
        if reason and (full or os.strerror(errno.ENOSPC) in reason):
            reason += " (free some space and run the same command again)"
        status = "failed" if reason else "done"
        return Outcome(notebook, status, seconds, reason, record.get("results"))


def partial_of(notebook: Path, out: Path) -> Path:
    """Where papermill keeps a notebook while it runs, now and then half written."""
    return out / f".{notebook.stem}.partial.ipynb"


def _kill(process: subprocess.Popen[bytes], token: str) -> None:
    """Kill papermill and whatever the notebook started.

    The kernel has a session of its own, and may have started workers that outlive it: all of them
    are known by the token they inherited.
    """
    import psutil  # comes with ipykernel

    for _ in range(10):  # again, for what was started between the look and the kill
        running = psutil.process_iter(["environ"])
        started = [p for p in running if (p.info["environ"] or {}).get(TOKEN_VARIABLE) == token]
        if not started:
            break
        for child in started:
            with contextlib.suppress(psutil.Error):
                child.kill()
        psutil.wait_procs(started, timeout=1)
    process.wait()


def _tidy(executed: Path, injected: bool, root: Path) -> bool:
    """Remove papermill's notes, widget states and this machine's paths from an executed notebook.

    Returns:
        whether there is one; what cannot be read is removed.
    """
    import nbformat

    try:
        notebook = read_notebook(executed)
    except InputError:
        executed.unlink(missing_ok=True)
        return False
    folders = {str(root): ".", sys.prefix: "python", str(Path.home()): "~"}
    folders.pop("/", None)
    known = "|".join(re.escape(folder) for folder in sorted(folders, key=len, reverse=True))
    pattern = re.compile(rf"/\S*/ipykernel_\d+/\d+\.py|({known})(?=[/\s\"'):,]|$)")

    def clean(value):
        if isinstance(value, str):
            return pattern.sub(lambda found: folders.get(found[1], "cell"), value)
        if isinstance(value, list):
            return [clean(part) for part in value]
        if isinstance(value, dict):
            value.pop(WIDGET, None)
            for key in value:
                if "/" not in key or key.startswith("text/"):  # no images
                    value[key] = clean(value[key])
        return value

    unwanted = {"papermill-error-cell-tag"} | (set() if injected else {"injected-parameters"})
    notebook.cells = [c for c in notebook.cells if not unwanted & set(c.metadata.get("tags", []))]
    for part in (notebook, *notebook.cells):
        kept = part.metadata.items()
        part.metadata = {key: value for key, value in kept if value and key not in NOTES}
        clean(part.get("outputs"))
    nbformat.write(notebook, executed)
    return True
