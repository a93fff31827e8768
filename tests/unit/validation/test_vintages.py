"""Covariates by vintage: how their table is read, what a store gets of it, and what is said of what is missing."""

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from components.validation.validate_data import validate_data
from forecasting.cutoffs import parse_cutoff
from forecasting.errors import ConfigError, DataError
from forecasting.series_store import read_series_store
from forecasting.steps import StepContext
from tests.unit.validation.tables import FIRST, hourly_lines, write_table

N_HOURS = 24 * 10
START = int(FIRST.timestamp())
HEADER = "time,issued_at,temperature"


def at(hour: float) -> str:
    """Hours after the first of the table, as a stamp."""
    return (FIRST + timedelta(hours=hour)).strftime("%Y-%m-%dT%H:%M:%SZ")


def issue_lines(*, every: int = 6, leads: int = 48, until: int = N_HOURS, minutes: int = 60) -> list[str]:
    """Issues from a day before the table on; each value tells its issue and its hour: 1000 · issue + hour."""
    lines = []
    for issue in range(-24, until + 1, every):
        for step in range(leads * 60 // minutes):
            hour = issue + step * minutes / 60
            lines.append(f"{at(hour)},{at(issue)},{1000 * issue + hour}")
    return lines


@pytest.fixture
def run(make_settings, context, tmp_path):
    """Validate a table of one series with a table of vintages."""

    def validate(lines, *, header=HEADER, cutoff=None, table=None, data=None, **sections):
        issued = write_table(tmp_path / "issued.csv", lines, header)
        uri = table or write_table(
            tmp_path / "t.csv", [line.rpartition(",")[0] for line in hourly_lines(N_HOURS)], "time,load"
        )
        vintages = {"uri": issued, "columns": ["temperature"], **(data or {}).pop("vintages", {})}
        settings = make_settings(
            uri,
            data={"known": ["temperature"], "vintages": vintages, **(data or {})},
            validation={"data_docs": False, **sections.pop("validation", {})},
            **sections,
        )
        output = tmp_path / "out"
        output.mkdir(exist_ok=True)
        given = StepContext(context.home, context.run, cutoff=cutoff)
        outcome = validate_data(settings, {}, output, given)
        checks = {check["name"]: check for check in json.loads((output / "report.json").read_text())["checks"]}
        return outcome, read_series_store(output), checks

    return validate


def test_a_series_has_in_its_past_what_stood_and_ahead_what_is_known_at_the_cutoff(run):
    _, store, checks = run(issue_lines())
    one, spec = store.series[0], store.spec
    assert (spec.known, spec.vintages) == (("temperature",), ("temperature",))
    assert one.n_steps == N_HOURS + 24
    hours = np.arange(N_HOURS + 24)
    # Of hour 240 on the issue of hour 240 itself is known.
    issues = np.where(hours < N_HOURS, hours // 6 * 6, N_HOURS)
    np.testing.assert_array_equal(one.values[:, 1], 1000 * issues + hours)
    assert np.isnan(one.values[N_HOURS:, 0]).all()
    assert checks["vintages"]["message"].endswith("2,160 rows of 45 issues up to the cutoff")
    assert checks["vintages(missing_covariate, temperature)"]["found"] == 0.0


def test_what_is_issued_after_the_cutoff_does_not_exist(run):
    cutoff = at(200)
    _, cut, _ = run([*issue_lines(), f"soon,{at(201)},no number"], cutoff=cutoff)
    assert cut.spec.split.cutoff == parse_cutoff(cutoff).timestamp()
    _, early, _ = run([line for line in issue_lines() if line.split(",")[1] <= cutoff], cutoff=cutoff)
    assert cut.series[0].vintages.issued_at.max() == START + 198 * 3600
    np.testing.assert_array_equal(cut.series[0].values, early.series[0].values)
    np.testing.assert_array_equal(cut.series[0].vintages.values, early.series[0].vintages.values)


def test_a_column_by_vintage_is_not_read_from_the_main_table(run, tmp_path):
    uri = write_table(tmp_path / "main.csv", hourly_lines(N_HOURS))
    _, store, checks = run(issue_lines(), table=uri)
    assert store.series[0].values[0, 1] == 0.0
    assert "columns not used: temperature" in checks["source"]["message"]


def test_what_is_issued_after_its_own_time_is_not_used_and_counted(run):
    _, store, checks = run([*issue_lines(), f"{at(100)},{at(101)},-5", f"{at(100)},{at(150)},-6"])
    assert store.series[0].values[100, 1] == 1000 * 96 + 100
    assert "2 steps issued after their own time are not used" in checks["vintages"]["message"]
    assert (store.series[0].vintages.issued_at <= store.series[0].vintages.timestamp).all()


def test_equal_rows_are_dropped_and_differing_ones_are_named(run):
    lines = issue_lines()
    _, once, _ = run(lines)
    _, twice, _ = run([*lines, lines[70]])
    assert len(twice.series[0].vintages) == len(once.series[0].vintages)
    with pytest.raises(
        DataError, match=rf"line {len(lines) + 2} repeats the time .* of the issue .* with another value"
    ):
        run([*lines, lines[70].rpartition(",")[0] + ",7"])


def test_an_issue_without_a_value_leaves_the_one_before_it_standing(run):
    lines = [*issue_lines(), f"{at(100)},{at(97)},"]
    _, store, _ = run(lines)
    assert store.series[0].values[100, 1] == 1000 * 96 + 100


def test_a_column_that_an_issue_lacks_keeps_its_earlier_value(run):
    lines = [f"{line},5" for line in issue_lines()] + [f"{at(100)},{at(97)},1,", f"{at(100)},{at(98)},,6"]
    data = {"known": ["temperature", "wind"], "vintages": {"columns": ["temperature", "wind"]}}
    _, store, _ = run(lines, header=f"{HEADER},wind", data=data)
    known = store.series[0].vintages.known_at(START + 3600 * np.asarray([96, 97, 98]), 5, 3600)
    assert known[[0, 1, 2], [4, 3, 2]].tolist() == [[96_100.0, 5.0], [1.0, 5.0], [1.0, 6.0]]


def test_a_column_of_which_no_issue_spoke_is_missing_and_not_that_of_the_step_before(run):
    lines = [f"{line},5" for line in issue_lines(until=100) if line.split(",")[0] < at(120)] + [
        f"{at(120)},{at(90)},1,"
    ]
    data = {"known": ["temperature", "wind"], "vintages": {"columns": ["temperature", "wind"]}}
    _, store, _ = run(lines, header=f"{HEADER},wind", data=data)
    known = store.series[0].vintages.known_at(np.asarray([START + 119 * 3600]), 2, 3600)[0]
    np.testing.assert_array_equal(known, [[96_119.0, 5.0], [1.0, np.nan]])


def test_finer_issues_are_aggregated_each_by_itself(run):
    _, store, _ = run(issue_lines(minutes=30), data={"aggregation": {"temperature": "max"}})
    _, hourly, _ = run(issue_lines())
    fine, whole = store.series[0].vintages, hourly.series[0].vintages
    np.testing.assert_array_equal(fine.timestamp, whole.timestamp)
    np.testing.assert_array_equal(fine.issued_at, whole.issued_at)
    np.testing.assert_allclose(fine.values, whole.values + 0.5)


def test_half_a_step_at_the_end_of_an_issue_is_left_to_the_issue_before(run):
    lines = issue_lines(minutes=30)
    later = [line for line in lines if line.split(",")[1] == at(96) and line.split(",")[0] != at(100.5)]
    short = [line for line in later if line.split(",")[0] < at(101)]
    others = [line for line in lines if line.split(",")[1] != at(96)]
    _, store, _ = run([*others, *short], data={"aggregation": {"temperature": "sum"}})
    known = store.series[0].vintages.known_at(np.asarray([START + 96 * 3600]), 6, 3600)[0, :, 0]
    assert known[3] == 2 * 96_000 + 99 + 99.5
    assert known[4] == 2 * 90_000 + 100 + 100.5


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([f"{at(h)},{at(0)},1" for h in range(0, 48, 3)], r"within an issue its times are 10800 s apart"),
        ([f"{at(h)},{at(h - 12)},1" for h in range(0, 200, 3)], r"within an issue its times are 10800 s apart"),
        (
            [*issue_lines(), f"{at(12.25)},{at(0)},1"],
            r"on the steps of the series, every 3600 s.*line 2162 has .*12:15:00Z",
        ),
        ([f"{at(h / 60)},{at(0)},1" for h in range(0, 2000, 25)], "on the steps of the series"),
    ],
)
def test_a_table_that_does_not_fall_on_the_steps_is_refused(run, lines, said):
    with pytest.raises(DataError, match=said):
        run(lines)


def test_hours_that_become_three_hours_late_in_an_issue_are_gaps(run):
    far = [f"{at(hour)},{at(0)},-1" for hour in range(48, 97, 3)]
    _, store, _ = run([*issue_lines(), *far])
    vintages = store.series[0].vintages
    late = vintages.timestamp[vintages.values[:, 0] == -1]
    assert ((late - START) // 3600).tolist() == list(range(48, 97, 3))


def test_issues_that_do_not_reach_the_horizon_are_told_of(run):
    _, _, checks = run(issue_lines(every=24, leads=24))
    found = checks["vintages(missing_covariate, temperature)"]
    # A forecast made k hours into a day lacks its last k hours: 0 + 1 + … + 23 on each of the nine days that have one before.
    assert found["message"].startswith(
        "2,484 of 5,484 steps of forecasts have no 'temperature' that was issued by then"
    )
    assert "the longest lead is 23 h" in found["message"]
    assert (found["passed"], found["severity"]) == (False, "warn")


def test_the_rule_on_covariates_ahead_sees_what_a_forecast_at_the_cutoff_would_see(run):
    lines = [line for line in issue_lines(leads=24) if line.split(",")[1] < at(N_HOURS - 6)]
    _, store, checks = run(lines)
    assert store.series[0].n_steps == N_HOURS + 12
    assert not checks["covariates_ahead"]["passed"]
    assert "12 values are missing" in checks["covariates_ahead"]["message"]


def test_values_outside_their_range_are_counted_over_all_issues(run):
    lines = [f"{at(h)},{at(i)},20" for i in range(-24, N_HOURS, 24) for h in range(i, i + 48)]
    outcome, _, checks = run([*lines, f"{at(50)},{at(49)},900"], validation={"ranges": {"temperature": [-40, 60]}})
    assert not outcome.passed
    assert checks["vintages(ranges, temperature)"]["message"].startswith(
        "1 of 529 values of 'temperature' are not from"
    )


def two_series(lines: list[str]) -> list[str]:
    return [f"{line},{name}" for name in ("a", "b") for line in lines]


@pytest.fixture
def shops(tmp_path):
    lines = [line.rpartition(",")[0] for line in hourly_lines(N_HOURS)]
    return write_table(tmp_path / "shops.csv", two_series(lines), "time,load,shop")


def test_each_series_gets_its_own_vintages(run, shops):
    warmer = [f"{line.rpartition(',')[0]},7,b" for line in issue_lines()]
    lines = [*(f"{line},a" for line in issue_lines()), *warmer, f"{at(0)},{at(0)},1,zoo"]
    _, store, checks = run(lines, header=f"{HEADER},shop", table=shops, data={"id_columns": ["shop"]})
    assert store.get("a").values[100, 1] == 96_100
    assert store.get("b").values[100, 1] == 7
    assert "1 series are not in the table of data.uri, the first is 'zoo'" in checks["vintages"]["message"]


def test_a_series_about_which_nothing_was_issued_lacks_the_covariate_and_can_be_quarantined(run, shops):
    lines = [f"{line},a" for line in issue_lines()]
    limits = {"severity": {"missing_covariate": "quarantine"}, "max_quarantined_ratio": 0.5}
    _, store, checks = run(
        lines, header=f"{HEADER},shop", table=shops, data={"id_columns": ["shop"]}, validation=limits
    )
    assert [one.id for one in store] == ["a"]
    assert checks["vintages(missing_covariate, temperature)"]["series"] == ["b"]


@pytest.mark.parametrize("shared", [False, True])
def test_tables_in_parts_give_the_same_bytes(run, shops, tmp_path, shared):
    lines, header = issue_lines(), HEADER
    if not shared:
        lines, header = [f"{line},{name}" for name in ("a", "b") for line in issue_lines()], f"{HEADER},shop"
    files = []
    for n_rows in (1_000_000, 1_000):
        data = {"id_columns": ["shop"], "vintages": {"shared": shared}}
        run(lines, header=header, table=shops, data=data, validation={"part_rows": n_rows})
        files.append(
            {
                name: (tmp_path / "out" / name).read_bytes()
                for name in ("vintages.parquet", "series.parquet", "report.json")
            }
        )
    assert files[0] == files[1]


def test_a_shared_table_is_of_every_series(run, shops):
    data = {"id_columns": ["shop"], "vintages": {"shared": True}}
    _, store, _ = run(issue_lines(), table=shops, data=data)
    assert [one.values[100, 1] for one in store] == [96_100.0, 96_100.0]
    assert store.series[0].vintages is store.series[1].vintages


def test_a_wide_table_may_have_shared_vintages(run, tmp_path):
    lines = [f"{line.rpartition(',')[0]},5" for line in hourly_lines(N_HOURS)]
    uri = write_table(tmp_path / "wide.csv", lines, "time,x,y")
    data = {"layout": "wide", "series_columns": ["x", "y"], "vintages": {"shared": True}}
    _, store, _ = run(issue_lines(), table=uri, data=data)
    assert [(one.id, one.values[100, 1]) for one in store] == [("x", 96_100.0), ("y", 96_100.0)]


def test_a_covariate_of_the_main_table_and_one_by_vintage_are_both_known(run, tmp_path):
    lines = [f"{line.rpartition(',')[0]},{i % 7}" for i, line in enumerate(hourly_lines(N_HOURS))]
    uri = write_table(tmp_path / "both.csv", lines, "time,load,promotion")
    data = {"known": ["temperature", "promotion"], "observed": []}
    _, store, _ = run(issue_lines(), table=uri, data=data)
    assert store.spec.known == ("promotion", "temperature")
    assert store.series[0].values[100, 1:].tolist() == [2.0, 96_100.0]


def test_an_issue_time_that_a_clock_shows_twice_is_the_later_one(run, tmp_path):
    # On 27 October 2024 the clock of Berlin shows 02:30 twice: at 00:30 and at 01:30 UTC.
    first = datetime(2024, 10, 20, tzinfo=UTC)
    hours = [(first + timedelta(hours=h)).strftime("%Y-%m-%dT%H:%M:%SZ") for h in range(N_HOURS)]
    table = [f"{hour},{100 + i % 24}" for i, hour in enumerate(hours)]
    issued = [f"{hour},2024-10-27T02:30:00,5" for hour in hours[170:180]]
    _, store, _ = run(
        issued, data={"time_zone": "Europe/Berlin"}, table=write_table(tmp_path / "berlin.csv", table, "time,load")
    )
    at_change = int(datetime(2024, 10, 27, 1, 30, tzinfo=UTC).timestamp())
    assert set(store.series[0].vintages.issued_at.tolist()) == {at_change}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"known": []}, "vintages.columns names 'temperature', which is none of known"),
        ({"categorical": ["temperature"]}, "must be covariates of numbers"),
        ({"layout": "wide", "series_columns": ["x"]}, "set vintages.shared"),
        ({"vintages": {"query": "q", "table": "t"}}, "query and table must not both be set"),
        ({"vintages": {"columns": []}}, "at least 1 item"),
    ],
)
def test_settings_that_do_not_fit_are_refused(run, data, said):
    with pytest.raises(ConfigError, match=said):
        run(issue_lines(), data=data)


def test_a_covariate_by_vintage_is_not_imputed_and_the_others_are(run, tmp_path):
    lines = [f"{line.rpartition(',')[0]},{'' if i == 100 else i % 7}" for i, line in enumerate(hourly_lines(N_HOURS))]
    uri = write_table(tmp_path / "both.csv", lines, "time,load,promotion")
    issued = [line for line in issue_lines() if not line.startswith(at(100))]
    data, limits = {"known": ["temperature", "promotion"]}, {"imputation": {"known": "previous"}}
    _, store, _ = run(issued, table=uri, data=data, validation=limits)
    assert store.spec.known == ("promotion", "temperature", "promotion_imputed")
    np.testing.assert_array_equal(store.series[0].values[100, 1:], [99 % 7, np.nan, 1.0])


def test_a_column_that_the_table_lacks_is_named_with_the_nearest(run):
    with pytest.raises(DataError, match=r"must have the column 'temperature'.*the nearest is 'temperatur'"):
        run(issue_lines(), header="time,issued_at,temperatur")
