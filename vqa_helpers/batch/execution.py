"""Run one notebook in processes of its own, and tell whether it reached its end.

papermill executes it; its exit code and the record that `vqa_helpers.notebook.finish` writes decide
together. The executed notebook is not evidence: after a time-out or a killed kernel every cell
reads as completed, and `sys.exit(0)` passes for success. What the notebook leaves is tidied:
papermill's notes, widget states and this machine's paths go.

Nothing here knows of batches, of resuming, or of what notebooks do.
"""

import contextlib
import errno
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from vqa_helpers.batch.parameters import Value, literal_path
from vqa_helpers.notebook import RECORD_VARIABLE, TOKEN_VARIABLE

FULL_BYTES = 1 << 16  # fewer are free: no notebook can be written
DEAD_KERNEL = 138  # papermill's exit code when the kernel vanished
NOISE = ("papermill", "execution")  # metadata papermill and its client add to cells
WIDGET = "application/vnd.jupyter.widget-view+json"
ERROR_MARK = "papermill-error-cell-tag"
POLL_S = 0.1
PROCESS = Path(__file__).with_name("process.py")  # by its path: nothing has to be importable


@dataclass(frozen=True)
class Ended:
    """How a notebook ended: why it failed, empty if it succeeded, and the results it recorded."""

    reason: str
    results: object
    seconds: float


@dataclass(frozen=True)
class NotebookWork:
    """Runs one notebook to its end: the work of a batch, a notebook being its unit.

    Attributes:
        parameters: names must be ones the notebook declares: they are executed as code.
        out: the batch's folder: the notebook as it stands is kept there, and its log.
        root: working folder of the notebook.
        timeout_s: wall-clock limit.
        threads: how many threads numerical libraries may use; None leaves it to them.
        hold: file descriptors that stay open until the notebook's process ends.
        stop: once set, the notebook is given up.
    """

    parameters: dict[str, Value]
    out: Path
    root: Path
    timeout_s: float
    threads: int | None = None
    hold: tuple[int, ...] = ()
    stop: Event | None = None

    def __getstate__(self) -> dict[str, object]:
        # Elsewhere this process's descriptors and events mean nothing.
        return self.__dict__ | {"hold": (), "stop": None}

    def __call__(self, notebook: Path) -> Ended | None:
        """Returns None for a notebook that was given up."""
        partial = partial_of(notebook, self.out)
        partial.unlink(missing_ok=True)  # of a batch that was itself killed
        log_file = self.out / "logs" / f"{notebook.stem}.log"
        execution = begin(
            notebook, self.parameters, partial=partial, log_file=log_file, root=self.root,
            threads=self.threads, hold=self.hold,
        )  # fmt: skip
        try:
            stop = self.stop or Event()
            while execution.process.poll() is None and execution.seconds <= self.timeout_s:
                if stop.wait(POLL_S):
                    abandon(execution)
                    return None
            seconds = round(execution.seconds, 1)
            reason, results = conclude(
                execution, self.timeout_s, parameters_given=bool(self.parameters), root=self.root
            )
        except BaseException:
            abandon(execution)
            raise
        return Ended(reason, results, seconds)


def partial_of(notebook: Path, out: Path) -> Path:
    """Where a notebook stands while it runs."""
    return out / f".{notebook.stem}.partial.ipynb"


@dataclass(frozen=True)
class Execution:
    """A notebook that is running; everything it starts carries `token` in its environment."""

    notebook: Path
    partial: Path
    log_file: Path
    process: subprocess.Popen[bytes]
    token: str
    folder: Path
    started: float

    @property
    def seconds(self) -> float:
        """Wall-clock time since the start."""
        return time.monotonic() - self.started


def begin(
    notebook: Path,
    parameters: dict[str, Value],
    *,
    partial: Path,
    log_file: Path,
    root: Path,
    threads: int | None = None,
    hold: tuple[int, ...] = (),
) -> Execution:
    """Start a notebook and return at once.

    Args:
        parameters: names must be ones the notebook declares: they are executed as code.
        partial: where papermill keeps the notebook as it stands, now and then half written.
        root: working folder of the notebook.
        threads: how many threads numerical libraries may use; None leaves it to them.
        hold: file descriptors that stay open until the process ends.
    """
    token = secrets.token_hex(16)
    folder = Path(tempfile.mkdtemp(prefix="vqa-notebook-"))
    environment = os.environ | {
        RECORD_VARIABLE: str(folder / "record.json"),
        TOKEN_VARIABLE: token,
        "JUPYTER_RUNTIME_DIR": str(folder),  # a killed kernel leaves its connection file here
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }
    environment.pop("MPLBACKEND", None)  # a backend set outside would keep figures out
    if threads is not None:
        environment["OMP_NUM_THREADS"] = str(threads)
    command = [sys.executable, "-P", str(PROCESS), str(os.getpid())]
    command += [literal_path(notebook), literal_path(partial)]
    command += ["-k", "python3", "--no-progress-bar", "--log-output"]
    for name, value in parameters.items():
        # -r passes text as it is; -p reads a number or a truth value from its notation.
        command += ["-r", name, value] if isinstance(value, str) else ["-p", name, repr(value)]
    try:
        with log_file.open("wb") as log:
            process = subprocess.Popen(
                command,
                cwd=root,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=hold,
            )
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return Execution(notebook, partial, log_file, process, token, folder, time.monotonic())


def conclude(
    execution: Execution, timeout_s: float, *, parameters_given: bool, root: Path
) -> tuple[str, object]:
    """End a notebook that has exited or that has had its time, and judge it.

    The executed notebook at `partial` is tidied, or removed where it cannot be read.

    Returns:
        the reason why it failed, empty if it succeeded, and the results it recorded.
    """
    code = execution.process.poll()
    _kill(execution)
    executed = _load(execution.partial)
    reason, results = _judge(execution, code, timeout_s, executed)
    shutil.rmtree(execution.folder, ignore_errors=True)
    if executed is None:
        execution.partial.unlink(missing_ok=True)
    else:
        text = json.dumps(_tidy(executed, parameters_given, root), indent=1, ensure_ascii=False)
        execution.partial.write_text(text + "\n", encoding="utf-8")
    return reason, results


def abandon(execution: Execution) -> None:
    """Kill a running notebook and leave nothing of it but its log."""
    _kill(execution)
    execution.partial.unlink(missing_ok=True)
    shutil.rmtree(execution.folder, ignore_errors=True)


def text_of(source: str | list[str]) -> str:
    """A notebook's text, which is kept as one string or as a list of lines."""
    return source if isinstance(source, str) else "".join(source)


def _kill(execution: Execution) -> None:
    """Kill papermill and whatever the notebook started.

    The kernel has a session of its own, out of reach of a signal to papermill's group, and may
    have started workers that outlive it: all of them are known by the token they inherited.
    """
    import psutil  # comes with ipykernel

    if execution.process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(execution.process.pid, signal.SIGKILL)
        execution.process.wait()
    for _ in range(10):  # again, for what was started between the look and the kill
        victims = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if process.environ().get(TOKEN_VARIABLE) == execution.token:
                    process.kill()
                    victims.append(process)
        if not victims:
            return
        psutil.wait_procs(victims, timeout=1)


def _judge(
    execution: Execution, code: int | None, timeout_s: float, executed: dict | None
) -> tuple[str, object]:
    if code is None:
        return f"time limit of {timeout_s:g} s", None
    if code < 0:
        return f"killed by signal {-code}", None
    if code == DEAD_KERNEL:
        return "the kernel died: killed from outside, or out of memory", None
    if code > 0:
        error = _error_in(executed) or _last_line(execution.log_file)
        return (error or f"papermill ended with exit code {code}") + _room(execution, error), None
    record = _load(execution.folder / "record.json")
    if record is None:
        return "no success record: the notebook stopped before its check cell", None
    if record.get("token") != execution.token:
        return "the success record is not of this run", None
    return "", record.get("results")


def _room(execution: Execution, error: str) -> str:
    """What to do where the disk is full: then the log may say nothing, having no room either."""
    folder = execution.partial.parent
    full = shutil.disk_usage(folder).free < FULL_BYTES
    if not full and os.strerror(errno.ENOSPC) not in error:
        return ""
    return (
        f" ({f'{folder} is full; ' if full else ''}free some space and run the same command again)"
    )


def _load(path: Path) -> dict | None:
    """A JSON object, or None where there is none or only a part of it."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _error_in(executed: dict | None) -> str:
    """The last error shown, which is the one that stopped the notebook, as one line."""
    cells = (executed or {}).get("cells", [])
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    errors = [output for output in outputs if output.get("output_type") == "error"]
    if not errors:
        return ""
    message = text_of(errors[-1]["evalue"]).strip().split("\n")[0]
    return f"{errors[-1]['ename']}: {message}".removesuffix(": ")


def _last_line(log_file: Path) -> str:
    lines = log_file.read_text(encoding="utf-8", errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def _tidy(notebook: dict, parameters_given: bool, root: Path) -> dict:
    """The executed notebook without papermill's notes, widget states and this machine's paths."""
    for key in ("papermill", "widgets"):
        notebook.get("metadata", {}).pop(key, None)
    kept = []
    for cell in notebook.get("cells", []):
        metadata = cell.get("metadata", {})
        tags = metadata.get("tags", [])
        if ERROR_MARK in tags or ("injected-parameters" in tags and not parameters_given):
            continue
        for key in (*NOISE, *(() if tags else ("tags",))):
            metadata.pop(key, None)
        if "outputs" in cell:
            outputs = _joined(cell["outputs"])
            cell["outputs"] = [_without_paths(output, root) for output in outputs]
        kept.append(cell)
    return notebook | {"cells": kept}


def _joined(outputs: list[dict]) -> list[dict]:
    """Outputs with printed pieces joined: each would be shown as a block of its own."""
    joined: list[dict] = []
    for output in outputs:
        last = joined[-1] if joined else {}
        same = last.get("output_type") == "stream" and last.get("name") == output.get("name")
        if same and output["output_type"] == "stream":
            last["text"] = text_of(last["text"]) + text_of(output["text"])
        else:
            joined.append(output)
    return joined


def _without_paths(output: dict, root: Path) -> dict:
    """An output whose text says `.`, `python` and `~` for this machine's folders."""
    names = {str(root): ".", sys.prefix: "python", str(Path.home()): "~"}
    patterns = [
        (re.compile(re.escape(folder) + r"(?=[/\s\"'):,]|$)"), name)
        for folder, name in sorted(names.items(), key=lambda pair: -len(pair[0]))
        if folder != "/"
    ]
    patterns.append((re.compile(r"/\S*/ipykernel_\d+/\d+\.py"), "cell"))

    def clean(value: object) -> object:
        if isinstance(value, list):
            return [clean(item) for item in value]
        if isinstance(value, str):
            for pattern, name in patterns:
                value = pattern.sub(name, value)
        return value

    for key in ("text", "traceback", "evalue"):
        if key in output:
            output[key] = clean(output[key])
    data = output.get("data", {})
    data.pop(WIDGET, None)
    for kind in data:
        if kind.startswith("text/"):
            data[kind] = clean(data[kind])
    return output
