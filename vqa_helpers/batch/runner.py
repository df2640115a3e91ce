"""Run many notebooks unattended: parameters checked first, several at a time, resumable.

What a batch leaves in its folder: `<name>.ipynb` as its last good run left it,
`failed/<name>.ipynb` for the others, `logs/<name>.log`, `records/<name>.json`. A notebook is
skipped while its record matches its source cells and parameters; changes of the package or of the
data are not seen (`force` runs everything again).

A notebook whose metadata holds `{"vqa": {"after": "all"}}` (a summary) runs in a second wave,
when all others have ended, and again whenever one of their records has changed.

How one notebook is run and judged is `vqa_helpers.batch.execution`; what notebooks do, and where they
keep their results, is known to neither.
"""

import contextlib
import fcntl
import fnmatch
import hashlib
import importlib.util
import json
import logging
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from vqa_helpers.batch.execution import Ended, NotebookWork, partial_of, text_of
from vqa_helpers.batch.parameters import Value, check_parameters
from vqa_helpers.errors import InputError
from vqa_helpers.executor import Executor, Local
from vqa_helpers.files import write_text
from vqa_helpers.notebook import project_root

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """How one notebook of a batch ended: status "done", "skipped" or "failed" (`reason`: why)."""

    notebook: Path
    status: str
    seconds: float
    reason: str = ""


@dataclass(frozen=True)
class _Plan:
    """What every notebook of a batch shares."""

    parameters: dict[str, Value]
    out: Path
    root: Path
    executor: Executor
    threads: int | None  # of each process
    timeout_s: float
    force: bool
    total: int
    lock: int  # descriptor of the locked file; children hold it as well


@dataclass(frozen=True)
class _Received:
    """The signals that came in, and what the first of them sets."""

    signals: list[int]
    stop: threading.Event


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
    if only is None:
        return found
    chosen = [
        path
        for path in found
        if fnmatch.fnmatchcase(path.name, only) or fnmatch.fnmatchcase(path.stem, only)
    ]
    if not chosen:
        there = ", ".join(path.stem for path in found)
        raise InputError(f"{folder}: no notebook matches {only!r}; there are {there}")
    return chosen


def run_batch(
    notebooks: Sequence[Path],
    parameters: dict[str, Value],
    *,
    out: Path,
    jobs: int = 1,
    executor: Executor | None = None,
    timeout_s: float = 3600.0,
    force: bool = False,
) -> list[Outcome]:
    """Run notebooks from the project's folder, several at a time; go on when one fails.

    Args:
        parameters: by name; every notebook of the batch must declare each of them in its
            parameters cell, with a type that fits.
        out: folder for executed notebooks, logs and records; one batch at a time may use it.
        jobs: how many at a time, on this machine.
        executor: where else they run; all its machines must see this working folder.
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
    paths = [Path(notebook).resolve() for notebook in notebooks]
    out = Path(out).resolve()
    _check_places(paths, out)
    sources = {path: _read_notebook(path) for path in paths}
    check_parameters(parameters, paths)
    waves: tuple[list[Path], list[Path]] = ([], [])
    for path in paths:
        waves[_runs_last(sources[path])].append(path)

    for folder in (out / "logs", out / "records", out / "failed"):
        folder.mkdir(parents=True, exist_ok=True)
    outcomes: list[Outcome] = []
    with _sole_user(out) as lock, _signals() as received:
        # Together they must not fight over the cores.
        threads = None if jobs == 1 else max(1, (os.cpu_count() or 1) // jobs)
        plan = _Plan(
            parameters, out, project_root(), executor or Local(jobs), threads, timeout_s, force,
            total=len(paths), lock=lock,
        )  # fmt: skip
        for last, wave in enumerate(waves):
            prints = {path: _fingerprint(sources[path], parameters) for path in wave}
            if last:
                others = _records_digest(out, without=[path.stem for path in wave])
                prints = {path: {**own, "after": others} for path, own in prints.items()}
            _run_wave(prints, plan, outcomes, received)
    count = [sum(o.status == status for o in outcomes) for status in ("done", "skipped", "failed")]
    log.info("%d notebooks: %d done, %d skipped, %d failed", len(paths), *count)
    return outcomes


def _run_wave(
    prints: dict[Path, dict[str, object]],
    plan: _Plan,
    outcomes: list[Outcome],
    received: _Received,
) -> None:
    """Run the notebooks of one wave and append their outcomes; stop when a signal came in."""
    work = NotebookWork(
        plan.parameters, plan.out, plan.root, plan.timeout_s, plan.threads, (plan.lock,),
        received.stop,
    )  # fmt: skip

    def due() -> Iterator[Path]:
        for path, fingerprint in prints.items():
            if not plan.force and _is_done(path, fingerprint, plan.out):
                outcomes.append(Outcome(path, "skipped", 0.0, "already done"))
                log.info("skipped %s: already done", path.stem)
            else:
                log.info("started %s", path.stem)
                yield path

    try:
        for path, ended in plan.executor.map(work, due(), received.stop):
            if ended is not None:
                outcomes.append(_keep(path, ended, prints[path], plan))
                _report(outcomes, plan)
    except BaseException:
        received.stop.set()  # such as a full disk: nothing is left running
        raise
    if received.signals:
        log.warning("stopped by signal %d; finished notebooks are kept", received.signals[0])
        if received.signals[0] == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + received.signals[0])


def _keep(path: Path, ended: Ended, fingerprint: dict[str, object], plan: _Plan) -> Outcome:
    """Put the output of a notebook that ended, and its record, where they belong."""
    partial = partial_of(path, plan.out)
    reason = ended.reason
    if not reason and not partial.exists():
        reason = "the executed notebook cannot be read"
    record = plan.out / "records" / f"{path.stem}.json"
    good, bad = plan.out / path.name, plan.out / "failed" / path.name
    # The record goes first and comes last: it never stands beside an output it does not describe.
    record.unlink(missing_ok=True)
    if reason:
        if partial.exists():
            partial.replace(bad)
        return Outcome(path, "failed", ended.seconds, reason)
    partial.replace(good)
    bad.unlink(missing_ok=True)
    finished = datetime.now(UTC).isoformat()
    content = {**fingerprint, "seconds": ended.seconds, "finished": finished}
    write_text(record, json.dumps({**content, "results": ended.results}, indent=1))
    return Outcome(path, "done", ended.seconds)


def _report(outcomes: list[Outcome], plan: _Plan) -> None:
    outcome, place = outcomes[-1], f"{len(outcomes)} of {plan.total}"
    name, seconds = outcome.notebook.stem, outcome.seconds
    if outcome.status == "done":
        log.info("finished %s (%s) in %.1f s", name, place, seconds)
    else:
        reason, where = outcome.reason, plan.out / "logs" / f"{name}.log"
        log.error("failed %s (%s) in %.1f s: %s; see %s", name, place, seconds, reason, where)


@contextlib.contextmanager
def _sole_user(out: Path) -> Iterator[int]:
    """Hold the folder for one batch, and for the notebooks that outlive a killed one."""
    with (out / ".lock").open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f"{out}: another batch, or a notebook it left behind, still works here; "
                "wait for it or choose another folder"
            ) from None
        yield handle.fileno()


@contextlib.contextmanager
def _signals() -> Iterator[_Received]:
    """Collect Ctrl-C, SIGTERM and a closed terminal instead of dying of them.

    An exception thrown in between the start of a child and the care for it would leave the child
    alive; whoever waits for one looks at `stop` instead.
    """
    received = _Received([], threading.Event())

    def hear(number: int, _: object) -> None:
        received.signals.append(number)
        received.stop.set()

    previous = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) != signal.SIG_IGN:  # nohup keeps its meaning
                previous[number] = signal.signal(number, hear)
    try:
        yield received
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


# --- before anything runs ---


def _check_places(paths: list[Path], out: Path) -> None:
    stems = [path.stem for path in paths]
    for path in paths:
        if path.parent in (out, out / "failed"):
            raise InputError(f"{path}: would be overwritten; choose another folder for the output")
        if stems.count(path.stem) > 1:
            raise InputError(f"{path}: two notebooks of this batch have this name; rename one")


def _read_notebook(path: Path) -> dict:
    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        cells = [(cell["cell_type"], text_of(cell["source"])) for cell in notebook["cells"]]
        tags = [tag for cell in notebook["cells"] for tag in cell["metadata"].get("tags", [])]
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InputError(f"{path}: not a notebook of format 4; save it again in Jupyter") from None
    if not cells or "injected-parameters" in tags:
        raise InputError(
            f"{path}: {'has parameters injected by an earlier run' if cells else 'has no cells'}; "
            "use the notebook as it was written"
        )
    return notebook


def _runs_last(notebook: dict) -> bool:
    return notebook.get("metadata", {}).get("vqa", {}).get("after") == "all"


def _fingerprint(notebook: dict, parameters: dict[str, Value]) -> dict[str, object]:
    """What a kept result depends on; outputs of the source notebook do not count."""
    cells = [
        [cell["cell_type"], text_of(cell["source"]), cell["metadata"].get("tags", [])]
        for cell in notebook["cells"]
    ]
    digest = hashlib.sha256(json.dumps(cells).encode()).hexdigest()
    return {"source": digest, "parameters": parameters}


def _records_digest(out: Path, without: list[str]) -> str:
    records = sorted(path for path in (out / "records").glob("*.json") if path.stem not in without)
    return hashlib.sha256(b"".join(path.read_bytes() for path in records)).hexdigest()


def _is_done(path: Path, fingerprint: dict[str, object], out: Path) -> bool:
    try:
        record = json.loads((out / "records" / f"{path.stem}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    same = all(record.get(key) == value for key, value in fingerprint.items())
    return same and (out / f"{path.stem}.ipynb").is_file()
