"""Step deploy_model: publish, serve as candidate, promote, ask for a forecast, register.

Order, and what a crash leaves behind:

1. publish           a version nobody serves
2. set candidate     `<name>-candidate` is served; the champion is untouched
3. golden request    on a server that reads the repository's own models.config
4. register          an MLflow version without an alias
5. promote           the commit point: one rename of roles.json, then the derived pin
6. echo and forecast the server answers unpinned requests from the new version, else 5 is undone
7. aliases           MLflow follows the repository

A failure in 3 or 4 removes the candidate again. A crash between 5 and 7 leaves MLflow's aliases
behind; the next deployment sets them from the roles, also when it finds its model already champion.
"""

import json
import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from components.deployment.ask_forecast import ForecastRecord, ask_forecast
from components.deployment.golden import GOLDEN_FILE, read_golden
from components.deployment.measures import difference_ratio
from components.deployment.registry import RegistrationRecord, Registry
from forecasting.config.root import DeployModelSettings
from forecasting.contracts.artifacts import (
    DECISION_FILE,
    DEPLOYMENT_FILE,
    EXPORTED_SPEC_FILE,
    FORECAST_FILE,
    METRICS_FILE,
    REPORT_FILE,
    VERSION_DIR,
)
from forecasting.contracts.steps import StepName
from forecasting.contracts.vocabulary import ModelRole, served_name
from forecasting.errors import AlmanacError, ArtifactError, RemoteError, RetryableError
from forecasting.features.spec import FeatureSpec, read_feature_spec
from forecasting.gates import read_decision
from forecasting.manifests import digest_file, digest_text, payload_files
from forecasting.repository import ModelRepository, RolesRecord
from forecasting.schema import SeriesStore, read_series_store
from forecasting.steps import StepContext, StepOutcome
from forecasting.wire.client import GrpcClient, RestClient
from forecasting.wire.server_process import model_server

logger = logging.getLogger(__name__)

LOAD_S = 120.0
SWITCH_S = 60.0
CONFIG_POLL_S = 0.2


@dataclass(frozen=True)
class DeploymentRecord:
    """Contents of deployment.json.

    series_dir: series store from which the gateway takes history. digest: of the version's files.
    already_champion: nothing was published because this very model is served already.
    promoted_at: UTC epoch seconds.
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
    promoted_at: float
    golden_difference_ratio: float
    grpc_rest_max_difference: float
    mlflow: RegistrationRecord


@dataclass(frozen=True)
class _Package:
    """What is deployed, read from the parents' directories."""

    name: str
    source: Path
    spec: FeatureSpec
    store: SeriesStore
    variant: str
    digest: str
    max_difference_ratio: float
    golden: Path
    origin: dict[str, Any]
    metrics: dict[str, float]
    files: dict[str, Path]


def deploy_model(
    settings: DeployModelSettings, inputs: Mapping[StepName, Path], output: Path, context: StepContext
) -> StepOutcome:
    """Deploy the candidate of validate_serving; see the module's docstring and `forecasting.steps.Step`.

    Raises:
        RemoteError: The server or MLflow refuses; the champion served before is served still.
        RetryableError: The server did not follow in time; likewise.
    """
    package = _read_package(settings, inputs, context)
    repository = ModelRepository(context.home.models)
    registry = Registry(settings.name, settings.tracking, context.home)
    before = repository.roles(settings.name)
    already = (
        before.champion is not None
        and repository.record(settings.name, before.champion).get("digest") == package.digest
    )
    version = (
        before.champion
        if already and before.champion is not None
        else repository.publish(package.name, package.source, package.origin)
    )
    with _withdrawn_on_failure(repository, package.name, before, already=already):
        if not already:
            repository.set_candidate(package.name, version)
        golden, registration, forecast = _switch(package, repository, registry, version, context)
    roles = repository.roles(package.name)
    repository.update_record(package.name, version, {"mlflow_run_id": registration.run_id})
    registry.point_aliases(roles)
    record = DeploymentRecord(
        model=package.name,
        version=version,
        previous_version=roles.previous,
        variant=package.variant,
        run=context.run.name,
        cutoff=package.store.spec.split.cutoff,
        series_dir=package.origin["series_dir"],
        digest=package.digest,
        already_champion=already,
        promoted_at=time.time(),
        golden_difference_ratio=golden,
        grpc_rest_max_difference=forecast.grpc_rest_max_difference,
        mlflow=registration,
    )
    for name in (DEPLOYMENT_FILE, REPORT_FILE):
        (output / name).write_text(json.dumps(asdict(record), indent=1), encoding="utf-8")
    (output / FORECAST_FILE).write_text(json.dumps(forecast.as_document()), encoding="utf-8")
    dropped = repository.prune(package.name, settings.serving.keep_versions)
    logger.info(
        "version %d of %s is champion (previous %s, pruned %s)",
        version,
        package.name,
        roles.previous,
        dropped or "none",
    )
    return StepOutcome(
        True, f"version {version} ({package.variant}) " + ("is champion already" if already else "promoted to champion")
    )


def _read_package(settings: DeployModelSettings, inputs: Mapping[StepName, Path], context: StepContext) -> _Package:
    candidate = inputs[StepName.VALIDATE_SERVING]
    source = candidate / VERSION_DIR
    store = read_series_store(inputs[StepName.VALIDATE_DATA])
    limits = [
        rule.limit for rule in read_decision(candidate / DECISION_FILE).rules if rule.rule == "max_difference_ratio"
    ]
    variant = read_decision(inputs[StepName.EVALUATE_COMPRESSED] / DECISION_FILE).variant
    if not limits or variant is None:
        raise ArtifactError(
            f"the decisions of {candidate} and of evaluate_compressed must name a difference limit and a variant; run both again"
        )
    digest = digest_text(
        json.dumps({path.relative_to(source).as_posix(): digest_file(path) for path in payload_files(source)})
    )
    evaluations = {step: inputs[step] for step in (StepName.EVALUATE_MODEL, StepName.EVALUATE_COMPRESSED)}
    return _Package(
        name=settings.name,
        source=source,
        spec=read_feature_spec(source / EXPORTED_SPEC_FILE),
        store=store,
        variant=variant,
        digest=digest,
        max_difference_ratio=limits[0],
        golden=candidate / GOLDEN_FILE,
        origin={
            "run": context.run.name,
            "series_dir": str(inputs[StepName.VALIDATE_DATA].resolve()),
            "variant": variant,
            "digest": digest,
            "cutoff": store.spec.split.cutoff,
        },
        metrics={
            name: value
            for step, folder in evaluations.items()
            for name, value in _overall_metrics(step, folder / METRICS_FILE)
        },
        files={step.value: folder / METRICS_FILE for step, folder in evaluations.items()}
        | {"version": source / EXPORTED_SPEC_FILE},
    )


def _overall_metrics(step: StepName, path: Path) -> Iterator[tuple[str, float]]:
    """`<step>/<model>/<metric>` of every number under models.*.overall in metrics.json."""
    models = json.loads(path.read_text(encoding="utf-8")).get("models", {})
    for model, summary in models.items():
        for metric, value in summary.get("overall", {}).items():
            if isinstance(value, int | float):
                yield f"{step.value}/{model}/{metric}", float(value)


@contextmanager
def _withdrawn_on_failure(
    repository: ModelRepository, name: str, before: RolesRecord, *, already: bool
) -> Iterator[None]:
    """Undo what this deployment changed of the roles when anything goes wrong, however it does."""
    try:
        yield
    except BaseException:
        if not already:
            repository.restore(name, before)
            logger.exception("deployment failed; champion of %s stays version %s", name, before.champion)
        raise


def _switch(
    package: _Package, repository: ModelRepository, registry: Registry, version: int, context: StepContext
) -> tuple[float, RegistrationRecord, ForecastRecord]:
    """Steps 3 to 6 on one server; returns the golden difference, the registration and the forecast."""
    config = repository.write_server_config()
    flags = [
        f"--model_config_file={config}",
        f"--model_config_file_poll_wait_seconds={CONFIG_POLL_S}",
        "--prefer_tflite_model",
        "--max_num_load_retries=0",
    ]
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
        grpc.wait_available(served, version, timeout_s=LOAD_S, check=server.require_alive)
        golden = _check_golden(package, grpc, served, version)
        registration = registry.register(
            version,
            repository.version_dir(package.name, version),
            metrics=package.metrics,
            parameters={**package.origin, "horizon": package.spec.horizon, "context": package.spec.context},
            files=package.files,
        )
        repository.promote(package.name, version)
        _wait_for_echo(package, grpc, champion, version)
        forecast = ask_forecast(champion, package.store, package.spec, grpc, rest)
    return golden, registration, forecast


def _check_golden(package: _Package, grpc: GrpcClient, served: str, version: int) -> float:
    inputs, expected = read_golden(package.golden)
    answer = grpc.predict(served, inputs.as_dict(), version=version)
    ratio = difference_ratio([answer.quantiles, expected], package.spec.quantiles)
    if not ratio <= package.max_difference_ratio:
        raise RemoteError(
            f"the golden request of version {version} must be answered within {package.max_difference_ratio:g} of the recorded forecast, "
            f"found {ratio:g}; the published files or the server differ from those that passed validate_serving"
        )
    return ratio


def _wait_for_echo(package: _Package, grpc: GrpcClient, served: str, version: int) -> None:
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
