"""Run many notebooks unattended: parameters checked first, several at a time, resumable.

What a batch leaves in its folder: `<name>.ipynb` as its last good run left it,
`failed/<name>.ipynb` for the others, `logs/<name>.log`, `records/<name>.json`. A notebook is
skipped while its record matches its source cells and parameters; changes of the package or of the
data are not seen (`force` runs everything again). A notebook whose metadata holds
`{"vqa": {"after": "all"}}` (a summary) runs when all others have ended, and again whenever one of
their records has changed.

papermill executes each notebook in a process of its own. Its exit code and the record that
`vqa_helpers.notebook.finish` writes decide together whether a notebook succeeded. The executed
notebook is no evidence: after a time-out or a killed kernel every cell reads as completed, and
`sys.exit(0)` passes for success.
"""

import ast
import contextlib
import difflib
import errno
import fnmatch
import hashlib
import importlib.util
import json
import logging
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from vqa_helpers.cluster import Map, run_here
from vqa_helpers.errors import InputError
from vqa_helpers.files import locked, write_text
from vqa_helpers.notebook import RECORD_VARIABLE, TOKEN_VARIABLE, project_root

log = logging.getLogger(__name__)

Value = str | int | float | bool
PROCESS = Path(__file__).with_name("papermill_process.py")  # by its path: it needs no package
POLL_S = 0.1
FULL_BYTES = 1 << 16  # fewer are free: no notebook can be written
WIDGET = "application/vnd.jupyter.widget-view+json"
TRUTH = {"true": True, "false": False}
# A text as a value of a type that a notebook declares.
READ = {"str": str, "int": int, "float": float, "bool": lambda text: TRUTH[text.lower()]}


@dataclass(frozen=True)
class Outcome:
    """How one notebook of a batch ended: "done", "skipped" or "failed", and why; what it recorded."""

    notebook: Path
    status: str
    seconds: float = 0.0
    reason: str = ""
    results: object = None


def select(folder: Path, only: str | None = None) -> list[Path]:
    """The notebooks in `folder`, sorted by name.

    Args:
        only: a pattern such as `Improved*`, matched against names with and without `.ipynb`.

    Raises:
        InputError: no notebook there, or none that matches.
    """
    found = sorted(path for path in Path(folder).glob("*.ipynb") if path.name[0] != ".")
    if not found:
        raise InputError(f"{folder}: no notebooks here; name the folder that holds them")
    chosen = [path for path in found if fnmatch.filter((path.name, path.stem), only or "*")]
    if not chosen:
        there = ", ".join(path.stem for path in found)
        raise InputError(f"{folder}: no notebook matches {only!r}; there are {there}")
    return chosen


def run_batch(
    notebooks: Sequence[Path],
    parameters: Sequence[str] = (),
    *,
    out: Path,
    jobs: int = 1,
    map_units: Map | None = None,
    timeout_s: float = 3600.0,
    force: bool = False,
) -> list[Outcome]:
    """Run notebooks from the project's folder, several at a time; go on when one fails.

    Args:
        parameters: texts `NAME=VALUE`; every notebook must declare each of the names.
        out: folder for executed notebooks, logs and records; one batch at a time may use it.
        jobs: how many at a time, on this machine.
        map_units: where they run; `jobs` threads of this process if None. All machines must see
            this working folder.
        timeout_s: wall-clock limit for each notebook.
        force: run notebooks that are already done again.

    Returns:
        one outcome a notebook, in the order in which they ended.

    Raises:
        InputError: before anything runs: a notebook or a parameter that cannot be used.
        KeyboardInterrupt, SystemExit: on Ctrl-C and on SIGTERM, after every child was killed.
    """
    if importlib.util.find_spec("papermill") is None:
        raise InputError("papermill is not installed; install it: pip install papermill ipykernel")
    if jobs < 1 or timeout_s <= 0:
        raise InputError(f"jobs={jobs}, timeout_s={timeout_s:g}: both must be above zero")
    paths, out = [Path(notebook).resolve() for notebook in notebooks], Path(out).resolve()
    for path in paths:
        if path.parent in (out, out / "failed"):
            raise InputError(f"{path}: would be overwritten; choose another folder for the output")
        if [other.stem for other in paths].count(path.stem) > 1:
            raise InputError(f"{path}: two notebooks of this batch have this name; rename one")
    sources = {path: _read(path) for path in paths}
    values = {path: read_parameters(parameters, path) for path in paths}
    last = [path for path in paths if sources[path].metadata.get("vqa", {}).get("after") == "all"]
    for folder in ("logs", "records", "failed"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    busy = f"{out}: another batch, or a notebook it left behind, still works here; wait for it"
    map_units = map_units or partial(run_here, jobs=jobs)
    # Together they must not fight over the cores.
    threads = None if jobs == 1 else max(1, (os.cpu_count() or 1) // jobs)
    outcomes: list[Outcome] = []
    stop = threading.Event()
    with (
        locked(out / ".lock", refusal=busy) as lock,
        _ended_by_signals(stop),
        contextlib.ExitStack() as at_the_end,
    ):
        for path in paths:
            at_the_end.callback(_partial(path, out).unlink, missing_ok=True)
        work = _Run(values, out, project_root(), timeout_s, threads, (lock,), stop)
        for wave in ([path for path in paths if path not in last], last):
            after = _records_digest(out, last) if wave is last else ""
            prints = {path: _fingerprint(sources[path], values[path], after) for path in wave}
            due = [path for path in wave if force or not _is_done(path, prints[path], out)]
            outcomes += [Outcome(path, "skipped") for path in wave if path not in due]
            with contextlib.closing(map_units(work, due)) as running:
                try:
                    for path, outcome in running:
                        if outcome is not None:
                            _keep(outcome, prints[path], out)
                            outcomes.append(outcome)
                            place = f"{len(outcomes)} of {len(paths)}"
                            why = f": {outcome.reason}; see {out}/logs" if outcome.reason else ""
                            status, name, seconds = outcome.status, path.stem, outcome.seconds
                            log.info("%s %s (%s) in %.1f s%s", status, name, place, seconds, why)
                except BaseException:
                    stop.set()  # before `running` is closed, which waits for its threads
                    raise
    count = [sum(o.status == status for o in outcomes) for status in ("done", "skipped", "failed")]
    log.info("%d notebooks: %d done, %d skipped, %d failed", len(paths), *count)
    return outcomes


@contextlib.contextmanager
def _ended_by_signals(stop: threading.Event) -> Iterator[None]:
    """Set `stop` on Ctrl-C, SIGTERM and a closed terminal, and end the main thread.

    Notebooks are started and watched by other threads, in which no signal is raised.
    """
    previous = {}

    def end(number: int, _: object) -> None:
        for heard in previous:  # once is enough, for what follows takes a moment
            signal.signal(heard, signal.SIG_IGN)
        stop.set()
        raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) != signal.SIG_IGN:  # nohup keeps its meaning
                previous[number] = signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


# ---------------------------------------------------------------- before anything runs


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
        kind = declared[name]["inferred_type_name"]
        if kind not in READ:  # not annotated: as its default is
            with contextlib.suppress(ValueError, SyntaxError):
                kind = type(ast.literal_eval(declared[name]["default"])).__name__
        try:
            values[name] = READ[kind](text)
        except (KeyError, ValueError):
            remedy = "; write true or false" if kind == "bool" else ""
            raise InputError(
                f"{notebook.name}: parameter {name}={text}: not of type {kind}{remedy}"
            ) from None
    return values


def _literal(path: Path) -> str:
    """A path as papermill reads it: it takes braces for placeholders."""
    return str(path).replace("{", "{{").replace("}", "}}")


def _read(path: Path):
    """A notebook to run."""
    import nbformat

    try:
        notebook = nbformat.read(path, as_version=4)
        tags = [tag for cell in notebook.cells for tag in cell.metadata.get("tags", [])]
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except Exception:  # what is no notebook breaks nbformat in many ways
        raise InputError(f"{path}: not a notebook; save it again in Jupyter") from None
    if "injected-parameters" in tags:
        raise InputError(f"{path}: holds parameters of an earlier run; use it as it was written")
    return notebook


def _fingerprint(notebook, parameters: dict[str, Value], after: str) -> dict[str, object]:
    """What a kept result depends on; outputs of the source notebook do not count."""
    cells = [[c.cell_type, c.source, c.metadata.get("tags", [])] for c in notebook.cells]
    digest = hashlib.sha256(json.dumps(cells).encode()).hexdigest()
    return {"source": digest, "parameters": parameters, "after": after}


def _records_digest(out: Path, without: list[Path]) -> str:
    own = {path.stem for path in without}
    records = sorted(path for path in (out / "records").glob("*.json") if path.stem not in own)
    return hashlib.sha256(b"".join(path.read_bytes() for path in records)).hexdigest()


def _is_done(path: Path, fingerprint: dict[str, object], out: Path) -> bool:
    record = _json(out / "records" / f"{path.stem}.json")
    same = all(record.get(key) == value for key, value in fingerprint.items())
    return same and (out / path.name).is_file()


# ---------------------------------------------------------------- one notebook


@dataclass(frozen=True)
class _Run:
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
            with tempfile.TemporaryDirectory(
                prefix="vqa-notebook-", ignore_cleanup_errors=True
            ) as folder:
                return self._run(notebook, Path(folder), stop)
        except BaseException:
            stop.set()  # such as a full disk: nothing else is left running
            raise

    def _run(self, notebook: Path, folder: Path, stop: threading.Event) -> Outcome | None:
        executed, parameters = _partial(notebook, self.out), self.parameters[notebook]
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
        record = _json(folder / "record.json")
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


def _partial(notebook: Path, out: Path) -> Path:
    """Where papermill keeps a notebook while it runs, now and then half written."""
    return out / f".{notebook.stem}.partial.ipynb"


def _kill(process: subprocess.Popen[bytes], token: str) -> None:
    """Kill papermill and whatever the notebook started.

    The kernel has a session of its own, and may have started workers that outlive it: all of them
    are known by the token they inherited.
    """
    import psutil  # comes with ipykernel

    for _ in range(10):  # again, for what was started between the look and the kill
        everyone = psutil.process_iter(["environ"])
        started = [p for p in everyone if (p.info["environ"] or {}).get(TOKEN_VARIABLE) == token]
        if not started:
            break
        for child in started:
            with contextlib.suppress(psutil.Error):
                child.kill()
        psutil.wait_procs(started, timeout=1)
    process.wait()


def _json(path: Path) -> dict:
    """A JSON object, empty where there is none or only a part of it."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _tidy(executed: Path, injected: bool, root: Path) -> bool:
    """Remove papermill's notes, widget states and this machine's paths from an executed notebook.

    Returns:
        whether there is one; what cannot be read is removed.
    """
    import nbformat

    try:
        notebook = nbformat.read(executed, as_version=4)
    except Exception:  # half a notebook breaks nbformat in many ways
        executed.unlink(missing_ok=True)
        return False
    folders = {str(root): ".", sys.prefix: "python", str(Path.home()): "~"}
    names = {
        re.escape(folder) + r"(?=[/\s\"'):,]|$)": folders[folder]
        for folder in sorted(folders, key=len, reverse=True)
        if folder != "/"
    }
    names[r"/\S*/ipykernel_\d+/\d+\.py"] = "cell"

    def clean(value):
        if isinstance(value, str):
            for pattern, name in names.items():
                value = re.sub(pattern, name, value)
        elif isinstance(value, list):
            return [clean(part) for part in value]
        elif isinstance(value, dict):
            value.pop(WIDGET, None)
            for key in value:
                if "/" not in key or key.startswith("text/"):  # no images
                    value[key] = clean(value[key])
        return value

    unwanted = {"papermill-error-cell-tag"} | (set() if injected else {"injected-parameters"})
    for key in ("papermill", "widgets"):
        notebook.metadata.pop(key, None)
    notebook.cells = [c for c in notebook.cells if not unwanted & set(c.metadata.get("tags", []))]
    for cell in notebook.cells:
        for key in ("papermill", "execution", *(() if cell.metadata.get("tags") else ("tags",))):
            cell.metadata.pop(key, None)
        clean(cell.get("outputs"))
    nbformat.write(notebook, executed)
    return True


# ---------------------------------------------------------------- what is kept


def _keep(outcome: Outcome, fingerprint: dict[str, object], out: Path) -> None:
    """Put the output of a notebook that ended, and its record, where they belong."""
    path = outcome.notebook
    executed, good, bad = _partial(path, out), out / path.name, out / "failed" / path.name
    record = out / "records" / f"{path.stem}.json"
    # The record goes first and comes last: it never stands beside an output it does not describe.
    record.unlink(missing_ok=True)
    if executed.exists():
        executed.replace(bad if outcome.reason else good)
    if not outcome.reason:
        bad.unlink(missing_ok=True)
        ended = {"seconds": outcome.seconds, "finished": datetime.now(UTC).isoformat()}
        content = {**fingerprint, **ended, "results": outcome.results}
        write_text(record, json.dumps(content, indent=1))
