"""Nothing that compression learns from, or is compared on, depends on the test period."""

from dataclasses import replace

import numpy as np
import pytest

from components.compression.compress_model import calibration_inputs
from components.compression.parity import parity_spec
from forecasting.feature_store import learning_windows
from forecasting.schema import Series, SeriesSpec, SeriesStore
from tests.unit.features.feature_specs import HOUR_S, START, gappy_series, melbourne_spec
from tests.unit.neural.conftest import SPLIT, feature_store

SPEC = melbourne_spec(700, horizon=6, context=18, segment=6, seasons=(6,))


def values_of(series: Series) -> SeriesStore:
    columns = SeriesSpec(SPEC.target, SPEC.observed, SPEC.known, SPEC.static, SPEC.categories, HOUR_S, SPLIT)
    return SeriesStore(columns, (series,))


def blinded(series: Series) -> Series:
    """All values from the test period on are missing."""
    values = series.values.copy()
    values[(SPLIT.test_start - START) // HOUR_S :] = np.nan
    return replace(series, values=values)


@pytest.mark.parametrize("refit", [False, True])
def test_ranges_of_int8_are_the_same_without_the_test_period(refit: bool) -> None:
    series = gappy_series(700)
    store = feature_store(SPEC, [series])
    learnt = learning_windows(store, with_validation=refit)
    seen = calibration_inputs(values_of(series), SPEC, learnt, count=500)
    blind = calibration_inputs(values_of(blinded(series)), SPEC, learnt, count=500)
    np.testing.assert_array_equal(seen.history, blind.history)
    np.testing.assert_array_equal(seen.future, blind.future)


def test_windows_of_parity_and_their_actual_values_are_the_same_without_the_test_period() -> None:
    series = gappy_series(700)
    store = feature_store(SPEC, [series])
    seen = parity_spec(values_of(series), store, 500)
    blind = parity_spec(values_of(blinded(series)), store, 500)
    np.testing.assert_array_equal(seen.inputs.history, blind.inputs.history)
    np.testing.assert_array_equal(seen.inputs.future, blind.inputs.future)
    np.testing.assert_array_equal(seen.actuals, blind.actuals)
