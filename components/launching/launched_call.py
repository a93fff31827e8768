"""What the launching step tells its workers, and what the chief tells back: files on the volume that all pods share."""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from forecasting.contracts.steps import StepName
from forecasting.errors import ArtifactError
from forecasting.manifests import write_text_atomically
from forecasting.steps import StepOutcome

FOLDER = "launched"
"""Among the checkpoints of train_model, so that it outlives a pod and is gone once the step is done."""
_CALL_FILE, _OUTCOME_FILE, _OUTPUT = "call.json", "outcome.json", "output"


@dataclass(frozen=True)
class LaunchedCallSpec:
    """train_model with all that a worker needs; times as in `forecasting.steps.StepContext`.

    settings: JSON of the step's settings. inputs: directories on the shared volume by step name.
    """

    home: str
    run: str
    settings: str
    inputs: dict[str, str]
    cutoff: str | None
    created: float | None


@dataclass(frozen=True)
class LaunchedFolder:
    """The files of one launched step."""

    root: Path

    @property
    def call(self) -> Path:
        """`LaunchedCallSpec` as JSON."""
        return self.root / _CALL_FILE

    @property
    def output(self) -> Path:
        """What the chief fills; whole once there is an outcome."""
        return self.root / _OUTPUT

    @property
    def outcome(self) -> Path:
        """`StepOutcome` as JSON; written last."""
        return self.root / _OUTCOME_FILE

    def write_call(self, call: LaunchedCallSpec) -> None:
        """Tell the workers what to do; nothing of an earlier attempt counts from here on."""
        self.root.mkdir(parents=True, exist_ok=True)
        self.outcome.unlink(missing_ok=True)
        write_text_atomically(self.call, json.dumps(asdict(call)))

    def begin_output(self) -> None:
        """Make an empty output."""
        shutil.rmtree(self.output, ignore_errors=True)
        self.output.mkdir(parents=True)

    def write_outcome(self, outcome: StepOutcome) -> None:
        """Say that the output is whole."""
        write_text_atomically(self.outcome, json.dumps(asdict(outcome)))

    def read_outcome(self) -> StepOutcome:
        """What the chief said.

        Raises:
            ArtifactError: It cannot be read.
        """
        try:
            return StepOutcome(**json.loads(self.outcome.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise ArtifactError(f"{self.outcome} must be what the chief of the workers wrote: {error}") from error

    def move_output(self, target: Path) -> None:
        """Take the output over into an empty directory of the same volume."""
        for path in sorted(self.output.iterdir()):
            path.rename(target / path.name)


def launched_folder(checkpoint: Path) -> LaunchedFolder:
    """The files of the step with these checkpoints."""
    return LaunchedFolder(checkpoint / FOLDER)


def read_call(path: Path) -> LaunchedCallSpec:
    """What a worker is to do.

    Raises:
        ArtifactError: The file is missing or of another version.
    """
    try:
        return LaunchedCallSpec(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise ArtifactError(
            f"{path} must be a call of this version, on the volume that launcher and workers share: {error}"
        ) from error


def train_model_inputs(call: LaunchedCallSpec) -> dict[StepName, Path]:
    """Input directories by step."""
    return {StepName(name): Path(place) for name, place in call.inputs.items()}
