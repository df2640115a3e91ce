"""Units of work over the machines of a Ray cluster; what a dying worker held is done again.

Every worker is a process that does unit after unit. Results come back to this process. A worker that
dies (killed, out of memory, its machine gone) is replaced, and its unit goes to whichever worker is
free next, up to a limit.

What is assumed: Ray and what this package needs are installed on all machines in the same versions
(the package itself is sent along), and every machine sees the working folder under the same path,
with all that the work reads and writes in it. A worker that does not see it says so.

Nothing here knows what the work is. Ray is imported when a cluster is joined, never before.
"""

import importlib.util
import logging
import os
import secrets
import socket
import textwrap
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from threading import Event
from typing import Generic

import vqa_helpers
from vqa_helpers.errors import InputError
from vqa_helpers.executor import Result, Unit

log = logging.getLogger(__name__)

HERE = "local"
ATTEMPTS = 3  # of one unit, each by another worker
_STORE_BYTES = 80 * 2**20  # of a cluster of our own; a shard of 1,024 VGG16 rows has 8 MB
_REACH_S = 10.0
_PATIENCE_S, _LOOK_UP_S = 60.0, 0.5


class Cluster:
    """A Ray cluster that has been joined; a context, which leaves it at the end.

    Attributes:
        workers: how many work at a time, at most.
    """

    def __init__(self, address: str, workers: int = 0) -> None:
        """Join a cluster.

        Args:
            address: `ray://host:10001` from outside the cluster; `auto` or `host:6379` on one of
                its machines; `local` starts one on this machine alone, to try things.
            workers: at most so many; 0: one for each GPU of the cluster, or, where it has none,
                for each CPU.

        Raises:
            InputError: Ray is not installed, nothing answers there, or it refuses our token.
        """
        if importlib.util.find_spec("ray") is None:
            raise InputError("Ray is not installed; install it: pip install vqa-helpers[ray]")
        if workers < 0:
            raise InputError(f"{workers} workers: use 1 or more, or 0 for as many as fit")
        _join(address)
        import ray

        there = ray.cluster_resources()
        self._needs = {"num_cpus": 1, "num_gpus": 1 if there.get("GPU") else 0}
        self.workers = workers or int(there.get("GPU") or there.get("CPU") or 1)
        log.info("Ray at %s: up to %d workers", address, self.workers)

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(self, *_: object) -> None:
        import ray

        ray.shutdown()

    def map(
        self, work: Callable[[Unit], Result], units: Iterable[Unit], stop: Event | None = None
    ) -> Iterator[tuple[Unit, Result]]:
        """As `executor.Executor.map`.

        Raises:
            InputError: a worker does not see the working folder; a unit killed `ATTEMPTS` workers.
        """
        units = iter(units)
        waiting = deque(_Task(unit) for unit in islice(units, self.workers))
        with _Crew(work, self._needs) as crew:
            for _ in range(len(waiting)):
                crew.hire()
            while waiting or crew.tasks:
                task, result, death = crew.wait(stop)
                if stop is not None and stop.is_set():
                    return
                if death is not None:
                    crew.hire()
                    if task is not None:
                        waiting.appendleft(task.again(death))
                elif not waiting:
                    waiting.extend(_Task(unit) for unit in islice(units, 1))
                while waiting and crew.idle:
                    crew.give(waiting.popleft())
                if task is not None and death is None:
                    yield task.unit, result


@dataclass(frozen=True)
class _Task(Generic[Unit]):
    """A unit, and the how manieth worker it is given to."""

    unit: Unit
    attempt: int = 1

    def again(self, death: Exception) -> "_Task[Unit]":
        name = textwrap.shorten(str(self.unit), 80)
        reason = textwrap.shorten(str(death), 300)
        if self.attempt == ATTEMPTS:
            raise InputError(
                f"{name}: {ATTEMPTS} workers died of it, one after the other; give them more "
                f"memory, or do it on one machine to see why ({reason})"
            )
        log.warning("%s: its worker died, another one does it (%s)", name, reason)
        return _Task(self.unit, self.attempt + 1)


class _Worker:
    """What runs on the cluster: takes its place, then does units."""

    def begin(self, work: Callable[[Unit], Result], folder: str) -> None:
        try:
            os.chdir(folder)
        except OSError:
            raise InputError(
                f"{folder}: the machine {socket.gethostname()} does not see it; all machines "
                "must see the working folder under the same path"
            ) from None
        self._work = work

    def do(self, unit: Unit) -> Result:
        return self._work(unit)


class _Crew:
    """The workers of one `map`: some begin, some are at work, some `idle`."""

    def __init__(self, work: Callable[[Unit], Result], needs: dict[str, int]) -> None:
        import ray

        self._ray = ray
        self._make = ray.remote(**needs)(_Worker).remote
        self._work = ray.put(work)
        self._busy: dict[object, tuple[object, _Task | None]] = {}  # what is awaited: by whom, what
        self._stillborn = 0
        self.idle: list[object] = []

    def __enter__(self) -> "_Crew":
        return self

    def __exit__(self, *_: object) -> None:
        for worker in [*self.idle, *(worker for worker, _ in self._busy.values())]:
            self._ray.kill(worker)

    @property
    def tasks(self) -> list[_Task]:
        """What is being done."""
        return [task for _, task in self._busy.values() if task is not None]

    def hire(self) -> None:
        """Ask for one more worker; it is idle once the cluster had room for it."""
        worker = self._make()
        self._busy[worker.begin.remote(self._work, os.getcwd())] = worker, None

    def give(self, task: _Task) -> None:
        """Have an idle worker do a task."""
        worker = self.idle.pop()
        self._busy[worker.do.remote(task.unit)] = worker, task

    def wait(self, stop: Event | None) -> tuple[_Task | None, object, Exception | None]:
        """The next thing that ends: the task (None: a worker has begun), its result, or a death.

        Nothing at all, once `stop` is set.

        Raises:
            what the work raised.
        """
        ready: list[object] = []
        lonely_s = 0.0
        while not ready:
            ready, _ = self._ray.wait(list(self._busy), num_returns=1, timeout=_LOOK_UP_S)
            if stop is not None and stop.is_set():
                return None, None, None
            lonely_s += 0 if self.tasks or self.idle else _LOOK_UP_S
            if lonely_s >= _PATIENCE_S:
                log.warning("the cluster has had no room for a worker for %.0f s", _PATIENCE_S)
                lonely_s = 0.0
        worker, task = self._busy.pop(ready[0])
        try:
            result = self._ray.get(ready[0])
        except self._ray.exceptions.RayTaskError as error:
            self.idle.append(worker)  # it lives, and would as long as this error's traceback
            raise error.cause from error
        except self._ray.exceptions.RayError as death:  # of the worker, its machine, or its result
            self._ray.kill(worker)
            self._stillborn += task is None
            if self._stillborn >= ATTEMPTS * (1 + len(self._busy)):
                raise InputError(
                    "the cluster's workers die before they begin; give them more memory "
                    f"({textwrap.shorten(str(death), 300)})"
                ) from None
            return task, None, death
        self._stillborn = 0
        self.idle.append(worker)
        return task, result, None


def _join(address: str) -> None:
    """Connect this process to a cluster, or start one on this machine's loopback."""
    # Read when Ray is imported, and handed down to what it starts.
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_NUM_REDIS_GET_RETRIES", "1")  # of connecting: else ten minutes
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    if address == "auto":
        address = os.environ.get("RAY_ADDRESS", address)
    if address == HERE:
        # A token that ends with this process, and Ray's own word for "no other machine": loopback.
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
        how = {"include_dashboard": False, "object_store_memory": _STORE_BYTES}
    else:
        _require_answer(address)
        how = {"runtime_env": {"py_modules": [str(Path(vqa_helpers.__file__).parent)]}}
    import ray

    try:
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **how)
    except Exception as error:  # Ray has no class of its own for most of what goes wrong here
        reason = textwrap.shorten(str(error), 300)
        if address == HERE:
            raise InputError(
                f"Ray cannot be started here ({reason}); wait until this machine is less busy, or "
                "go without: --executor local"
            ) from None
        raise InputError(
            f"Ray at {address}: cannot be joined ({reason}); check the address, the token "
            "(RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH) and Ray's version"
        ) from None


def _require_answer(address: str) -> None:
    """Refuse an address at which nothing listens, at once; Ray itself would try for minutes."""
    if address == "auto":
        return
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdigit():
        raise InputError(
            f"Ray at {address}: is no address; write ray://HOST:10001, HOST:6379, auto or local"
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_REACH_S).close()
    except (OSError, OverflowError) as error:
        raise InputError(
            f"Ray at {address}: does not answer ({error}); check the address, and that the "
            "cluster runs and lets this machine in"
        ) from None
