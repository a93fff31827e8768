"""Every kind of model trains, resumes, exports, and answers the same in process, as SavedModel, in TensorFlow Lite and in ONNX.

Alone and in an ensemble, on a table of one series and on one of several with a static column, a cold start and a mean; both
have missing values. Tracing and converting are what costs time: each model is trained once, by a loop that resumes what it
did itself, and contexts are short, because recurrences are unrolled for TensorFlow Lite.
"""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from pydantic import TypeAdapter

from forecasting.admission.operations import allowed_operations, check_saved_model
from forecasting.config.models import SINGLE_KINDS, AnyModel, EnsembleConfig
from forecasting.config.widths import supports_integers
from forecasting.feature_store import FeatureStore, window_index
from forecasting.features.spec import CalendarSpec, ScalerSpec
from forecasting.features.terms import RollingTerm
from forecasting.features.transform import feature_blocks
from forecasting.neural.compression.conversion import convert_to_lite
from forecasting.neural.compression.lite_weights import integer_weights
from forecasting.neural.compression.onnx_export import export_onnx
from forecasting.neural.export import CalibrationSpec, ForecastModule, export_saved_model
from forecasting.neural.fit_plan import FitReport
from forecasting.neural.loop import TrainingLoop
from forecasting.neural.models import NetworkSpec, build_network
from forecasting.neural.models.registry import HORIZON_MODELS
from forecasting.neural.predictor import SavedModelPredictor
from forecasting.predictors import LitePredictor, ModelInputs
from forecasting.schema import Series
from forecasting.variants import Precision
from forecasting.windows import stack_inputs, window_inputs
from forecasting.wire.lite_signatures import operation_names
from tests.unit.features.feature_specs import HOUR_S, START, gappy_series, melbourne_spec
from tests.unit.neural.conftest import SHORT, SPLIT, feature_store, sales_series

ORIGINS = START + HOUR_S * np.asarray([14, 150, 300, 450, 600])
"""The first has fewer steps before it than the context."""
FACTORS = (1.1, 1.0, 1.2)

SMALL_SETTINGS = {
    "segment_lstm": {"units": 8},
    "segment_gru": {"units": 8},
    "lstm": {"units": [6, 5]},
    "bilstm": {"units": [6]},
    "gru": {"units": [6]},
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


ENSEMBLES = [
    ("segment_lstm", "tsmixer", "bilstm", "additive"),
    ("lstm", "linear", "transformer_lstm", "segment_gru"),
    ("gru", "cnn_lstm", "stacked_lstm", "seq2seq", "ridge"),
]
"""Every kind in one."""


def small_model(kind: str):
    head = {} if kind in ("ensemble", "ridge") else {"head_units": 6, "step_units": 2}
    return TypeAdapter(AnyModel).validate_python({"kind": kind, **head, **SMALL_SETTINGS[kind]})


def test_every_kind_that_can_be_configured_is_in_the_matrix():
    configurable = {kind.model_fields["kind"].default for kind in SINGLE_KINDS}
    assert {*configurable, "ensemble"} == set(SMALL_SETTINGS) == {*HORIZON_MODELS, "ensemble"}
    assert sorted(kind for group in ENSEMBLES for kind in group) == sorted(configurable)


DERIVED = (RollingTerm("load", 12, "mean"), RollingTerm("load", 12, "std"), RollingTerm("temperature", 12, "mean"))
"""One that has a level, one that has a scale alone, one of a known column: more would be traced for nothing."""


def with_trend(calendar: CalendarSpec) -> CalendarSpec:
    return replace(calendar, columns=(*calendar.columns, "trend"), trend_start=START, learnt_until=SPLIT.train_end)


@dataclass(frozen=True)
class Table:
    store: FeatureStore
    series: list[Series]

    @property
    def inputs(self) -> ModelInputs:
        return stack_inputs([window_inputs(series, self.store.spec, ORIGINS) for series in self.series])


@pytest.fixture(scope="module")
def tables() -> dict[str, Table]:
    """One series, its gaps filled; two of different size with a static column, in the last unfinished segment of a horizon."""
    short = {"context": 18, "segment": 6, "seasons": (12,), "derived": DERIVED}
    plain = melbourne_spec(700, horizon=6, fill_season=12, **short)
    shops = {"static": ("shop",), "categories": {"shop": ("x", "y")}}
    # Of both series together, as it is fitted.
    scaler = ScalerSpec(
        {"load": 2550.0, "wind": 5.0, "temperature": 15.0}, {"load": 2450.0, "wind": 2.0, "temperature": 6.0}
    )
    sales = melbourne_spec(
        700, horizon=9, target_scaling="window", lower_bound=0.0, mean=True, scaler=scaler, **short, **shops
    )
    plain, sales = (replace(spec, calendar=with_trend(spec.calendar)) for spec in (plain, sales))
    every = {"plain": (plain, [gappy_series(700)]), "static": (sales, sales_series())}
    return {name: Table(feature_store(spec, series), series) for name, (spec, series) in every.items()}


class CopyingLoop(TrainingLoop):
    """Keeps what its first epoch has left on disk, as a process that is killed in the second one leaves it."""

    def keep(self, checkpoints: Path, kept: Path) -> None:
        self._places = checkpoints, kept

    def _save(self, plan, state):
        super()._save(plan, state)
        if state.n_epochs == 1 and plan.checkpoints is not None and not self._places[1].exists():
            shutil.copytree(*self._places)


@dataclass(frozen=True)
class Trained:
    """Weights before the training, after it, and after one that was killed and resumed."""

    loop: TrainingLoop
    begun: list[np.ndarray]
    whole: list[np.ndarray]
    report: FitReport
    resumed: list[np.ndarray]
    resumed_report: FitReport


def train_and_resume(table: Table, kind: str, folder: Path) -> Trained:
    store = table.store
    train = window_index(store, None, SPLIT.train_end, min_age=18)
    validation = window_index(store, SPLIT.train_end, SPLIT.validation_end, min_age=18)
    loop = CopyingLoop(NetworkSpec(store.spec, small_model(kind)), SHORT, tf.distribute.get_strategy())
    loop.keep(folder / "checkpoints", folder / "killed")
    begun = values(loop)
    report = loop.fit(store, train, validation, checkpoint=folder / "checkpoints", key="matrix")
    whole = values(loop)
    # Whatever a resumed loop does not read again is wrong, and so is what comes of it.
    found = loop._variables.values()
    loop._variables.put({name: tuple(np.ones_like(array) for array in arrays) for name, arrays in found.items()})
    resumed_report = loop.fit(store, train, validation, checkpoint=folder / "killed", key="matrix")
    return Trained(loop, begun, whole, report, values(loop), resumed_report)


def values(loop: TrainingLoop) -> list[np.ndarray]:
    return [variable.numpy() for variable in loop.network.trainable_variables]


@pytest.fixture(scope="module")
def trainings(tables, tmp_path_factory):
    """A training by table and kind; each is made once."""
    made: dict[tuple[str, str], Trained] = {}

    def training(name: str, kind: str) -> Trained:
        if (name, kind) not in made:
            made[name, kind] = train_and_resume(tables[name], kind, tmp_path_factory.mktemp(f"{name}-{kind}"))
        return made[name, kind]

    return training


def answers(module: ForecastModule, inputs: ModelInputs, folder: Path, *, lite: bool = True) -> np.ndarray:
    """What a model answers, after the same was asked of its SavedModel and, where wanted, of its TensorFlow Lite model."""
    found = module.quantiles(**{name: tf.constant(array) for name, array in inputs.as_dict().items()}).numpy()
    export_saved_model(module, folder / "saved_model")
    check_saved_model(folder / "saved_model", allowed_operations())
    size = float(np.abs(found).mean())
    served = SavedModelPredictor(folder / "saved_model").predict(inputs)
    np.testing.assert_allclose(served, found, rtol=1e-4, atol=1e-5 * size)
    if not lite:
        return found
    content = convert_to_lite(module).content
    assert set(operation_names(content)) <= allowed_operations().lite
    np.testing.assert_allclose(LitePredictor(content).predict(inputs), found, rtol=1e-3, atol=1e-3)
    members = getattr(module.network, "members", [module.network])
    if any(supports_integers(member.spec.model) is None for member in members):
        # None of these models is as wide as what is worth to be quantised; without any INT8 this raises.
        assert_quantised_sound(integer_weights(content, smallest=1), inputs, found)
    if all(supports_integers(member.spec.model) is None for member in members):
        integers = convert_to_lite(module, Precision.INT8, calibration=inputs, converted=content).content
        assert set(operation_names(integers)) <= allowed_operations().lite
        assert_quantised_sound(integers, inputs, found)
    return found


def assert_quantised_sound(content: bytes, inputs: ModelInputs, expected: np.ndarray) -> None:
    """Numbers where the float model has them, in order, and by its answers for the most part."""
    quantised = LitePredictor(content).predict(inputs)
    assert np.all(np.isfinite(quantised))
    assert np.all(np.diff(quantised[:, :, :3], axis=2) >= 0)
    assert np.mean(np.abs(quantised - expected)) <= 0.05 * np.mean(np.abs(expected))


def assert_sound(found: np.ndarray, table: Table) -> None:
    spec = table.store.spec
    assert found.shape == (5 * len(table.series), spec.horizon, 3 + spec.mean)
    assert np.all(np.isfinite(found))
    assert np.all(np.diff(found[:, :, :3], axis=2) >= 0)


@pytest.mark.parametrize("kind", sorted(SMALL_SETTINGS))
@pytest.mark.parametrize("name", ["plain", "static"])
def test_a_kind_trains_resumes_and_answers_the_same_everywhere(kind, name, tables, trainings, tmp_path):
    table, trained = tables[name], trainings(name, kind)
    report, resumed = trained.report, trained.resumed_report
    assert report.history[-1].train_loss < report.history[0].train_loss
    assert resumed.resumed_from_epoch == 1
    assert [row.validation_loss for row in resumed.history] == [row.validation_loss for row in report.history]
    for one, other in zip(trained.whole, trained.resumed, strict=True):
        np.testing.assert_array_equal(one, other)
    paths = [variable.path for variable in trained.loop.network.trainable_variables]
    moved = zip(paths, trained.begun, trained.whole, strict=True)
    assert [path for path, one, other in moved if np.array_equal(one, other)] == []

    module = ForecastModule(trained.loop.network, table.store.spec, CalibrationSpec(FACTORS))
    assert_sound(answers(module, table.inputs, tmp_path), table)
    if name == "static":
        # Compares what onnxruntime answers with the model, and raises where it is something else.
        assert export_onnx(module, table.inputs)


@pytest.mark.parametrize("kind", sorted(SMALL_SETTINGS))
def test_a_kind_drops_out_by_replica(kind, trainings):
    layers = trainings("static", kind).loop.network._flatten_layers(include_self=False)
    assert [layer.path for layer in layers if isinstance(layer, keras.layers.Dropout)] == []


@pytest.mark.parametrize("kinds", ENSEMBLES, ids="+".join)
@pytest.mark.parametrize("name", ["plain", "static"])
def test_kinds_in_an_ensemble_answer_the_mean_by_their_shares_everywhere(kinds, name, tables, trainings, tmp_path):
    table, spec = tables[name], tables[name].store.spec
    members: list[Any] = [trainings(name, kind).loop.network for kind in kinds]
    config = EnsembleConfig(members=tuple(small_model(kind) for kind in kinds))
    network: Any = build_network(NetworkSpec(spec, config))
    for place, member in zip(network.members, members, strict=True):
        place.set_weights(member.get_weights())
    # Different ones, whose sum is 1.
    shares = np.arange(1, len(kinds) + 1, dtype=np.float32)
    shares /= shares.sum()
    network.shares.assign(shares)

    plain = CalibrationSpec((1.0, 1.0, 1.0))
    module = ForecastModule(network, replace(spec, lower_bound=None), plain)
    # Four models take long to convert: once, of the table that asks for more.
    found = answers(module, table.inputs, tmp_path, lite=name == "static")
    assert_sound(found, table)
    # Without bounds, what is added up by shares is what the members answer by themselves.
    inputs = {name: tf.constant(array) for name, array in table.inputs.as_dict().items()}
    alone = [ForecastModule(member, replace(spec, lower_bound=None), plain).quantiles(**inputs) for member in members]
    np.testing.assert_allclose(found, np.tensordot(shares, np.stack(alone), axes=1), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("kind", sorted(SMALL_SETTINGS))
def test_a_padded_history_gives_what_the_unpadded_one_gives(kind, tables):
    spec = tables["static"].store.spec
    network = build_network(NetworkSpec(spec, small_model(kind)))
    rng = np.random.default_rng(5)
    n_past, n_known = network.n_past, len(feature_blocks(spec).known)
    history = rng.normal(size=(3, 12, n_past + n_known)).astype(np.float32)
    history[:, :, 1] = 1.0
    future = rng.normal(size=(3, spec.horizon, n_known)).astype(np.float32)
    padding = rng.normal(size=(3, 6, n_past + n_known)).astype(np.float32)
    padding[:, :, :2] = 0.0
    static = np.float32([[0], [1], [-1]])
    unpadded, _ = network(history, future, static)
    padded, _ = network(np.concatenate([padding, history], axis=1), future, static)
    np.testing.assert_allclose(padded, unpadded, atol=1e-5)
