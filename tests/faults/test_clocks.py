"""The clock of the wall jumps while something is done: what was measured stays true."""

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from forecasting.config.root import STEP_SETTINGS, StepSettings
from forecasting.contracts.layout import HomeLayout
from forecasting.contracts.steps import StepName
from forecasting.contracts.vocabulary import RunStatus
from forecasting.execution import execute_step
from forecasting.manifests import load_manifest
from forecasting.runs import RunRecord, StepRecord, create_run, finish_run, load_step, write_step
from forecasting.steps import StepContext, StepOutcome

JUMPS = [3_600, -3_600, 86_400, -86_400]
LONGEST_S = 600
"""More than the step takes on the slowest machine, and less than the clock jumps."""


@pytest.fixture
def jump(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets the clock of the wall, as seen by this process, ahead or back."""
    real = time.time

    def set_clock(by_s: float) -> None:
        monkeypatch.setattr(time, "time", lambda: real() + by_s)

    return set_clock


@pytest.mark.parametrize("by_s", JUMPS)
def test_a_step_during_which_the_clock_jumps_says_how_long_it_took(tmp_path: Path, jump, by_s: int) -> None:
    def step(
        _settings: StepSettings, _inputs: Mapping[StepName, Path], output: Path, _context: StepContext
    ) -> StepOutcome:
        jump(by_s)
        (output / "payload.txt").write_text("x")
        return StepOutcome(True, "done")

    home, name = HomeLayout(tmp_path / "home"), StepName.VALIDATE_DATA
    run = create_run(home, RunRecord("20260101T000000Z-toy", "toy", 0.0, None, "digest"))
    settings = json.dumps(
        {
            "name": "toy",
            **{field: {} for field in STEP_SETTINGS[name].model_fields if field not in ("name", "observations")},
        }
    )
    assert execute_step(name, step, settings, {}, home=str(home.root), run=run.name, cutoff="", capture=False)
    record = load_step(run, name)
    assert record is not None
    assert 0 <= record.duration_s < LONGEST_S
    assert 0 <= load_manifest(run.step(name)).duration_s < LONGEST_S


def test_a_killed_step_that_began_by_a_clock_ahead_took_no_negative_time(tmp_path: Path, jump) -> None:
    home = HomeLayout(tmp_path / "home")
    run = create_run(home, RunRecord("20260101T000000Z-toy", "toy", 0.0, None, "digest"))

    write_step(run, StepRecord(StepName.TRAIN_MODEL, RunStatus.RUNNING, started=time.time()))
    jump(-3_600)
    assert finish_run(run).steps[StepName.TRAIN_MODEL].duration_s == 0
