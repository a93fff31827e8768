"""Choose the variant to ship among those that passed, and say why in plain words."""

from dataclasses import dataclass
from typing import Literal

from forecasting.formats import as_number
from forecasting.tournament import VariantRecord

Preference = Literal["accuracy", "size", "latency"]

NOISE_RATIO = 0.1
"""Variants this close to the best count as equal: single-forecast latencies repeat to about a tenth."""
ACCURACY_NOISE_RATIO = 0.001
"""Errors this close, as a share of the float model's, count as equal: so little on one backtest says nothing of the next."""
NAMED_EXTREME_RATIO = 0.2
"""A difference on made-up windows from which on what ships names it."""


@dataclass(frozen=True)
class ScoredVariantRecord:
    """A variant that may ship, with its accuracy on the backtest that the gates judge. mae: unit of the target."""

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

    For size and latency, variants within a tenth of the best count as equal. Of those, the ones with the lowest error on the backtest,
    to a thousandth, are left, and the smallest or fastest of them ships; for accuracy the MAE alone decides. The error is the one
    that the gates judge; a choice among many by it makes it look better than it will be.

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
    least = min(_mae(candidate) for candidate in close) + ACCURACY_NOISE_RATIO * reference.mae
    chosen = min((candidate for candidate in close if _mae(candidate) <= least), key=measured)
    others = [candidate.variant.name for candidate in close if candidate is not chosen]
    return VariantDecision(chosen.variant.name, _reason(chosen, reference, prefer=prefer, others=others))


def _mae(candidate: ScoredVariantRecord) -> float:
    return candidate.mae


def _size(candidate: ScoredVariantRecord) -> float:
    size = candidate.variant.size_bytes
    return float("inf") if size is None else float(size)


def _latency(candidate: ScoredVariantRecord) -> float:
    latency = candidate.variant.latency_p50_ms
    return float("inf") if latency is None else latency


def _reason(
    chosen: ScoredVariantRecord, reference: ScoredVariantRecord, *, prefer: Preference, others: list[str]
) -> str:
    why = f"best {prefer} of the variants that passed"
    if others:
        why += f", to {NOISE_RATIO:.0%} with {', '.join(others)}, and among these by the error on the backtest"
    if chosen.variant.name == reference.variant.name:
        return f"saved_model: {why}"
    change = chosen.mae / reference.mae - 1 if reference.mae else 0.0
    side = "above" if change >= 0 else "below"
    parts = [
        f"MAE {as_number(chosen.mae)}, {abs(change) * 100:.2f} % {side} the float model's {as_number(reference.mae)}"
    ]
    parts += _times(_size(reference), _size(chosen), better="smaller", worse="larger")
    parts += _times(_latency(reference), _latency(chosen), better="faster", worse="slower")
    return f"{chosen.variant.name}: {', '.join(parts)}; {why}{_caution(chosen.variant)}"


def _caution(variant: VariantRecord) -> str:
    """Where what ships is not to be trusted."""
    ratio = variant.extreme_ratio
    if ratio is None or ratio <= NAMED_EXTREME_RATIO:
        return ""
    return f"; off by up to {ratio:.0%} of the float network's forecast on made-up windows ({variant.extreme_windows})"


def _times(reference: float, value: float, *, better: str, worse: str) -> list[str]:
    if not 0 < value < float("inf") or not 0 < reference < float("inf"):
        return []
    ratio = reference / value
    return [f"{ratio:.1f} × {better}"] if ratio >= 1 else [f"{1 / ratio:.1f} × {worse}"]
