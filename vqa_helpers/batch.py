"""Run many notebooks headless: parameters checked first, several at a time, resumable.

What a batch leaves in its folder: `<name>.ipynb` as its last good run left it,
`failed/<name>.ipynb` for the others, `logs/<name>.log`, `records/<name>.json`. A notebook is
skipped while its record matches its source cells and parameters; changes of the package or of the
data are not seen (`force` runs everything again). A notebook whose metadata holds
`{"vqa": {"after": "all"}}` (a summary) runs when all others have ended, and again whenever one of
their records has changed.

How one notebook is run and judged is `vqa_helpers.execution`.
"""

import contextlib
import fnmatch
import hashlib
import importlib.util
import json
import logging
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from vqa_helpers.cluster import Map, run_here
from vqa_helpers.errors import InputError
from vqa_helpers.execution import NotebookRun, Outcome, partial_of, read_parameters
from vqa_helpers.files import locked, read_json, write_text
from vqa_helpers.notebook import project_root, read_notebook

log = logging.getLogger(__name__)


def select(folder: Path, only: str | None = None) -> list[Path]:
    """The notebooks in `folder`, sorted by name.

    Args:
        only: patterns such as `Improved*,GUSE_*`, matched against names with and without `.ipynb`.

    Raises:
        InputError: no notebook there, or none that matches.
    """
    found = sorted(Path(folder).glob("[!.]*.ipynb"))
    if not found:
        raise InputError(f"{folder}: no notebooks here; name the folder that holds them")
    chosen = set()
    for pattern in (only or "*").split(","):
        matching = [path for path in found if fnmatch.filter((path.name, path.stem), pattern)]
        if not matching:
            there = ", ".join(path.stem for path in found)
            raise InputError(f"{folder}: no notebook matches {pattern!r}; there are {there}")
        chosen.update(matching)
    return sorted(chosen)


def run_batch(
    notebooks: Sequence[Path], parameters: Sequence[str] = (), *, out: Path, jobs: int = 1,
    map_units: Map | None = None, timeout_s: float = 3600.0, force: bool = False,
) -> list[Outcome]:  # fmt: skip
    """Run notebooks from the project's folder, several at a time; continue when one fails.

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
    sources = {path: read_notebook(path) for path in paths}
    _refuse_unusable(paths, sources, out)
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
            at_the_end.callback(partial_of(path, out).unlink, missing_ok=True)
        work = NotebookRun(values, out, project_root(), timeout_s, threads, (lock,), stop)
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


def _refuse_unusable(paths: list[Path], sources: dict[Path, Any], out: Path) -> None:
    """Refuse notebooks that cannot be run into that folder."""
    for path in paths:
        if path.parent in (out, out / "failed"):
            raise InputError(f"{path}: would be overwritten; choose another folder for the output")
        if [other.stem for other in paths].count(path.stem) > 1:
            raise InputError(f"{path}: two notebooks of this batch have this name; rename one")
        cells = sources[path].cells
        if any("injected-parameters" in cell.metadata.get("tags", []) for cell in cells):
            line = "holds parameters of an earlier run; use it as it was written"
            raise InputError(f"{path}: {line}")


@contextlib.contextmanager
def _ended_by_signals(stop: threading.Event) -> Iterator[None]:
    """Set `stop` on Ctrl-C, SIGTERM and a closed terminal, and end the main thread.

    Notebooks are started and watched by other threads, in which no signal is raised.
    """
    previous, received = {}, []

    def end(number: int, _: object) -> None:
        for heard in previous:  # once is enough, for what follows takes a moment
            signal.signal(heard, signal.SIG_IGN)
        received.append(number)
        stop.set()
        raise KeyboardInterrupt  # Ray would end the process at once on any other

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) != signal.SIG_IGN:  # nohup keeps its meaning
                previous[number] = signal.signal(number, end)
    try:
        yield
    except KeyboardInterrupt:
        if received and received[0] != signal.SIGINT:
            raise SystemExit(128 + received[0]) from None
        raise
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


# ---------------------------------------------------------------- before anything runs


def _fingerprint(notebook, parameters: dict[str, object], after: str) -> dict[str, object]:
    """What a kept result depends on; outputs of the source notebook do not count."""
    cells = [[c.cell_type, c.source, c.metadata.get("tags", [])] for c in notebook.cells]
    digest = hashlib.sha256(json.dumps(cells).encode()).hexdigest()
    return {"source": digest, "parameters": parameters, "after": after}


def _records_digest(out: Path, without: list[Path]) -> str:
    own = {path.stem for path in without}
    records = sorted(path for path in (out / "records").glob("*.json") if path.stem not in own)
    return hashlib.sha256(b"".join(path.read_bytes() for path in records)).hexdigest()


def _is_done(path: Path, fingerprint: dict[str, object], out: Path) -> bool:
    record = read_json(out / "records" / f"{path.stem}.json")
    same = all(record.get(key) == value for key, value in fingerprint.items())
    return same and (out / path.name).is_file()


# ---------------------------------------------------------------- what is kept


def _keep(outcome: Outcome, fingerprint: dict[str, object], out: Path) -> None:
    """Put the output of a notebook that ended, and its record, where they belong."""
    path = outcome.notebook
    executed, good, bad = partial_of(path, out), out / path.name, out / "failed" / path.name
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
