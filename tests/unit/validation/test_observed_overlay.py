"""Observations in the store and the table, as one series store."""

from dataclasses import replace

import numpy as np
import pytest

from components.validation.validate_data import validate_data
from forecasting.cache import step_key
from forecasting.contracts.steps import StepName
from forecasting.series_store import read_series_store
from forecasting.store.address import store_address
from forecasting.store.observations import ObservationRows, write_observations
from forecasting.store.opening import open_store
from forecasting.store.packing import GridSpec
from tests.unit.validation.tables import FIRST, hourly_lines, write_table

START = int(FIRST.timestamp())


def observe(context, values, name="load", series="load", step_s=3600, known_at=None):
    """Write what was observed: values by their step from the first row of the table on; it became known long after, or at a step."""
    steps = np.array(list(values), dtype=np.int64)
    rows = ObservationRows(
        model="load", series=(series,), names=(name,), series_at=np.zeros_like(steps), name_at=np.zeros_like(steps),
        time=START + steps * step_s, number=np.array(list(values.values()), dtype=np.float64),
        known_at=np.full(len(steps), START + 10_000 * 3600 if known_at is None else known_at),
    )  # fmt: skip
    with open_store(store_address(None, context.home.serving_database)) as store:
        write_observations(store, rows, GridSpec(step_s, START % step_s), now=START)


@pytest.fixture
def stored(context, tmp_path):
    """Run the step with some settings; the store that it writes."""

    def run(settings, cutoff=None):
        output = tmp_path / "out"
        output.mkdir(exist_ok=True)
        validate_data(settings, {}, output, replace(context, cutoff=cutoff))
        return read_series_store(output)

    return run


def lines(n=200):
    return hourly_lines(n)


def test_a_series_reaches_to_what_was_observed_after_its_table_ends(make_settings, context, stored, tmp_path):
    observe(context, {step: 1000.0 + step for step in range(200, 250)})
    store = stored(make_settings(write_table(tmp_path / "table.csv", lines())))
    (series,) = store.series
    assert series.values[199:202, 0].tolist() == [100 + 10 * 7 + 19.9, 1200.0, 1201.0]
    assert (series.n_steps, store.spec.split.cutoff) == (250, START + 250 * 3600)


def test_a_step_that_was_not_observed_is_missing_and_known_covariates_of_the_table_go_on(
    make_settings, context, stored, tmp_path
):
    table = lines(300)
    bare = [line if i < 200 else ",".join([line.split(",")[0], "", line.split(",")[2]]) for i, line in enumerate(table)]
    observe(context, {210: 5.0})
    store = stored(make_settings(write_table(tmp_path / "table.csv", bare), data={"known": ["temperature"]}))
    (series,) = store.series
    assert store.spec.split.cutoff == START + 211 * 3600
    assert np.isnan(series.values[205, 0])
    assert series.values[210].tolist() == [5.0, (210 * 7919) % 31]
    assert series.values[211 + 23, 1] == ((211 + 23) * 7919) % 31
    assert series.n_steps == 211 + 24


def test_nothing_at_or_after_the_cutoff_is_read(make_settings, context, stored, tmp_path):
    observe(context, dict.fromkeys(range(200, 250), 1000.0), known_at=START + 210 * 3600)
    uri = write_table(tmp_path / "table.csv", lines())
    store = stored(make_settings(uri), cutoff="2024-01-09T18:00:00Z")
    (series,) = store.series
    assert (series.n_steps, store.spec.split.cutoff) == (210, START + 210 * 3600)


@pytest.mark.parametrize(
    ("lag", "cutoff", "begins"), [(None, "2024-01-09T18:00:00Z", 210), ("2h", "2024-01-09T18:00:00Z", 212)]
)
def test_a_run_of_a_cutoff_sees_what_was_known_when_it_was_due_and_no_later_word(
    make_settings, context, stored, tmp_path, lag, cutoff, begins
):
    last_moment = START + (begins + 1) * 3600 - 1
    observe(context, {5: 1.0, 205: 2.0}, known_at=START + 206 * 3600)
    observe(context, {6: 3.0}, known_at=last_moment)
    observe(context, {5: 10.0, 6: 30.0, 7: 40.0, 205: 20.0, 208: 50.0}, known_at=last_moment + 1)
    settings = make_settings(
        write_table(tmp_path / "table.csv", lines()),
        retraining={"data_lag": lag},
        validation={"max_missing_ratio": 1.0},
    )
    store = stored(settings, cutoff)
    (series,) = store.series
    assert series.values[[5, 6, 205], 0].tolist() == [1.0, 3.0, 2.0]
    assert series.values[7, 0] == pytest.approx(170.7)
    assert (series.n_steps, store.spec.split.cutoff) == (206, START + 206 * 3600)
    now = stored(settings).series[0]
    assert now.values[[5, 6, 7, 205, 208], 0].tolist() == [10.0, 30.0, 40.0, 20.0, 50.0]


@pytest.mark.parametrize(
    ("rule", "found"),
    [("replace", [7.0, 120.2, 9.0]), ("fill", [100.1 + 10, 120.2, 9.0]), ("ignore", [110.1, 120.2, np.nan])],
)
def test_what_was_observed_replaces_the_table_or_fills_it_or_is_left_alone(
    make_settings, context, stored, tmp_path, rule, found
):
    table = lines()
    table[3] = ",".join([table[3].split(",")[0], "", "1"])
    observe(context, {1: 7.0, 2: np.nan, 3: 9.0})
    settings = make_settings(
        write_table(tmp_path / "table.csv", table),
        retraining={"observations": rule},
        validation={"max_missing_ratio": 1.0},
    )
    (series,) = stored(settings).series
    np.testing.assert_allclose(series.values[1:4, 0], found)


def test_only_series_columns_and_grids_of_the_table_count(make_settings, context, stored, tmp_path, caplog):
    observe(context, {210: 1.0}, series="another")
    observe(context, {210: 1.0}, series="other")
    observe(context, {420: 2.0}, step_s=1800)
    observe(context, {-3: 3.0, 5: 4.0})
    uri = write_table(tmp_path / "table.csv", lines())
    (series,) = stored(make_settings(uri)).series
    assert (series.n_steps, series.start, series.values[5, 0]) == (200, START, 4.0)
    assert [line.split(";")[0] for line in caplog.messages if "left out" in line] == [
        "2 series that were observed are not in the table and are left out, such as 'another'"
    ]


def test_a_column_that_is_published_later_has_what_was_observed_at_its_step(make_settings, context, stored, tmp_path):
    observe(context, {50: -40.0}, name="temperature")
    data = {"observed": ["temperature"], "availability_lag": {"temperature": "2h"}}
    (series,) = stored(make_settings(write_table(tmp_path / "table.csv", lines()), data=data)).series
    assert series.values[49:52, 1].tolist() == [(47 * 7919) % 31, -40.0, (49 * 7919) % 31]


def test_series_of_several_parts_get_their_own(make_settings, context, stored, tmp_path, caplog):
    caplog.set_level("WARNING")
    table = [f"{line},{name}" for name in ("a", "b", "c") for line in lines(400)]
    uri = write_table(tmp_path / "table.csv", table, header="time,load,temperature,place")
    for name, value in (("a", 1.0), ("c", 3.0)):
        observe(context, {400: value}, series=name)
    settings = make_settings(uri, data={"id_columns": ["place"]}, validation={"part_rows": 1000})
    store = stored(settings)
    found = {one.id: (one.n_steps, one.values[-1, 0]) for one in store.series}
    assert (found["a"], found["c"], found["b"][0]) == ((401, 1.0), (401, 3.0), 400)
    assert not any("left out" in line for line in caplog.messages)


def test_the_key_of_the_step_changes_with_what_was_observed(make_settings, context, tmp_path):
    settings = make_settings(write_table(tmp_path / "table.csv", lines()))

    def key(settings=settings):
        return step_key(
            StepName.VALIDATE_DATA, settings, cutoff=None, parents={}, home=context.home, created=None
        ).digest

    before = key()
    ignoring = make_settings(settings.data.uri, retraining={"observations": "ignore"})
    ignored = key(ignoring)
    observe(context, {1: 7.0})
    once = key()
    observe(context, {1: 7.0})
    assert key() == once != before
    observe(context, {1: 8.0})
    assert key() != once
    assert key(ignoring) == ignored
