"""Step deploy_model: publish, serve as candidate, promote, ask for a forecast.

Order, and what a crash leaves behind:

1. publish           a version nobody serves, and beside it the series it is asked about
2. set candidate     `<name>-candidate` is served; the champion is untouched
3. golden request    on a server that reads the repository's own models.config
4. promote           the commit point: one rename of roles.json, then the derived pin
5. echo and forecast the server answers unpinned requests from the new version, else 4 is undone

Where a person must approve (`deploy.approval: manual`, or too few origins in common with the champion), 4 and 5 are left out:
the version stays candidate, the forecast is the candidate's, and `almanac models approve` promotes it. With `deploy.approval:
shadow` they are left out too, and the gateway decides by what the candidate answers beside the champion.

A failure in 2 to 5 puts the roles back to what they were, save those that somebody else has changed since then.
No deployment waits for a tracker: report_run registers the version with MLflow, whose aliases follow the roles.
"""

import json
import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from components.deployment.ask_forecast import ask_forecast
from components.deployment.golden import read_golden
from components.deployment.measures import difference_ratio
from components.deployment.package import PackageSpec, read_package
from forecasting.admission.signing import find_private_key
from forecasting.config.root import DeployModelSettings
from forecasting.config.sections import ServingConfig
from forecasting.contracts.artifacts import DEPLOYMENT_FILE, FORECAST_FILE, REPORT_FILE
from forecasting.contracts.steps import StepName
from forecasting.contracts.vocabulary import ModelRole, served_name
from forecasting.errors import AlmanacError, RemoteError, RetryableError
from forecasting.gates.candidate import SHADOW_APPROVAL
from forecasting.repository import APPROVAL_KEY, ModelRepository
from forecasting.roles import RolesChangeRecord
from forecasting.served_forecast import ForecastRecord
from forecasting.steps import StepContext, StepOutcome
from forecasting.wire.client import GrpcClient, RestClient
from forecasting.wire.server_process import model_server

logger = logging.getLogger(__name__)

SWITCH_S = 60.0
CONFIG_POLL_S = 0.2


@dataclass(frozen=True)
class DeploymentRecord:
    """Contents of deployment.json.

    series_dir: series store from which the gateway takes history, relative to ALMANAC_HOME. digest:
    of the version's files. already_champion: nothing was published because this very model is served
    already. promoted_at: UTC epoch seconds; none where it waits for approval. approval: why a person must approve
    the version, which is candidate until then; empty where nobody need.
    """

    model: str
    version: int
    previous_version: int | None
    variant: str
    run: str
    cutoff: int
    series_dir: str
    digest: str
    already_champion: bool
    promoted_at: float | None
    golden_difference_ratio: float
    grpc_rest_max_difference: float
    approval: str = ""
    pruned: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class _Switch:
    """What came of steps 2 to 5."""

    version: int
    already: bool
    golden_difference_ratio: float
    forecast: ForecastRecord


def deploy_model(
    settings: DeployModelSettings, inputs: Mapping[StepName, Path], output: Path, context: StepContext
) -> StepOutcome:
    """Deploy the candidate of validate_serving; see the module's docstring and `forecasting.steps.Step`.

    Raises:
        RemoteError: The server refuses; the champion served before is served still.
        RetryableError: The server did not follow in time; likewise.
    """
    package = read_package(settings.name, context.run.name, inputs)
    if settings.deploy.approval == "manual" and not package.approval:
        package = replace(package, approval="deploy.approval is manual")
    repository = ModelRepository(context.home.models)
    has_champion = repository.role(package.name, ModelRole.CHAMPION) is not None
    if settings.deploy.approval == "shadow" and not package.approval and has_champion:
        package = replace(package, approval=SHADOW_APPROVAL)
    switch = _publish_and_switch(package, repository, context, settings)
    keep = settings.serving.keep_versions
    record = replace(
        _record(package, repository, switch, home=context.home.root), pruned=_pruned(repository, package.name, keep)
    )
    for name in (DEPLOYMENT_FILE, REPORT_FILE):
        (output / name).write_text(json.dumps(asdict(record), indent=1), encoding="utf-8")
    (output / FORECAST_FILE).write_text(json.dumps(switch.forecast.as_document()), encoding="utf-8")
    # Written down before they go, for whoever else remembers them.
    dropped = repository.prune(package.name, keep)
    logger.info("roles of %s: %s, pruned %s", package.name, repository.roles(package.name), dropped or "none")
    if record.approval:
        waits = f"version {record.version} ({package.variant}) waits for approval: {record.approval}"
        # Once it is approved the next run must find it champion, and not this outcome.
        return StepOutcome(True, waits, reusable=False)
    what = "is champion already" if switch.already else "promoted to champion"
    return StepOutcome(True, f"version {record.version} ({package.variant}) {what}")


def _publish_and_switch(
    package: PackageSpec, repository: ModelRepository, context: StepContext, settings: DeployModelSettings
) -> _Switch:
    """Steps 1 to 5; any failure puts the roles back."""
    signing = settings.deploy.signing
    key = None if signing is None else find_private_key(signing.key_file, signing.key_env)
    before = repository.roles(package.name)
    champion = before.champion
    already = champion is not None and repository.record(package.name, champion).get("digest") == package.digest
    waiting = before.candidate
    if champion is not None and already:
        version = champion
    elif waiting is not None and repository.record(package.name, waiting).get("digest") == package.digest:
        version = waiting
    else:
        version = repository.publish(package.name, package.source, package.origin, key=key)
    repository.keep_series(package.name, version, package.store_dir)
    repository.update_record(package.name, version, {APPROVAL_KEY: "" if already else package.approval})
    with _undone_on_failure(repository, package.name) as changes:
        if not already:
            changes.append(
                repository.set_candidate(package.name, version, reason=f"run {package.run} passed its gates")
            )
        golden, forecast = _switch(package, repository, version, context, settings.serving, changes=changes)
    return _Switch(version, already, golden, forecast)


def _pruned(repository: ModelRepository, name: str, keep: int) -> tuple[dict[str, Any], ...]:
    """Number and digest of the versions that are about to go."""
    return tuple(
        {"number": number, "digest": str(repository.record(name, number).get("digest", ""))}
        for number in repository.prunable(name, keep)
    )


def _record(package: PackageSpec, repository: ModelRepository, switch: _Switch, *, home: Path) -> DeploymentRecord:
    waits = bool(package.approval) and not switch.already
    return DeploymentRecord(
        model=package.name,
        version=switch.version,
        previous_version=repository.roles(package.name).previous,
        variant=package.variant,
        run=package.run,
        cutoff=package.cutoff,
        series_dir=repository.require_series(package.name, switch.version).relative_to(home).as_posix(),
        digest=package.digest,
        already_champion=switch.already,
        promoted_at=None if waits else time.time(),
        golden_difference_ratio=switch.golden_difference_ratio,
        grpc_rest_max_difference=switch.forecast.grpc_rest_max_difference,
        approval=package.approval if waits else "",
    )


@contextmanager
def _undone_on_failure(repository: ModelRepository, name: str) -> Iterator[list[RolesChangeRecord]]:
    """Undo the changes of roles put into the list when anything goes wrong, however it does."""
    changes: list[RolesChangeRecord] = []
    try:
        yield changes
    except BaseException:
        if changes:
            roles = repository.undo(name, changes, reason="the deployment failed")
            logger.exception("deployment failed; champion of %s is version %s", name, roles.champion)
        raise


def _switch(
    package: PackageSpec,
    repository: ModelRepository,
    version: int,
    context: StepContext,
    serving: ServingConfig,
    *,
    changes: list[RolesChangeRecord],
) -> tuple[float, ForecastRecord]:
    """Steps 3 to 5 on one server, the promotion added to the changes of roles; returns the golden difference and the forecast."""
    config = repository.write_server_config()
    flags = [
        f"--model_config_file={config}",
        f"--model_config_file_poll_wait_seconds={CONFIG_POLL_S}",
        "--prefer_tflite_model",
        "--max_num_load_retries=0",
    ]
    if serving.signature_key_file is not None:
        flags.append(f"--signature_key_file={serving.signature_key_file}")
    log = context.run.logs / f"{StepName.DEPLOY_MODEL}-server.log"
    champion = served_name(package.name, ModelRole.CHAMPION)
    with (
        model_server(flags, log=log) as server,
        GrpcClient(server.grpc_address) as grpc,
        RestClient(server.rest_address) as rest,
    ):
        role = (
            ModelRole.CANDIDATE if repository.role(package.name, ModelRole.CANDIDATE) == version else ModelRole.CHAMPION
        )
        served = served_name(package.name, role)
        grpc.wait_available(served, version, check=server.require_alive)
        golden = _check_golden(package, grpc, served, version)
        if role is ModelRole.CANDIDATE and not package.approval:
            changes.append(repository.promote(package.name, version, reason=f"run {package.run} passed its gates"))
        if role is ModelRole.CHAMPION or not package.approval:
            served = champion
            _wait_for_echo(package, grpc, champion, version)
        forecast = ask_forecast(served, package.store, package.spec, grpc, rest)
    return golden, forecast


def _check_golden(package: PackageSpec, grpc: GrpcClient, served: str, version: int) -> float:
    inputs, expected = read_golden(package.golden)
    answer = grpc.predict(served, inputs.as_dict(), version=version)
    ratio = difference_ratio([answer.quantiles, expected], package.spec.quantiles)
    if not ratio <= package.max_difference_ratio:
        raise RemoteError(
            f"the golden request of version {version} must be answered within {package.max_difference_ratio:g} of the recorded forecast, "
            f"found {ratio:g}; the published files or the server differ from those that passed validate_serving"
        )
    return ratio


def _wait_for_echo(package: PackageSpec, grpc: GrpcClient, served: str, version: int) -> None:
    """Wait until a request that names no version is answered by the promoted one."""
    inputs, _ = read_golden(package.golden)
    deadline = time.monotonic() + SWITCH_S
    last = "no answer"
    while time.monotonic() < deadline:
        try:
            echoed = grpc.predict(served, inputs.as_dict()).version
        except AlmanacError as error:
            last = str(error)
        else:
            if echoed == version:
                return
            last = f"version {echoed} answered"
        time.sleep(CONFIG_POLL_S / 4)
    raise RetryableError(
        f"the server must answer unpinned requests of {served!r} from version {version} within {SWITCH_S:g} s; {last}"
    )
