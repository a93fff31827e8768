from dataclasses import replace

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from forecasting.config.models import GruConfig, LinearConfig, SegmentLstmConfig
from forecasting.feature_store import window_index
from forecasting.features.transform import feature_blocks, reduced_spec, removable_columns
from forecasting.neural.batches import window_gather
from forecasting.neural.compression.conversion import convert_to_lite
from forecasting.neural.compression.fine_tuning import mean_loss
from forecasting.neural.compression.inputs import idle_inputs, shortest_context, with_inputs
from forecasting.neural.export import CalibrationSpec, ForecastModule
from forecasting.neural.models import NetworkSpec, build_network
from forecasting.predictors import LitePredictor
from tests.unit.features.feature_specs import gappy_series, melbourne_spec
from tests.unit.neural.compression.conftest import WIDE
from tests.unit.neural.conftest import SPLIT, feature_store

FACTORS = CalibrationSpec((1.1, 1.0, 1.2))
PLAIN = SegmentLstmConfig(units=8, head_units=12, step_units=2, embedding_units=0, dropout=0.1)
STEPWISE = GruConfig(units=(8,), head_units=12, step_units=2)


def of_noise(spec: NetworkSpec):
    """A network whose every weight matters."""
    network, rng = build_network(spec), np.random.default_rng(0)
    for weight in network.trainable_variables:
        weight.assign(rng.normal(0.0, 0.2, weight.shape))
    return network


def deaf_to(network, places: list[int]) -> None:
    """Let no weight read some of the removable columns."""
    for axis in network.input_axes():
        values = axis.variable.numpy()
        np.moveaxis(values, axis.axis, 0)[axis.positions[places].ravel()] = 0.0
        axis.variable.assign(values)


@pytest.mark.parametrize("model", [WIDE, PLAIN, STEPWISE])
def test_a_network_without_columns_that_it_does_not_read_answers_the_same(model, hourly_store, unseen):
    features = hourly_store.spec
    names = removable_columns(features)
    gone = [0, len(names) - 1] if features.observed else [len(names) - 1]
    dropped = [name for name in (names[i] for i in gone) if name not in {term.column for term in features.derived}]
    network = of_noise(NetworkSpec(features, model))
    deaf_to(network, [names.index(name) for name in dropped])
    fewer = with_inputs(
        network, NetworkSpec(features, model), reduced_spec(features, context=features.context, dropped=dropped)
    )
    assert (
        len(feature_blocks(fewer.features).past) == len(feature_blocks(features).past) - len(dropped) < len(names) + 2
    )
    expected = ForecastModule(network, features, FACTORS).quantiles(*unseen.as_dict().values())
    found = ForecastModule(fewer, features, FACTORS).quantiles(*unseen.as_dict().values())
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-3)


def test_a_reduced_network_takes_the_arrays_of_the_whole_signature_and_converts(hourly_store, unseen):
    features = hourly_store.spec
    reads = reduced_spec(features, context=shortest_context(features), dropped=removable_columns(features))
    assert reads.context < features.context
    assert reads.history_length < features.history_length
    whole = of_noise(NetworkSpec(features, WIDE))
    module = ForecastModule(with_inputs(whole, NetworkSpec(features, WIDE), reads), features, FACTORS)
    content = convert_to_lite(module).content
    found, expected = LitePredictor(content).predict(unseen), module.quantiles(*unseen.as_dict().values())
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-2)
    assert n_operations(content) < 0.8 * n_operations(convert_to_lite(ForecastModule(whole, features, FACTORS)).content)


def n_operations(content: bytes) -> int:
    interpreter = Interpreter(model_content=content)
    return len(interpreter._get_ops_details())


def test_a_shorter_context_is_what_the_network_says_to_the_last_steps_alone(hourly_store, windows):
    features = hourly_store.spec
    network = of_noise(NetworkSpec(features, WIDE))
    short = reduced_spec(features, context=shortest_context(features), dropped=())
    few = window_gather(hourly_store, windows[0], reads=short)(np.arange(8))
    all_ = window_gather(hourly_store, windows[0])(np.arange(8))
    assert few["history"].shape[1] == short.context
    np.testing.assert_array_equal(few["history"], all_["history"][:, -short.context :])
    fewer = with_inputs(network, NetworkSpec(features, WIDE), short)
    expected, _ = network(all_["history"][:, -short.context :], all_["future"], training=False)
    found, _ = fewer(few["history"], few["future"], training=False)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_columns_that_nothing_reads_are_found_and_those_that_matter_stay(hourly_store, windows):
    features = hourly_store.spec
    names = removable_columns(features)
    network = of_noise(NetworkSpec(features, WIDE))
    needed = {term.column for term in features.derived}
    idle = [i for i, name in enumerate(names) if name not in needed][:2]
    deaf_to(network, idle)
    record = idle_inputs(
        network,
        NetworkSpec(features, WIDE),
        hourly_store,
        learnt=windows[0],
        validation=windows[1],
        max_loss_ratio=1e-9,
    )
    assert {names[i] for i in idle} <= set(record.dropped) < set(names)
    assert record.loss_ratio <= 1e-6


def test_a_budget_below_nothing_takes_nothing_out(hourly_store, windows):
    spec = NetworkSpec(hourly_store.spec, WIDE)
    record = idle_inputs(
        of_noise(spec), spec, hourly_store, learnt=windows[0], validation=windows[1], max_loss_ratio=-2.0
    )
    assert (record.dropped, record.context) == ((), hourly_store.spec.context)


def test_a_kind_with_weights_for_each_step_keeps_its_columns_and_its_context(hourly_store, windows):
    spec = NetworkSpec(hourly_store.spec, LinearConfig(kernel=5, step_units=2, head_units=8))
    network = build_network(spec)
    record = idle_inputs(network, spec, hourly_store, learnt=windows[0], validation=windows[1], max_loss_ratio=1e9)
    assert (record.dropped, record.context) == ((), hourly_store.spec.context)


def test_a_context_is_shortened_only_where_that_is_asked_for(hourly_store, windows):
    spec = NetworkSpec(hourly_store.spec, WIDE)
    network, periods = of_noise(spec), {"learnt": windows[0], "validation": windows[1]}
    whole = idle_inputs(network, spec, hourly_store, **periods, max_loss_ratio=1e9)
    short = idle_inputs(network, spec, hourly_store, **periods, max_loss_ratio=1e9, shorten_context=True)
    assert (whole.context, short.context) == (hourly_store.spec.context, shortest_context(hourly_store.spec))
    assert short.context < whole.context


def test_what_is_wrong_otherwise_than_by_weights_for_each_step_is_an_error(hourly_store, windows):
    network = build_network(NetworkSpec(hourly_store.spec, WIDE))
    other = NetworkSpec(hourly_store.spec, LinearConfig(kernel=5, step_units=2, head_units=8))
    with pytest.raises(ValueError, match="weights to take another one's"):
        idle_inputs(network, other, hourly_store, learnt=windows[0], validation=windows[1], max_loss_ratio=1e9)


@pytest.fixture(scope="module")
def growing_store():
    """A series that doubles in the days of a context, scaled by window."""
    spec, series = melbourne_spec(700, context=96, target_scaling="window"), gappy_series(700)
    values = series.values.copy()
    values[:, 0] = 100.0 + (10.0 + np.arange(700) % 24) * 1.01 ** (np.arange(700) % 200)
    return feature_store(spec, [replace(series, values=values)])


def loss_by_hand(network, scale, store, windows) -> float:
    """Quantile loss of all windows, each weighed by one through the root of its scale."""
    batch = window_gather(store, windows, reads=network.features)(np.arange(len(windows)))
    answer = network(batch["history"], batch["future"], training=False)[0].numpy()
    distance = batch["target"].numpy()[:, :, None] - answer
    levels = np.asarray(store.spec.quantiles, np.float32)
    present = batch["present"].numpy()
    loss = np.maximum(levels * distance, (levels - 1.0) * distance).mean(axis=2) * present / np.sqrt(scale)
    return float(loss.sum() / present.sum())


def test_a_shorter_context_is_judged_by_the_weights_of_windows_that_the_whole_one_gives(growing_store):
    features = growing_store.spec
    learnt = window_index(growing_store, None, SPLIT.train_end, min_age=96)
    validation = window_index(growing_store, SPLIT.train_end, SPLIT.validation_end, min_age=96)
    spec = NetworkSpec(features, WIDE)
    network = of_noise(spec)
    record = idle_inputs(
        network, spec, growing_store, learnt=learnt, validation=validation, max_loss_ratio=1e9, shorten_context=True
    )
    fewer = with_inputs(network, spec, reduced_spec(features, context=record.context, dropped=record.dropped))
    assert record.context < features.context
    batch = window_gather(growing_store, validation)(np.arange(len(validation)))
    scale = network(batch["history"], batch["future"], training=False)[1].numpy()
    before = loss_by_hand(network, scale, growing_store, validation)
    assert record.loss_ratio == pytest.approx(
        loss_by_hand(fewer, scale, growing_store, validation) / before - 1, rel=1e-3
    )
    own = mean_loss(fewer, growing_store, validation) / before - 1
    assert abs(own - record.loss_ratio) > 0.01


def test_the_context_keeps_the_longest_season():
    spec = replace_spec(seasons=(24, 100), segment=24, context=240)
    assert shortest_context(spec) == 120
    assert shortest_context(replace(spec, seasons=(480,))) == 240


def replace_spec(**values):
    return replace(melbourne_spec(700, horizon=6, context=18, segment=6, seasons=(6,)), **values)
