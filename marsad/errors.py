"""The one error that a user of Marsad is meant to see."""

import json


class MarsadError(Exception):
    """A mistake in what the user gave: a file, a line, a key, a folder.

    The message is one line that says what was given, what was expected and what to do. The commands
    print it without a traceback and exit with code 2; in Python it is raised as it is.
    """


def first_line(error: Exception) -> str:
    """What another library's exception says, in one line: its first one, or its class where it says nothing."""
    if isinstance(error, json.JSONDecodeError):
        return f"not JSON: {error}"
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
