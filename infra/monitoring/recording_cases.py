"""Cases of the recording rules: sums whose growth changes once, so that every window gives another ratio.

`0+1x864 867+3x143` grows by 1 each ten minutes for six days, then by 3 for the seventh.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from forecasting.contracts import metric_names as m
from infra.monitoring.recording import (
    BIAS,
    COVERAGE,
    ERRORS,
    LONG_COVERAGE,
    LONG_OUTSIDE,
    LONG_POINTS,
    LONG_SKILL,
    SKILL,
    SLOW,
    WAPE,
    WAPE_BEFORE,
)
from infra.monitoring.rule_cases import CHAMPION, one

_GATEWAY = {"job": "gateway", "model": "demand"}
_ROUTE = {**_GATEWAY, "route": "/v1/forecast"}
_LEVEL = {**CHAMPION, "level": "0.8"}
_YOUNG = {**CHAMPION, "version": "8"}
_RARE = {**CHAMPION, "version": "9"}
_YOUNG_LEVEL = {**_LEVEL, "version": "8"}
_SHADOW = {**CHAMPION, "version": "8", "role": "shadow"}


@dataclass(frozen=True)
class RecordingCase:
    """Series, when to look, and the recorded values to six digits, None where there is to be none; all have the same labels."""

    name: str
    series: Mapping[str, str]
    at: str
    labels: str
    values: Mapping[str, float | None]
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
        "an error of 0.1 until three weeks ago, then of 0.3; a version that is eight weeks old has no past, nor has one of few points",
        {
            one(m.ABSOLUTE_ERROR, **CHAMPION): "0+1x84 87+3x41",
            one(m.ACTUAL_ABSOLUTE, **CHAMPION): "0+10x126",
            one(m.SCORED_POINTS, **CHAMPION): "0+0.3x126",
            one(m.ABSOLUTE_ERROR, **_YOUNG): "_x14 0+1x112",
            one(m.ACTUAL_ABSOLUTE, **_YOUNG): "_x14 0+10x112",
            one(m.SCORED_POINTS, **_YOUNG): "_x14 0+1x112",
            one(m.ABSOLUTE_ERROR, **_RARE): "0+1x126",
            one(m.ACTUAL_ABSOLUTE, **_RARE): "0+10x126",
            one(m.SCORED_POINTS, **_RARE): "0+0.28x126",
            one(m.COMPARED_ABSOLUTE_ERROR, **CHAMPION): "0+1x84 87+3x41",
            one(m.NAIVE_ABSOLUTE_ERROR, **CHAMPION): "0+4x126",
        },
        "63d",
        '{horizon="h1", model="demand", version="7"}',
        {WAPE_BEFORE: 0.1, LONG_SKILL: 0.375},
        "12h",
    ),
    RecordingCase(
        "seven of ten inside for three weeks, all in the fourth; a version that is four days old has no four weeks",
        {
            one(m.INTERVAL_COVERED, **_LEVEL): "0+8x14 119+7x41 416+10x13",
            one(m.INTERVAL_POINTS, **_LEVEL): "0+10x70",
            one(m.INTERVAL_COVERED, **_YOUNG_LEVEL): "_x62 0+1x8",
            one(m.INTERVAL_POINTS, **_YOUNG_LEVEL): "_x62 0+10x8",
        },
        "35d",
        '{level="0.8", model="demand", version="7"}',
        {LONG_COVERAGE: 0.775, LONG_POINTS: 560, LONG_OUTSIDE: 1.125},
        "12h",
    ),
    RecordingCase(
        "a version that is 15 days old is compared with the naive since it began, one of 13 days is not",
        {
            one(m.COMPARED_ABSOLUTE_ERROR, **_YOUNG): "_x40 0+3x30",
            one(m.NAIVE_ABSOLUTE_ERROR, **_YOUNG): "_x40 0+2x30",
            one(m.COMPARED_ABSOLUTE_ERROR, **{**_YOUNG, "version": "9"}): "_x44 0+3x26",
            one(m.NAIVE_ABSOLUTE_ERROR, **{**_YOUNG, "version": "9"}): "_x44 0+2x26",
        },
        "35d",
        '{horizon="h1", model="demand", version="8"}',
        {LONG_SKILL: -0.5},
        "12h",
    ),
    RecordingCase(
        "of 467 values too few should lie outside of the interval of 0.95 to say anything",
        {
            one(m.INTERVAL_COVERED, **{**_LEVEL, "level": "0.95"}): "0x14 0+8x55",
            one(m.INTERVAL_POINTS, **{**_LEVEL, "level": "0.95"}): "0x14 0+8.5x55",
        },
        "35d",
        '{level="0.95", model="demand", version="7"}',
        {LONG_COVERAGE: 0.941176, LONG_POINTS: 467.5, LONG_OUTSIDE: None},
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
