"""The same command in several processes of this machine. Knows nothing of what they do."""

import os
import signal
import socket
import subprocess
import sys
import time
from functools import partial
from importlib.util import find_spec

from vqa_helpers.cli.words import DONE, SOME_FAILED
from vqa_helpers.errors import InputError
from vqa_helpers.papermill_process import die_with

LOOK_EVERY_S = 0.1
PATIENCE_S = 5.0  # for processes that were asked to end


def launch(words: list[str], processes: int) -> int:
    """Run `vqa` with these words in several processes, until all are done or one fails.

    They are told who they are as `torchrun` and `accelerate launch` would tell them.

    Returns:
        The exit code: 0, or that of the first that failed.

    Raises:
        InputError: when accelerate, through which they talk, is not installed.
    """
    if find_spec("accelerate") is None:
        raise InputError("--processes needs accelerate; install it (pip install accelerate)")
    shared = {
        "OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // processes)),
        **os.environ,
        "WORLD_SIZE": str(processes),
        "LOCAL_WORLD_SIZE": str(processes),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(_free_port()),
    }
    # Without whoever launched them they would train on, and hold the run's lock. Safe between fork
    # and exec, as this process has no threads.
    ending = partial(die_with, os.getpid()) if os.name == "posix" else None
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    started: list[subprocess.Popen] = []
    try:
        for rank in map(str, range(processes)):
            own = {**shared, "RANK": rank, "LOCAL_RANK": rank}
            command = [sys.executable, "-m", "vqa_helpers", *words]
            started.append(subprocess.Popen(command, env=own, preexec_fn=ending))
        return _wait(started)
    finally:
        _end(started)
        signal.signal(signal.SIGTERM, before)


def _wait(processes: list[subprocess.Popen]) -> int:
    while True:
        codes = [process.poll() for process in processes]
        for rank, code in enumerate(codes):
            if code is not None and code < 0:
                print(
                    f"vqa: process {rank + 1} of {len(codes)} was killed by signal {-code}; the "
                    "same command goes on after the last epoch",
                    file=sys.stderr,
                )
                return SOME_FAILED
        if failed := [code for code in codes if code]:
            return failed[0]
        if None not in codes:
            return DONE
        time.sleep(LOOK_EVERY_S)


def _end(processes: list[subprocess.Popen]) -> None:
    """End those that still run: without the one that failed they would wait for ever."""
    for process in processes:
        process.terminate()
    for process in processes:
        try:
            process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]
