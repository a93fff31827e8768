from dataclasses import replace

import numpy as np
import tensorflow as tf

from forecasting.feature_store import window_index
from forecasting.features.numpy_namespace import NUMPY
from forecasting.features.transform import window_features
from forecasting.neural.batches import window_gather
from forecasting.neural.models import NetworkSpec, build_network
from forecasting.schema import Series
from forecasting.windows import window_inputs
from tests.unit.features.feature_specs import HOUR_S, START, gappy_series, melbourne_spec
from tests.unit.features.whole_planes import horizon_planes
from tests.unit.forecasting.vintage_tables import issued_series
from tests.unit.neural.conftest import SMALL, SPLIT, feature_store


def jittered(store):
    network = build_network(NetworkSpec(store.spec, SMALL))
    rng = np.random.default_rng(0)
    for weight in network.trainable_variables:
        weight.assign(weight.numpy() + rng.normal(0, 0.1, weight.shape))
    return network


def batch_of(store, numbers):
    return window_gather(store, window_index(store, None, SPLIT.cutoff, min_age=24))(tf.constant(numbers))


def test_quantiles_never_cross(hourly_store):
    batch = batch_of(hourly_store, range(64))
    quantiles, _ = jittered(hourly_store)(batch["history"], batch["future"])
    assert np.all(np.diff(quantiles.numpy(), axis=2) > 0)


def test_untrained_network_forecasts_the_seasonal_lag(hourly_store):
    batch = batch_of(hourly_store, [300])
    quantiles, _ = build_network(NetworkSpec(hourly_store.spec, SMALL))(batch["history"], batch["future"])
    present = batch["history"][0, -24:, 1].numpy() > 0
    np.testing.assert_allclose(
        quantiles[0, :, 1].numpy()[present], batch["history"][0, -24:, 0].numpy()[present], atol=1e-5
    )


def test_forecast_of_a_window_scaled_series_grows_with_its_size(sales_store):
    network = jittered(sales_store)
    batch = batch_of(sales_store, [300])
    past = batch["history"].numpy()
    n_past = network.n_past
    bigger = past.copy()
    bigger[:, :, 0] *= 10.0
    bigger[:, :, 3:n_past] *= 10.0
    small, scale = network(past, batch["future"], batch["static"])
    large, larger_scale = network(bigger, batch["future"], batch["static"])
    np.testing.assert_allclose(larger_scale.numpy(), 10.0 * scale.numpy(), rtol=1e-5)
    # Only the logarithm of the scale is seen besides; with it held fixed the forecast is homogeneous.
    assert 5.0 < float(tf.reduce_mean(large) / tf.reduce_mean(small)) < 20.0


def test_horizon_need_not_be_a_multiple_of_the_segment(sales_store):
    batch = batch_of(sales_store, [10, 20])
    quantiles, _ = jittered(sales_store)(batch["history"], batch["future"], batch["static"])
    assert quantiles.shape == (2, 30, 3)


def test_unknown_static_code_is_accepted(sales_store):
    batch = batch_of(sales_store, [10])
    quantiles, _ = jittered(sales_store)(batch["history"], batch["future"], tf.constant([[-1.0]]))
    assert np.all(np.isfinite(quantiles.numpy()))


def test_a_window_that_begins_before_its_series_is_what_the_served_model_sees(sales_store):
    windows = window_index(sales_store, None, SPLIT.cutoff, min_age=24)
    number = int(np.flatnonzero((windows.series == 1) & (windows.age == 30))[0])
    batch = batch_of(sales_store, [number])
    series = Series("b", START, gappy_series(700, seed=3).values * [50.0, 1.0, 1.0], (1,))
    inputs = window_inputs(series, sales_store.spec, np.asarray([START + 30 * HOUR_S]))
    recent, ahead = window_features(inputs.history, inputs.future, inputs.static, sales_store.spec, NUMPY)
    np.testing.assert_allclose(batch["history"].numpy(), recent, atol=2e-5)
    np.testing.assert_allclose(batch["future"].numpy(), ahead, atol=2e-5)


def test_a_gathered_window_holds_what_was_known_at_its_origin():
    spec = melbourne_spec(700, vintages=("temperature",))
    # Two series: the second one's rows lie behind the first one's.
    series = [issued_series(700, seed=3), replace(issued_series(700, seed=4), id="b")]
    store = feature_store(spec, series)
    lead = np.zeros((spec.context, spec.horizon, 2), dtype=np.float32)
    horizons = np.concatenate([part for one in series for part in (lead, horizon_planes(one, spec))])
    store = replace(store, horizon_planes=horizons)
    windows = window_index(store, None, SPLIT.cutoff, min_age=24)
    numbers = [0, 5, 300, len(windows) - 1]
    batch = batch_of(store, numbers)
    for k, number in enumerate(numbers):
        origin = START + int(windows.age[number]) * HOUR_S
        inputs = window_inputs(series[int(windows.series[number])], spec, np.asarray([origin]))
        recent, ahead = window_features(inputs.history, inputs.future, inputs.static, spec, NUMPY)
        np.testing.assert_allclose(batch["history"][k].numpy(), recent[0], atol=2e-5)
        np.testing.assert_allclose(batch["future"][k].numpy(), ahead[0], atol=2e-5)
