"""The step as a whole: good tables, bad tables, the cutoff."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from components.validation.validate_data import validate_data
from forecasting.contracts.steps import StepName
from forecasting.errors import ConfigError, DataError
from forecasting.schema import SplitSpec
from forecasting.series_store import read_series_store
from forecasting.steps import StepContext, StepOutcome
from tests.unit.validation.conftest import MakeSettings
from tests.unit.validation.tables import hourly_lines, write_table

N_ENOUGH = 48 + 23 + 24 + 48
"""Context, longest rolling window less one, horizon, validation and test."""


def run_step(settings, context: StepContext, output: Path) -> StepOutcome:
    output.mkdir()
    return validate_data(settings, {}, output, context)


def table_of_copies(loads: np.ndarray, shift: int) -> list[str]:
    """Lines `time,load,copy` where the copy of an hour is the load `shift` hours before it."""
    stamps = [line.split(",")[0] for line in hourly_lines(len(loads))]
    return [f"{stamp},{load},{copy}" for stamp, load, copy in zip(stamps, loads, np.roll(loads, shift), strict=True)]


def failed(output: Path) -> list[str]:
    report = json.loads((output / "report.json").read_text())
    return [check["name"] for check in report["checks"] if not check["passed"]]


def message_of(output: Path, name: str) -> str:
    report = json.loads((output / "report.json").read_text())
    return next(check["message"] for check in report["checks"] if check["name"] == name)


def test_a_good_table_becomes_a_store_with_report_profile_and_docs(make_settings: MakeSettings, context, tmp_path):
    uri = write_table(tmp_path / "table.csv", hourly_lines(200))
    outcome = run_step(make_settings(uri, data={"known": ["temperature"]}), context, tmp_path / "out")
    assert outcome.passed
    assert outcome.summary.startswith("table.csv: 1 series, 200 steps of 3600 s up to 2024-01-09T08:00:00Z")
    store = read_series_store(tmp_path / "out")
    (series,) = store.series
    assert series.id == "load"
    assert series.values[25].tolist() == [112.5, (25 * 7919) % 31]
    assert store.spec.columns == ("load", "temperature")
    end = series.start + 200 * 3600
    assert store.spec.split == SplitSpec(train_end=end - 2 * 86_400, validation_end=end - 86_400, cutoff=end)
    profile = json.loads((tmp_path / "out" / "profile.json").read_text())
    assert profile["columns"]["load"]["n"] == 200
    assert sum(profile["columns"]["load"]["histogram_counts"]) == 200
    assert (tmp_path / "out" / "data_docs" / "index.html").exists()


def test_the_same_table_gives_the_same_bytes(make_settings: MakeSettings, context, tmp_path):
    settings = make_settings(write_table(tmp_path / "table.csv", hourly_lines(200)))
    run_step(settings, context, tmp_path / "first")
    run_step(settings, context, tmp_path / "second")
    names = sorted(path.relative_to(tmp_path / "first") for path in (tmp_path / "first").rglob("*") if path.is_file())
    assert len(names) == 10
    for name in names:
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes(), name


def test_half_hours_become_hours_by_the_stated_aggregation(make_settings: MakeSettings, context, tmp_path):
    lines = hourly_lines(400, minutes=30)
    data = {"observed": ["temperature"], "aggregation": {"load": "sum", "temperature": "max"}}
    run_step(make_settings(write_table(tmp_path / "t.csv", lines), data=data), context, tmp_path / "out")
    values = read_series_store(tmp_path / "out").series[0].values
    loads = np.array([float(line.split(",")[1]) for line in lines])
    temperatures = np.array([float(line.split(",")[2]) for line in lines])
    assert values.shape == (200, 2)
    np.testing.assert_allclose(values[:, 0], loads[::2] + loads[1::2], rtol=1e-12)
    np.testing.assert_array_equal(values[:, 1], np.maximum(temperatures[::2], temperatures[1::2]))


def test_columns_that_the_configuration_does_not_name_are_named_in_the_report(make_settings, context, tmp_path):
    uri = write_table(tmp_path / "t.csv", hourly_lines(200))
    run_step(make_settings(uri), context, tmp_path / "out")
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["unused_columns"] == ["temperature"]


def test_nothing_at_or_after_the_cutoff_reaches_the_store_but_known_covariates_of_the_horizon(
    make_settings, context, tmp_path
):
    lines = [line + f",{i}" for i, line in enumerate(hourly_lines(200))]
    uri = write_table(tmp_path / "t.csv", lines, header="time,load,temperature,plan")
    settings = make_settings(uri, data={"observed": ["temperature"], "known": ["plan"]})
    run_step(settings, replace(context, cutoff="2024-01-08T00:00:00+00:00"), tmp_path / "out")
    store = read_series_store(tmp_path / "out")
    values = store.series[0].values
    n_before = 7 * 24
    assert store.spec.split.cutoff == store.series[0].start + n_before * 3600
    assert len(values) == n_before + 24
    assert np.isnan(values[n_before:, :2]).all()
    assert not np.isnan(values[:n_before]).any()
    assert values[n_before:, 2].tolist() == list(range(n_before, n_before + 24))


def test_the_profile_describes_only_what_is_before_the_cutoff(make_settings: MakeSettings, context, tmp_path):
    settings = make_settings(write_table(tmp_path / "t.csv", hourly_lines(200)), data={"known": ["temperature"]})
    run_step(settings, replace(context, cutoff="2024-01-08T00:00:00Z"), tmp_path / "out")
    profile = json.loads((tmp_path / "out" / "profile.json").read_text())
    assert (profile["n_steps"], profile["last"]) == (168, "2024-01-07T23:00:00Z")
    assert profile["columns"]["temperature"]["n"] == 168


def test_rows_after_the_cutoff_do_not_change_what_is_before_it(make_settings: MakeSettings, context, tmp_path):
    lines = hourly_lines(200)
    short = make_settings(write_table(tmp_path / "short.csv", lines[:168]))
    long = make_settings(
        write_table(tmp_path / "long.csv", lines[:168] + [f"{line.split(',')[0]},9e9,1" for line in lines[168:]])
    )
    run_step(short, context, tmp_path / "a")
    run_step(long, replace(context, cutoff="2024-01-08T00:00:00Z"), tmp_path / "b")
    assert (tmp_path / "a" / "series.parquet").read_bytes() == (tmp_path / "b" / "series.parquet").read_bytes()
    assert (tmp_path / "a" / "schema.json").read_bytes() == (tmp_path / "b" / "schema.json").read_bytes()


def test_a_cutoff_inside_an_hour_leaves_out_the_whole_hour(make_settings: MakeSettings, context, tmp_path):
    uri = write_table(tmp_path / "t.csv", hourly_lines(400, minutes=30))
    run_step(make_settings(uri), replace(context, cutoff="2024-01-08T00:30:00Z"), tmp_path / "out")
    store = read_series_store(tmp_path / "out")
    assert store.spec.split.cutoff == store.series[0].start + 7 * 86_400


def test_a_cutoff_without_a_zone_is_a_configuration_error(make_settings: MakeSettings, context, tmp_path):
    settings = make_settings(write_table(tmp_path / "t.csv", hourly_lines(200)))
    with pytest.raises(ConfigError, match=r"must carry a time zone"):
        run_step(settings, replace(context, cutoff="2024-01-08T00:00:00"), tmp_path / "out")


def test_a_cutoff_before_the_table_is_refused(make_settings: MakeSettings, context, tmp_path):
    settings = make_settings(write_table(tmp_path / "t.csv", hourly_lines(200)))
    with pytest.raises(
        DataError, match=r"rows before the cutoff 2023-01-01T00:00:00Z; its first time stamp is 2024-01-01"
    ):
        run_step(settings, replace(context, cutoff="2023-01-01T00:00:00Z"), tmp_path / "out")


def test_duplicate_rows_are_refused_with_the_first_row(make_settings: MakeSettings, context, tmp_path):
    lines = hourly_lines(200)
    lines.insert(51, "2024-01-03T02:00:00Z,99,1")
    outcome = run_step(make_settings(write_table(tmp_path / "t.csv", lines)), context, tmp_path / "out")
    assert not outcome.passed
    assert "1 rows repeat one with other values, the first is line 53 at 2024-01-03T02:00:00Z" in outcome.summary
    assert failed(tmp_path / "out") == ["duplicates"]


def test_equal_rows_are_dropped_and_counted(make_settings: MakeSettings, context, tmp_path):
    lines = hourly_lines(200)
    lines.insert(51, lines[50])
    outcome = run_step(make_settings(write_table(tmp_path / "t.csv", lines)), context, tmp_path / "out")
    assert outcome.passed
    assert "1 of 201 rows repeat another and were dropped" in message_of(tmp_path / "out", "dropped_rows")
    assert read_series_store(tmp_path / "out").series[0].n_steps == 200


@pytest.mark.parametrize(("policy", "kept"), [("first", 125.0), ("last", 175.0), ("mean", 150.0)])
def test_different_rows_of_one_time_are_merged_by_the_stated_policy(make_settings, context, tmp_path, policy, kept):
    lines = hourly_lines(200)
    lines[50] = "2024-01-03T02:00:00Z,125,1"
    lines.insert(51, "2024-01-03T02:00:00Z,175,1")
    settings = make_settings(write_table(tmp_path / "t.csv", lines), validation={"duplicates": policy})
    assert run_step(settings, context, tmp_path / "out").passed
    assert read_series_store(tmp_path / "out").series[0].values[50, 0] == kept


def test_a_row_off_the_grid_is_refused_by_name(make_settings: MakeSettings, context, tmp_path):
    lines = hourly_lines(200)
    lines[100] = lines[100].replace(":00:00Z", ":07:00Z")
    outcome = run_step(make_settings(write_table(tmp_path / "t.csv", lines)), context, tmp_path / "out")
    assert not outcome.passed
    assert "1 of 200 are off this grid, the first is line 102" in outcome.summary
    assert failed(tmp_path / "out") == ["regular_step", "quarantined"]


def test_hours_followed_by_half_hours_are_refused_as_mixed_frequency(make_settings: MakeSettings, context, tmp_path):
    lines = hourly_lines(400, minutes=30)
    mixed = lines[:300] + lines[300::2]
    outcome = run_step(make_settings(write_table(tmp_path / "t.csv", mixed)), context, tmp_path / "out")
    assert not outcome.passed
    assert "frequency" in failed(tmp_path / "out")
    assert "usually 1800 s apart, but 3600 s from line 303 at 2024-01-07T07:00:00Z on" in message_of(
        tmp_path / "out", "frequency"
    )


def test_a_table_coarser_than_the_frequency_is_refused(make_settings: MakeSettings, context, tmp_path):
    uri = write_table(tmp_path / "t.csv", hourly_lines(200))
    with pytest.raises(
        DataError, match=r"data.frequency \(30min\) must be a multiple of the table's own step, which is 3600 s"
    ):
        run_step(make_settings(uri, data={"frequency": "30min"}), context, tmp_path / "out")


def test_gaps_are_filled_with_missing_values_and_named(make_settings: MakeSettings, context, tmp_path):
    lines = hourly_lines(200)
    del lines[60:65]
    outcome = run_step(make_settings(write_table(tmp_path / "t.csv", lines)), context, tmp_path / "out")
    assert outcome.passed
    assert failed(tmp_path / "out") == ["gaps"]
    assert "5 steps have no row; the longest gap is 5 steps from 2024-01-03T12:00:00Z" in message_of(
        tmp_path / "out", "gaps"
    )
    target = read_series_store(tmp_path / "out").series[0].values[:, 0]
    assert np.flatnonzero(np.isnan(target)).tolist() == [60, 61, 62, 63, 64]


def test_too_many_missing_targets_are_refused(make_settings: MakeSettings, context, tmp_path):
    lines = hourly_lines(200)
    lines[40:65] = [line.split(",")[0] + ",," for line in lines[40:65]]
    outcome = run_step(make_settings(write_table(tmp_path / "t.csv", lines)), context, tmp_path / "out")
    assert not outcome.passed
    assert "12.50% of the steps are without a target; allowed is 10.00%" in message_of(
        tmp_path / "out", "missing_target"
    )
    assert "expect_column_values_to_not_be_null(load)" in failed(tmp_path / "out")


def test_rows_in_another_order_are_sorted_with_a_warning(make_settings: MakeSettings, context, tmp_path):
    lines = hourly_lines(200)
    swapped = [*lines[:70], lines[71], lines[70], *lines[72:]]
    outcome = run_step(make_settings(write_table(tmp_path / "t.csv", swapped)), context, tmp_path / "out")
    assert outcome.passed
    assert "line 73" in message_of(tmp_path / "out", "order")
    loads = [float(line.split(",")[1]) for line in lines]
    assert read_series_store(tmp_path / "out").series[0].values[:, 0].tolist() == loads


def test_values_out_of_range_are_refused_with_the_first_row(make_settings: MakeSettings, context, tmp_path):
    lines = hourly_lines(200)
    lines[17] = "2024-01-01T17:00:00Z,-5,1"
    settings = make_settings(write_table(tmp_path / "t.csv", lines), validation={"ranges": {"load": [0, None]}})
    outcome = run_step(settings, context, tmp_path / "out")
    assert not outcome.passed
    assert "1 of 200 rows are unexpected, the first is line 19 with -5.0" in outcome.summary


def test_an_old_table_is_refused_when_freshness_is_asked_for(make_settings: MakeSettings, context, tmp_path):
    uri = write_table(tmp_path / "t.csv", hourly_lines(200))
    settings = make_settings(uri, validation={"max_age": "6h"})
    outcome = run_step(settings, replace(context, cutoff="2024-01-09T15:00:00Z"), tmp_path / "out")
    assert not outcome.passed
    assert failed(tmp_path / "out") == ["freshness"]
    assert run_step(settings, replace(context, cutoff="2024-01-09T14:00:00Z"), tmp_path / "other").passed


def test_without_a_cutoff_the_age_is_that_when_the_run_was_begun(make_settings: MakeSettings, context, tmp_path):
    uri = write_table(tmp_path / "t.csv", hourly_lines(200))
    settings = make_settings(uri, validation={"max_age": "6h"})
    end = datetime(2024, 1, 9, 8, tzinfo=UTC).timestamp()
    outcome = run_step(settings, replace(context, created=end + 6 * 3600 + 1), tmp_path / "out")
    assert not outcome.passed
    assert failed(tmp_path / "out") == ["freshness"]
    assert "ends at 2024-01-09T08:00:00Z" in outcome.summary
    assert "until 2024-01-09T14:00:00Z, and the run was begun at 2024-01-09T14:00:01Z" in outcome.summary
    assert run_step(settings, replace(context, created=end + 6 * 3600), tmp_path / "other").passed


def test_two_runs_that_find_a_table_fresh_enough_write_the_same_bytes(make_settings: MakeSettings, context, tmp_path):
    settings = make_settings(write_table(tmp_path / "t.csv", hourly_lines(200)), validation={"max_age": "6h"})
    end = datetime(2024, 1, 9, 8, tzinfo=UTC).timestamp()
    run_step(settings, replace(context, created=end), tmp_path / "a")
    run_step(settings, replace(context, created=end + 3600), tmp_path / "b")
    assert (tmp_path / "a" / "report.json").read_bytes() == (tmp_path / "b" / "report.json").read_bytes()


def test_a_limit_of_age_without_any_time_to_judge_it_by_is_refused(make_settings: MakeSettings, context, tmp_path):
    settings = make_settings(write_table(tmp_path / "t.csv", hourly_lines(200)), validation={"max_age": "6h"})
    with pytest.raises(ConfigError, match=r"validation.max_age needs a cutoff"):
        run_step(settings, context, tmp_path / "out")


def test_too_little_history_is_refused_with_needed_and_found(make_settings: MakeSettings, context, tmp_path):
    settings = make_settings(write_table(tmp_path / "t.csv", hourly_lines(N_ENOUGH - 1)))
    outcome = run_step(settings, context, tmp_path / "out")
    assert not outcome.passed
    assert f"has {N_ENOUGH - 1} steps of 1h before the cutoff; needed are {N_ENOUGH}" in outcome.summary
    enough = make_settings(write_table(tmp_path / "more.csv", hourly_lines(N_ENOUGH)))
    assert run_step(enough, context, tmp_path / "other").passed


def test_a_constant_target_is_refused(make_settings: MakeSettings, context, tmp_path):
    lines = [f"{line.split(',')[0]},7,1" for line in hourly_lines(200)]
    outcome = run_step(make_settings(write_table(tmp_path / "t.csv", lines)), context, tmp_path / "out")
    assert not outcome.passed
    assert failed(tmp_path / "out") == ["constant_target", "quarantined"]


def test_a_covariate_that_is_the_target_in_disguise_trips_the_leak_alarm(make_settings, context, tmp_path):
    lines = [f"{line},{2 * float(line.split(',')[1]) + 3}" for line in hourly_lines(200)]
    uri = write_table(tmp_path / "t.csv", lines, header="time,load,temperature,bill")
    outcome = run_step(make_settings(uri, data={"known": ["temperature", "bill"]}), context, tmp_path / "out")
    assert not outcome.passed
    assert failed(tmp_path / "out") == ["leak"]
    assert "'bill' correlate most with those of the target: 1.0000" in outcome.summary


@pytest.mark.parametrize(
    ("shift", "words"), [(-24, "24 steps ahead of"), (-1, "1 step ahead of"), (23, "23 steps behind")]
)
def test_a_known_copy_of_a_target_in_the_horizon_is_refused(make_settings, context, tmp_path, shift, words):
    loads = np.random.default_rng(3).normal(100, 10, size=600).round(2)
    lines = table_of_copies(loads, shift)
    uri = write_table(tmp_path / "t.csv", lines, header="time,load,copy")
    outcome = run_step(make_settings(uri, data={"known": ["copy"]}), context, tmp_path / "out")
    assert not outcome.passed
    assert failed(tmp_path / "out") == ["leak"]
    assert f"changes of 'copy', {words} the target, correlate most with those of the target: 1.0000" in outcome.summary


def test_a_known_copy_of_what_has_happened_before_the_origin_is_accepted(make_settings, context, tmp_path):
    loads = np.random.default_rng(3).normal(100, 10, size=600).round(2)
    uri = write_table(tmp_path / "t.csv", table_of_copies(loads, 24), header="time,load,copy")
    assert run_step(make_settings(uri, data={"known": ["copy"]}), context, tmp_path / "out").passed


def test_a_plan_with_the_season_of_a_target_that_repeats_itself_is_no_leak(make_settings, context, tmp_path):
    daily = 100 + 10 * np.sin(2 * np.pi * np.arange(600) / 24)
    lines = table_of_copies(daily, 5)
    uri = write_table(tmp_path / "t.csv", lines, header="time,load,copy")
    assert run_step(make_settings(uri, data={"known": ["copy"]}), context, tmp_path / "out").passed


def test_an_observed_copy_of_the_target_is_a_warning(make_settings: MakeSettings, context, tmp_path):
    lines = [f"{line},{2 * float(line.split(',')[1]) + 3}" for line in hourly_lines(200)]
    uri = write_table(tmp_path / "t.csv", lines, header="time,load,temperature,bill")
    outcome = run_step(make_settings(uri, data={"observed": ["temperature", "bill"]}), context, tmp_path / "out")
    assert outcome.passed
    assert failed(tmp_path / "out") == ["observed_copy"]
    assert "'bill' correlate most with those of the target: 1.0000" in message_of(tmp_path / "out", "observed_copy")


def test_hidden_targets_are_missing_but_do_not_count_as_missing(make_settings: MakeSettings, context, tmp_path):
    lines = [f"{line},{int(50 <= i < 90)}" for i, line in enumerate(hourly_lines(200))]
    uri = write_table(tmp_path / "t.csv", lines, header="time,load,temperature,out")
    outcome = run_step(make_settings(uri, data={"censored_by": "out"}), context, tmp_path / "out")
    assert outcome.passed
    store = read_series_store(tmp_path / "out")
    assert np.flatnonzero(np.isnan(store.series[0].values[:, 0])).tolist() == list(range(50, 90))
    assert store.spec.columns == ("load",)


def test_many_series_keep_their_names_categories_and_own_starts(make_settings: MakeSettings, context, tmp_path):
    lines = [f"{line},north,a,red" for line in hourly_lines(200)]
    lines += [f"{line},south,b,blue" for line in hourly_lines(200)[150:]]
    uri = write_table(tmp_path / "t.csv", lines, header="time,load,temperature,region,meter,colour")
    settings = make_settings(uri, data={"id_columns": ["region", "meter"], "static": ["colour", "meter"]})
    outcome = run_step(settings, context, tmp_path / "out")
    assert outcome.passed
    store = read_series_store(tmp_path / "out")
    assert [series.id for series in store] == ["north/a", "south/b"]
    assert store.spec.categories == {"colour": ("blue", "red"), "meter": ("a", "b")}
    assert [series.static for series in store] == [(1, 0), (0, 1)]
    assert [series.n_steps for series in store] == [200, 50]
    assert store.series[1].start - store.series[0].start == 150 * 3600


def lines_of_series(n_series: int, n_hours: int = 200) -> list[str]:
    return [f"{line},s{i}" for i in range(n_series) for line in hourly_lines(n_hours)]


SERIES_HEADER = "time,load,temperature,site"


def test_a_bad_series_goes_into_quarantine_and_the_run_goes_on(make_settings: MakeSettings, context, tmp_path):
    lines = lines_of_series(6)
    lines[210:330] = [f"{line.split(',')[0]},,1,s1" for line in lines[210:330]]
    uri = write_table(tmp_path / "t.csv", lines, header=SERIES_HEADER)
    outcome = run_step(make_settings(uri, data={"id_columns": ["site"]}), context, tmp_path / "out")
    assert outcome.passed
    assert outcome.summary.endswith("1 in quarantine")
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    (record,) = report["quarantined"]
    assert (record["series"], record["rules"]) == ("s1", ["missing_target"])
    assert record["reason"] == "missing_target: 60.00% of the steps are without a target; allowed is 10.00%"
    assert [one.id for one in read_series_store(tmp_path / "out")] == ["s0", "s2", "s3", "s4", "s5"]
    (apart,) = read_series_store(tmp_path / "out" / "quarantine").series
    assert (apart.id, int(np.isnan(apart.values[:, 0]).sum())) == ("s1", 120)


def test_too_many_series_in_quarantine_refuse_the_table(make_settings: MakeSettings, context, tmp_path):
    lines = lines_of_series(6)
    lines[210:330] = [f"{line.split(',')[0]},,1,s1" for line in lines[210:330]]
    uri = write_table(tmp_path / "t.csv", lines, header=SERIES_HEADER)
    settings = make_settings(uri, data={"id_columns": ["site"]}, validation={"max_quarantined_ratio": 0.1})
    outcome = run_step(settings, context, tmp_path / "out")
    assert not outcome.passed
    assert "1 of 6 series are in quarantine, 16.67%; allowed is 10.00%" in outcome.summary
    assert len(read_series_store(tmp_path / "out").series) == 6
    assert not (tmp_path / "out" / "quarantine").exists()


@pytest.mark.parametrize(
    ("severity", "passed", "n_series"), [("fail", False, 6), ("quarantine", True, 5), ("warn", True, 6)]
)
def test_the_severity_of_a_rule_is_what_the_configuration_says(
    make_settings, context, tmp_path, severity, passed, n_series
):
    lines = lines_of_series(6)
    lines[3] = "2024-01-01T03:00:00Z,-5,1,s0"
    uri = write_table(tmp_path / "t.csv", lines, header=SERIES_HEADER)
    limits = {"ranges": {"load": [0, None]}, "severity": {"ranges": severity}}
    outcome = run_step(make_settings(uri, data={"id_columns": ["site"]}, validation=limits), context, tmp_path / "out")
    assert outcome.passed is passed
    assert len(read_series_store(tmp_path / "out").series) == n_series


def test_a_target_from_the_future_is_found_and_such_a_result_is_not_reused(make_settings, context, tmp_path):
    uri = write_table(tmp_path / "t.csv", hourly_lines(200))
    created = datetime(2024, 1, 9, 5, 30, tzinfo=UTC).timestamp()
    outcome = run_step(make_settings(uri), replace(context, created=created), tmp_path / "out")
    assert not outcome.passed
    assert not outcome.reusable
    assert "2 rows are later than the begin of the run" in message_of(tmp_path / "out", "future_rows")
    later = run_step(make_settings(uri), replace(context, created=created + 7200), tmp_path / "later")
    assert later.passed
    assert later.reusable


def test_settings_of_another_step_are_refused(context, tmp_path, make_settings):
    from forecasting.config.root import StepSettings

    with pytest.raises(ConfigError, match=r"validate_data needs its own settings"):
        validate_data(StepSettings(name="load"), {}, tmp_path, context)


def test_a_range_of_a_column_without_a_role_is_a_configuration_error(make_settings: MakeSettings, context, tmp_path):
    uri = write_table(tmp_path / "t.csv", hourly_lines(200))
    settings = make_settings(uri, validation={"ranges": {"temperature": [0, 40]}})
    with pytest.raises(ConfigError, match=r"validation.ranges names 'temperature', which is none of"):
        run_step(settings, context, tmp_path / "out")


def test_the_step_takes_the_place_that_its_name_says():
    assert validate_data.__name__ == StepName.VALIDATE_DATA.value
