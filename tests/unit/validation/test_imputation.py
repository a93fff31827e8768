"""Gaps of covariates filled by the stated policy, by hand, and the mask on its way to the model."""

import numpy as np
import pytest

from components.validation.imputation import impute, plan_imputation
from components.validation.validate_data import validate_data
from forecasting.config.validation import ImputationConfig, ValidationConfig
from forecasting.errors import ConfigError
from forecasting.schema import Series, SeriesSpec, SeriesStore, SplitSpec
from forecasting.series_store import read_series_store
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
    assert (store.spec.observed, store.spec.known) == ((), ("temperature", "temperature_imputed"))
    load, temperature, mask = store.series[0].values.T
    assert np.flatnonzero(np.isnan(load)).tolist() == [60, 61, 62, 63]
    assert np.flatnonzero(mask).tolist() == [60, 61, 62]
    assert temperature[60:63].tolist() == [temperature[59]] * 3
    assert np.flatnonzero(np.isnan(temperature)).tolist() == [63]
    assert "3 of 'temperature'" in (output / "report.json").read_text()


def test_observed_covariates_are_not_filled_from_what_comes_later(make_settings):
    with pytest.raises(ConfigError, match=r"(?s)validation.imputation.observed.*looks at the value after the gap"):
        make_settings(validation={"imputation": {"observed": "interpolate"}})


def _store(values, *, observed=(), known=()):
    spec = SeriesSpec("load", observed, known, (), {}, 1, SplitSpec(2, 4, 6))
    return SeriesStore(spec, (Series("a", 0, np.array(values, dtype=float)),))


def test_a_known_value_that_is_filled_in_the_horizon_is_marked_there():
    # Steps 6 to 9 lie after the cutoff: step 7 of the known column is missing, and so is step 3.
    rows = [[1, 10], [1, 11], [1, 12], [1, NAN], [1, 14], [1, 15], [NAN, 16], [NAN, NAN], [NAN, 18], [NAN, 19]]
    limits = ValidationConfig(imputation=ImputationConfig(known="interpolate", max_gap=2))
    store = _store(rows, known=("sun",))
    plan = plan_imputation(store.spec, limits, season=3)
    filled = plan.fill(store.series[0])
    assert plan.filled.known == ("sun", "sun_imputed")
    assert filled.values[:, 1].tolist() == [10, 11, 12, 13, 14, 15, 16, 17, 18, 19]
    assert filled.values[:, 2].tolist() == [0, 0, 0, 1, 0, 0, 0, 1, 0, 0]
    assert plan.n_filled(filled) == {"sun": 2}


def test_masks_of_observed_and_known_columns_stand_behind_their_own_kind_and_end_with_it():
    rows = [[1, 7, 10], [1, NAN, NAN], [1, 9, 12], [1, 9, 13], [1, 9, 14], [1, 9, 15], [NAN, NAN, NAN], [NAN, NAN, 17]]
    limits = ValidationConfig(imputation=ImputationConfig(observed="previous", known="previous", max_gap=2))
    store = _store(rows, observed=("wind",), known=("sun",))
    plan = plan_imputation(store.spec, limits, season=3)
    assert plan.filled.columns == ("load", "wind", "wind_imputed", "sun", "sun_imputed")
    values = plan.fill(store.series[0]).values
    np.testing.assert_array_equal(values[:, 1], [7, 7, 9, 9, 9, 9, NAN, NAN])
    np.testing.assert_array_equal(values[:, 2], [0, 1, 0, 0, 0, 0, NAN, NAN])
    np.testing.assert_array_equal(values[:, 3], [10, 10, 12, 13, 14, 15, 15, 17])
    np.testing.assert_array_equal(values[:, 4], [0, 1, 0, 0, 0, 0, 1, 0])


def filled(store: SeriesStore, limits: ValidationConfig) -> np.ndarray:
    return plan_imputation(store.spec, limits, season=1).fill(store.series[0]).values


def test_nothing_observed_after_the_cutoff_changes_what_is_filled():
    rows = np.array([[1, 7, 10], [1, NAN, 11], [1, 9, 12], [1, 9, 13], [1, 9, 14], [1, NAN, 15], [NAN, NAN, 16]], float)
    limits = ValidationConfig(imputation=ImputationConfig(observed="seasonal", known="previous"))
    before = filled(_store(rows, observed=("wind",), known=("sun",)), limits)
    rows[6, :2] = 1e9
    after = filled(_store(rows, observed=("wind",), known=("sun",)), limits)
    np.testing.assert_array_equal(before[:6], after[:6])
