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


def compressed_rules(
    variant: str,
    limits: CompressedGateConfig,
    *,
    mae: float,
    rmse: float,
    float_mae: float,
    champion: ChampionLimit | None = None,
) -> list[GateRule]:
    """Rules of evaluate_compressed for one variant.

    Args:
        variant: Name of the variant; becomes the role of the results.
        limits: Limits.
        mae: Mean absolute error of the variant, unit of the target.
        rmse: Root mean squared error of the variant.
        float_mae: Mean absolute error of the float model on the same steps.
        champion: The champion's rule for what ships; none without a scored champion.
    """
    increase = mae / float_mae - 1 if float_mae > 0 else NAN
    rules = [
        GateRule("max_mae", mae, limits.max_mae, role=variant),
        GateRule("max_rmse", rmse, limits.max_rmse, role=variant),
        GateRule("max_mae_increase_ratio", increase, limits.max_mae_increase_ratio, role=variant),
    ]
    if champion is not None:
        ratio = champion.float_ratio * (1.0 + increase)
        rules.append(GateRule("max_champion_ratio", ratio, champion.max_ratio, role=variant))
        if champion.min_improvement is not None:
            rules.append(
                GateRule(
                    "min_champion_improvement", 1 - ratio, champion.min_improvement, Direction.AT_LEAST, role=variant
                )
            )
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
