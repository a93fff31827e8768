"""Cases of the alerts: series that just fire one, and series that just do not. promtool judges them.

Times begin at 0. `0 75x*` is a counter that grows once, by 75, so that its increase over any window is 75 from the first minute on;
the star is replaced by as many minutes as a case takes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from forecasting.contracts import metric_names as m
from forecasting.contracts.metric_names import MetricSpec


@dataclass(frozen=True)
class ExpectedSpec:
    """An alert that must come.

    labels: without severity and what else is fixed. value: as its description writes it.
    """

    labels: Mapping[str, str]
    value: str = ""


@dataclass(frozen=True)
class AlertCase:
    """Series, and what must come of them.

    fixed: labels that tell one rule from others of its name. begins_s: when the expression first holds; where nothing is expected, when to
    look is still that and the rule's wait.
    """

    alert: str
    name: str
    series: Mapping[str, str]
    expected: tuple[ExpectedSpec, ...] = ()
    fixed: Mapping[str, str] = field(default_factory=dict)
    begins_s: float = 0


def one(metric: MetricSpec | str, suffix: str = "", **labels: str) -> str:
    """A series as promtool reads it."""
    name = metric if isinstance(metric, str) else metric.exposed
    inner = ",".join(f'{label}="{value}"' for label, value in labels.items())
    return f"{name}{suffix}{{{inner}}}"


def steady(value: float) -> str:
    """A gauge that stays."""
    return f"{value:g}x*"


def once(value: float) -> str:
    """A counter that grows once."""
    return f"0 {value:g}x*"


def growing(value: float) -> str:
    """A counter that grows by a value a minute."""
    return f"0+{value:g}x*"


DEMAND = {"model": "demand"}
CHAMPION = {"model": "demand", "version": "7", "role": "champion", "horizon": "h1"}
PREVIOUS = {**CHAMPION, "role": "previous"}


def points(n: int, **labels: str) -> dict[str, str]:
    """Scored points of the champion."""
    return {one(m.SCORED_POINTS, **{**CHAMPION, **labels}): once(n)}
