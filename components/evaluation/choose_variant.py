"""Choose the variant to ship among those that passed, and say why in plain words."""

from dataclasses import dataclass
from typing import Literal

from forecasting.formats import as_number
from forecasting.tournament import VariantRecord

Preference = Literal["accuracy", "size", "latency"]

NOISE_RATIO = 0.1
"""Variants this close to the best count as equal: single-forecast latencies repeat to about a tenth."""


@dataclass(frozen=True)
class ScoredVariantRecord:
    """A variant that may ship, with its accuracy on the backtest. mae: unit of the target."""

    variant: VariantRecord
    mae: float


@dataclass(frozen=True)
class VariantDecision:
    """Name of the variant to ship, and why."""

    name: str
    reason: str


def choose_variant(
    eligible: list[ScoredVariantRecord], *, reference: ScoredVariantRecord, prefer: Preference
) -> VariantDecision:
    """Best variant by what the configuration prefers.

    For size and latency, variants within a tenth of the best count as equal and the more accurate
    one of them ships; for accuracy the MAE alone decides.

    Args:
        eligible: Variants that passed, at least one.
        reference: The float model, with which the choice is compared.
        prefer: accuracy, size or latency.
    """
    if [candidate.variant.name for candidate in eligible] == [reference.variant.name]:
        return VariantDecision(reference.variant.name, "saved_model: no compressed variant passed its gate")
    measured = {"accuracy": _mae, "size": _size, "latency": _latency}[prefer]
    best = min(measured(candidate) for candidate in eligible)
    slack = 1.0 if prefer == "accuracy" else 1.0 + NOISE_RATIO
    close = [candidate for candidate in eligible if measured(candidate) <= best * slack]
    chosen = min(close, key=_mae)
    return VariantDecision(chosen.variant.name, _reason(chosen, reference, prefer=prefer))


def _mae(candidate: ScoredVariantRecord) -> float:
    return candidate.mae


def _size(candidate: ScoredVariantRecord) -> float:
    size = candidate.variant.size_bytes
    return float("inf") if size is None else float(size)


def _latency(candidate: ScoredVariantRecord) -> float:
    latency = candidate.variant.latency_p50_ms
    return float("inf") if latency is None else latency


def _reason(chosen: ScoredVariantRecord, reference: ScoredVariantRecord, *, prefer: Preference) -> str:
    if chosen.variant.name == reference.variant.name:
        return f"saved_model: best {prefer} of the variants that passed"
    change = chosen.mae / reference.mae - 1 if reference.mae else 0.0
    side = "above" if change >= 0 else "below"
    parts = [
        f"MAE {as_number(chosen.mae)}, {abs(change) * 100:.2f} % {side} the float model's {as_number(reference.mae)}"
    ]
    parts += _times(_size(reference), _size(chosen), better="smaller", worse="larger")
    parts += _times(_latency(reference), _latency(chosen), better="faster", worse="slower")
    return f"{chosen.variant.name}: {', '.join(parts)}; best {prefer} of the variants that passed"


def _times(reference: float, value: float, *, better: str, worse: str) -> list[str]:
    if not 0 < value < float("inf") or not 0 < reference < float("inf"):
        return []
    ratio = reference / value
    return [f"{ratio:.1f} × {better}"] if ratio >= 1 else [f"{1 / ratio:.1f} × {worse}"]
