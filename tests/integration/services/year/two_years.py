"""The year in which load moves, and the year as it was, from the same first model."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.integration.services.year.demand import local_midnight, moved_to_the_night, read_demand
from tests.integration.services.year.living import DAY_S, YearRecord, first_champion, live
from tests.integration.services.year.picture import asking, is_promotion, runs

BEGIN = local_midnight(2014, 1, 1)
CHANGE, END = BEGIN + 182 * DAY_S, BEGIN + 363 * DAY_S
"""Whole days after the begin; the last forecast must meet its actual values in the table."""


@dataclass(frozen=True)
class TwoYearsRecord:
    """Both years. change: when load began to move, epoch seconds."""

    shifted: YearRecord
    control: YearRecord
    change: int = CHANGE


def live_two_years(folder: Path) -> TwoYearsRecord:
    """Train the first model, live until the change, and from there on twice, in folders of their own; `shifted.json`, `control.json`
    beside them hold what came of it.
    """
    table = read_demand()
    first_champion(folder / "control", table, BEGIN)
    spring, told = live(folder / "control", table, BEGIN, CHANGE)
    shutil.copytree(folder / "control", folder / "shifted")
    moved = moved_to_the_night(table, CHANGE)
    shifted, _ = live(folder / "shifted", moved, CHANGE, END, until_now=spring, told=told)
    shifted.write(folder / "shifted.json")
    control, _ = live(folder / "control", table, CHANGE, END, until_now=spring, told=told)
    control.write(folder / "control.json")
    return TwoYearsRecord(shifted, control)


def promotions(year: YearRecord) -> list[int]:
    """When a run gave a new champion, epoch seconds."""
    return [one["finished_at"] for one in runs(year) if is_promotion(one)]


def figures(found: TwoYearsRecord) -> dict[str, Any]:
    """What the document says of both years."""
    shifted, control, change = found.shifted, found.control, found.change
    fired = [one for one in asking(shifted) if one["begin"] >= change]
    promoted = [at for at in promotions(shifted) if at >= change]
    until = promoted[-1] if promoted else END
    spans = {"eight_weeks_before": (change - 56 * DAY_S, change), "first_week": (change, change + 7 * DAY_S),
             "until_last_promotion": (change, until), "after_last_promotion": (until + DAY_S, END)}  # fmt: skip
    return {
        "alerts": [f"{_days(one['begin'], change)} to {_days(one['end'], change)}: {_named(one)}" for one in fired],
        "runs": [f"{_days(one['created_at'], change)}: {one['reason']}: {one['detail']}" for one in shifted.requests],
        "wape": {
            name: {"shifted": round(shifted.wape(*span), 4), "control": round(control.wape(*span), 4)}
            for name, span in spans.items()
            if span[1] > span[0] + DAY_S
        },
        "control_alerts_that_ask": len(asking(control)),
        "control_alerts": sorted({one["alertname"] for one in control.alerts}),
        "control_runs": len(control.requests),
        "evaluations": control.n_evaluations,
        "forecasts": control.n_forecasts,
    }


def _days(at: int, change: int) -> str:
    return f"day {(at - change) / DAY_S:.1f}"


def _named(alert: dict[str, Any]) -> str:
    return " ".join(alert[name] for name in ("alertname", "version", "horizon", "level") if name in alert)
