"""The machine's limits, met: a full disk, no memory left, a process that is gone. Each one line.

Knows errors by their names and words, so that nothing heavy is imported to tell them.
"""

import errno
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from vqa_helpers.files import remedy

log = logging.getLogger(__name__)

KEPT = "what was finished is kept"
# What torch says on a CPU and on GPUs; cuDNN and cuBLAS fail in their own words.
_NO_MEMORY = (
    "DefaultCPUAllocator", "out of memory", "STATUS_ALLOC_FAILED", "bad_alloc",
)  # fmt: skip
# What torch says when a process it talked to has ended: gloo on CPUs, NCCL on GPUs.
_ALONE = ("Connection closed by peer", "Connection reset by peer", "gloo", "NCCL")


def explain(error: Exception) -> str | None:
    """The machine's limit that an error tells of, with its remedy; None for any other error."""
    if _is_memory(error):
        what = " ".join(str(error).split()) or type(error).__name__
        what = what if len(what) <= 160 else f"{what[:157]}…"
        return (
            f"the memory does not suffice ({what}); choose a smaller --image-size or batch, end "
            f"what else uses it, or on a GPU try --device cpu; {KEPT}"
        )
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        reason = " ".join(str(error.strerror or error).split())
        return f"{where}{reason}; {remedy(error)}; {KEPT}"
    if isinstance(error, RuntimeError) and any(words in str(error) for words in _ALONE):
        return (
            "another of the processes that train together has ended; what is said of it stands "
            "above or below; the same command goes on after the last epoch"
        )
    return None


def _is_memory(error: Exception) -> bool:
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    told = isinstance(error, RuntimeError) and any(words in str(error) for words in _NO_MEMORY)
    return told or isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"


@contextmanager
def quiet_threads() -> Iterator[None]:
    """What a thread dies of is said once, by the main thread, which it reaches: that of TensorBoard
    would print a traceback too."""
    previous = threading.excepthook
    threading.excepthook = lambda end: log.debug("%s: %s", end.thread, end.exc_value)
    try:
        yield
    finally:
        threading.excepthook = previous
