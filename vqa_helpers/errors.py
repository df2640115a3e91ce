"""The one error a user causes: a single line that says what is wrong, where, and what to do."""


class InputError(ValueError):
    """Input that cannot be used: a file, an entry, an option.

    The message names the value, the limit and the remedy; the command line prints it as it is,
    without a traceback.
    """
