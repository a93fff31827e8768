"""Rules of what ships: a compressed variant, and the candidate in a server."""

from dataclasses import dataclass

from forecasting.config.gates import CompressedGateConfig, ServingGateConfig
from forecasting.gates.rules import NAN, Direction, GateRule


@dataclass(frozen=True)
class ChampionLimit:
    """What the champion asks of what ships.

    float_ratio: MAE of the float model over the champion's. max_ratio: limit for what ships. min_improvement: share of the
    champion's MAE by which what ships must be better; none: no rule.
    """

    float_ratio: float
    max_ratio: float
    min_improvement: float | None = None


@dataclass(frozen=True)
class VariantGateReport:
    """What the gate judges of one variant, on the steps on which the float model was scored.

    mae, rmse, float_mae: unit of the target. coverage, float_coverage: share of actuals inside the outer interval, NaN where
    it was not measured. worst_series_loss: increase of the MAE over the float model's for the series where it is largest,
    NaN where no series has enough steps. extreme_ratio: difference from the float network it was made from in the worst of the
    made-up windows, extreme_windows: which; NaN where it was not measured.
    """

    mae: float
    rmse: float
    float_mae: float
    coverage: float = NAN
    float_coverage: float = NAN
    worst_series_loss: float = NAN
    extreme_ratio: float = NAN
    extreme_windows: str = ""

    @property
    def accuracy_loss(self) -> float:
        """Increase of the MAE over the float model's, as a share of it."""
        return self.mae / self.float_mae - 1 if self.float_mae > 0 else NAN


def compressed_rules(
    variant: str,
    limits: CompressedGateConfig,
    *,
    report: VariantGateReport,
    max_accuracy_loss: float,
    champion: ChampionLimit | None = None,
) -> list[GateRule]:
    """Rules of evaluate_compressed for one variant.

    Args:
        variant: Name of the variant; becomes the role of the results.
        limits: Limits.
        report: What was measured.
        max_accuracy_loss: `compression.max_accuracy_loss`.
        champion: The champion's rule for what ships; none without a scored champion.
    """
    rules = [
        GateRule("max_mae", report.mae, limits.max_mae, role=variant),
        GateRule("max_rmse", report.rmse, limits.max_rmse, role=variant),
        GateRule("max_accuracy_loss", report.accuracy_loss, max_accuracy_loss, role=variant),
    ]
    if limits.max_coverage_change is not None:
        change = abs(report.coverage - report.float_coverage)
        rules.append(GateRule("max_coverage_change", change, limits.max_coverage_change, role=variant))
    if limits.max_worst_series_loss is not None:
        rules.append(
            GateRule("max_worst_series_loss", report.worst_series_loss, limits.max_worst_series_loss, role=variant)
        )
    if limits.max_extreme_ratio is not None:
        reason = f"on made-up windows: {report.extreme_windows}" if report.extreme_windows else ""
        rules.append(
            GateRule("max_extreme_ratio", report.extreme_ratio, limits.max_extreme_ratio, role=variant, reason=reason)
        )
    return rules if champion is None else [*rules, *_champion_rules(variant, report.accuracy_loss, champion)]


def _champion_rules(variant: str, loss: float, champion: ChampionLimit) -> list[GateRule]:
    ratio = champion.float_ratio * (1.0 + loss)
    rules = [GateRule("max_champion_ratio", ratio, champion.max_ratio, role=variant)]
    if champion.min_improvement is not None:
        limit = champion.min_improvement
        rules.append(GateRule("min_champion_improvement", 1 - ratio, limit, Direction.AT_LEAST, role=variant))
    return rules


def serving_rules(
    limits: ServingGateConfig,
    *,
    latency_ms: float,
    difference_ratio: float,
    size_bytes: float = NAN,
    load_s: float = NAN,
) -> list[GateRule]:
    """Rules of validate_serving.

    Args:
        limits: Limits.
        latency_ms: 99th percentile of a single forecast over gRPC, milliseconds.
        difference_ratio: Largest difference between the answers of gRPC, REST and in-process, as a
            share of the mean absolute forecast.
        size_bytes: Of the version directory.
        load_s: From the start of the server to AVAILABLE, seconds.
    """
    rules = [
        GateRule("max_latency_ms", latency_ms, limits.max_latency_ms),
        GateRule("max_difference_ratio", difference_ratio, limits.max_difference_ratio),
    ]
    if limits.max_size_bytes is not None:
        rules.append(GateRule("max_size_bytes", size_bytes, limits.max_size_bytes))
    if limits.max_load_s is not None:
        rules.append(GateRule("max_load_s", load_s, limits.max_load_s))
    return rules
