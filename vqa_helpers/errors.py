"""The error for bad user input, one-line messages, and exit codes."""

import errno
from numbers import Integral

# Exit codes of the command line.
DONE, SOME_FAILED, WRONG_USE, INTERRUPTED = 0, 1, 2, 130

# What torch says on a CPU and on GPUs; cuDNN and cuBLAS fail in their own words.
_NO_MEMORY = ("DefaultCPUAllocator", "out of memory", "STATUS_ALLOC_FAILED", "bad_alloc")


class InputError(ValueError):
    """Input that cannot be used: a file, an entry, an option; one line that says what is wrong,
    where, and what to do.

    The message names the value, the limit and the remedy; the command line prints it as it is,
    without a traceback.
    """


def require_count(name: str, value: object) -> None:
    """Refuse a count of things that a caller chose.

    Raises:
        InputError: for less than one, or no whole number.
    """
    if not isinstance(value, Integral) or value < 1:
        raise InputError(f"{name} is {value!r}; give a whole number from 1 on")


def is_out_of_memory(error: Exception) -> bool:
    """Whether memory did not suffice: this machine's or a GPU's."""
    told = isinstance(error, RuntimeError) and any(words in str(error) for words in _NO_MEMORY)
    of_python = isinstance(error, MemoryError) or getattr(error, "errno", 0) == errno.ENOMEM
    return told or of_python or type(error).__name__ == "OutOfMemoryError"


def one_line(error: object, limit: int | None = None) -> str:
    """What an error says, its line breaks removed; where it says nothing, its class."""
    return " ".join(str(error).split())[:limit] or type(error).__name__
