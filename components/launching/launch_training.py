"""train_model by several pods: the step makes a resource for them, follows it to its end and takes the model over.

Key, record, checkpoints and output are those of the step, whoever trains. An attempt that was cut off leaves its resource, and the next
one goes on with it; one whose workers were taken away is tried again, and they go on from the last checkpoint.
"""

import logging
import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast

from components.launching.chief_log import ChiefLog
from components.launching.job_api import JobApi
from components.launching.job_run import JobRun, Waiting
from components.launching.job_spec import JobSpec, LaunchSpec
from components.launching.launched_call import LaunchedCallSpec, LaunchedFolder, launched_folder
from components.launching.manifests import job_kind
from forecasting.cluster_api.address import address_in_pod
from forecasting.cluster_api.session import ApiAddressSpec, ApiSession
from forecasting.config.cluster import ClusterConfig
from forecasting.config.root import StepSettings
from forecasting.contracts.steps import StepName
from forecasting.errors import AlmanacError, ArtifactError, ConfigError, StoppedError
from forecasting.execution import CHECKPOINT_KEY_FILE
from forecasting.manifests import load_manifest
from forecasting.steps import Step, StepContext, StepOutcome

logger = logging.getLogger(__name__)

POD_VARIABLE = "ALMANAC_POD"
"""Name of the pod of this step, which Kubernetes fills in."""
_LAST_PATIENCE = "15s"
"""How long the removal of a job is asked for: a pod that is to end has about half a minute."""
_OUTCOME_TRIES = 60
"""Seconds that a file which another node wrote may take to be seen on a shared volume."""


@dataclass(frozen=True)
class Launching:
    """How Kubernetes is asked. address: none: as a pod finds it."""

    address: ApiAddressSpec | None = None
    waiting: Waiting = field(default_factory=Waiting)


def launched_step(cluster: str, image: str) -> Step:
    """train_model as a step whose work is done by pods of its own.

    Args:
        cluster: The section `cluster` as JSON.
        image: Image of the workers.
    """
    launch = LaunchSpec(ClusterConfig.model_validate_json(cluster), image)
    return cast(Step, partial(launch_training, launch=launch, launching=Launching()))


def launch_training(
    settings: StepSettings, inputs: Mapping[StepName, Path], output: Path, context: StepContext, *,
    launch: LaunchSpec, launching: Launching,
) -> StepOutcome:  # fmt: skip
    """Have train_model done by workers, and take its output over.

    Raises:
        RetryableError: Workers were taken away, did not come up in time, or ended for a passing reason.
        StoppedError: This process is to end; the workers save and end.
        AlmanacError: A worker ended with a final code.
    """
    checkpoint = context.run.checkpoint(StepName.TRAIN_MODEL)
    folder = launched_folder(checkpoint)
    call = LaunchedCallSpec(
        home=str(context.home.root),
        run=context.run.name,
        settings=settings.model_dump_json(),
        inputs={step.value: str(_shared(step, place, context)) for step, place in inputs.items()},
        cutoff=context.cutoff,
        created=context.created,
    )
    key = (checkpoint / CHECKPOINT_KEY_FILE).read_text(encoding="utf-8")
    with ExitStack() as stack:
        api = _open_api(stack, launch, launching)
        spec = JobSpec(launch, settings.name, context.run.name, key, str(folder.call), _owner(api))
        run = JobRun(api, spec, launching.waiting)
        try:
            if not run.adopt():
                folder.write_call(call)
                run.create()
            with ChiefLog(_open_api(stack, launch, launching), spec.name, pause_s=launching.waiting.log_pause_s):
                run.follow()
            outcome = _outcome(folder, launching.waiting)
        except AlmanacError as error:
            if _is_over(error, run, launch):
                _remove(spec, launch, launching)
            raise
        _remove(spec, launch, launching)
    folder.move_output(output)
    return outcome


def _is_over(error: AlmanacError, run: JobRun, launch: LaunchSpec) -> bool:
    """Whether the job of a failed attempt is to go; one that may go on is left for the next attempt to find."""
    if isinstance(error, StoppedError | ArtifactError) or run.verdict == "stuck":
        return True
    if run.verdict == "failed" and launch.cluster.training.keep_failed:
        logger.info("the failed job is kept until the next attempt (cluster.training.keep_failed)")
        return False
    return run.verdict == "failed"


def _remove(spec: JobSpec, launch: LaunchSpec, launching: Launching) -> None:
    """Have the job removed; where that cannot be asked for, what owns it takes it along."""
    with ExitStack() as stack:
        try:
            JobRun(_open_api(stack, launch, launching, _LAST_PATIENCE), spec, launching.waiting).remove()
        except AlmanacError as error:
            logger.warning("%s could not be removed, and goes with what owns it: %s", spec.name, error)


def _owner(api: JobApi) -> dict[str, Any] | None:
    pod = os.environ.get(POD_VARIABLE)
    if not pod:
        logger.warning(
            "%s must name the pod of this step, found nothing: nobody but this step removes the job", POD_VARIABLE
        )
        return None
    return api.owner_of(pod)


def _outcome(folder: LaunchedFolder, waiting: Waiting) -> StepOutcome:
    for _ in range(_OUTCOME_TRIES):
        if folder.outcome.is_file():
            break
        waiting.sleep(1.0)
    return folder.read_outcome()


def _shared(step: StepName, place: Path, context: StepContext) -> Path:
    """Where an input lies on the volume that all pods share: what this pod was given may be a copy."""
    shared = context.run.step(step)
    if load_manifest(shared).payload_digest != load_manifest(place).payload_digest:
        raise ArtifactError(f"{shared} must hold what {place} holds; run {step} again")
    return shared


def _open_api(stack: ExitStack, launch: LaunchSpec, launching: Launching, patience: str | None = None) -> JobApi:
    address = launching.address or address_in_pod()
    if address is None:
        raise ConfigError(
            "cluster.training.launcher is of steps that run in a pod, which KUBERNETES_SERVICE_HOST tells; "
            "set it none to train in this process"
        )
    cluster = launch.cluster
    settings = cluster.api.model_copy(update={"patience": patience}) if patience else cluster.api
    session = ApiSession(address, settings, sleep=launching.waiting.sleep, clock=launching.waiting.clock)
    stack.callback(session.close)
    return JobApi(session, cluster.namespace, job_kind(launch))
