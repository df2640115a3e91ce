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

START_S = 120.0


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


@contextmanager
def ray_cluster(folder: Path) -> Iterator[str]:
    """Start a cluster and yield its address; the environment holds what joining it needs.

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
        with (folder / "ray.log").open("w") as log:
            head = subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
        try:
            wait_until(
                lambda: "Ray runtime started" in (folder / "ray.log").read_text(),
                lambda: head.poll() is None,
            )
            yield f"127.0.0.1:{port}"
        finally:
            head.send_signal(signal.SIGTERM)  # it ends what it started
            try:
                head.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(head.pid, signal.SIGKILL)


def wait_until(done, still=lambda: True, seconds: float = START_S) -> None:
    """Wait for `done()`; fail when it takes too long or `still()` is no longer so."""
    end = time.monotonic() + seconds
    while not done():
        assert still() and time.monotonic() < end
        time.sleep(0.05)
