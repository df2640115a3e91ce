"""Calling the command, in this process or another, and reading what it says."""

import os
import signal
import subprocess
import sys
import time

QUICK = ["--weights", "random", "--image-size", "32", "--offline", "--device", "cpu"]


def refused(result: tuple[int, str, str], code: int = 2) -> str:
    """The one line that says what went wrong."""
    given, out, error = result
    assert given == code, error
    assert out == ""
    [line] = error.splitlines()
    assert line.startswith("vqa: ")
    assert len(line) < 800
    return line


def python(*words, **options) -> subprocess.Popen:
    """The command in a process of its own."""
    command = [sys.executable, "-m", "vqa_helpers", *map(str, words)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"}, preexec_fn=_heed_interrupts, **options,
    )  # fmt: skip


def _heed_interrupts() -> None:
    """Where tests run in the background, SIGINT is ignored, and children would inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def wait_until(true, seconds: float = 60.0) -> None:
    """Until `true()` is."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)
