"""What is on a dashboard, without what Grafana needs to draw it."""

from dataclasses import dataclass
from enum import StrEnum

from forecasting.contracts.metric_names import MetricSpec

MODEL = 'model=~"$model"'
RATE = "[$__rate_interval]"


class PanelKind(StrEnum):
    """How a panel is drawn."""

    LINES = "timeseries"
    NUMBER = "stat"


@dataclass(frozen=True)
class TargetSpec:
    """One query. legend: with {{label}} where labels stand."""

    expr: str
    legend: str


@dataclass(frozen=True)
class PanelSpec:
    """One panel.

    unit: Grafana's id. limits: values from which on it is coloured, with the colour; lines are drawn there. floor, ceiling: of the axis.
    """

    title: str
    description: str
    unit: str
    targets: tuple[TargetSpec, ...]
    kind: PanelKind = PanelKind.LINES
    limits: tuple[tuple[float, str], ...] = ()
    floor: float | None = None
    ceiling: float | None = None


@dataclass(frozen=True)
class RowSpec:
    """Panels under a heading."""

    title: str
    panels: tuple[PanelSpec, ...]


@dataclass(frozen=True)
class DashboardSpec:
    """One dashboard. variables: labels that can be chosen beside `model`, with the metric that has their values."""

    uid: str
    title: str
    description: str
    rows: tuple[RowSpec, ...]
    since: str = "now-24h"


def lines(title: str, description: str, unit: str, *targets: tuple[str, str], **further: object) -> PanelSpec:
    """A panel of lines; targets are queries with their legends."""
    return PanelSpec(title, description, unit, tuple(TargetSpec(*one) for one in targets), **further)  # type: ignore[arg-type]


def number(title: str, description: str, unit: str, *targets: tuple[str, str], **further: object) -> PanelSpec:
    """A panel of the last values."""
    return lines(title, description, unit, *targets, kind=PanelKind.NUMBER, **further)


def of(metric: MetricSpec | str, *matchers: str, suffix: str = "") -> str:
    """A selector of the chosen models."""
    name = metric if isinstance(metric, str) else metric.exposed
    return f"{name}{suffix}{{{','.join((MODEL, *matchers))}}}"


def rate(metric: MetricSpec, by: str, *matchers: str, suffix: str = "") -> str:
    """Growth a second, summed by labels."""
    return f"sum by ({by}) (rate({of(metric, *matchers, suffix=suffix)}{RATE}))"


def quantile(q: float, metric: MetricSpec, by: str, *matchers: str) -> str:
    """A quantile of a histogram."""
    return f"histogram_quantile({q:g}, {rate(metric, f'{by}, le', *matchers, suffix='_bucket')})"


def age(metric: MetricSpec, by: str) -> str:
    """Seconds since the latest of the times that a gauge has."""
    return f"time() - max by ({by}) ({of(metric)})"
