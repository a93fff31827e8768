"""The first task of a run on a cluster: the record that all its steps write into."""

import logging

from pydantic import ValidationError

from forecasting.cluster_runs import begin_cluster_run
from forecasting.config import AlmanacConfig
from forecasting.contracts.layout import home_layout
from forecasting.contracts.steps import StepName
from forecasting.errors import ConfigError
from forecasting.task_attempts import TaskAttempt


def begin_run_component(
    config: str, *, home: str, run: str, cutoff: str, scheduled: str, request: str, last: str, retries: int
) -> None:
    """Begin a run, or go on with the one of this name; the process ends with the exit code of what is in the way.

    Args:
        config: The whole configuration as JSON.
        home: ALMANAC_HOME, on the volume that all pods share.
        run: Name of the run.
        cutoff: ISO 8601 time with zone, or empty.
        scheduled: When the run was due; empty: by no schedule.
        request: Names who asked for the run, or empty.
        last: The last step before the report.
        retries: How often the pipeline tries this task again.

    Raises:
        SystemExit: Another run of the model is going (75), or the configuration cannot be used (2), now or at an earlier attempt.
    """
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    layout = home_layout(home)
    with TaskAttempt(layout, "begin_run", run, retries):
        parsed = _parsed(config)
        begin_cluster_run(parsed, layout, run, cutoff=cutoff, scheduled=scheduled, request=request, last=StepName(last))


def _parsed(text: str) -> AlmanacConfig:
    try:
        return AlmanacConfig.model_validate_json(text)
    except ValidationError as error:
        raise ConfigError(f"the configuration does not fit this version: {error.errors()[0]['msg']}") from error
