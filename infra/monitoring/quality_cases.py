"""Cases of the alerts of forecasts, data and the pipeline."""

from forecasting.contracts import metric_names as m
from infra.monitoring.recording import BIAS, LONG_OUTSIDE, LONG_SKILL, WAPE_BEFORE
from infra.monitoring.rule_cases import CHAMPION, DEMAND, PREVIOUS, AlertCase, ExpectedSpec, once, one, points, steady

_BUCKET = {"model": "demand", "horizon": "h1"}


def quality_cases() -> tuple[AlertCase, ...]:
    """Every alert of forecasts, data and the pipeline, just above and just below its limit."""
    return (
        *_worse_than_naive(), *_degraded(), *_biased(), *_miscalibrated(),
        *_data(), *_drift(), *_actuals(), *_model(), *_runs(), *_requests(), *_worker(), *_monitor(),
        AlertCase("Watchdog", "always", {}, (ExpectedSpec({}),)),
    )  # fmt: skip


def _worse_than_naive() -> list[AlertCase]:
    name, labels = "ForecastWorseThanNaive", {**_BUCKET, "version": "7"}

    def series(skill: float, promised: str = one(m.BACKTEST_WAPE, **CHAMPION)) -> dict[str, str]:
        return {one(LONG_SKILL, **labels): steady(skill), promised: steady(0.1)}

    new = {**CHAMPION, "version": "8"}
    promoted = {
        **series(-4, one(m.BACKTEST_WAPE, **PREVIOUS)), **points(25), one(m.BACKTEST_WAPE, **new): steady(0.1),
        one(LONG_SKILL, **{**labels, "version": "8"}): steady(0.1), **points(25, version="8"),
    }  # fmt: skip
    return [
        AlertCase(name, "a skill of -1 %", {**series(-0.01), **points(25)}, (ExpectedSpec(labels, "-1%"),), {}, 60),
        AlertCase(name, "a skill of 0", {**series(0), **points(25)}, (), {}, 60),
        AlertCase(name, "too few points to say", {**series(-0.01), **points(23)}, (), {}, 60),
        AlertCase(name, "points of a shadow do not count", {**series(-0.01), **points(25, role="shadow")}, (), {}, 60),
        AlertCase(name, "the champion is good, its predecessor was not", promoted, (), {}, 60),
    ]


def _degraded() -> list[AlertCase]:
    name, labels = "ForecastAccuracyDegraded", {**_BUCKET, "version": "7"}

    def series(error: float, n: int = 25, promised: str = one(m.BACKTEST_WAPE, **CHAMPION)) -> dict[str, str]:
        live = {one(m.ABSOLUTE_ERROR, **CHAMPION): once(error), one(m.ACTUAL_ABSOLUTE, **CHAMPION): once(1_000)}
        return {**live, promised: steady(0.1), **points(n)}

    def before(wape: float) -> dict[str, str]:
        return {one(WAPE_BEFORE, **labels): steady(wape)}

    return [
        AlertCase(name, "2.02 times the error of the backtest", series(202), (ExpectedSpec(labels, "2.02"),), {}, 60),
        AlertCase(name, "1.98 times", series(198), (), {}, 60),
        AlertCase(name, "too few points to say", series(202, 23), (), {}, 60),
        AlertCase(
            name, "2.5 times its error before", {**series(150), **before(0.06)}, (ExpectedSpec(labels, "2.5"),), {}, 60
        ),
        AlertCase(name, "its error was as high before", {**series(300), **before(0.2)}, (), {}, 60),
        AlertCase(name, "its error was higher yet before", {**series(398), **before(0.5)}, (), {}, 60),
        AlertCase(
            name,
            "4.04 times the error of the backtest for months",
            {**series(404), **before(0.404)},
            (ExpectedSpec(labels, "2.02"),),
            {},
            60,
        ),
        AlertCase(
            name,
            "a version that is champion no more",
            {**series(202, 25, one(m.BACKTEST_WAPE, **PREVIOUS)), **before(0.1)},
            (),
            {},
            60,
        ),
    ]


def _biased() -> list[AlertCase]:
    name, record = "ForecastBiased", one(f"{BIAS}7d", **_BUCKET)
    above, below = (ExpectedSpec(_BUCKET, "10.2%"),), ()
    return [
        AlertCase(name, "too high", {record: steady(0.102), **points(25)}, above, {}, 60),
        AlertCase(name, "too low", {record: steady(-0.102), **points(25)}, above, {}, 60),
        AlertCase(name, "just not too high", {record: steady(0.098), **points(25)}, below, {}, 60),
        AlertCase(name, "just not too low", {record: steady(-0.098), **points(25)}, below, {}, 60),
        AlertCase(name, "too few points to say", {record: steady(0.102), **points(23)}, below, {}, 60),
    ]


def _miscalibrated() -> list[AlertCase]:
    name, labels = "ForecastIntervalMiscalibrated", {"model": "demand", "version": "7", "level": "0.8"}

    def series(times: float, promised: str = one(m.BACKTEST_WAPE, **CHAMPION)) -> dict[str, str]:
        return {one(LONG_OUTSIDE, **labels): steady(times), promised: steady(0.1)}

    return [
        AlertCase(name, "intervals too narrow", series(1.52), (ExpectedSpec(labels, "1.52"),)),
        AlertCase(name, "intervals too wide", series(0.18), (ExpectedSpec(labels, "0.18"),)),
        AlertCase(name, "just not too narrow", series(1.48)),
        AlertCase(name, "just not too wide", series(0.21)),
        AlertCase(name, "a version that is champion no more", series(2, one(m.BACKTEST_WAPE, **PREVIOUS))),
    ]


def _data() -> list[AlertCase]:
    stale, refused = "ForecastDataStale", "ForecastDataRejected"
    table, observed = (one(m.DATA_LAST, source=source, **DEMAND) for source in ("table", "observations"))
    hourly, daily = ({one(m.DATA_STEP, **DEMAND): steady(step_s)} for step_s in (3_600, 86_400))

    def counted(n: int) -> dict[str, str]:
        found = {"quarantined": n, "accepted": 1_000 - n}
        return {one(m.PIPELINE_SERIES, status=status, **DEMAND): steady(value) for status, value in found.items()}

    # 10 minutes are waited: the age at the end is 600 s more than at the beginning.
    return [
        AlertCase(
            stale,
            "the next hour ended 3 h and 100 s ago",
            {table: steady(-18_100), observed: steady(-18_100), **hourly},
            (ExpectedSpec(DEMAND, "3h 11m 40s"),),
        ),
        AlertCase(stale, "the next hour ended 3 h ago to the second", {observed: steady(-17_400), **hourly}),
        AlertCase(
            stale,
            "the next day ended 3 h and 100 s ago",
            {observed: steady(-183_700), **daily},
            (ExpectedSpec(DEMAND, "3h 11m 40s"),),
        ),
        AlertCase(stale, "the next day ended 3 h ago to the second", {observed: steady(-183_000), **daily}),
        AlertCase(
            stale, "the table is old, observations come", {table: steady(-900_000), observed: steady(0), **hourly}
        ),
        AlertCase(refused, "51 of 1,000 series", counted(51), (ExpectedSpec(DEMAND, "5.1%"),)),
        AlertCase(refused, "49 of 1,000 series", counted(49)),
    ]


def _drift() -> list[AlertCase]:
    name, labels = "ForecastFeatureDrift", {**DEMAND, "feature": "temperature"}
    season, training = (one(m.DRIFT_PSI, reference=reference, **labels) for reference in ("season", "training"))
    fires = (ExpectedSpec(labels, "0.255"),)
    return [
        AlertCase(name, "differs from the same season", {season: steady(0.255), training: steady(0.1)}, fires),
        AlertCase(name, "differs from the training, no season known", {training: steady(0.255)}, fires),
        AlertCase(name, "just not", {season: steady(0.245)}),
        AlertCase(
            name, "differs from the training, not from the same season", {season: steady(0.1), training: steady(0.9)}
        ),
    ]


def _actuals() -> list[AlertCase]:
    name, series, step = "ForecastActualsMissing", one(m.LAST_SCORED, **DEMAND), one(m.DATA_STEP, **DEMAND)
    fires = (ExpectedSpec(DEMAND, "12h 11m 40s"),)
    return [
        AlertCase(
            name, "the next hour ended 12 h and 100 s ago", {series: steady(-50_500), step: steady(3_600)}, fires
        ),
        AlertCase(name, "the next hour ended 12 h ago to the second", {series: steady(-49_800), step: steady(3_600)}),
        AlertCase(
            name, "the next day ended 12 h and 100 s ago", {series: steady(-216_100), step: steady(86_400)}, fires
        ),
        AlertCase(name, "the next day ended 12 h ago to the second", {series: steady(-215_400), step: steady(86_400)}),
    ]


def _model() -> list[AlertCase]:
    name, series = "ForecastModelStale", one(m.MODEL_TRAINED, version="7", **DEMAND)
    return [
        AlertCase(name, "2 d and 200 s", {series: steady(-173_000)}, (ExpectedSpec(DEMAND, "2d 1h 3m 20s"),)),
        AlertCase(name, "2 d to the second", {series: steady(-169_200)}),
    ]


def _runs() -> list[AlertCase]:
    failing, silent = "ForecastRetrainingFailing", "ForecastRetrainingNotReporting"
    result, run = one(m.PIPELINE_LAST_RESULT, **DEMAND), one(m.PIPELINE_LAST_RUN, **DEMAND)
    success, fires = one(m.PIPELINE_LAST_SUCCESS, **DEMAND), (ExpectedSpec(DEMAND, "1d 2h 1m 40s"),)
    return [
        AlertCase(
            failing, "26 h and 100 s", {success: steady(-93_700), result: steady(-93_700), run: steady(-60)}, fires
        ),
        AlertCase(
            failing,
            "none ever succeeded, the first began so long ago",
            {result: steady(-93_700), run: steady(-60)},
            fires,
        ),
        AlertCase(
            failing, "gates refuse, runs end", {success: steady(-900_000), result: steady(-60), run: steady(-60)}
        ),
        AlertCase(failing, "26 h to the second", {result: steady(-93_600), run: steady(-60)}),
        AlertCase(failing, "no run since the last result", {result: steady(-93_700), run: steady(-93_700)}),
        AlertCase(silent, "26 h and 100 s", {run: steady(-93_700)}, (ExpectedSpec(DEMAND, "1d 3h 1m 40s"),)),
        AlertCase(silent, "none ever", {}, (ExpectedSpec({}, "1s"),)),
        AlertCase(silent, "26 h to the second", {run: steady(-90_000)}),
    ]


def _requests() -> list[AlertCase]:
    name, series, begins_s = "ForecastRetrainRequestWaiting", one(m.RETRAIN_OLDEST, **DEMAND), 362 * 60
    return [
        AlertCase(name, "made 6 h ago", {series: steady(100)}, (ExpectedSpec(DEMAND, "6h 10m 20s"),), {}, begins_s),
        AlertCase(name, "made 5 h and 57 minutes ago", {series: steady(900)}, (), {}, begins_s),
        AlertCase(name, "none is open", {series: steady(0)}, (), {}, begins_s),
    ]


def _worker() -> list[AlertCase]:
    name, seen = "ForecastWorkerDown", one(m.WORKER_LAST_SEEN, **DEMAND)
    waiting, claimed = (one(m.RETRAIN_REQUESTS, state=state, **DEMAND) for state in ("waiting", "claimed"))
    return [
        AlertCase(name, "two wait, no worker is known", {waiting: steady(2)}, (ExpectedSpec(DEMAND, "2"),)),
        AlertCase(
            name, "one waits, its worker was seen 11 minutes ago", {waiting: steady(1), claimed: steady(0), seen: steady(-660)},
            (ExpectedSpec(DEMAND, "1"),),
        ),
        AlertCase(name, "a worker died with one", {claimed: steady(1)}, (ExpectedSpec(DEMAND, "1"),)),
        AlertCase(name, "seen 10 minutes ago to the second", {waiting: steady(1), seen: steady(-600)}),
        AlertCase(
            name, "another waits while a run goes on", {waiting: steady(1), claimed: steady(1), seen: steady(-9_000)}
        ),
        AlertCase(name, "nothing waits, no worker is known", {waiting: steady(0), claimed: steady(0)}),
    ]  # fmt: skip


def _monitor() -> list[AlertCase]:
    name = "ForecastMonitorStalled"
    last, active = one(m.MONITOR_LAST_ROUND, **DEMAND), one(m.MONITOR_ACTIVE, **DEMAND)
    return [
        AlertCase(
            name, "the last round was 30 minutes and 100 s ago", {last: steady(-1_900), active: steady(1)},
            (ExpectedSpec(DEMAND, "46m 40s"),),
        ),
        AlertCase(name, "it waits for a lease that nobody has", {active: steady(0)}, (ExpectedSpec(DEMAND, "0s"),)),
        AlertCase(name, "30 minutes to the second", {last: steady(-1_800), active: steady(1)}),
        AlertCase(
            name, "another one is at work",
            {last: steady(0), active: steady(1), one(m.MONITOR_ACTIVE, instance="b:80", **DEMAND): steady(0)},
        ),
    ]  # fmt: skip
