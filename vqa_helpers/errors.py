"""The one error a user causes, how errors are told, and how commands end."""

# Exit codes of the command line.
DONE, SOME_FAILED, WRONG_USE, INTERRUPTED = 0, 1, 2, 130


class InputError(ValueError):
    """Input that cannot be used: a file, an entry, an option; one line that says what is wrong,
    where, and what to do.

    The message names the value, the limit and the remedy; the command line prints it as it is,
    without a traceback.
    """


def one_line(error: object, limit: int | None = None) -> str:
    """What an error says, its line breaks removed; where it says nothing, its class."""
    return " ".join(str(error).split())[:limit] or type(error).__name__
