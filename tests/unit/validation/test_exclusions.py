"""Periods that do not count, and columns that are published later."""

import json
import sqlite3

import numpy as np
import pytest

from components.validation.exclusions import ExclusionRecord, excluded_steps, find_exclusions
from components.validation.validate_data import validate_data
from forecasting.backtest.origins import backtest_origins, plan_backtest
from forecasting.errors import ConfigError, DataError
from forecasting.features.spec import ScalerSpec
from forecasting.series_store import read_series_store
from forecasting.steps import StepContext
from forecasting.windows import window_inputs
from tests.unit.backtest.tables import hourly_spec
from tests.unit.features.whole_planes import feature_planes
from tests.unit.validation.tables import FIRST, hourly_lines, write_table

N_HOURS = 24 * 10
START = int(FIRST.timestamp())


def run(settings, context, tmp_path):
    output = tmp_path / "out"
    output.mkdir(exist_ok=True)
    outcome = validate_data(settings, {}, output, StepContext(context.home, context.run))
    checks = {check["name"]: check for check in json.loads((output / "report.json").read_text())["checks"]}
    return outcome, read_series_store(output), checks


@pytest.mark.parametrize(
    ("start", "end", "hidden"),
    [(0, 3600, [0]), (1800, 3601, [0, 1]), (-9000, 1, [0]), (7200, 99_999, [2, 3]), (-9, 0, []), (14_400, 18_000, [])],
)
def test_steps_that_overlap_a_period_are_excluded(start, end, hidden):
    one = ExclusionRecord(START + start, START + end, None, "")
    found = excluded_steps((one,), "a", start=START, n_steps=4, step_s=3600)
    assert np.flatnonzero(found).tolist() == hidden


def test_a_period_of_another_series_is_not_excluded():
    one = ExclusionRecord(START, START + 3600, "b", "")
    assert not excluded_steps((one,), "a", start=START, n_steps=4, step_s=3600).any()


def test_excluded_targets_are_missing_in_the_store_and_told_of_and_covariates_stay(make_settings, context, tmp_path):
    uri = write_table(tmp_path / "t.csv", hourly_lines(N_HOURS))
    exclude = [{"start": "2024-01-02T00:00:00Z", "end": "2024-01-02T06:00:00Z", "reason": "outage"}]
    data = {"observed": ["temperature"], "exclude_ranges": exclude}
    limits = {"data_docs": False, "max_missing_ratio": 0.0}
    outcome, store, checks = run(make_settings(uri, data=data, validation=limits), context, tmp_path)
    values = store.series[0].values
    assert np.flatnonzero(np.isnan(values[:, 0])).tolist() == list(range(24, 30))
    assert not np.isnan(values[:, 1]).any()
    assert outcome.passed, outcome.summary
    assert checks["excluded"]["message"] == (
        "targets that do not count: 6 from 2024-01-02T00:00:00Z to 2024-01-02T06:00:00Z of every series (outage)"
    )


def test_a_period_that_hides_nothing_is_a_warning(make_settings, context, tmp_path):
    uri = write_table(tmp_path / "t.csv", hourly_lines(N_HOURS))
    exclude = [{"start": "2024-01-02T00:00:00Z", "end": "2024-01-02T06:00:00Z", "series": "laod"}]
    settings = make_settings(uri, data={"exclude_ranges": exclude}, validation={"data_docs": False})
    outcome, _, checks = run(settings, context, tmp_path)
    assert outcome.passed
    assert not checks["excluded"]["passed"]
    assert "1 period(s) hide no target, the first is 2024-01-02T00:00:00Z of laod" in checks["excluded"]["message"]


def test_events_of_a_table_are_excluded_by_kind_and_series(make_settings, context, tmp_path):
    events = write_table(
        tmp_path / "events.csv",
        ["outage,2024-01-02 01:00,2024-01-02 02:00,load", "promotion,2024-01-03 01:00,2024-01-03 02:00,",
         "outage,2024-01-04 01:00,2024-01-04 02:00,", "outage,2024-01-04 01:00,2024-01-04 03:00,other"],
        "what,start,end,id",
    )  # fmt: skip
    columns = {"uri": events, "kind_column": "what", "series_column": "id", "kinds": ["outage"]}
    settings = make_settings("t.csv", data={"time_zone": "UTC", "events": columns})
    found = find_exclusions(settings.data, context.home)
    assert [(one.start - START, one.end - one.start, one.series, one.reason) for one in found] == [
        (25 * 3600, 3600, "load", "outage"),
        (73 * 3600, 3600, None, "outage"),
        (73 * 3600, 7200, "other", "outage"),
    ]


def test_events_of_a_database_are_read(make_settings, context, tmp_path):
    with sqlite3.connect(tmp_path / "t.db") as connection:
        connection.execute("CREATE TABLE e (a TEXT, b TEXT)")
        connection.execute("INSERT INTO e VALUES ('2024-01-01T00:00:00Z', '2024-01-01T01:00:00Z')")
    connection.close()
    events = {
        "uri": f"sqlite:///{tmp_path / 't.db'}",
        "query": "SELECT * FROM e",
        "start_column": "a",
        "end_column": "b",
    }
    found = find_exclusions(make_settings("t.csv", data={"events": events}).data, context.home)
    assert found == (ExclusionRecord(START, START + 3600, None, "data.events"),)


def test_an_event_that_ends_before_it_begins_is_named(make_settings, context, tmp_path):
    events = write_table(tmp_path / "events.csv", ["2024-01-02T00:00:00Z,2024-01-01T00:00:00Z"], "start,end")
    with pytest.raises(DataError, match=r"start must be before end; line 2 has 2024-01-02T00:00:00Z"):
        find_exclusions(make_settings("t.csv", data={"events": {"uri": events}}).data, context.home)


@pytest.mark.parametrize(
    ("start", "end", "said"),
    [("2024-01-02", "2024-01-03", "without a zone"), ("soon", "2024-01-03", "ISO 8601"),
     ("2024-01-03T00:00Z", "2024-01-03T00:00Z", "start must be before end")],
)  # fmt: skip
def test_a_period_that_cannot_be_read_is_refused(make_settings, context, start, end, said):
    settings = make_settings("t.csv", data={"exclude_ranges": [{"start": start, "end": end}]})
    with pytest.raises(ConfigError, match=said):
        find_exclusions(settings.data, context.home)


def test_an_unquoted_time_of_yaml_is_a_time(make_settings, context):
    ranges = [{"start": FIRST.date(), "end": FIRST.replace(hour=1)}]
    settings = make_settings("t.csv", data={"exclude_ranges": ranges, "time_zone": "UTC"})
    assert find_exclusions(settings.data, context.home)[0].end == START + 3600


def test_a_lagged_column_has_at_each_step_what_was_published_by_then(make_settings, context, tmp_path):
    uri = write_table(tmp_path / "t.csv", hourly_lines(N_HOURS))
    data = {"observed": ["temperature"], "availability_lag": {"temperature": "90min"}}
    _, store, _ = run(make_settings(uri, data=data, validation={"data_docs": False}), context, tmp_path)
    plain = make_settings(uri, data={"observed": ["temperature"]}, validation={"data_docs": False})
    _, unlagged, _ = run(plain, context, tmp_path)
    lagged, as_written = store.series[0].values[:, 1], unlagged.series[0].values[:, 1]
    assert np.isnan(lagged[:2]).all()
    np.testing.assert_array_equal(lagged[2:], as_written[:-2])


def test_what_is_not_published_at_the_cutoff_changes_nothing(make_settings, context, tmp_path):
    data = {"observed": ["temperature"], "availability_lag": {"temperature": "24h"}}
    lines = hourly_lines(N_HOURS)
    settings = make_settings(write_table(tmp_path / "t.csv", lines), data=data, validation={"data_docs": False})
    _, first, _ = run(settings, context, tmp_path)
    restated = [*lines[:-24], *(line.rpartition(",")[0] + ",99" for line in lines[-24:])]
    write_table(tmp_path / "t.csv", restated)
    _, second, _ = run(settings, context, tmp_path)
    np.testing.assert_array_equal(first.series[0].values, second.series[0].values)


def test_an_excluded_period_reaches_the_loss_and_the_metrics_as_missing_targets(make_settings, context, tmp_path):
    uri = write_table(tmp_path / "t.csv", hourly_lines(N_HOURS))
    exclude = [{"start": "2024-01-10T06:00:00Z", "end": "2024-01-10T09:00:00Z"}]
    settings = make_settings(uri, data={"exclude_ranges": exclude}, validation={"data_docs": False})
    _, store, _ = run(settings, context, tmp_path)
    spec = hourly_spec(target="load", scaler=ScalerSpec(location={"load": 0.0}, scale={"load": 1.0}))
    present = feature_planes(store.series[0], spec)[spec.context :, 1]
    assert np.flatnonzero(present == 0).tolist() == [222, 223, 224]
    origins = backtest_origins(store.spec.split, 3600, horizon=24, stride=24)
    actual = plan_backtest(store, origins, horizon=24).actual
    assert np.argwhere(np.isnan(actual)).tolist() == [[0, 6], [0, 7], [0, 8]]


def test_a_window_holds_of_a_lagged_column_only_what_was_published_at_its_origin(make_settings, context, tmp_path):
    uri = write_table(tmp_path / "t.csv", hourly_lines(N_HOURS))
    data = {"observed": ["temperature"], "availability_lag": {"temperature": "6h"}}
    settings = make_settings(uri, data=data, validation={"data_docs": False})
    spec = hourly_spec(target="load", observed=("temperature",))
    origin = np.array([START + 200 * 3600])
    before = window_inputs(run(settings, context, tmp_path)[1].series[0], spec, origin)
    # At the origin, hour 200, hours up to 193 are published: hour 194 ends at 195 and comes out at 201.
    hidden = [line.rpartition(",")[0] + ",-99" if i >= 194 else line for i, line in enumerate(hourly_lines(N_HOURS))]
    write_table(tmp_path / "t.csv", hidden)
    after = window_inputs(run(settings, context, tmp_path)[1].series[0], spec, origin)
    np.testing.assert_array_equal(before.history, after.history)
    write_table(
        tmp_path / "t.csv", [*hourly_lines(N_HOURS)[:193], *hidden[194:], hidden[193].rpartition(",")[0] + ",-98"]
    )
    changed = window_inputs(run(settings, context, tmp_path)[1].series[0], spec, origin)
    assert changed.history[0, -1, 1] == -98
