"""Cases of the recording rules: sums whose growth changes once, so that every window gives another ratio.

`0+1x864 867+3x143` grows by 1 each ten minutes for six days, then by 3 for the seventh.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from forecasting.contracts import metric_names as m
from infra.monitoring.recording import BIAS, COVERAGE, ERRORS, LONG_SKILL, SKILL, SLOW, WAPE, WAPE_BEFORE
from infra.monitoring.rule_cases import CHAMPION, one

_GATEWAY = {"job": "gateway", "model": "demand"}
_ROUTE = {**_GATEWAY, "route": "/v1/forecast"}
_LEVEL = {**CHAMPION, "level": "0.8"}
_YOUNG = {**CHAMPION, "version": "8"}
_SHADOW = {**CHAMPION, "version": "8", "role": "shadow"}


@dataclass(frozen=True)
class RecordingCase:
    """Series, when to look, and the recorded values to six digits; all have the same labels."""

    name: str
    series: Mapping[str, str]
    at: str
    labels: str
    values: Mapping[str, float]
    interval: str = "1m"


RECORDING_CASES = (
    RecordingCase(
        "1 of 100 forecast requests failed in the last two hours of three days",
        {
            one(m.REQUESTS, code="200", **_ROUTE): "0+99x4320",
            one(m.REQUESTS, code="503", **_ROUTE): "0x4200 1+1x119",
            one(m.REQUESTS, code="500", **{**_ROUTE, "route": "/v1/series"}): "0+1000x4320",
        },
        "3d",
        '{job="gateway", model="demand"}',
        {f"{ERRORS}{window}": 0.01 for window in ("5m", "30m", "1h", "2h")}
        | {f"{ERRORS}6h": 0.003356, f"{ERRORS}1d": 0.000841, f"{ERRORS}3d": 0.000281},
    ),
    RecordingCase(
        "no forecast request ever failed",
        {one(m.REQUESTS, code="200", **_ROUTE): "0+99x4320"},
        "3d",
        '{job="gateway", model="demand"}',
        {f"{ERRORS}5m": 0, f"{ERRORS}3d": 0},
    ),
    RecordingCase(
        "10 of 100 were slow in the last two hours of three days",
        {
            one(m.REQUEST_DURATION, "_bucket", le="0.25", **_ROUTE): "0+100x4200 420090+90x119",
            one(m.REQUEST_DURATION, "_bucket", le="0.5", **_ROUTE): "0+100x4320",
            one(m.REQUEST_DURATION, "_count", **_ROUTE): "0+100x4320",
        },
        "3d",
        '{job="gateway", model="demand"}',
        {f"{SLOW}{window}": 0.1 for window in ("5m", "30m", "1h", "2h")}
        | {f"{SLOW}6h": 0.033333, f"{SLOW}1d": 0.008333, f"{SLOW}3d": 0.002778},
    ),
    RecordingCase(
        "the error grew on the seventh day; what a shadow got wrong does not count",
        {
            one(m.ABSOLUTE_ERROR, **CHAMPION): "0+1x864 867+3x143",
            one(m.ABSOLUTE_ERROR, **_SHADOW): "0+100x1008",
            one(m.ACTUAL_ABSOLUTE, **CHAMPION): "0+10x1008",
            one(m.OVER_ERROR, **CHAMPION): "0+2x1008",
            one(m.UNDER_ERROR, **CHAMPION): "0+1x864 864x143",
            one(m.COMPARED_ABSOLUTE_ERROR, **CHAMPION): "0+1x1008",
            one(m.NAIVE_ABSOLUTE_ERROR, **CHAMPION): "0+2x864 1732+4x143",
        },
        "7d",
        '{horizon="h1", model="demand"}',
        {
            f"{WAPE}1d": 0.3, f"{WAPE}7d": 0.128571, f"{BIAS}1d": 0.2, f"{BIAS}7d": 0.114286,
            f"{SKILL}1d": 0.75, f"{SKILL}7d": 0.5625,
        },
        "10m",
    ),
    RecordingCase(
        "an error of 0.1 for eight weeks, then of 0.3 for one; a version that is four days old has no past of weeks",
        {
            one(m.ABSOLUTE_ERROR, **CHAMPION): "0+1x112 115+3x13",
            one(m.ACTUAL_ABSOLUTE, **CHAMPION): "0+10x126",
            one(m.ABSOLUTE_ERROR, **_YOUNG): "_x118 0+1x8",
            one(m.ACTUAL_ABSOLUTE, **_YOUNG): "_x118 0+10x8",
            one(m.COMPARED_ABSOLUTE_ERROR, **CHAMPION): "0+1x112 115+3x13",
            one(m.NAIVE_ABSOLUTE_ERROR, **CHAMPION): "0+2x126",
        },
        "63d",
        '{horizon="h1", model="demand", version="7"}',
        {WAPE_BEFORE: 0.1, LONG_SKILL: 0.25},
        "12h",
    ),
    RecordingCase(
        "the coverage fell on the seventh day",
        {
            one(m.INTERVAL_COVERED, **_LEVEL): "0+8x864 6917+5x143",
            one(m.INTERVAL_POINTS, **_LEVEL): "0+10x1008",
        },
        "7d",
        '{level="0.8", model="demand"}',
        {f"{COVERAGE}1d": 0.5, f"{COVERAGE}7d": 0.757143},
        "10m",
    ),
)  # fmt: skip
