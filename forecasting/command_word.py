"""What to type for `almanac`, so that a command in a message works when it is copied."""

import os

COMMAND_VARIABLE = "ALMANAC_COMMAND"
"""Set by the command line for itself and for the processes of its steps."""


def command_word() -> str:
    """The word before a command: `almanac` with the way to it and its --home, as it was called here."""
    return os.environ.get(COMMAND_VARIABLE) or "almanac"
