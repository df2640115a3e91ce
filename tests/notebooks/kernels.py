"""Kernels that find the large libraries imported: forks of one process, which did it once for all.

    python kernels.py ADDRESS                  # is that process
    python kernels.py ADDRESS -f CONNECTION    # is what Jupyter takes for a kernel

A notebook still has a process of its own, which imports this package itself.
"""

import gc
import importlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path

# The optimisers import torch's compiler. Not pyplot: it looks for a notebook when it is imported.
LIBRARIES = ("torch._dynamo", "torchvision", "timm", "accelerate", "torch.utils.tensorboard",
             "sklearn.metrics", "pandas.io.formats.style", "matplotlib.figure", "jinja2",
             "ipykernel.kernelapp", "ipykernel.debugger")  # fmt: skip


@contextmanager
def warm_kernels(folder: Path) -> Iterator[dict[str, str]]:
    """Start that process; give the environment in which Jupyter finds its kernels."""
    from tests.calling import wait_until  # which the processes started here cannot import

    address, this = str(folder / "forks"), [sys.executable, "-P", __file__]
    spec = folder / "kernels" / "python3" / "kernel.json"
    spec.parent.mkdir(parents=True)
    argv = [*this, address, "-f", "{connection_file}"]
    spec.write_text(json.dumps({"argv": argv, "language": "python", "display_name": "Python 3"}))
    forking = subprocess.Popen([*this, address], start_new_session=True)
    try:
        wait_until(lambda: Path(address).exists() or forking.poll() is not None, 120)
        yield {"JUPYTER_PATH": str(folder)}
    finally:
        os.killpg(forking.pid, signal.SIGKILL)
        forking.wait()


def fork_kernels(address: str) -> None:
    os.environ["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"  # as kernels set it
    os.environ["JPY_PARENT_PID"] = "1"  # ipykernel shall not look whether its parent lives
    for name in LIBRARIES:
        importlib.import_module(name)
    gc.freeze()  # else each fork looks through what all of them share, and so copies it
    signal.signal(signal.SIGCHLD, lambda *_: os.waitpid(-1, 0))
    with Listener(address) as listener:
        while True:
            asking = listener.accept()
            if os.fork() == 0:
                run_kernel(asking)
            asking.close()


def run_kernel(asking: Connection) -> None:
    """Be the kernel that the process at the other end stands for, which sees when this one ends."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    environment, folder, words = asking.recv()
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    from ipykernel.kernelapp import launch_new_instance

    launch_new_instance(words)
    sys.exit()


def stand_for_kernel(address: str, *words: str) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # with which Jupyter begins to end a kernel
    with Client(address) as kernel:
        kernel.send((dict(os.environ), os.getcwd(), words))
        kernel.poll(None)  # until it ends


if __name__ == "__main__":
    fork_kernels(*sys.argv[1:]) if len(sys.argv) == 2 else stand_for_kernel(*sys.argv[1:])
