"""The error for bad user input, one-line messages, and exit codes."""

from numbers import Integral

# Exit codes of the command line.
DONE, SOME_FAILED, WRONG_USE, INTERRUPTED = 0, 1, 2, 130


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


def one_line(error: object, limit: int | None = None) -> str:
    """What an error says, its line breaks removed; where it says nothing, its class."""
    return " ".join(str(error).split())[:limit] or type(error).__name__
