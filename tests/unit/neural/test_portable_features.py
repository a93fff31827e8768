"""Features in few operations are the features."""

import numpy as np
import pytest
import tensorflow as tf

from forecasting.features.numpy_namespace import NUMPY
from forecasting.features.terms import (
    DegreeDaysTerm,
    DifferenceTerm,
    ExponentialMeanTerm,
    LagTerm,
    RatioTerm,
    RollingTerm,
    SeasonalTerm,
)
from forecasting.features.transform import feature_blocks, window_features
from forecasting.neural.models.window import side_by_side
from forecasting.neural.namespace import TENSORFLOW
from forecasting.neural.portable_features import portable_window_features
from tests.unit.features.feature_specs import melbourne_spec

OF_PAST = (
    *(RollingTerm("load", window, name) for window in (6, 24, 7) for name in ("mean", "std", "min", "max")),
    RollingTerm("wind", 12, "std"),
    RollingTerm("load", 12, "mean", lag=2),
    SeasonalTerm("load", 12, 2, "mean"),
    LagTerm("load", 5),
    DifferenceTerm("load", 3),
    RatioTerm("load", 6),
    ExponentialMeanTerm("load", 2),
)
OF_KNOWN = (
    *(RollingTerm("temperature", window, "mean") for window in (1, 5, 24, 30, 48, 72, 400)),
    RollingTerm("temperature", 24, "std"),
    DegreeDaysTerm("temperature", 18.0, "heating", 24),
    DegreeDaysTerm("temperature", 18.0, "cooling", 1),
)


@pytest.fixture(scope="module")
def spec():
    return melbourne_spec(700, horizon=9, context=24, segment=6, seasons=(12,), derived=OF_PAST + OF_KNOWN)


def windows(spec, *, seed: int = 2, scale: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    shapes = spec.signature.input_shapes()
    history = rng.normal(2450.0, 800.0, (3, *shapes["history"])).astype(np.float32) * np.float32(scale)
    future = rng.normal(15.0, 6.0, (3, *shapes["future"])).astype(np.float32)
    history[0, rng.uniform(size=history.shape[1]) < 0.2, :3] = np.nan
    # Nothing at all, then something: the start of a young series.
    history[1, :-40, :3] = np.nan
    future[0, 2:5, 0] = np.nan
    return history, future


def both(spec, history, future, every: int):
    expected = window_features(history, future, None, spec, NUMPY)
    found, ahead = portable_window_features(tf.constant(history), tf.constant(future), None, spec, derived_every=every)
    return expected, found, ahead.numpy()


def assert_close(found, expected, *, size: float = 1.0) -> None:
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=2e-5 * size)


def test_every_column_is_that_of_numpy(spec):
    expected, found, ahead = both(spec, *windows(spec), every=1)
    n_past = len(feature_blocks(spec).past)
    assert_close(np.stack(found.past, axis=2), expected[0][:, :, :n_past])
    assert_close(side_by_side(np.concatenate(found.known, axis=1)), expected[0][:, :, n_past:])
    assert_close(ahead, expected[1])
    assert found.ends is None


@pytest.mark.parametrize("scale", [1.0, 100.0, 0.0])
def test_columns_derived_of_the_past_are_right_where_segments_end(spec, scale):
    expected, found, _ = both(spec, *windows(spec, scale=scale), every=6)
    names = feature_blocks(spec).past
    first = names.index("load_mean_6")
    assert_close(np.stack(found.past, axis=2), expected[0][:, :, :first])
    assert_close(found.ends, expected[0][:, 5::6, first : len(names)], size=max(1.0, scale))
    assert_close(
        side_by_side(np.concatenate(found.known, axis=1)), expected[0][:, :, len(names) :], size=max(1.0, scale)
    )


def test_a_spread_far_below_the_level_is_not_blurred(spec):
    history, future = windows(spec)
    history[:, :, 0] = 1e5 + np.random.default_rng(0).normal(0.0, 10.0, history.shape[:2])
    expected, found, _ = both(spec, history, future, every=6)
    names = feature_blocks(spec).past
    place = names.index("load_std_24")
    spread = expected[0][:, 5::6, place]
    np.testing.assert_allclose(found.ends[:, :, place - names.index("load_mean_6")], spread, rtol=0.02)
    assert spread.min() > 0.0


def test_windows_of_whole_segments_make_a_graph_of_far_fewer_operations():
    usual = (
        *(RollingTerm("load", window, name) for window in (24, 168) for name in ("mean", "std", "min", "max")),
        *(RollingTerm("temperature", window, "mean") for window in (24, 72)),
    )
    spec = melbourne_spec(700, horizon=24, context=48, segment=24, seasons=(24,), derived=usual)
    history, future = windows(spec)

    def n_operations(features) -> int:
        traced = tf.function(features, autograph=False).get_concrete_function(tf.constant(history), tf.constant(future))
        pruned = tf.compat.v1.graph_util.extract_sub_graph(
            traced.graph.as_graph_def(),
            [tensor.op.name for tensor in tf.nest.flatten(traced.outputs) if tensor is not None],
        )
        return len(pruned.node)

    plain = n_operations(lambda h, f: window_features(h, f, None, spec, TENSORFLOW))
    few = n_operations(lambda h, f: vars(portable_window_features(h, f, None, spec, derived_every=24)[0]))
    assert few < 0.6 * plain
