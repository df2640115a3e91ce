"""Runs independent units of work: in this process, or on the machines of a Ray cluster.

Shards of images, notebooks and seeds are all handed to a `Map`, which does each of them once and
yields the results as they end. `run_here` is one; `ray_cluster` joins a cluster and yields another.
Neither knows what the work is.

On a cluster every unit is a Ray task. A task whose worker dies (killed, out of memory, its machine
gone) is tried again by Ray wherever a worker is free, up to `ATTEMPTS` times. What is assumed: Ray
and what this package needs are installed on all machines in the same versions (the package itself
is sent along), and all see the working folder under the same path, with what the work reads and
writes in it. Ray is imported when a cluster is joined, never before.
"""

import importlib.util
import logging
import os
import secrets
import socket
from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path
from typing import TypeVar

import vqa_helpers
from vqa_helpers.errors import InputError, one_line

log = logging.getLogger(__name__)

Unit = TypeVar("Unit")
Result = TypeVar("Result")
# Does every unit once and yields it with its result, in the order in which they end. Units are taken
# one by one as workers become free. What the work raises comes out, and nothing more is begun. Work,
# units and results may have to travel: they can be pickled. A worker keeps the work from one unit to
# the next, so that a network can be made at the first.
Map = Callable[[Callable[[Unit], Result], Iterable[Unit]], Iterator[tuple[Unit, Result]]]

HERE = "local"
ATTEMPTS = 3  # at one unit, each by another worker
CANCELS = 10  # a second apart: one that comes while a worker starts may be lost
_STORE_BYTES = 80 * 2**20  # of a cluster of our own; a shard of 1,024 VGG16 rows has 8 MB
_CONNECT_S = 10.0


def run_here(
    work: Callable[[Unit], Result], units: Iterable[Unit], jobs: int = 0
) -> Iterator[tuple[Unit, Result]]:
    """The `Map` of this process.

    Args:
        jobs: how many threads do units; 0: the caller's own does one after the other, each when its
            result is asked for.
    """
    units = iter(units)
    if not jobs:
        for unit in units:
            yield unit, work(unit)
        return
    with ThreadPoolExecutor(jobs) as threads:
        running = {threads.submit(work, unit): unit for unit in islice(units, jobs)}
        while running:
            for ended in wait(running, return_when=FIRST_COMPLETED).done:
                unit, result = running.pop(ended), ended.result()
                running |= {threads.submit(work, unit): unit for unit in islice(units, 1)}
                yield unit, result


@contextmanager
def executor_of(options: Namespace, jobs: int = 0) -> Iterator[Map]:
    """The `Map` that the options `executor`, `address` and `workers` of the command line name.

    Args:
        jobs: as of `run_here`, for this machine.

    Raises:
        InputError: options that do not go together, a cluster that cannot be joined.
    """
    if options.executor == "local":
        if options.address or options.workers:
            raise InputError("--address and --workers are of a cluster; add --executor ray")
        yield partial(run_here, jobs=jobs)
    elif not options.address:
        which = "ray://HOST:10001, HOST:6379 or auto; local starts a small one on this machine"
        raise InputError(f"--executor ray: which cluster? Add --address {which}")
    else:
        with ray_cluster(options.address, options.workers) as map_units:
            yield map_units


@contextmanager
def ray_cluster(address: str, workers: int = 0) -> Iterator[Map]:
    """Join a Ray cluster and yield its `Map`; leave it at the end.

    A `Map` that is left early, by an error or because no more is asked for, cancels what still runs.

    Args:
        address: `ray://host:10001` from outside the cluster; `auto` or `host:6379` on one of its
            machines; `local` starts one on this machine alone, to try things.
        workers: how many units at a time, at most; 0: one for each GPU of the cluster, or, where it
            has none, for each CPU.

    Raises:
        InputError: Ray is not installed, nothing answers there, or it refuses our token; from the
            `Map`: a worker does not see the working folder, or none survives a unit.
    """
    if importlib.util.find_spec("ray") is None:
        raise InputError("Ray is not installed; install it: pip install 'ray[client]'")
    if workers < 0:
        raise InputError(f"{workers} workers: use 1 or more, or 0 for as many as fit")
    _join(address)
    import ray

    kind = "GPU" if ray.cluster_resources().get("GPU") else "CPU"
    workers = workers or int(ray.cluster_resources().get(kind) or 1)
    log.info("Ray at %s: up to %d workers", address, workers)
    if not ray.available_resources().get(kind):
        log.warning("Ray at %s: every %s is in use; waiting until one is free", address, kind)
    # By default Ray gives every task with a GPU a new process, which would have to import torch and
    # build the network again: max_calls=0 lets a process go on.
    needs = {"num_cpus": 1, "num_gpus": int(kind == "GPU"), "max_calls": 0}
    task = ray.remote(max_retries=ATTEMPTS - 1, **needs)(_do)

    def map_units(work, units):
        units, folder = iter(units), os.getcwd()
        packed = [ray.put(work)]  # in a list Ray hands on the reference, not what it refers to
        running = {task.remote(packed, folder, unit): unit for unit in islice(units, workers)}
        try:
            while running:
                [ended], _ = ray.wait(list(running))
                unit = running.pop(ended)
                try:
                    result = ray.get(ended)
                except ray.exceptions.RayTaskError as error:
                    raise error.cause from error
                except ray.exceptions.RayError as death:
                    raise InputError(
                        f"{one_line(unit, 80)}: no worker survived it, in {ATTEMPTS} "
                        "tries; give them more memory, or do it on one machine to see why "
                        f"({one_line(death, 300)})"
                    ) from None
                running |= {task.remote(packed, folder, unit): unit for unit in islice(units, 1)}
                yield unit, result
        finally:
            left = list(running)
            for _ in range(CANCELS):
                if not left:
                    break
                for unfinished in left:
                    ray.cancel(unfinished, force=True)
                _, left = ray.wait(left, num_returns=len(left), timeout=1)

    try:
        yield map_units
    finally:
        ray.shutdown()


def _do(packed: list, folder: str, unit: Unit) -> Result:
    """The task, on the cluster."""
    try:
        os.chdir(folder)
    except OSError:
        line = f"the machine {socket.gethostname()} does not see it; all machines must see the"
        raise InputError(f"{folder}: {line} working folder under the same path") from None
    return _unpack(packed[0])(unit)


@lru_cache(maxsize=1)
def _unpack(reference: object) -> Callable[[Unit], Result]:
    import ray

    return ray.get(reference)


def _join(address: str) -> None:
    """Connect this process to a cluster, or start one on this machine's loopback."""
    # Read when Ray is imported, and handed down to what it starts.
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_NUM_REDIS_GET_RETRIES", "1")  # of connecting: else ten minutes
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # the coming default
    os.environ.setdefault("RAY_task_oom_retries", str(ATTEMPTS - 1))  # else without end
    if address == "auto":
        address = os.environ.get("RAY_ADDRESS", address)
    if address == HERE:
        # A token that ends with this process, and Ray's own word for "no other machine": loopback.
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
        how = {"include_dashboard": False, "object_store_memory": _STORE_BYTES}
        remedy = "wait until this machine is less busy, or go without: --executor local"
    else:
        how = {"runtime_env": {"py_modules": [str(Path(vqa_helpers.__file__).parent)]}}
        remedy = "check the address, Ray's version and the token (RAY_AUTH_TOKEN_PATH)"
    if address not in (HERE, "auto"):  # at once: Ray itself would try for minutes
        host, _, port = address.removeprefix("ray://").rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), port), timeout=_CONNECT_S).close()
        except (OSError, OverflowError, UnicodeError) as error:
            raise InputError(
                f"Ray at {address}: does not answer ({error}); write ray://HOST:10001, HOST:6379, "
                "auto or local, and check that the cluster runs and lets this machine in"
            ) from None
    import ray

    try:
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **how)
    except Exception as error:  # Ray has no class of its own for most of what goes wrong here
        reason = one_line(error, 300)
        raise InputError(f"Ray at {address}: cannot be joined ({reason}); {remedy}") from None
