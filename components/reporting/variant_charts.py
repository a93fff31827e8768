"""The variants of the tournament: their rows, and error against latency with the size of the file as a bubble."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from components.reporting.chart_spec import ChartSpec, LineKind, LineSpec
from components.reporting.evidence import EvidenceRecord
from forecasting.contracts.steps import StepName
from forecasting.tournament import FLOAT_REFERENCE, VariantRecord, VariantStatus

SHIPPED, FRONT, BEHIND, REFUSED = "ships", "none is faster and better", "another is faster and better", "refused"
_COLOURS = {SHIPPED: "candidate", FRONT: "champion", BEHIND: "naive-1", REFUSED: "actual"}


@dataclass(frozen=True)
class VariantRow:
    """One row of the table. mae: on the backtest, none where it was not scored. loss: over the float model's, as a share."""

    variant: VariantRecord
    mae: float | None
    loss: float | None
    coverage: float | None
    outcome: str
    shipped: bool


@dataclass(frozen=True)
class VariantPoint:
    """One variant in the plane of latency and error, and what is said of it there."""

    name: str
    latency_ms: float
    mae: float
    size_bytes: int
    group: str


def variant_rows(evidence: EvidenceRecord) -> list[VariantRow]:
    """A row for every variant, in the order of the tournament."""
    outcomes: Mapping[str, str] = (evidence.compressed_report or {}).get("outcomes", {})
    models = evidence.compressed.models if evidence.compressed else {}
    reference = models[FLOAT_REFERENCE].overall["mae"] if FLOAT_REFERENCE in models else 0.0
    rows = []
    for variant in evidence.variants:
        overall = models[variant.name].overall if variant.name in models else None
        mae = overall["mae"] if overall else None
        failed = f"{variant.status.value.replace('_', ' ')}: {variant.reason}"
        rows.append(
            VariantRow(
                variant,
                mae=mae,
                loss=mae / reference - 1 if mae is not None and reference > 0 else None,
                coverage=overall["coverage"] if overall else None,
                outcome=outcomes.get(variant.name) or ("" if variant.status is VariantStatus.BUILT else failed),
                shipped=variant.name == _chosen(evidence),
            )
        )
    return rows


def variant_points(evidence: EvidenceRecord) -> list[VariantPoint]:
    """The variants whose error and latency are known, the fastest first."""
    known = [
        (latency, mae, row)
        for row in variant_rows(evidence)
        if (mae := row.mae) is not None and (latency := row.variant.latency_p50_ms) is not None
    ]
    points: list[VariantPoint] = []
    for latency, mae, row in sorted(known, key=lambda found: found[:2]):
        if row.shipped:
            group = SHIPPED
        elif row.outcome not in ("", "passed"):
            group = REFUSED
        else:
            # Faster ones come before it, so that it is behind where one of them errs no more; what was refused beats nothing.
            group = BEHIND if any(point.mae <= mae and point.group != REFUSED for point in points) else FRONT
        points.append(VariantPoint(row.variant.name, latency, mae, row.variant.size_bytes or 0, group))
    return points


def pareto_spec(evidence: EvidenceRecord) -> ChartSpec | None:
    """Error against latency, the area of a bubble is the size of the file; none where fewer than two variants were scored."""
    points = variant_points(evidence)
    if len(points) < 2 or evidence.compressed is None:
        return None
    groups = [group for group in _COLOURS if any(point.group == group for point in points)]
    return ChartSpec(
        id="pareto",
        title="Error and latency of the variants; the area is the size of the file",
        label="mean absolute error of each variant against the latency of one forecast, with its size",
        x=tuple(point.latency_ms for point in points),
        lines=tuple(
            LineSpec(
                group,
                _COLOURS[group],
                tuple(point.mae if point.group == group else None for point in points),
                LineKind.BUBBLES,
                sizes=tuple(float(point.size_bytes) for point in points),
                labels=tuple(point.name for point in points),
            )
            for group in groups
        ),
        x_label="ms for one forecast",
        y_label=f"mean absolute error ({evidence.compressed.unit})",
        wide=True,
    )


def variant_table(evidence: EvidenceRecord) -> dict[str, Any]:
    """Every variant as trackers show tables: columns, and rows of values."""
    columns = [
        "variant", "status", "shipped", "mae", "accuracy_loss", "coverage", "latency_p50_ms", "latency_p99_ms", "forecasts_per_s",
        "forecasts_per_s_32", "forecasts_per_s_256", "load_s", "peak_memory_bytes", "size_bytes", "compressed_bytes",
        "parity_mean_ratio", "parity_max_ratio", "parity_window_ratio", "extreme_ratio", "extreme_windows", "sparsity", "n_parameters", "build_s", "outcome",
    ]  # fmt: skip
    rows = []
    for row in variant_rows(evidence):
        own = {
            "variant": row.variant.name,
            "status": row.variant.status.value,
            "shipped": row.shipped,
            "mae": row.mae,
            "accuracy_loss": row.loss,
            "coverage": row.coverage,
            "outcome": row.outcome,
        }
        rows.append([own[name] if name in own else getattr(row.variant, name) for name in columns])
    return {"columns": columns, "data": rows}


def _chosen(evidence: EvidenceRecord) -> str | None:
    decision = evidence.decisions.get(StepName.EVALUATE_COMPRESSED)
    return decision.variant if decision else None
