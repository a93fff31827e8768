"""Exit codes of the command line and of steps, and which of them may be retried."""

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of `almanac`."""

    DONE = 0
    BUG = 1
    CONFIG = 2
    DATA_REFUSED = 3
    MODEL_REFUSED = 4
    REMOTE = 5
    RETRY = 75
    STOPPED = 143


KILLED = 137
"""What a container reports after SIGKILL (128 + 9), for example when it ran out of memory."""

RETRYABLE_CODES = frozenset({int(ExitCode.RETRY), KILLED, int(ExitCode.STOPPED)})
"""The only exit codes after which a step may run again without a change."""
