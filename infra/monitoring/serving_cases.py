"""Cases of the alerts of the service."""

from forecasting.contracts import metric_names as m
from infra.monitoring import tensorflow_names as tf
from infra.monitoring.recording import ERRORS, SLOW
from infra.monitoring.rule_cases import AlertCase, ExpectedSpec, growing, once, one, steady

_AT_GATEWAY = {"job": "gateway", "model": "demand"}
_AT_SERVER = {"job": "model-server", "model_name": "demand"}


def serving_cases() -> tuple[AlertCase, ...]:
    """Every alert of the service, just above and just below its limit."""
    errors, slow = "ForecastErrorBudgetBurn", "ForecastLatencyBudgetBurn"
    return (
        *_burn(errors, ERRORS, "1h", "5m", over=0.0146, under=0.0142, value="1.46%", n=75, few=70),
        *_burn(errors, ERRORS, "6h", "30m", over=0.0061, under=0.0059, value="0.61%", n=440, few=425),
        *_burn(errors, ERRORS, "1d", "2h", over=0.0031, under=0.0029, value="0.31%", n=1_760, few=1_700),
        *_burn(errors, ERRORS, "3d", "6h", over=0.00102, under=0.00098, value="0.102%", n=5_250, few=5_100),
        *_burn(slow, SLOW, "1h", "5m", over=0.146, under=0.142, value="14.6%", n=75, few=70),
        *_burn(slow, SLOW, "6h", "30m", over=0.061, under=0.059, value="6.1%", n=440, few=425),
        *_burn(slow, SLOW, "1d", "2h", over=0.031, under=0.029, value="3.1%", n=1_760, few=1_700),
        *_burn(slow, SLOW, "3d", "6h", over=0.0102, under=0.0098, value="1.02%", n=5_250, few=5_100),
        *_down(),
        *_monitor_down(),
        *_fallback(),
        *_load_failing(),
        *_invalid(),
        *_server(),
        *_skew(),
    )


def _burn(
    alert: str, record: str, long: str, short: str, *, over: float, under: float, value: str, n: int, few: int
) -> list[AlertCase]:
    fixed, requests = {"long": long, "short": short}, one(m.REQUESTS, route="/v1/forecast", code="200", **_AT_GATEWAY)

    def series(long_ratio: float, short_ratio: float, requested: int) -> dict[str, str]:
        ratios = {
            one(f"{record}{long}", **_AT_GATEWAY): steady(long_ratio),
            one(f"{record}{short}", **_AT_GATEWAY): steady(short_ratio),
        }
        return {**ratios, requests: once(requested)}

    fires = (ExpectedSpec(_AT_GATEWAY, value),)
    name = f"{alert} over {long}"
    return [
        AlertCase(alert, f"{name} fires", series(over, over, n), fires, fixed, 60),
        AlertCase(alert, f"{name}, the long window just below", series(under, over, n), (), fixed, 60),
        AlertCase(alert, f"{name}, over since long ago but not any more", series(over, under, n), (), fixed, 60),
        AlertCase(alert, f"{name}, too few requests", series(over, over, few), (), fixed, 60),
    ]


def _down() -> list[AlertCase]:
    name = "ForecastServingDown"
    gateway, server = ({"job": job, "instance": f"{job}:80"} for job in ("gateway", "model-server"))
    up, down = steady(1), steady(0)
    return [
        AlertCase(
            name, "the gateway is down", {one("up", **gateway): down, one("up", **server): up}, (ExpectedSpec(gateway),)
        ),
        AlertCase(
            name,
            "the model server is down",
            {one("up", **gateway): up, one("up", **server): down},
            (ExpectedSpec(server),),
        ),
        AlertCase(name, "no gateway is known", {one("up", **server): up}, (ExpectedSpec({"job": "gateway"}),)),
        AlertCase(
            name, "no model server is known", {one("up", **gateway): up}, (ExpectedSpec({"job": "model-server"}),)
        ),
        AlertCase(name, "both are up", {one("up", **gateway): up, one("up", **server): up}),
    ]


def _monitor_down() -> list[AlertCase]:
    name, first, second = (
        "ForecastMonitorDown",
        one("up", job="monitor", instance="a:80"),
        one("up", job="monitor", instance="b:80"),
    )
    expected = (ExpectedSpec({"job": "monitor"}),)
    return [
        AlertCase(name, "the monitor is down", {first: steady(0)}, expected),
        AlertCase(name, "no monitor is known", {one("up", job="gateway"): steady(1)}, expected),
        AlertCase(name, "one of two monitors is up", {first: steady(0), second: steady(1)}),
    ]


def _fallback() -> list[AlertCase]:
    name, every = "ForecastAnsweredByFallback", {one(m.REQUEST_SERIES, "_sum", **_AT_GATEWAY): growing(1_000)}
    away, own = (one(m.DEGRADED, cause=cause, **_AT_GATEWAY) for cause in ("model_server", "quarantine"))
    return [
        AlertCase(
            name, "51 of 1,000 series", {**every, away: growing(51)}, (ExpectedSpec(_AT_GATEWAY, "5.1%"),), {}, 60
        ),
        AlertCase(name, "49 of 1,000 series", {**every, away: growing(49)}, (), {}, 60),
        AlertCase(name, "series in quarantine are no fault of the model", {**every, own: growing(500)}, (), {}, 60),
    ]


def _load_failing() -> list[AlertCase]:
    name, failures = "ForecastModelLoadFailing", one(m.MODEL_LOAD_FAILURES, reason="artifact", **_AT_GATEWAY)
    path = {"job": "model-server", "model_path": "/models/demand/8"}
    failed, loaded = (one(tf.LOAD_ATTEMPTS, status=status, **path) for status in ("fail", "success"))
    return [
        AlertCase(
            name, "the gateway could not read a version", {failures: once(1)}, (ExpectedSpec(_AT_GATEWAY, "1"),), {}, 60
        ),
        AlertCase(name, "the server could not load a version", {failed: once(1)}, (ExpectedSpec(path, "1"),), {}, 60),
        AlertCase(
            name,
            "a failure of long ago and a load",
            {failures: steady(1), failed: steady(1), loaded: once(1)},
            (),
            {},
            60,
        ),
    ]


def _invalid() -> list[AlertCase]:
    labels = {**_AT_GATEWAY, "reason": "nan"}
    series = one(m.INVALID_PREDICTIONS, **labels)
    name = "ForecastInvalidPredictions"
    return [
        AlertCase(name, "one answer that is not finite", {series: once(1)}, (ExpectedSpec(labels, "1"),), {}, 60),
        AlertCase(name, "answers of long ago that were not finite", {series: steady(3)}, (), {}, 60),
    ]


def _server() -> list[AlertCase]:
    errors, slow = "TensorFlowServingErrors", "TensorFlowServingSlow"

    def answered(status: str, n: int) -> dict[str, str]:
        ok = {one(tf.REQUEST_COUNT, status="OK", **_AT_SERVER): growing(1_000 - n)}
        return {**ok, one(tf.REQUEST_COUNT, status=status, **_AT_SERVER): growing(n)}

    def latencies(n_under: int) -> dict[str, str]:
        counts = {"200000": n_under, "300000": 1_000, "+Inf": 1_000}
        return {one(tf.REQUEST_LATENCY, "_bucket", le=le, **_AT_SERVER): growing(n) for le, n in counts.items()}

    return [
        AlertCase(
            errors, "51 of 1,000 requests", answered("INTERNAL", 51), (ExpectedSpec(_AT_SERVER, "5.1%"),), {}, 60
        ),
        AlertCase(errors, "49 of 1,000 requests", answered("INTERNAL", 49), (), {}, 60),
        AlertCase(errors, "requests that were wrong", answered("INVALID_ARGUMENT", 500), (), {}, 60),
        AlertCase(slow, "252 ms", latencies(979), (ExpectedSpec(_AT_SERVER, "252.4ms"),), {}, 60),
        AlertCase(slow, "247 ms", latencies(981), (), {}, 60),
    ]


def _skew() -> list[AlertCase]:
    def versions(first: int, second: int) -> dict[str, str]:
        found = {
            one(m.MODEL_VERSION, role="champion", instance=name, **_AT_GATEWAY): value
            for name, value in (("a", first), ("b", second))
        }
        return {series: steady(value) for series, value in found.items()} | {
            one(m.MODEL_VERSION, role="previous", instance="a", **_AT_GATEWAY): steady(6)
        }

    name = "ForecastModelVersionSkew"
    return [
        AlertCase(name, "one gateway is behind", versions(7, 8), (ExpectedSpec(_AT_GATEWAY, "1"),)),
        AlertCase(name, "both serve the same", versions(8, 8)),
    ]
