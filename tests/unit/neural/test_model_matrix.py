"""Every kind of model trains, resumes, exports, and answers the same in process, as SavedModel and in TensorFlow Lite."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from pydantic import TypeAdapter

from forecasting.config.models import SINGLE_KINDS, AnyModel
from forecasting.feature_store import window_index
from forecasting.features.spec import CalendarSpec
from forecasting.features.terms import RollingTerm
from forecasting.features.transform import feature_blocks
from forecasting.neural.conversion import convert_to_lite
from forecasting.neural.export import CalibrationSpec, ForecastModule, export_saved_model
from forecasting.neural.loop import TrainingLoop
from forecasting.neural.models import NetworkSpec, build_network
from forecasting.neural.models.registry import HORIZON_MODELS
from forecasting.neural.predictor import SavedModelPredictor
from forecasting.predictors import LitePredictor
from forecasting.windows import stack_inputs, window_inputs
from tests.unit.features.feature_specs import HOUR_S, START, gappy_series, melbourne_spec
from tests.unit.neural.conftest import SHORT, SPLIT, feature_store, sales_series


class KilledLoop(TrainingLoop):
    """Dies at the start of its second epoch."""

    def _epoch(self, plan, state):
        if state.n_epochs == 1:
            raise KeyboardInterrupt
        return super()._epoch(plan, state)


ORIGINS = START + HOUR_S * np.asarray([18, 150, 300, 450, 600])
"""The first has fewer steps before it than the context."""

SMALL_SETTINGS = {
    "segment_lstm": {"units": 8},
    "segment_gru": {"units": 8},
    "lstm": {"units": [6, 5]},
    "bilstm": {"units": [6, 5]},
    "gru": {"units": [6, 5]},
    "stacked_lstm": {"units": [6, 6, 6]},
    "seq2seq": {"units": [6]},
    "cnn_lstm": {"units": [6], "filters": 5, "kernel": 4, "strides": [4]},
    "transformer_lstm": {"units": 6, "heads": 2, "layers": 1, "chunk": 3, "patch": 6, "recurrent_units": [6]},
    "additive": {"changepoints": 3},
    "linear": {"kernel": 5},
    "ridge": {},
    "ensemble": {
        "members": [
            {"kind": "linear", "kernel": 5, "head_units": 6, "step_units": 2},
            {"kind": "segment_gru", "units": 6, "head_units": 6, "step_units": 2},
        ]
    },
    "tsmixer": {"units": 4, "hidden_units": 6, "layers": 1},
}
"""A small model of each kind; a kind that is not here cannot be configured."""


def small_model(kind: str):
    head = {} if kind in ("ensemble", "ridge") else {"head_units": 6, "step_units": 2}
    return TypeAdapter(AnyModel).validate_python({"kind": kind, **head, **SMALL_SETTINGS[kind]})


def test_every_kind_that_can_be_configured_is_in_the_matrix():
    configurable = {kind.model_fields["kind"].default for kind in SINGLE_KINDS}
    assert {*configurable, "ensemble"} == set(SMALL_SETTINGS) == {*HORIZON_MODELS, "ensemble"}


DERIVED = (RollingTerm("load", 24, "mean"), RollingTerm("load", 24, "std"), RollingTerm("temperature", 24, "mean"))
"""One that has a level, one that has a scale alone, one of a known column: more would be traced for nothing."""


def with_trend(calendar: CalendarSpec) -> CalendarSpec:
    return replace(calendar, columns=(*calendar.columns, "trend"), trend_start=START, learnt_until=SPLIT.train_end)


@pytest.fixture(scope="module")
def tables():
    """One series without static columns; two of different size with one, missing values, a cold start and a mean."""
    # Short, because recurrences are unrolled for TensorFlow Lite.
    short = {"context": 24, "segment": 12, "derived": DERIVED}
    plain = melbourne_spec(700, horizon=12, **short)
    shops = {"static": ("shop",), "categories": {"shop": ("x", "y")}}
    sales = melbourne_spec(700, horizon=15, target_scaling="window", lower_bound=0.0, mean=True, **short, **shops)
    plain, sales = (replace(spec, calendar=with_trend(spec.calendar)) for spec in (plain, sales))
    every = {"plain": (plain, [gappy_series(700)]), "static": (sales, sales_series())}
    return {name: (feature_store(spec, series), series) for name, (spec, series) in every.items()}


@pytest.fixture(params=["plain", "static"])
def table(request, tables):
    return tables[request.param]


@pytest.mark.parametrize("kind", sorted(SMALL_SETTINGS))
def test_a_kind_trains_resumes_and_answers_the_same_everywhere(kind, table, tmp_path):
    store, every_series = table
    spec = NetworkSpec(store.spec, small_model(kind))
    train = window_index(store, None, SPLIT.train_end, min_age=24)
    validation = window_index(store, SPLIT.train_end, SPLIT.validation_end, min_age=24)

    def loop(kind: type[TrainingLoop] = TrainingLoop) -> TrainingLoop:
        return kind(spec, SHORT, tf.distribute.get_strategy())

    untrained, whole, killed, resumed = loop(), loop(), loop(KilledLoop), loop()
    report = whole.fit(store, train, validation, checkpoint=None, key="matrix")
    with pytest.raises(KeyboardInterrupt):
        killed.fit(store, train, validation, checkpoint=tmp_path / "checkpoints", key="matrix")
    resumed_report = resumed.fit(store, train, validation, checkpoint=tmp_path / "checkpoints", key="matrix")

    assert report.history[-1].train_loss < report.history[0].train_loss
    assert resumed_report.resumed_from_epoch == 1
    assert [row.validation_loss for row in resumed_report.history] == [row.validation_loss for row in report.history]
    for one, other in zip(whole.network.trainable_variables, resumed.network.trainable_variables, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
    moved = zip(untrained.network.trainable_variables, whole.network.trainable_variables, strict=True)
    assert [one.path for one, other in moved if np.array_equal(one.numpy(), other.numpy())] == []

    module = ForecastModule(whole.network, store.spec, CalibrationSpec((1.1, 1.0, 1.2)))
    inputs = stack_inputs([window_inputs(series, store.spec, ORIGINS) for series in every_series])
    expected = module.quantiles(**{name: tf.constant(array) for name, array in inputs.as_dict().items()}).numpy()
    assert np.all(np.isfinite(expected))
    assert expected.shape[2] == 3 + store.spec.mean
    assert np.all(np.diff(expected[:, :, :3], axis=2) >= 0)

    export_saved_model(module, tmp_path / "saved_model")
    np.testing.assert_allclose(
        SavedModelPredictor(tmp_path / "saved_model").predict(inputs), expected, rtol=1e-4, atol=1e-4
    )
    (tmp_path / "model.tflite").write_bytes(convert_to_lite(module, quantise_weights=False))
    np.testing.assert_allclose(LitePredictor(tmp_path / "model.tflite").predict(inputs), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("kind", sorted(SMALL_SETTINGS))
def test_a_padded_history_gives_what_the_unpadded_one_gives(kind, tables):
    spec = tables["plain"][0].spec
    network = build_network(NetworkSpec(spec, small_model(kind)))
    rng = np.random.default_rng(5)
    n_past, n_known = network.n_past, len(feature_blocks(spec).known)
    history = rng.normal(size=(3, 12, n_past + n_known)).astype(np.float32)
    history[:, :, 1] = 1.0
    future = rng.normal(size=(3, spec.horizon, n_known)).astype(np.float32)
    padding = rng.normal(size=(3, 12, n_past + n_known)).astype(np.float32)
    padding[:, :, :2] = 0.0
    unpadded, _ = network(history, future, None)
    padded, _ = network(np.concatenate([padding, history], axis=1), future, None)
    np.testing.assert_allclose(padded, unpadded, atol=1e-5)
