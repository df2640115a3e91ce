"""papermill's own process: as `python -m papermill`, with two faults of a busy machine mended.

It dies when the process that started it dies, and its kernel with it: else a worker that was killed
would leave a notebook running beside the second try. And it speaks to its kernel over sockets in a
folder of its own: numbered ports are chosen first and bound later, and of several kernels that
start at once two can choose the same.

    python -P process.py PARENT papermill's arguments ...
"""

import ctypes
import os
import runpy
import signal
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1  # Linux: <sys/prctl.h>
SOCKET_PATH_BYTES = 90  # a longer name of a folder leaves no room for a socket's in 104


def die_with(parent: int) -> None:
    """Have this process killed when `parent` ends, wherever the system can do that."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None) if os.name == "posix" else None
    if prctl is not None:
        prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL))
    if os.getppid() != parent:
        sys.exit("the batch has gone")


def use_sockets(folder: Path) -> None:
    """Let papermill's kernels be reached through files in `folder`, wherever the system has such."""
    from papermill.engines import NBClientEngine, papermill_engines
    from traitlets.config import Config

    address = folder / "kernel"
    if os.name != "posix" or len(os.fsencode(address)) > SOCKET_PATH_BYTES:
        return
    config = Config(KernelManager={"transport": "ipc", "ip": str(address)})

    class PrivateSockets(NBClientEngine):
        @classmethod
        def execute_managed_notebook(cls, *args: object, **kwargs: object) -> object:
            return super().execute_managed_notebook(*args, config=config, **kwargs)

    papermill_engines.register(None, PrivateSockets)


if __name__ == "__main__":
    die_with(int(sys.argv.pop(1)))
    use_sockets(Path(os.environ["JUPYTER_RUNTIME_DIR"]))
    runpy.run_module("papermill", run_name="__main__", alter_sys=True)
