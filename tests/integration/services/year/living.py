"""A year in fast time: forecasts go out, actuals come in, rules are asked, alerts told, runs made."""

import copy
import json
import logging
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from forecasting.store.retrain_requests import retrain_requests
from tests.integration.services.year.demand import COLUMNS, DemandTable
from tests.integration.services.year.fast_clock import FastClock
from tests.integration.services.year.rules import FiringBook, RulesOverTime
from tests.integration.services.year.service import CONFIG, HOUR_S, MODEL, FastService, fast_service, iso

logger = logging.getLogger(__name__)

DAY_S = 86_400
ROUND_HOURS = 3
"""Meters are read, forecasts made and scored so often."""
AHEAD_HOURS = 30
"""Temperature and holidays are known for so long: a forecast three hours later needs them for a day."""
TABLE_WEEKS = 52
"""Reach of the table that a run is made from."""
EXPORT_DAYS = 28
"""How often the table is written anew; what came since is known by observations."""
FIRST_WEEKS = 52


@dataclass(frozen=True)
class DayRecord:
    """One day. day: its begin, epoch seconds. Sums over the points of its forecasts, of 1 to 24 hours ahead: absolute errors of the
    model and of the value a week before the step, and actual values.
    """

    day: int
    version: int
    error: float
    naive: float
    actual: float


@dataclass
class YearRecord:
    """What a year came to. alerts: name, whether it asks for a retrain, horizon or other label, begin, end. requests: of retraining."""

    days: list[DayRecord] = field(default_factory=list)
    alerts: list[dict[str, Any]] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)
    n_evaluations: int = 0
    n_forecasts: int = 0

    def write(self, path: Path) -> None:
        """As JSON."""
        path.write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")

    def wape(self, begin: int, end: int) -> float:
        """Of the forecasts made between two times."""
        mine = [one for one in self.days if begin <= one.day < end]
        return sum(one.error for one in mine) / sum(one.actual for one in mine)


def read_year(path: Path) -> YearRecord:
    """What `YearRecord.write` wrote."""
    found = json.loads(path.read_text(encoding="utf-8"))
    return YearRecord(**{**found, "days": [DayRecord(**one) for one in found["days"]]})


def first_champion(root: Path, table: DemandTable, begin: int) -> None:
    """Train the model that is in service when the year begins, from what was known then."""
    root.mkdir(parents=True)
    shutil.copy(CONFIG, root / CONFIG.name)
    table.write(root / "table.csv", begin - FIRST_WEEKS * 7 * DAY_S, begin)
    longer = ("--set", "split.validation=14d", "--set", "split.test=28d")
    command = [
        sys.executable,
        "-m",
        "pipelines.cli",
        "--home",
        str(root),
        "run",
        "-c",
        str(root / CONFIG.name),
        *longer,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4_000:]


def live(
    root: Path,
    table: DemandTable,
    begin: int,
    end: int,
    *,
    until_now: YearRecord | None = None,
    told: FiringBook | None = None,
) -> tuple[YearRecord, FiringBook]:
    """Live from begin to end, both at midnight in Melbourne, on a state directory with a champion.

    Args:
        root: The state directory, with configuration and table.
        table: What is measured.
        begin: Epoch seconds.
        end: Epoch seconds.
        until_now: What the same state directory has lived before; none: nothing.
        told: What the rules gave until then.
    """
    clock, found = FastClock(root / "clock"), copy.deepcopy(until_now or YearRecord())
    clock.set(begin)
    with fast_service(root, clock) as service:
        rules, exported = RulesOverTime(service.prometheus, copy.deepcopy(told or FiringBook())), begin
        if until_now is None:
            service.observe(begin, _ahead(table, begin))
        for day in range(begin, end, DAY_S):
            for now in range(day, day + DAY_S, ROUND_HOURS * HOUR_S):
                _round(service, table, now, found, day=day, is_first=until_now is None and now == begin)
            clock.set(day + DAY_S - 1)
            before = dict(rules.book.firing)
            rules.evaluate(day, day + DAY_S)
            over = [one for labels, one in before.items() if labels not in rules.book.firing]
            service.tell(list(rules.book.firing.values()), over)
            if day - exported >= EXPORT_DAYS * DAY_S:
                table.write(root / "table.csv", day - TABLE_WEEKS * 7 * DAY_S, day)
                exported = day
            service.worker.work_once()
            logger.info(
                "%s: version %d, firing %s",
                iso(day),
                service.champion,
                [one.name for one in rules.book.firing.values()],
            )
        found.alerts = [
            {**dict(one.labels), "begin": one.starts_at, "end": until} for one, until in rules.book.finish(end)
        ]
        found.n_evaluations = rules.book.n_evaluations
        found.requests = [asdict(one) for one in reversed(retrain_requests(service.store, model=MODEL, limit=100))]
    return found, rules.book


def _round(service: FastService, table: DemandTable, now: int, found: YearRecord, *, day: int, is_first: bool) -> None:
    service.clock.set(now)
    if not is_first:
        came = now - ROUND_HOURS * HOUR_S
        service.observe(came, {"Demand": table.hourly("Demand", came, now), **_ahead(table, came)})
    report = service.monitor.round()
    assert not report.problem, report.problem
    service.scrape([now + hour * HOUR_S for hour in range(ROUND_HOURS)])
    answer = service.forecast()
    found.n_forecasts += 1
    found.days = _with_forecast(found.days, answer, table, now, day)


def _ahead(table: DemandTable, now: int) -> dict[str, list[float]]:
    return {name: table.hourly(name, now, now + AHEAD_HOURS * HOUR_S) for name in COLUMNS[1:]}


def _with_forecast(
    days: list[DayRecord], answer: dict[str, Any], table: DemandTable, now: int, day: int
) -> list[DayRecord]:
    """The days with one more forecast, scored by the table: a second way beside the monitor's."""
    (one,) = answer["forecasts"]
    points, end = one["quantiles"]["0.5"], now + 24 * HOUR_S
    actual = table.hourly("Demand", now, end)
    naive = table.hourly("Demand", now - 7 * DAY_S, end - 7 * DAY_S)
    sums = [
        sum(abs(a - b) for a, b in zip(points, actual, strict=True)),
        sum(abs(a - b) for a, b in zip(naive, actual, strict=True)),
        sum(actual),
    ]
    if days and days[-1].day == day:
        last = days.pop()
        sums = [a + b for a, b in zip(sums, (last.error, last.naive, last.actual), strict=True)]
    return [*days, DayRecord(day, answer["version"], *sums)]
