"""papermill in a process of its own, started by `vqa_helpers.execution` for one notebook.

    python -P papermill_process.py PARENT '{"input_path": …, "output_path": …, "parameters": {…}}'

It dies when the process that started it dies, and its kernel with it: else a worker that was killed
would leave a notebook running beside the second try. And it speaks to its kernel over sockets in a
folder of its own: numbered ports are chosen first and bound later, and of several kernels that
start at once two can choose the same. When a notebook fails, the last line of the log says why.
"""

import ctypes
import json
import logging
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # Linux: <sys/prctl.h>
SOCKET_PATH_BYTES = 90  # of a folder: more leaves no room for a socket's name in 104


def die_with(parent: int) -> None:
    """Have this process killed when `parent` ends, wherever the system can do that."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None) if os.name == "posix" else None
    if prctl is not None:
        prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL))
    if os.getppid() != parent:
        sys.exit("the batch has gone")


def main() -> None:
    die_with(int(sys.argv[1]))
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    # What papermill would import without need here: a check of internet addresses (1 s), and Hadoop's
    # files, by way of Arrow and NumPy (0.2 s).
    sys.modules.setdefault("rfc3987_syntax", None)
    sys.modules.setdefault("pyarrow.fs", None)
    from nbclient.exceptions import DeadKernelError
    from papermill import PapermillExecutionError, execute_notebook
    from traitlets.config import Config

    config = Config()
    address = os.path.join(os.environ["JUPYTER_RUNTIME_DIR"], "kernel")
    if os.name == "posix" and len(os.fsencode(address)) <= SOCKET_PATH_BYTES:
        config.KernelManager.update(transport="ipc", ip=address)
    try:
        execute_notebook(
            **json.loads(sys.argv[2]), kernel_name="python3", progress_bar=False, log_output=True,
            coalesce_streams=True, config=config,
        )  # fmt: skip
    except DeadKernelError:
        sys.exit("the kernel died: killed from outside, or out of memory")
    except PapermillExecutionError as error:
        print(error, file=sys.stderr)
        message = error.evalue.strip().split("\n")[0]
        sys.exit(f"{error.ename}: {message}" if message else error.ename)


if __name__ == "__main__":
    main()
