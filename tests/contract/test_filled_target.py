"""A missing target as an input, filled from earlier seasons: by hand, in both libraries, on window and whole series."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from forecasting.features.columns import FILL_SEASONS, ColumnBlock
from forecasting.features.numpy_namespace import NUMPY
from forecasting.features.spec import history_length, read_feature_spec, write_feature_spec
from forecasting.features.terms import RollingTerm
from forecasting.features.transform import feature_blocks, past_columns, window_features
from forecasting.neural.compression.conversion import convert_to_lite
from forecasting.neural.export import CalibrationSpec, ForecastModule
from forecasting.neural.losses import pinball_loss
from forecasting.neural.models import NetworkSpec, build_network
from forecasting.neural.models.normaliser import WindowNormaliser
from forecasting.neural.namespace import TENSORFLOW
from forecasting.predictors import LitePredictor
from forecasting.windows import actuals, window_inputs
from tests.unit.features.feature_specs import HOUR_S, START, gappy_series, melbourne_spec
from tests.unit.features.whole_planes import feature_planes
from tests.unit.neural.conftest import SMALL

NAN = np.nan
SPEC = melbourne_spec(700, fill_season=24)


def reference(raw: np.ndarray, location: float, scale: float, season: int) -> np.ndarray:
    """Step by step in float64."""
    filled = np.zeros(len(raw))
    for t in range(len(raw)):
        earlier = [raw[t - k * season] for k in range(8) if t - k * season >= 0]
        known = [value for value in earlier if not np.isnan(value)]
        filled[t] = (known[0] - location) / scale if known else 0.0
    return filled


def column(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    values = rng.normal(50, 10, 300)
    values[rng.random(300) < rng.choice([0.1, 0.5, 0.95])] = NAN
    values[40:80] = NAN
    return values.astype(np.float32)


def test_a_missing_step_takes_the_value_of_the_latest_of_seven_seasons_else_zero():
    raw = np.float32([[1, 2, NAN, NAN, 5, NAN, NAN, NAN] + [NAN] * 13])
    found = ColumnBlock(raw, 0.0, 2.0, NUMPY).filled_from(3)[0]
    # Steps 0, 3, 6 … repeat 1, up to seven seasons on, at step 21; 1, 4, 7 … repeat 5; 2, 5, 8 … have nothing.
    assert found[:9].tolist() == [0.5, 1.0, 0.0, 0.5, 2.5, 0.0, 0.5, 2.5, 0.0]
    longer = np.full((1, 25), NAN, np.float32)
    longer[0, 0] = 6.0
    found = ColumnBlock(longer, 0.0, 1.0, NUMPY).filled_from(3)[0]
    assert (found[21], found[24]) == (6.0, 0.0)


def test_a_step_counts_as_filled_whatever_the_value_is_and_not_where_nothing_was_found():
    raw = np.float32([[5, 2, NAN, NAN, 4, NAN]])
    block = ColumnBlock(raw, 5.0, 2.0, NUMPY)
    # The first value is 0 when scaled, and so is what fills the fourth.
    assert block.filled_from(3)[0].tolist() == [0.0, -1.5, 0.0, 0.0, -0.5, 0.0]
    assert block.is_filled(3)[0].tolist() == [0, 0, 0, 1, 0, 0]
    in_graph = ColumnBlock(tf.constant(raw), 5.0, 2.0, TENSORFLOW).is_filled(3)
    np.testing.assert_array_equal(in_graph, block.is_filled(3))


def test_a_filled_target_of_zero_lies_below_the_level_and_one_without_a_value_on_it():
    spec = replace(SPEC, derived=())
    past = np.zeros((2, spec.context, len(feature_blocks(spec).past)), dtype=np.float32)
    past[:, 10:, :2] = [2.0, 1.0]
    past[:, 30, :2] = 0.0
    past[1, 30, 2] = 1.0
    past[1, 5, :3] = [3.0, 0.0, 1.0]
    found = WindowNormaliser(spec)(tf.constant(past))
    assert found.level.numpy().tolist() == [[2.0], [2.0]]
    assert found.past[:, 30, 0].numpy().tolist() == [0.0, -2.0]
    assert found.past[:, 5, 0].numpy().tolist() == [0.0, 1.0]
    # A filled step is no padding.
    assert found.begun.numpy().argmax(axis=1).tolist() == [10, 5]


@pytest.mark.parametrize("season", [1, 7, 24])
@pytest.mark.parametrize("seed", range(6))
def test_numpy_and_tensorflow_agree_with_the_reference(seed: int, season: int):
    raw = column(seed)
    expected = reference(raw.astype(np.float64), 48.0, 9.0, season)
    in_numpy = ColumnBlock(raw[None], 48.0, 9.0, NUMPY).filled_from(season)[0]
    in_graph = ColumnBlock(tf.constant(raw[None]), 48.0, 9.0, TENSORFLOW).filled_from(season)[0].numpy()
    np.testing.assert_allclose(in_numpy, expected, atol=1e-5)
    np.testing.assert_allclose(in_graph, expected, atol=1e-5)


def test_its_reach_is_part_of_the_history_of_a_model():
    assert history_length(48, [], fill_season=24) == 48 + FILL_SEASONS * 24
    assert history_length(48, [RollingTerm("load", 500, "mean")], fill_season=24) == 48 + 499
    assert SPEC.history_length == 48 + 168


@pytest.mark.parametrize("t", [60, 130, 210])
def test_a_fill_reads_no_further_back_than_it_says_and_never_ahead(t: int):
    raw = column(1)
    other = raw.copy()
    other[: max(0, t - FILL_SEASONS * 24)] = 1e6
    other[t + 1 :] = -1e6
    full = ColumnBlock(raw[None], 0.0, 1.0, NUMPY).filled_from(24)[0, t]
    assert ColumnBlock(other[None], 0.0, 1.0, NUMPY).filled_from(24)[0, t] == full


def test_the_mask_tells_which_steps_are_filled_and_derived_features_leave_them_out():
    series = gappy_series(700)
    values = series.values[None, :, :2].astype(np.float32)
    plain = past_columns(values, {}, replace(SPEC, fill_season=0), NUMPY)
    filled = past_columns(values, {}, SPEC, NUMPY)
    missing = np.isnan(series.values[:, 0])
    np.testing.assert_array_equal(filled[1][0], ~missing)
    np.testing.assert_array_equal(filled[0][0, ~missing], plain[0][0, ~missing])
    assert (filled[0][0, 100:140] != 0).all()
    assert (plain[0][0, 100:140] == 0).all()
    np.testing.assert_array_equal(filled[2][0], missing & (filled[0][0] != 0))
    for before, after in zip(plain[1:], [filled[1], *filled[3:]], strict=True):
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("origin", [60, 120, 139, 320])
def test_a_window_is_filled_as_the_whole_series_is(origin: int):
    series = gappy_series(700)
    inputs = window_inputs(series, SPEC, np.asarray([START + origin * HOUR_S]))
    planes = feature_planes(series, SPEC)
    wanted = planes[origin : origin + SPEC.context]
    recent, ahead = window_features(inputs.history, inputs.future, None, SPEC, NUMPY)
    np.testing.assert_allclose(recent[0], wanted, atol=2e-6)
    n_past = len(feature_blocks(SPEC).past)
    np.testing.assert_allclose(ahead[0], planes[origin + SPEC.context :][: SPEC.horizon, n_past:], atol=2e-6)
    in_graph, _ = window_features(tf.constant(inputs.history), tf.constant(inputs.future), None, SPEC, TENSORFLOW)
    np.testing.assert_allclose(in_graph[0], wanted, atol=2e-5)


def test_no_input_changes_when_every_target_after_the_origin_becomes_nan_or_nonsense():
    series, origin = gappy_series(700), np.asarray([START + 120 * HOUR_S])
    expected = window_features(*_arrays(series, origin), SPEC, NUMPY)
    for value in (NAN, 1e9):
        blinded = series.values.copy()
        blinded[120:, :2] = value
        found = window_features(*_arrays(replace(series, values=blinded), origin), SPEC, NUMPY)
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(
            feature_planes(replace(series, values=blinded), SPEC)[: 48 + 120, : len(feature_blocks(SPEC).past)],
            feature_planes(series, SPEC)[: 48 + 120, : len(feature_blocks(SPEC).past)],
        )


def _arrays(series, origin):
    inputs = window_inputs(series, SPEC, origin)
    return inputs.history, inputs.future, inputs.static


def test_a_filled_value_counts_neither_in_the_loss_nor_among_the_actuals():
    series = gappy_series(700)
    planes, origin = feature_planes(series, SPEC), 110
    plain = feature_planes(series, replace(SPEC, fill_season=0))
    ahead = slice(origin + 48, origin + 48 + 24)
    assert (planes[ahead, 0] != plain[ahead, 0]).any()
    quantiles = tf.constant(np.linspace(-1, 1, 72, dtype=np.float32).reshape(1, 24, 3))
    losses = [
        float(pinball_loss(tf.constant(found[None, ahead, 0]), quantiles, tf.constant(SPEC.quantiles), tf.constant(found[None, ahead, 1])))
        for found in (planes, plain)
    ]  # fmt: skip
    assert losses[0] == losses[1]
    found = actuals(series, SPEC, np.asarray([START + origin * HOUR_S]))[0]
    np.testing.assert_array_equal(found, series.values[origin : origin + 24, 0])
    assert np.isnan(found[:24]).all()


def test_a_spec_with_a_fill_season_is_written_down_and_read_back(tmp_path):
    write_feature_spec(SPEC, tmp_path / "spec.json")
    assert read_feature_spec(tmp_path / "spec.json") == SPEC


@pytest.fixture(scope="module")
def module() -> ForecastModule:
    # Without derived features nothing but the fill looks back further than the context.
    spec = replace(SPEC, derived=())
    network = build_network(NetworkSpec(spec, SMALL))
    rng = np.random.default_rng(0)
    for weight in network.trainable_variables:
        weight.assign(weight.numpy() + rng.normal(0, 0.05, weight.shape))
    return ForecastModule(network, spec, CalibrationSpec((1.0, 1.0, 1.0)))


def test_the_network_reads_what_was_filled_and_the_lite_model_agrees(module, tmp_path):
    series = gappy_series(700)
    spec = module.spec
    inputs = window_inputs(series, spec, START + HOUR_S * np.asarray([130, 141, 300, 500]))
    expected = module.quantiles(inputs.history, inputs.future).numpy()
    path = tmp_path / "model.tflite"
    path.write_bytes(convert_to_lite(module).content)
    np.testing.assert_allclose(LitePredictor(path).predict(inputs), expected, rtol=2e-4)
    # Hours 100 to 139 are missing; the context of the window at hour 141 begins with hour 93, after those changed.
    warmer = series.values.copy()
    warmer[80:90, 0] += 30.0
    changed = window_inputs(replace(series, values=warmer), spec, START + HOUR_S * np.asarray([141]))
    assert (np.abs(module.quantiles(changed.history, changed.future).numpy() - expected[1:2]) > 0.01).any()
