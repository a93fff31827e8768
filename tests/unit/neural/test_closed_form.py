from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from forecasting.config.models import RidgeConfig
from forecasting.errors import DataError
from forecasting.feature_store import window_index
from forecasting.features.spec import ScalerSpec
from forecasting.neural import closed_form
from forecasting.neural.models import NetworkSpec, build_network
from forecasting.neural.models.ridge import own_column, seasonal_kernel, window_spread
from forecasting.neural.scaled import predict_scaled
from tests.unit.features.feature_specs import gappy_series, melbourne_spec
from tests.unit.neural.conftest import SPLIT, feature_store, sales_series


def network_of(spec):
    return build_network(NetworkSpec(spec, RidgeConfig()))


def windows_of(store, *, validation: bool = False):
    if validation:
        return window_index(store, SPLIT.train_end, SPLIT.validation_end, min_age=24)
    return window_index(store, None, SPLIT.train_end, min_age=24)


def spec_without_calendar(**changes):
    spec = melbourne_spec(700, derived=(), **changes)
    return replace(spec, calendar=replace(spec.calendar, columns=(), fourier=()), known=())


def solved(store):
    network = network_of(store.spec)
    reader, train = closed_form.MomentReader(network, store), closed_form.solved_windows(windows_of(store), store.spec)
    penalties = closed_form.choose_penalties(reader, train, windows_of(store, validation=True))
    closed_form.assign_solution(network.horizon_model, closed_form.solve_ridge(reader, train, penalties))
    return network, penalties


def error(network, store) -> float:
    scored = predict_scaled(network, store, windows_of(store, validation=True), 64)
    distance = (scored["target"] - scored["quantiles"][:, :, 1]) * scored["present"]
    return float(np.abs(distance).sum() / scored["present"].sum())


def linear_series():
    """Each value that of the day before, changed as a known column changed, and by a little noise."""
    series = gappy_series(700)
    rng, values = np.random.default_rng(4), series.values.copy()
    values[:, 2] = rng.normal(15, 6, 700)
    values[:48, 0] = rng.normal(100, 20, 48)
    for t in range(48, 700):
        values[t, 0] = values[t - 24, 0] + values[t, 2] - values[t - 24, 2] + rng.normal(0, 0.1)
    return replace(series, values=values)


def test_contexts_are_whole_seasons_up_to_the_whole_context():
    assert closed_form.context_lengths(melbourne_spec(context=720)) == (96, 192, 360, 552, 720)
    assert closed_form.context_lengths(melbourne_spec(context=24)) == (24,)


def test_an_unsolved_map_repeats_the_mean_of_the_seasons_that_fit():
    spec = melbourne_spec(context=48, horizon=2, seasons=(24, 48))
    kernel = seasonal_kernel(spec, 48)
    assert np.argwhere(kernel).tolist() == [[0, 0], [1, 1], [24, 0], [25, 1]]
    assert np.unique(kernel).tolist() == [0.0, 0.5]
    assert np.argwhere(seasonal_kernel(spec, 24)).tolist() == [[0, 0], [1, 1]]


def test_a_linear_process_is_forecast_to_its_noise():
    store = feature_store(melbourne_spec(700), [linear_series()])
    network, _ = solved(store)
    # The noise is 0.1, in units of 20 0.005.
    assert error(network, store) < 0.012
    assert error(network_of(store.spec), store) > 0.2


def test_noise_asks_for_a_larger_penalty():
    noise = gappy_series(700).values.copy()
    noise[:, 0] = np.random.default_rng(1).normal(100, 20, 700)
    stores = [
        feature_store(melbourne_spec(700), [one]) for one in (linear_series(), replace(linear_series(), values=noise))
    ]
    penalties = [max(one.shared for one in solved(store)[1]) for store in stores]
    assert penalties[0] == min(closed_form.PENALTIES)
    assert penalties[1] > penalties[0]


def test_series_of_two_kinds_get_maps_of_their_own_and_an_unknown_one_that_of_all():
    spec = spec_without_calendar(static=("shop",), categories={"shop": ("x", "y")})
    first = linear_series()
    values = first.values.copy()
    for t in range(24, 700):
        values[t, 0] = 200 - values[t - 24, 0]
    # The spec has no known column, and the series have none.
    other = replace(first, id="b", values=values[:, :2], static=(1,))
    store = feature_store(spec, [replace(first, values=first.values[:, :2], static=(0,)), other])
    network, penalties = solved(store)
    assert all(one.own is not None for one in penalties)
    history, future = np.ones((1, 48, network.n_past), np.float32), np.zeros((1, 24, 0), np.float32)
    history[0, :, 0] = np.sin(np.arange(48) * 2 * np.pi / 24)
    said = {code: network(history, future, tf.constant([[code]]))[0][0, :, 1].numpy() for code in (0.0, 1.0, -1.0)}
    assert np.abs(said[0.0] - said[1.0]).max() > 0.1
    model = network.horizon_model
    own = model.own.numpy().copy()
    model.own.assign(np.zeros_like(own))
    np.testing.assert_allclose(network(history, future, tf.constant([[0.0]]))[0][0, :, 1], said[-1.0], atol=1e-5)


def test_quantiles_hold_for_the_windows_they_were_set_by():
    store = feature_store(melbourne_spec(700), [gappy_series(700)])
    network, _ = solved(store)
    validation = windows_of(store, validation=True)
    closed_form.assign_median(network, store, validation)
    closed_form.assign_gaps(network, store, validation)
    scored = predict_scaled(network, store, validation, 64)
    below = (scored["target"][:, :, None] < scored["quantiles"])[scored["present"] > 0]
    np.testing.assert_allclose(below.mean(axis=0), [0.1, 0.5, 0.9], atol=0.01)


def test_the_spread_leaves_padding_out():
    differences = tf.constant([[9.0, 9.0, 1.0, -1.0]])
    begun = tf.constant([[0.0, 0.0, 1.0, 1.0]])
    np.testing.assert_allclose(window_spread(differences, begun), [[1.05]])


def test_windows_without_a_whole_horizon_are_refused():
    series = gappy_series(700)
    values = series.values.copy()
    values[::20, 0] = np.nan
    store = feature_store(melbourne_spec(700), [replace(series, values=values)])
    with pytest.raises(DataError, match="24 steps ahead are all known, found none"):
        closed_form.MomentReader(network_of(store.spec), store).moments(windows_of(store))


def test_categories_have_maps_where_there_are_several_and_not_too_many():
    spec = melbourne_spec(700)
    of_shops = replace(spec, static=("shop",), categories={"shop": ("x", "y")})
    assert own_column(spec) is None
    assert own_column(of_shops) == 0
    assert own_column(replace(of_shops, categories={"shop": ("x",)})) is None
    many = tuple(str(i) for i in range(20_000))
    assert own_column(replace(of_shops, categories={"shop": many})) is None


def test_series_of_different_size_count_between_alike_and_by_their_size(sales_store):
    scaler = ScalerSpec(
        {"load": 0.0, "wind": 5.0, "temperature": 15.0}, {"load": 100.0, "wind": 2.0, "temperature": 6.0}
    )
    store = feature_store(replace(sales_store.spec, scaler=scaler), sales_series())
    reader = closed_form.MomentReader(network_of(store.spec), store)
    small, large = (moments for _, (moments,) in reader.by_category(windows_of(store)))
    assert large.squares / small.squares == pytest.approx(50**0.5, rel=1e-3)
