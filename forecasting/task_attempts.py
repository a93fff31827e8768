"""Attempts of a task that has no record of a step, on a backend that tries again whatever failed.

Kubeflow Pipelines asks for no exit code before it tries a task again. A step looks at its own record and ends at once where it
had failed for good (`forecasting.execution`). A task without such a record leaves a note for the attempts that follow; the last of
them removes it, so that whoever has it tried again later, once the cause is mended, has it done. Where attempts had passed before it
failed for good, as many of the later ones end at once.
"""

import hashlib
import json
import sys
from dataclasses import asdict, dataclass, replace
from types import TracebackType

from forecasting.contracts.codes import RETRYABLE_CODES, ExitCode
from forecasting.contracts.layout import HomeLayout
from forecasting.errors import AlmanacError, ArtifactError
from forecasting.full_disk import full_disk_error, is_full_disk
from forecasting.manifests import write_text_atomically

NOTES_DIR = ".failed-tasks"
"""In the home: a file for each task that has failed for good and is going to be tried again nevertheless."""


@dataclass(frozen=True)
class FailureRecord:
    """How a task of a run failed for good, and how often the backend is going to try it yet."""

    task: str
    run: str
    exit_code: int
    error: str
    n_attempts_left: int


class TaskAttempt:
    """One attempt at a task; the process ends with the exit code of what the task raises.

    Entering it ends the process at once where an attempt before this one has failed for good.
    """

    def __init__(self, home: HomeLayout, task: str, run: str, retries: int) -> None:
        """Touch nothing yet.

        Args:
            home: The volume that all attempts share.
            task: Name of the task, unlike that of any other of the run.
            run: What is the same for all attempts of one workflow, and of no other.
            retries: How often the backend tries a failed task again.
        """
        digest = hashlib.sha256(f"{run}/{task}".encode()).hexdigest()[:24]
        self._note = home.root / NOTES_DIR / f"{digest}.json"
        self._task, self._run, self._retries = task, run, retries

    def __enter__(self) -> None:
        """Begin.

        Raises:
            SystemExit: The task has failed for good before; with the exit code of that failure.
            ArtifactError: The note of that failure cannot be read.
        """
        found = self._load()
        if found is None:
            return
        left = found.n_attempts_left - 1
        if left > 0:
            self._write(replace(found, n_attempts_left=left))
        else:
            self._note.unlink()
        self._say(f"is not tried again, it would fail in the same way: {found.error}")
        raise SystemExit(found.exit_code)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """End the process with the exit code of an error of ours, or of a full disk; another error goes on, as a bug does."""
        if not isinstance(error, Exception):
            return
        told = error if isinstance(error, AlmanacError) or not is_full_disk(error) else full_disk_error(error)
        code = int(told.exit_code) if isinstance(told, AlmanacError) else int(ExitCode.BUG)
        if self._retries > 0 and code not in RETRYABLE_CODES:
            self._write(FailureRecord(self._task, self._run, code, str(told), self._retries))
        if isinstance(told, AlmanacError):
            self._say(str(told))
            raise SystemExit(code) from error

    def _say(self, text: str) -> None:
        sys.stderr.write(f"almanac: {self._task}: {text}\n")

    def _load(self) -> FailureRecord | None:
        if not self._note.is_file():
            return None
        try:
            return FailureRecord(**json.loads(self._note.read_text(encoding="utf-8")))
        except (ValueError, TypeError) as error:
            raise ArtifactError(f"{self._note} is no record of a failed task: {error}; remove it") from error

    def _write(self, record: FailureRecord) -> None:
        self._note.parent.mkdir(parents=True, exist_ok=True)
        write_text_atomically(self._note, json.dumps(asdict(record), indent=1))
