"""Rows of the tables about accuracy: slices, intervals, importance of columns, candidate and champion."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from components.reporting.charts import model_label
from forecasting.backtest.slices import COLD_START, HOLIDAY, HOURS, LAST_FOLD, RECENT_FOLDS, WEEKDAYS
from forecasting.backtest.summary import BacktestReport, better_naive
from forecasting.metrics.definition import MetricDirection
from forecasting.metrics.registry import BIAS, MAE, MASE, RMSE, SMAPE, WAPE, WQL

_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
           "December")  # fmt: skip
_WORDS = {
    COLD_START: "Series with little history",
    HOLIDAY: "Public holidays",
    LAST_FOLD: "The last origin",
    RECENT_FOLDS: "The last quarter of the origins",
}
_COMPARED = (MAE, RMSE, BIAS, WAPE, SMAPE, MASE, WQL)


@dataclass(frozen=True)
class SliceRecord:
    """One part of the test period. naive, champion: MAE on it, none where there is none. ratio: MAE over the naive's."""

    label: str
    n_points: int
    mae: float
    naive: float | None
    champion: float | None
    ratio: float | None
    bias: float
    coverage: float


@dataclass(frozen=True)
class IntervalRecord:
    """One interval of one model. share: nominal. coverage: observed."""

    model: str
    share: float
    coverage: float
    width: float
    winkler: float


@dataclass(frozen=True)
class ImportanceRecord:
    """One column. width: of its bar, percent of the most important one's."""

    name: str
    role: str
    mae: float
    mae_std: float
    increase_ratio: float | None
    width: float


@dataclass(frozen=True)
class MetricRecord:
    """One metric of candidate and champion. change: candidate over champion, less 1. tone: good, bad or none."""

    name: str
    is_ratio: bool
    candidate: float
    champion: float
    change: float | None
    tone: str


_ROLE_WORDS = {
    "target": "history of the target",
    "observed": "covariate, observed",
    "known": "covariate, known ahead",
    "static": "of the series",
    "calendar": "time, holidays",
}


def slice_records(report: BacktestReport) -> list[SliceRecord]:
    """Parts of the test period that no chart shows: horizon buckets, months, holidays, new series, recent origins."""
    candidate = report.models.get("candidate")
    if candidate is None:
        return []
    others = {name: model.slices for name, model in report.models.items()}
    naive = others[better_naive(report.models)]
    champion: Mapping[str, Mapping[str, float]] = others.get("champion", {})
    drawn = {*HOURS, *WEEKDAYS}
    return [
        SliceRecord(
            label=slice_label(name),
            n_points=int(scores["n_points"]),
            mae=scores["mae"],
            naive=naive.get(name, {}).get("mae"),
            champion=champion.get(name, {}).get("mae"),
            ratio=_over(scores["mae"], naive.get(name, {}).get("mae")),
            bias=scores["bias"],
            coverage=scores["coverage"],
        )
        for name, scores in sorted(candidate.slices.items(), key=lambda found: _rank(found[0]))
        if name not in drawn
    ]


def slice_label(name: str) -> str:
    """Name of a slice for a person."""
    if found := re.fullmatch(r"steps_(\d+)_(\d+)", name):
        low, high = (int(number) for number in found.groups())
        return f"Step {low} of the horizon" if low == high else f"Steps {low} to {high} of the horizon"
    if found := re.fullmatch(r"months_(\d\d)_(\d\d)", name):
        first, last = (_MONTHS[int(number) - 1] for number in found.groups())
        return f"{first} to {last}"
    if found := re.fullmatch(r"fold_(\d+)", name):
        return f"Fold {int(found.group(1))}"
    return _WORDS.get(name, name.replace("_", " "))


def interval_records(report: BacktestReport) -> list[IntervalRecord]:
    """Every interval of candidate and champion, the narrowest first."""
    return [
        IntervalRecord(model_label(name), float(share), scores["coverage"], scores["interval_width"], scores["winkler"])
        for name in ("candidate", "champion")
        if name in report.models
        for share, scores in sorted(report.models[name].intervals.items(), key=lambda found: float(found[0]))
    ]


def importance_records(importance: Mapping[str, Any]) -> list[ImportanceRecord]:
    """Columns in the order of the file, the most important first."""
    columns = importance["columns"]
    longest = max((column["increase_ratio"] or 0.0 for column in columns), default=0.0)
    return [
        ImportanceRecord(
            name=column["name"],
            role=_ROLE_WORDS.get(column["role"], column["role"]),
            mae=column["mae"],
            mae_std=column["mae_std"],
            increase_ratio=column["increase_ratio"],
            width=100 * max(0.0, column["increase_ratio"] or 0.0) / longest if longest > 0 else 0.0,
        )
        for column in columns
    ]


def compared_metrics(report: BacktestReport) -> list[MetricRecord]:
    """Headline metrics of candidate and champion; empty without a champion."""
    if not {"candidate", "champion"} <= set(report.models):
        return []
    candidate, champion = (report.models[name].overall for name in ("candidate", "champion"))
    records = []
    for metric in _COMPARED:
        own, other = candidate[metric.name], champion[metric.name]
        sized = (abs(own), abs(other)) if metric.direction is MetricDirection.ZERO else (own, other)
        change = _over(*sized)
        tone = "" if change is None or change == 1 else "good" if change < 1 else "bad"
        records.append(
            MetricRecord(
                metric.title.capitalize() if metric.title.islower() else metric.title,
                metric in (WAPE, SMAPE),
                own,
                other,
                None if change is None else change - 1,
                tone,
            )
        )
    return records


def _over(value: float, other: float | None) -> float | None:
    return value / other if other else None


def _rank(name: str) -> tuple[int, str]:
    starts = ("steps_", "months_", HOLIDAY, COLD_START, RECENT_FOLDS, LAST_FOLD)
    return next((i for i, start in enumerate(starts) if name.startswith(start)), len(starts)), name
