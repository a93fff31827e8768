"""tune_model: search settings of model and training before the model of a run is trained.

The trials are fits of the pipeline's own steps, so the search is a process of its own, which knows the pipeline:
`python -m pipelines.search_process`. Its study is kept in the home: a search that was stopped, or is asked for again, goes on
with what it has.
"""

import json
import logging
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

from forecasting import errors
from forecasting.config.root import TuneModelSettings
from forecasting.config.search_space import setting
from forecasting.contracts.artifacts import TRIALS_FILE, TUNED_FILE
from forecasting.contracts.steps import StepName
from forecasting.errors import AlmanacError, StoppedError
from forecasting.formats import as_number
from forecasting.steps import StepContext, StepOutcome
from forecasting.tuning_record import (
    OVER,
    TrialOutcome,
    TunedSettingsRecord,
    TuningReport,
    read_tuning_report,
    write_tuned_settings,
)

logger = logging.getLogger(__name__)

PROGRAM = "pipelines.search_process"
STOP_GRACE_S = 20.0
"""Seconds that a search has to end its trials in order; less than a step has."""


def tune_model(
    settings: TuneModelSettings, inputs: Mapping[StepName, Path], output: Path, context: StepContext
) -> StepOutcome:
    """Write tuned.json, and trials.json, trials.parquet and tuning.html of the whole search.

    Raises:
        ModelRefusedError: No trial was scored.
        StoppedError: The step was stopped; it goes on with the same trials.
    """
    words = [str(context.home.root), context.run.name, str(inputs[StepName.VALIDATE_DATA]), str(output)]
    _run_search(words)
    report = read_tuning_report(output / TRIALS_FILE)
    tuned = best_settings(report, settings)
    write_tuned_settings(tuned, output / TUNED_FILE)
    n_over = sum(trial.outcome in OVER for trial in report.trials)
    before = report.trial(report.baseline).value if report.baseline is not None else None
    return StepOutcome(
        passed=True,
        summary=f"{report.metric} {as_number(tuned.value)} by trial {tuned.trial} of {n_over}"
        + (f", as configured {as_number(before)}" if before is not None else ""),
        # A search whose time was up goes on with the next run.
        reusable=not any(trial.outcome is TrialOutcome.STOPPED for trial in report.trials)
        and n_over >= settings.tuning.n_trials,
    )


def best_settings(report: TuningReport, settings: TuneModelSettings) -> TunedSettingsRecord:
    """The settings of the best trial beside those of the step.

    Raises:
        ModelRefusedError: No trial was scored.
    """
    if report.best is None:
        raise errors.ModelRefusedError(f"none of {len(report.trials)} trials of the search {report.study} was scored")
    best, configured = report.trial(report.best), settings.model_dump(mode="json")
    if best.value is None:
        raise ValueError(f"the best trial must have a value, trial {best.number} has none")
    return TunedSettingsRecord(
        settings=dict(best.settings),
        was={path: setting(configured, path) for path in best.settings},
        metric=report.metric,
        value=best.value,
        study=report.study,
        trial=best.number,
        n_trials=len(report.trials),
    )


def _run_search(words: list[str]) -> None:
    """Run the process of a search to its end; what it says of its trials is logged, its error is raised here."""
    with subprocess.Popen(
        [sys.executable, "-m", PROGRAM, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    ) as process:  # fmt: skip
        try:
            for line in process.stderr or ():
                logger.info("%s", line.rstrip())
            said = process.stdout.read() if process.stdout else ""
            code = process.wait()
        except StoppedError:
            _end(process)
            raise
    if code:
        raise _error(said, code)


def _end(process: "subprocess.Popen[str]") -> None:
    """SIGTERM, and SIGKILL where that does not help; what it still says is read, so that it can end."""
    process.terminate()
    killer = threading.Timer(STOP_GRACE_S, process.kill)
    killer.start()
    process.communicate()
    killer.cancel()


def _error(said: str, code: int) -> AlmanacError:
    """The error that a search ended with, as one of its kind."""
    if not said.strip():
        return AlmanacError(f"the search ended with exit code {code} and said nothing; the log of the step may say why")
    document = json.loads(said)
    kind = getattr(errors, document["kind"])
    found: AlmanacError = kind(document["error"])
    return found
