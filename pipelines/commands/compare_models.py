"""`almanac models compare MODEL A B`: two versions on their own test periods, and on the steps that both forecast."""

import argparse
import json
import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from forecasting.backtest.stored import ScoresSource, champion_scores, common_steps, version_scores
from forecasting.backtest.summary import finite_document, read_backtest_report
from forecasting.contracts.artifacts import EXPORTED_SPEC_FILE, METRICS_FILE
from forecasting.contracts.layout import home_layout
from forecasting.errors import ArtifactError
from forecasting.features.spec import read_feature_spec
from forecasting.formats import as_bytes, as_number, as_share, as_time
from forecasting.metrics import mae, rmse
from forecasting.metrics.significance import better_than
from forecasting.repository import ModelRepository
from pipelines.commands.models import open_repository, require_version
from pipelines.records import table

OWN_METRICS = ("mae", "rmse", "wape", "mase", "coverage")


@dataclass(frozen=True)
class VersionReport:
    """One version. own: metrics on the test period of its own run, empty where the run is gone."""

    version: int
    run: str
    variant: str
    cutoff: int | None
    size_bytes: int
    own: dict[str, float]


@dataclass(frozen=True)
class CommonReport:
    """Both versions, A and B, on the steps that both forecast. ratio: MAE of B over A's. p_value: of B being better."""

    n_points: int
    n_origins: int
    mae: tuple[float, float]
    rmse: tuple[float, float]
    ratio: float
    p_value: float


def compare(arguments: argparse.Namespace) -> int:
    """Print both versions side by side."""
    repository, model = open_repository(arguments.model), arguments.model
    versions = (arguments.first, arguments.second)
    for version in versions:
        require_version(repository, model, version)
    reports = [_version_report(repository, model, version) for version in versions]
    common = _common_report(repository, model, versions)
    if arguments.json:
        document = {"model": model, "versions": [asdict(one) for one in reports]}
        print(json.dumps(finite_document({**document, "common": asdict(common) if common else None}), indent=1))
    else:
        print("\n".join([*_lines(reports, common), "", _verdict(versions, common)]))
    return 0


def _version_report(repository: ModelRepository, model: str, version: int) -> VersionReport:
    record, folder = repository.record(model, version), repository.version_dir(model, version)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    run, variant = str(record.get("run", "")), str(record.get("variant", ""))
    return VersionReport(version, run, variant, record.get("cutoff"), size, _own_metrics(record))


def _own_metrics(record: dict[str, Any]) -> dict[str, float]:
    source = version_scores(home_layout(), record)
    if source is None:
        return {}
    try:
        models = read_backtest_report(source.path.with_name(METRICS_FILE)).models
    except ArtifactError:
        return {}
    overall = models[source.model].overall if source.model in models else {}
    return {name: overall[name] for name in OWN_METRICS if name in overall}


def _sources(
    repository: ModelRepository, model: str, versions: tuple[int, int]
) -> tuple[ScoresSource, ScoresSource] | None:
    """Where forecasts of both are: in one run that scored one as champion of the other, else each in its own."""
    home = home_layout()
    records = [repository.record(model, version) for version in versions]
    own = [version_scores(home, record) for record in records]
    for ours, theirs in ((0, 1), (1, 0)):
        rescored, later = champion_scores(home, records[theirs], versions[ours]), own[theirs]
        if rescored is not None and later is not None:
            return (rescored, later) if ours == 0 else (later, rescored)
    first, second = own
    return (first, second) if first is not None and second is not None else None


def _common_report(repository: ModelRepository, model: str, versions: tuple[int, int]) -> CommonReport | None:
    sources = _sources(repository, model, versions)
    if sources is None:
        return None
    steps = common_steps(*sources)
    if not len(steps.actual):
        return None
    stamps, fold = np.unique(steps.origins, return_inverse=True)
    losses = [np.abs(steps.actual - forecast) for forecast in (steps.first, steps.second)]
    by_origin = [np.bincount(fold, weights=loss) / np.bincount(fold) for loss in losses]
    spec = read_feature_spec(repository.version_dir(model, versions[1]) / EXPORTED_SPEC_FILE)
    horizon_s = spec.horizon * spec.step_s
    stride_s = int(np.diff(stamps).min()) if len(stamps) > 1 else horizon_s
    test = better_than(by_origin[1], by_origin[0], overlap=-(-horizon_s // stride_s))
    errors = mae(steps.actual, steps.first), mae(steps.actual, steps.second)
    return CommonReport(
        n_points=len(steps.actual),
        n_origins=len(stamps),
        mae=errors,
        rmse=(rmse(steps.actual, steps.first), rmse(steps.actual, steps.second)),
        ratio=errors[1] / errors[0] if errors[0] > 0 else math.nan,
        p_value=test.p_value,
    )


def _lines(reports: list[VersionReport], common: CommonReport | None) -> list[str]:
    rows = [["", *(f"version {one.version}" for one in reports)]]
    rows.append(["run", *(one.run for one in reports)])
    rows.append(["cutoff", *(as_time(one.cutoff) for one in reports)])
    rows.append(["ships as", *(one.variant for one in reports)])
    rows.append(["size", *(as_bytes(one.size_bytes) for one in reports)])
    for name in OWN_METRICS:
        shown = as_share if name in ("wape", "coverage") else as_number
        rows.append([f"{name} on its own test period", *(shown(one.own.get(name)) for one in reports)])
    if common is not None:
        rows.append(["mae on common steps", *map(as_number, common.mae)])
        rows.append(["rmse of the median on common steps", *map(as_number, common.rmse)])
    return table(rows, right=frozenset({1, 2}))


def _verdict(versions: tuple[int, int], common: CommonReport | None) -> str:
    first, second = versions
    if common is None:
        return (
            "no step is kept that both have forecast, so that their errors, of different periods, cannot be compared; "
            "a run with one of them as champion scores both"
        )
    test = (
        f"test of being better: p = {as_number(common.p_value)}"
        if math.isfinite(common.p_value)
        else "too few origins to test whether it is luck"
    )
    return (
        f"on {common.n_points:,} common steps from {common.n_origins} origins the error of version {second} is "
        f"{as_share(common.ratio)} of that of version {first} ({test})"
    )
