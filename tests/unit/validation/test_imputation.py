"""Gaps of covariates filled by the stated policy, by hand, and the mask on its way to the model."""

import numpy as np
import pytest

from components.validation.imputation import impute
from components.validation.validate_data import validate_data
from forecasting.errors import ConfigError
from forecasting.schema import read_series_store
from tests.unit.validation.tables import hourly_lines, write_table

NAN = np.nan
COLUMN = np.array([NAN, 1.0, 2.0, NAN, NAN, 5.0, NAN, NAN, NAN, 9.0, NAN])


@pytest.mark.parametrize(
    ("method", "filled"),
    [
        ("none", COLUMN),
        ("previous", [NAN, 1, 2, 2, 2, 5, 5, 5, NAN, 9, 9]),
        ("seasonal", [NAN, 1, 2, NAN, 1, 5, NAN, NAN, NAN, 9, NAN]),
        ("interpolate", [NAN, 1, 2, 3, 4, 5, NAN, NAN, NAN, 9, NAN]),
    ],
)
def test_a_gap_is_filled_by_the_policy_and_only_so_far(method, filled):
    np.testing.assert_array_equal(impute(COLUMN, method, season=3, max_gap=2), filled)


@pytest.mark.parametrize("method", ["previous", "seasonal"])
def test_what_is_filled_by_looking_back_does_not_change_when_all_that_follows_is_missing(method):
    for cut in range(1, len(COLUMN)):
        later_missing = np.where(np.arange(len(COLUMN)) < cut, COLUMN, NAN)
        found = impute(later_missing, method, season=3, max_gap=2)
        np.testing.assert_array_equal(found[:cut], impute(COLUMN, method, season=3, max_gap=2)[:cut])


def test_a_column_without_values_stays_as_it_is():
    for method in ("previous", "seasonal", "interpolate"):
        assert np.isnan(impute(np.full(5, NAN), method, season=24, max_gap=9)).all()


def test_filled_values_of_the_store_are_marked_and_targets_are_never_filled(make_settings, context, tmp_path):
    lines = hourly_lines(200)
    lines[60:64] = [f"{line.split(',')[0]},," for line in lines[60:64]]
    settings = make_settings(
        write_table(tmp_path / "t.csv", lines),
        data={"known": ["temperature"]},
        validation={"imputation": {"known": "previous", "max_gap": 3}},
    )
    output = tmp_path / "out"
    output.mkdir()
    assert validate_data(settings, {}, output, context).passed
    store = read_series_store(output)
    assert store.spec.columns == ("load", "temperature_imputed", "temperature")
    load, mask, temperature = store.series[0].values.T
    assert np.flatnonzero(np.isnan(load)).tolist() == [60, 61, 62, 63]
    assert np.flatnonzero(mask).tolist() == [60, 61, 62]
    assert temperature[60:63].tolist() == [temperature[59]] * 3
    assert np.flatnonzero(np.isnan(temperature)).tolist() == [63]
    assert "3 of 'temperature'" in (output / "report.json").read_text()


def test_observed_covariates_are_not_filled_from_what_comes_later(make_settings):
    with pytest.raises(ConfigError, match=r"validation.imputation.observed"):
        make_settings(validation={"imputation": {"observed": "interpolate"}})
