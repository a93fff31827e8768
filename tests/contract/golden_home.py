"""A place where the real graph runs with stand-in steps."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forecasting.contracts.layout import HomeLayout
from forecasting.contracts.steps import StepName
from forecasting.runs import RunRecord, list_runs, load_run

PROJECT = Path(__file__).resolve().parents[2]

ROOMS = {
    "validation": ["validate_data"],
    "features": ["build_features"],
    "training": ["train_model"],
    "tuning": ["tune_model"],
    "evaluation": ["evaluate_model", "evaluate_compressed"],
    "compression": ["compress_model"],
    "deployment": ["validate_serving", "deploy_model"],
    "reporting": ["report_run"],
}

EXTENDED_PACKAGE = "import pkgutil\n\n__path__ = pkgutil.extend_path(__path__, __name__)\n"
"""Stand-in modules first, then the real package of the same name."""

CONFIG = """\
name: toy
data: {uri: TABLE, target: load}
compression: {max_accuracy_loss: 0.1}
gates:
  model: {max_mae: 1, max_rmse: 1, max_naive_ratio: 1, max_champion_ratio: 1}
  compressed: {max_mae: 1, max_rmse: 1}
  serving: {max_latency_ms: 50, max_difference_ratio: 0.001}
"""


@dataclass(frozen=True)
class GoldenHome:
    """A folder with a configuration, a table, a home and stand-in steps that its runs find first."""

    folder: Path

    @property
    def layout(self) -> HomeLayout:
        return HomeLayout(self.folder / "home")

    @property
    def config(self) -> Path:
        return self.folder / "toy.yaml"

    def environment(self, wish: str = "") -> dict[str, str]:
        folders = [self.folder / "steps", PROJECT / "tests" / "contract", PROJECT]
        return {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(map(str, folders)),
            "PYTHONSAFEPATH": "1",
            "ALMANAC_HOME": str(self.layout.root),
            "STAND_IN": wish,
        }

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "pipelines.cli", *words]

    def almanac(self, *words: str, wish: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*words), cwd=PROJECT, env=self.environment(wish), capture_output=True, text=True, timeout=120
        )

    def run(self, *words: str, wish: str = "") -> subprocess.CompletedProcess[str]:
        return self.almanac("run", "-c", str(self.config), *words, wish=wish)

    def start(self, *words: str, wish: str = "") -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command("run", "-c", str(self.config), *words), cwd=PROJECT, env=self.environment(wish),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def latest(self) -> RunRecord:
        return load_run(list_runs(self.layout)[0])

    def states(self) -> dict[str, str]:
        return {
            step.value: ("reused" if record.reused else record.status.value)
            for step, record in self.latest().steps.items()
        }

    def deployment(self) -> dict[str, Any]:
        run = self.layout.run(self.latest().run)
        return json.loads((run.step(StepName.DEPLOY_MODEL) / "deployment.json").read_text())


def compile_example(target: Path, *words: str) -> str:
    """What `almanac compile` writes of the example of electricity."""
    command = [sys.executable, "-m", "pipelines.cli", "compile", "-c", "pipelines/configs/electricity.yaml"]
    done = subprocess.run(
        [*command, "--allow-tags", "-o", str(target), *words], cwd=PROJECT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return target.read_text(encoding="utf-8")


def make_golden_home(folder: Path, table: Path) -> GoldenHome:
    for room, steps in ROOMS.items():
        package = folder / "steps" / "components" / room
        package.mkdir(parents=True)
        (package / "__init__.py").write_text(EXTENDED_PACKAGE)
        for step in steps:
            (package / f"{step}.py").write_text(f'from stand_in_steps import step_for\n\n{step} = step_for("{step}")\n')
    (folder / "steps" / "components" / "__init__.py").write_text(EXTENDED_PACKAGE)
    (folder / "toy.yaml").write_text(CONFIG.replace("TABLE", str(table)))
    return GoldenHome(folder)
