"""A real Ray cluster on this machine, for tests: two workers, a token, loopback, no dashboard."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

START_S, STARTS = 120.0, 3


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


@contextmanager
def ray_cluster(folder: Path) -> Iterator[tuple[str, int]]:
    """Start a cluster and yield its address and its first process; the environment holds what joining it needs.

    Ray gives its processes 15 s to start, which a busy machine exceeds now and then: three tries.

    Args:
        folder: its log goes there.
    """
    port = free_port()
    command = [
        sys.executable, "-c", "from ray.scripts.scripts import main; main()", "start", "--head",
        "--block", "--num-cpus=2", "--include-dashboard=false", "--disable-usage-stats",
        "--node-ip-address=127.0.0.1", f"--port={port}", f"--object-store-memory={80 * 2**20}",
        f"--ray-client-server-port={free_port()}",
    ]  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # loopback
        if sys.dont_write_bytecode:
            # Else each of Ray's processes compiles it anew, and Ray waits no more than 15 s for them.
            patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
            patch.setenv("PYTHONPYCACHEPREFIX", str(folder / "bytecode"))
        for _ in range(STARTS):
            head = _start(command, folder / "ray.log")
            if head is not None:
                break
        assert head is not None, (folder / "ray.log").read_text()
        try:
            yield f"127.0.0.1:{port}", head.pid
        finally:
            _end(head)


def _start(command: list[str], log_file: Path) -> subprocess.Popen | None:
    with log_file.open("w") as log:
        head = subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    end = time.monotonic() + START_S
    while "Ray runtime started" not in log_file.read_text():
        if head.poll() is not None or time.monotonic() > end:
            _end(head)
            return None
        time.sleep(0.05)
    return head


def _end(head: subprocess.Popen) -> None:
    head.send_signal(signal.SIGTERM)  # it ends what it started
    try:
        head.wait(30)
    except subprocess.TimeoutExpired:
        os.killpg(head.pid, signal.SIGKILL)


def wait_until(done, seconds: float) -> None:
    """Wait for `done()`; fail when it takes too long."""
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end
        time.sleep(0.05)
