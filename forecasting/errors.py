"""Every error Almanac raises on purpose.

    AlmanacError                 exit code
    ├── ConfigError              2   the configuration or the command line is wrong
    │   └── NotInThisVersionError    2   the command or option exists, its feature does not yet
    ├── DataError                3   the table cannot be used
    ├── ModelRefusedError        4   a model may not be shipped
    ├── ArtifactError            1   a file written by a step is missing, altered or of another kind
    │   └── VersionRefusedError  1   a version may not be loaded; `reason` is the word that is counted
    ├── RemoteError              5   another system answered with an error
    ├── RetryableError           75  a passing condition: the same command may succeed later
    └── StoppedError             143 the run was stopped and can be resumed

A message says what must hold, what was found, where, and what to do. A failed gate is a result
(`forecasting.gates.GateDecision`), not an exception.
"""

from forecasting.contracts.codes import ExitCode


class AlmanacError(Exception):
    """Base of all errors raised on purpose; `exit_code` is what the command line returns."""

    exit_code: ExitCode = ExitCode.BUG


class ConfigError(AlmanacError):
    """The configuration or the command line is wrong."""

    exit_code = ExitCode.CONFIG


class NotInThisVersionError(ConfigError):
    """The command or option exists, its feature does not yet."""


class DataError(AlmanacError):
    """The table cannot be used; the message names file, column and first bad row where there is one."""

    exit_code = ExitCode.DATA_REFUSED


class ModelRefusedError(AlmanacError):
    """A model may not be shipped."""

    exit_code = ExitCode.MODEL_REFUSED


class ArtifactError(AlmanacError):
    """A file written by a step is missing, altered or of another kind than expected."""


class VersionRefusedError(ArtifactError):
    """A version may not be loaded: its files, its signature or what its graph does."""

    def __init__(self, reason: str, message: str) -> None:
        """Keep the reason, one word of a label, beside the message."""
        super().__init__(message)
        self.reason = reason


class RemoteError(AlmanacError):
    """Another system (model server, tracking server, cluster) answered with an error."""

    exit_code = ExitCode.REMOTE


class RetryableError(AlmanacError):
    """A passing condition: the same command may succeed later."""

    exit_code = ExitCode.RETRY


class StoppedError(AlmanacError):
    """The run was stopped and can be resumed."""

    exit_code = ExitCode.STOPPED
