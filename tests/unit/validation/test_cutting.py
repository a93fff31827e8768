"""What comes after the cutoff changes nothing; plans for the days ahead are no missing targets."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from components.validation.validate_data import validate_data
from forecasting.errors import DataError
from forecasting.series_store import read_series_store
from tests.unit.validation.tables import hourly_lines, write_table

HEADER = "time,load,temperature,plan,meter,colour"
PANEL = {
    "known": ["plan"], "observed": ["temperature"], "id_columns": ["meter"], "static": ["colour"],
}  # fmt: skip


@pytest.fixture
def outputs(make_settings, context, tmp_path):
    """Validate lines of a table; returns the outcome and every file that was written."""

    def run(name: str, lines: list[str], cutoff: str | None = None, header: str = HEADER, **sections):
        folder = tmp_path / name
        (folder / "out").mkdir(parents=True)
        settings = make_settings(write_table(folder / "table.csv", lines, header), **sections)
        outcome = validate_data(settings, {}, folder / "out", replace(context, cutoff=cutoff))
        return outcome, {p.relative_to(folder / "out"): p.read_bytes() for p in _files(folder / "out")}

    return run


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_a_backfill_writes_what_the_run_at_its_cutoff_wrote(outputs):
    hours = hourly_lines(400)
    stamps = [line.split(",")[0] for line in hours]
    known = [f"{line},{i},a,red" for i, line in enumerate(hours[:200])]
    known += [f"{line},{i},b,blue" for i, line in enumerate(hours[150:200], 150)]
    plan = [f"{stamp},,,{i},{who}" for who in ("a,red", "b,blue") for i, stamp in enumerate(stamps[200:224], 200)]
    happened = [
        f"{stamp},-9e9,broken,{i},{who}" for who in ("a,red", "b,blue") for i, stamp in enumerate(stamps[200:224], 200)
    ]
    happened += [f"{stamp},1,1,x,a,green" for stamp in stamps[300:330]]
    happened += [f"{stamp},1,1,1,c,white" for stamp in stamps[250:400] * 2]
    happened += [f"{stamp.replace(':00:00Z', ':10:00Z')},1,1,1,a,red" for stamp in stamps[300:400]]
    settings = {"data": PANEL, "validation": {"ranges": {"load": [0, None]}}}
    first, then = outputs("then", known + plan, **settings)
    second, now = outputs("now", known + happened, "2024-01-09T08:00:00Z", **settings)
    assert first.passed
    assert first == second
    assert len(then) == 10
    for name, content in then.items():
        assert now[name] == content, name


def test_an_hour_that_was_not_whole_at_the_cutoff_stays_out_when_later_rows_follow(outputs):
    halves = hourly_lines(420, minutes=30)
    del halves[399]
    header, cutoff = "time,load,temperature", "2024-01-09T08:00:00Z"
    _, then = outputs("then", halves[:399], cutoff, header)
    _, now = outputs("now", halves, cutoff, header)
    assert now == then


def test_rows_of_a_plan_are_no_missing_targets(outputs, tmp_path):
    hours = hourly_lines(224)
    lines = hours[:200] + [f"{line.split(',')[0]},,{line.split(',')[2]}" for line in hours[200:]]
    header, data = "time,load,temperature", {"known": ["temperature"]}
    outcome, _ = outputs("end", lines, None, header, data=data)
    assert outcome.passed, outcome.summary
    values = read_series_store(tmp_path / "end" / "out").series[0].values
    assert len(values) == 224
    assert np.isnan(values[200:, 0]).all()
    assert values[200:, 1].tolist() == [float(line.split(",")[2]) for line in hours[200:]]
    later, _ = outputs("later", lines, "2024-01-10T00:00:00Z", header, data=data)
    assert later.passed, later.summary


def test_blank_targets_before_the_last_one_still_count(outputs):
    hours = hourly_lines(200)
    lines = hours[:160] + [f"{line.split(',')[0]},,1" for line in hours[160:199]] + hours[199:]
    outcome, _ = outputs("blank", lines, None, "time,load,temperature")
    assert not outcome.passed
    assert "'load': missing_target: 19.50% of the steps are without a target" in outcome.summary


def test_a_row_keeps_its_line_where_rows_before_it_are_left_out(outputs):
    lines = hourly_lines(200)
    late = [f"2024-02-01T00:00:00Z,{i},1" for i in range(3)]
    with pytest.raises(DataError, match=r"line 12 has '1,5'"):
        outputs(
            "bad",
            [*late, *lines[:7], '2024-01-01T07:00:00Z,"1,5",3', *lines[8:]],
            "2024-01-08T00:00:00Z",
            "time,load,temperature",
        )


def test_a_table_without_a_target_before_the_cutoff_is_refused(outputs):
    lines = [f"{line.split(',')[0]},,1" for line in hourly_lines(100)] + hourly_lines(200)[100:]
    with pytest.raises(
        DataError, match=r"must have values before the cutoff 2024-01-03T00:00:00Z, and every one of its 48"
    ):
        outputs("none", lines, "2024-01-03T00:00:00Z", "time,load,temperature")
