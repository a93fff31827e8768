"""What the exit codes mean, in one table for `--help` and docs/cli.md."""

from forecasting.contracts.codes import KILLED, ExitCode

EXIT_CODES: dict[int, str] = {
    ExitCode.DONE: "done",
    ExitCode.BUG: "a bug; the message names the file with the details",
    ExitCode.CONFIG: "the configuration or the command line is wrong",
    ExitCode.DATA_REFUSED: "the data was refused",
    ExitCode.MODEL_REFUSED: "the model was refused: not promoted, the champion is untouched",
    ExitCode.REMOTE: "another system answered with an error",
    ExitCode.RETRY: "try again: a passing condition, such as a run of the same model that is going",
    KILLED: "a step was killed by the system, usually because memory ran out; `--resume` tries again",
    ExitCode.STOPPED: "stopped, and resumable with `almanac run --resume RUN`",
}
