"""Where things lie under ALMANAC_HOME. One definition for every command and step."""

import os
from dataclasses import dataclass
from pathlib import Path

from forecasting.contracts.steps import StepName

HOME_VARIABLE = "ALMANAC_HOME"
DEFAULT_HOME = ".almanac"


@dataclass(frozen=True)
class HomeLayout:
    """Paths under the state directory.

    runs/<run>/run.json, config.yaml, logs/<step>.log, <step>/…
    models/models.config, models/<name>/<version>/…, models/<name>/roles.json
    """

    root: Path

    @property
    def runs(self) -> Path:
        """One directory a run."""
        return self.root / "runs"

    @property
    def models(self) -> Path:
        """The model repository: `<name>/<version>/` as TensorFlow Serving reads it."""
        return self.root / "models"

    @property
    def examples(self) -> Path:
        """Tables made by `example://` sources."""
        return self.root / "examples"

    @property
    def tracking_database(self) -> Path:
        """SQLite file of MLflow."""
        return self.root / "mlflow.db"

    @property
    def serving_database(self) -> Path:
        """SQLite file of forecasts, actuals, observations and retrain requests."""
        return self.root / "serving.db"

    def run(self, run: str) -> "RunLayout":
        """Paths of one run."""
        return RunLayout(self.runs / run)


@dataclass(frozen=True)
class RunLayout:
    """Paths of one run."""

    root: Path

    @property
    def name(self) -> str:
        """Identifier of the run: the name of its directory."""
        return self.root.name

    @property
    def record(self) -> Path:
        """`forecasting.runs.RunRecord` as JSON."""
        return self.root / "run.json"

    @property
    def config(self) -> Path:
        """The resolved configuration."""
        return self.root / "config.yaml"

    @property
    def logs(self) -> Path:
        """One log a step."""
        return self.root / "logs"

    @property
    def checkpoints(self) -> Path:
        """State of unfinished steps; outlives a kill, so that `--resume` goes on from there."""
        return self.root / "checkpoints"

    def checkpoint(self, step: StepName) -> Path:
        """State of one unfinished step; gone once the step is done, or is another."""
        return self.checkpoints / step.value

    def step(self, step: StepName) -> Path:
        """Output directory of a step."""
        return self.root / step.value

    def log(self, step: StepName) -> Path:
        """Log file of a step."""
        return self.logs / f"{step.value}.log"


def home_layout(root: str | Path | None = None) -> HomeLayout:
    """Layout under `root`, else under $ALMANAC_HOME, else under `.almanac` in the working directory."""
    chosen = root or os.environ.get(HOME_VARIABLE) or DEFAULT_HOME
    return HomeLayout(Path(chosen).resolve())
