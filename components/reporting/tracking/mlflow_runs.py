"""One bundle as MLflow runs: a run of the pipeline, a nested run a step, their files, the table they began with.

Everything is found again by its tags and points carry the times of the run, so that a bundle that was
sent already, wholly or in part, is sent again without doubling anything.
"""

import json
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from components.reporting.tracking.bundle import (
    FILES_DIR,
    PIPELINE_PART,
    BundleRecord,
    DatasetRecord,
    TrackedPartRecord,
)
from components.reporting.tracking.tags import JOINED_TAG, PART_TAG, RUN_TAG
from forecasting.contracts.steps import StepName

_TABLES = ("gates.json", "variants.json")
_PARENT_TAG = "mlflow.parentRunId"
_MAX_POINTS, _MAX_PARAMETERS, _MAX_TAGS = 1_000, 100, 100
"""What MLflow takes in one request."""
_MAX_TAG = 5_000
_STATUSES = {"finished": "FINISHED", "failed": "FAILED", "killed": "KILLED"}


def experiment_id(client: Any, name: str, *, artifacts: str | None) -> str:
    """The experiment of a name, made where there is none."""
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    return str(client.create_experiment(name, artifact_location=artifacts))


def send_runs(client: Any, experiment: str, bundle: BundleRecord, directory: Path) -> str:
    """Write a bundle down as runs.

    Args:
        client: `MlflowClient`.
        experiment: Id of the experiment.
        bundle: What to write.
        directory: Where it lies, with its files.

    Returns:
        Id of the run of the pipeline.
    """
    joined = _joined_pipeline(client, bundle)
    parent = joined or _own_run(client, experiment, bundle.pipeline, parent=None)
    _send_part(client, parent, bundle.pipeline, directory, joined=joined is not None)
    _send_dataset(client, parent, bundle.dataset)
    sent = {PIPELINE_PART: parent}
    for part in bundle.steps:
        # A part comes behind the one that it is nested in.
        within = sent[part.within]
        sent[part.part] = _send_step(client, experiment, part, bundle, directory=directory, parent=within)
    if joined is None:
        _close_run(client, parent, bundle.pipeline)
    return parent


def _send_step(
    client: Any, experiment: str, part: TrackedPartRecord, bundle: BundleRecord, *, directory: Path, parent: str
) -> str:
    """The nested run of a step or a trial. One that was joined is ended by who opened it."""
    joined = _known_run(client, part.joined)
    nested = joined or _own_run(client, experiment, part, parent=parent)
    _send_part(client, nested, part, directory, joined=joined is not None)
    if part.part in (StepName.BUILD_FEATURES, StepName.TRAIN_MODEL):
        _send_dataset(client, nested, bundle.dataset)
    if joined is None:
        _close_run(client, nested, part)
    return nested


def _joined_pipeline(client: Any, bundle: BundleRecord) -> str | None:
    """The run that the pipeline system has opened for the pipeline: named, or the parent of those of the steps."""
    if (named := _known_run(client, bundle.pipeline.joined)) is not None:
        return named
    for part in bundle.steps:
        if (joined := _known_run(client, part.joined)) is not None:
            parent = client.get_run(joined).data.tags.get(_PARENT_TAG)
            if parent:
                return str(parent)
    return None


def _known_run(client: Any, run_id: str | None) -> str | None:
    """A run that is to be joined; none where this server has no such run, because it was opened on another."""
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode

    if run_id is None:
        return None
    try:
        client.get_run(run_id)
    except MlflowException as error:
        if error.error_code != ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
            raise
        return None
    return run_id


def _own_run(client: Any, experiment: str, part: TrackedPartRecord, *, parent: str | None) -> str:
    """The run of a part: that of an earlier attempt, or a new one."""
    ours = {RUN_TAG: part.tags[RUN_TAG], PART_TAG: part.tags[PART_TAG]}
    wanted = " and ".join(f"tags.`{name}` = '{value}'" for name, value in ours.items())
    if found := client.search_runs([experiment], wanted, max_results=1):
        return str(found[0].info.run_id)
    tags = ours | ({_PARENT_TAG: parent} if parent else {})
    made = client.create_run(experiment, start_time=_ms(part.started), tags=tags, run_name=part.name)
    return str(made.info.run_id)


def _send_part(client: Any, run_id: str, part: TrackedPartRecord, directory: Path, *, joined: bool) -> None:
    from mlflow.entities import Metric, Param, RunTag

    ended = _ms(part.ended)
    points = [Metric(name, value, ended, 0) for name, value in part.metrics.items()]
    points += [Metric(name, value, ended, step) for name, curve in part.curves.items() for step, value in curve]
    for some in _batches(points, _MAX_POINTS):
        client.log_batch(run_id, metrics=some)
    for some in _batches([Param(name, value) for name, value in part.parameters.items()], _MAX_PARAMETERS):
        client.log_batch(run_id, params=some)
    tags = dict(part.tags) | ({JOINED_TAG: "true"} if joined else {})
    files = directory / FILES_DIR / part.part
    tables = [name for name in _TABLES if (files / name).is_file()]
    if tables:
        tags["mlflow.loggedArtifacts"] = json.dumps([{"path": name, "type": "table"} for name in tables])
    for some in _batches([RunTag(name, value[:_MAX_TAG]) for name, value in tags.items()], _MAX_TAGS):
        client.log_batch(run_id, tags=some)
    if files.is_dir():
        client.log_artifacts(run_id, str(files))


def _send_dataset(client: Any, run_id: str, dataset: DatasetRecord | None) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    if dataset is None:
        return
    columns = [{"type": "float", "name": name, "required": False} for name in dataset.columns]
    source = {"uri": dataset.source}
    entity = Dataset(
        name=dataset.name,
        digest=dataset.digest[:36],
        source_type="local" if "://" not in dataset.source else dataset.source.partition("://")[0],
        source=json.dumps(source),
        schema=json.dumps({"mlflow_colspec": columns}),
        profile=json.dumps(dict(dataset.profile) | {"digest": dataset.digest}),
    )
    client.log_inputs(run_id, datasets=[DatasetInput(entity, [InputTag("mlflow.data.context", "training")])])


def _close_run(client: Any, run_id: str, part: TrackedPartRecord) -> None:
    client.set_terminated(run_id, _STATUSES[part.status], _ms(part.ended))


def _batches(entities: Sequence[Any], size: int) -> Iterator[list[Any]]:
    rest = iter(entities)
    while some := list(islice(rest, size)):
        yield some


def _ms(seconds: float) -> int:
    return int(seconds * 1_000)
