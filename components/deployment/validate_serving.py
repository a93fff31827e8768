"""Gate validate_serving: the candidate in a real server, before it is published."""

import json
import logging
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from components.deployment.golden import GOLDEN_FILE, write_golden
from components.deployment.measures import Floats, LatencyReport, difference_ratio, measure_latency
from components.deployment.probes import pick_windows, with_gaps
from components.deployment.version_dir import assemble_version, write_warmup
from forecasting.config.root import ValidateServingSettings
from forecasting.contracts.artifacts import (
    DECISION_FILE,
    FEATURE_SPEC_FILE,
    REPORT_FILE,
    TFLITE_FILE,
    TOURNAMENT_FILE,
    VERSION_DIR,
)
from forecasting.contracts.steps import StepName
from forecasting.contracts.vocabulary import ModelRole, served_name
from forecasting.errors import ArtifactError, RemoteError, RetryableError
from forecasting.features.spec import FeatureSpec, read_feature_spec
from forecasting.gates import GateDecision, decide, read_decision, serving_rules, write_decision
from forecasting.predictors import LitePredictor, Predictor
from forecasting.series_store import read_series_store
from forecasting.steps import StepContext, StepOutcome
from forecasting.tournament import VariantRecord, read_tournament
from forecasting.windows import ModelInputs
from forecasting.wire.client import GrpcClient, RestClient
from forecasting.wire.server_process import RunningServerRecord, model_server

logger = logging.getLogger(__name__)

N_WINDOWS = 16
N_TIMED_REQUESTS = 200


@dataclass(frozen=True)
class ServingReport:
    """The candidate in a server.

    difference_ratio: largest difference between gRPC, REST and in-process over all windows, as a
    share of the mean absolute point forecast; gaps_difference_ratio: the same for a window with a
    seventh of its history missing. load_s: from the start of the process to AVAILABLE, warm-up
    included. problem: why the candidate could not be tried, empty where it could.
    """

    variant: str
    n_windows: int
    n_warmup_records: int
    version_bytes: int
    difference_ratio: float | None
    gaps_difference_ratio: float | None
    grpc: LatencyReport | None
    rest: LatencyReport | None
    load_s: float | None
    problem: str = ""


@dataclass(frozen=True)
class _Trial:
    difference_ratio: float
    gaps_difference_ratio: float
    grpc: LatencyReport
    rest: LatencyReport
    load_s: float


def validate_serving(
    settings: ValidateServingSettings, inputs: Mapping[StepName, Path], output: Path, context: StepContext
) -> StepOutcome:
    """Assemble the version directory and try it in the embedded server on free ports.

    Reads validate_data, train_model, compress_model and evaluate_compressed; see `forecasting.steps.Step`.
    A server that runs and cannot load the candidate or answers wrongly is a result, not a crash: the
    gate then does not pass. Of refusals only a difference between answers is taken over by later
    runs: how fast a server is, and whether it can load a model, also hangs on the machine's load.

    Raises:
        ArtifactError: A file of a parent is missing or does not fit.
        RetryableError: The server does not start, ends by itself or does not answer in time.
    """
    spec = read_feature_spec(inputs[StepName.TRAIN_MODEL] / FEATURE_SPEC_FILE)
    variant = _shipped_variant(inputs)
    store = read_series_store(inputs[StepName.VALIDATE_DATA])
    windows = pick_windows(store, spec, max(N_WINDOWS, settings.serving.n_warmup_records))
    version_dir = output / VERSION_DIR
    assemble_version(version_dir, inputs[StepName.TRAIN_MODEL], inputs[StepName.COMPRESS_MODEL], variant)
    warmup = [windows[i : i + 1] for i in range(min(settings.serving.n_warmup_records, len(windows)))]
    write_warmup(version_dir, served_name(settings.name, ModelRole.CANDIDATE), warmup)
    predictor = _load_predictor(version_dir)
    write_golden(output / GOLDEN_FILE, windows[0:1], predictor.predict(windows[0:1]))
    log = context.run.logs / f"{StepName.VALIDATE_SERVING}-server.log"
    problem, trial = "", None
    try:
        trial = _try_in_server(settings.name, version_dir, predictor, windows, spec, log)
    except RemoteError as error:
        problem = str(error)
        logger.error("the candidate failed in the server: %s", error)
    report = _report(variant, windows, len(warmup), version_dir, trial, problem)
    decision = _judge(settings, trial, size_bytes=report.version_bytes)
    write_decision(decision, output / DECISION_FILE)
    (output / REPORT_FILE).write_text(json.dumps(asdict(report), indent=1), encoding="utf-8")
    return StepOutcome(
        decision.passed,
        problem or _summary(variant, trial, decision.reason),
        reusable=decision.passed or not _hangs_on_load(decision, trial),
    )


def _judge(settings: ValidateServingSettings, trial: _Trial | None, *, size_bytes: int) -> GateDecision:
    limits = settings.gates.serving
    if trial is None:
        return decide(serving_rules(limits, latency_ms=np.nan, difference_ratio=np.nan, size_bytes=size_bytes))
    return decide(
        serving_rules(
            limits,
            latency_ms=trial.grpc.p99_ms,
            # NaN wins: a window with gaps that has no finite answer must refuse the candidate.
            difference_ratio=float(np.maximum(trial.difference_ratio, trial.gaps_difference_ratio)),
            size_bytes=size_bytes,
            load_s=trial.load_s,
        )
    )


def _hangs_on_load(decision: GateDecision, trial: _Trial | None) -> bool:
    """Whether another run on a machine less busy could pass."""
    timed = {"max_latency_ms", "max_load_s"}
    return trial is None or any(not rule.passed and rule.rule in timed for rule in decision.rules)


def _shipped_variant(inputs: Mapping[StepName, Path]) -> VariantRecord:
    path = inputs[StepName.EVALUATE_COMPRESSED] / DECISION_FILE
    name = read_decision(path).variant
    for variant in read_tournament(inputs[StepName.COMPRESS_MODEL] / TOURNAMENT_FILE):
        if variant.name == name:
            return variant
    raise ArtifactError(
        f"{path} names the variant {name!r}, which the tournament does not have; run evaluate_compressed again"
    )


def _load_predictor(version_dir: Path) -> Predictor:
    """What the server will run, in this process; TensorFlow only where the SavedModel ships."""
    if (version_dir / TFLITE_FILE).is_file():
        return LitePredictor(version_dir / TFLITE_FILE)
    from forecasting.neural.predictor import SavedModelPredictor

    return SavedModelPredictor(version_dir)


def _try_in_server(
    name: str, version_dir: Path, predictor: Predictor, windows: ModelInputs, spec: FeatureSpec, log: Path
) -> _Trial:
    """Load the candidate in a server of its own and ask it.

    Raises:
        RemoteError: The server runs and cannot load the candidate, or answers with an error.
        RetryableError: The server does not start, ends by itself or does not answer in time.
    """
    model = served_name(name, ModelRole.CANDIDATE)
    with ExitStack() as stack:
        base = stack.enter_context(tempfile.TemporaryDirectory(prefix="almanac-candidate-"))
        (Path(base) / "1").symlink_to(version_dir.resolve(), target_is_directory=True)
        start = time.perf_counter()
        server = _start_server(model, Path(base), log, stack)
        try:
            return _ask_server(model, server, predictor, windows, spec, start=start)
        except RemoteError as error:
            if server.process.poll() is None:
                raise
            raise RetryableError(f"the candidate could not be tried: {error}") from error


def _start_server(model: str, base: Path, log: Path, stack: ExitStack) -> RunningServerRecord:
    # No retries: what does not load at once is refused now, not in five minutes.
    flags = [
        f"--model_name={model}",
        f"--model_base_path={base}",
        "--prefer_tflite_model",
        "--max_num_load_retries=0",
    ]
    try:
        return stack.enter_context(model_server(flags, log=log))
    except RemoteError as error:
        # It listens before it loads, so this says nothing of the candidate.
        raise RetryableError(f"the candidate could not be tried: {error}; its log is {log}") from error


def _ask_server(
    model: str,
    server: RunningServerRecord,
    predictor: Predictor,
    windows: ModelInputs,
    spec: FeatureSpec,
    *,
    start: float,
) -> _Trial:
    gaps = with_gaps(windows[0:1], spec)
    with GrpcClient(server.grpc_address) as grpc, RestClient(server.rest_address) as rest:
        grpc.wait_available(model, 1, check=server.require_alive)
        load_s = time.perf_counter() - start
        return _Trial(
            difference_ratio=_three_ways(model, windows, predictor, grpc, rest, spec.quantiles),
            gaps_difference_ratio=_three_ways(model, gaps, predictor, grpc, rest, spec.quantiles),
            grpc=measure_latency(lambda: grpc.predict(model, windows[0:1].as_dict()), n_requests=N_TIMED_REQUESTS),
            rest=measure_latency(lambda: rest.predict(model, windows[0:1].as_dict()), n_requests=N_TIMED_REQUESTS),
            load_s=load_s,
        )


def _three_ways(
    model: str,
    windows: ModelInputs,
    predictor: Predictor,
    grpc: GrpcClient,
    rest: RestClient,
    levels: tuple[float, ...],
) -> float:
    """GRPC with all windows in one request, REST with one request each, and the model in this process."""
    one_by_one = [windows[i : i + 1] for i in range(len(windows))]
    answers: list[Floats] = [
        predictor.predict(windows),
        grpc.predict(model, windows.as_dict()).quantiles,
        np.concatenate([rest.predict(model, window.as_dict()).quantiles for window in one_by_one]),
    ]
    return difference_ratio(answers, levels)


def _report(
    variant: VariantRecord, windows: ModelInputs, n_warmup: int, version_dir: Path, trial: _Trial | None, problem: str
) -> ServingReport:
    return ServingReport(
        variant=variant.name,
        n_windows=len(windows),
        n_warmup_records=n_warmup,
        version_bytes=sum(path.stat().st_size for path in version_dir.rglob("*") if path.is_file()),
        difference_ratio=_finite(trial.difference_ratio) if trial else None,
        gaps_difference_ratio=_finite(trial.gaps_difference_ratio) if trial else None,
        grpc=trial.grpc if trial else None,
        rest=trial.rest if trial else None,
        load_s=trial.load_s if trial else None,
        problem=problem,
    )


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _summary(variant: VariantRecord, trial: _Trial | None, reason: str) -> str:
    if trial is None:
        return reason
    return f"{variant.name} in the server: gRPC p99 {trial.grpc.p99_ms:.2f} ms, REST p99 {trial.rest.p99_ms:.2f} ms; {reason}"
