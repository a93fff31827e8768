"""Every kind of model in every precision: what is made passes parity, the rest is refused by name when the configuration is read.

Each kind is converted twice, which is what costs time: as it was built, for all precisions that need no fine-tuning; and narrowed and
fine-tuned for INT8.
"""

from dataclasses import dataclass, replace

import pytest
from pydantic import TypeAdapter

from components.compression.parity import ParitySpec, compare, parity_spec
from components.compression.tournament import answers
from forecasting.config.compression import CompressionConfig
from forecasting.config.models import AnyModel, KindConfig
from forecasting.config.tournament_plan import FULL, plan_tournament
from forecasting.errors import ConfigError
from forecasting.feature_store import FeatureStore, learning_windows
from forecasting.features.spec import FeatureSpec
from forecasting.features.transform import reduced_spec, removable_columns
from forecasting.neural.compression.aware import AwareConfig, aware_network
from forecasting.neural.compression.conversion import convert_to_lite
from forecasting.neural.compression.importance import unit_importance
from forecasting.neural.compression.inputs import with_inputs
from forecasting.neural.compression.narrowing import UnfitWeightsError, narrowed_model, narrowed_network
from forecasting.neural.export import CalibrationSpec, ForecastModule
from forecasting.neural.models import AnyForecaster, NetworkSpec, build_network
from forecasting.predictors import LitePredictor
from forecasting.schema import SeriesSpec, SeriesStore
from forecasting.variants import Precision, Pruning, VariantSpec
from tests.unit.features.feature_specs import HOUR_S, gappy_series, melbourne_spec
from tests.unit.neural.conftest import SHORT, SPLIT, feature_store
from tests.unit.neural.test_model_matrix import with_trend

WIDE = {"step_units": 4, "head_units": 64}
SETTINGS = {
    "segment_lstm": {"units": 32, **WIDE},
    "segment_gru": {"units": 32, **WIDE},
    "lstm": {"units": [32], **WIDE},
    "bilstm": {"units": [32], **WIDE},
    "gru": {"units": [32], **WIDE},
    "stacked_lstm": {"units": [32, 32], **WIDE},
    "seq2seq": {"units": [32], **WIDE},
    "cnn_lstm": {"units": [32], "filters": 16, "kernel": 4, "strides": [4], **WIDE},
    "transformer_lstm": {
        "units": 32, "heads": 2, "layers": 1, "chunk": 3, "patch": 6, "recurrent_units": [32], **WIDE,
    },
    "additive": {"changepoints": 3, **WIDE},
    "linear": {"kernel": 5, **WIDE},
    "ridge": {},
    "tsmixer": {"units": 32, "hidden_units": 32, "layers": 1, **WIDE},
    "ensemble": {
        "members": [{"kind": "linear", "kernel": 5, **WIDE}, {"kind": "segment_gru", "units": 32, **WIDE}],
    },
}  # fmt: skip
"""Wide enough for INT8 to be worth it."""
REFUSED = {"ridge": {Precision.INT8, Precision.INT8_MIXED, Precision.INT8_AWARE}}
"""What cannot be made of a kind; everything else can."""
NOT_NARROWED = {"ridge"}
KEEPS_INPUTS = {"seq2seq", "cnn_lstm", "transformer_lstm", "tsmixer", "ensemble"}
"""Kinds whose weights of the columns of the past cannot be taken apart."""
FACTORS = CalibrationSpec((1.1, 1.0, 1.2))


@dataclass(frozen=True)
class Table:
    """A feature store, and the windows on which conversions are compared."""

    store: FeatureStore
    parity: ParitySpec


def table_of(*, horizon: int, context: int, segment: int) -> Table:
    series = gappy_series(700)
    spec = melbourne_spec(700, horizon=horizon, context=context, segment=segment, seasons=(segment,))
    spec = replace(spec, calendar=with_trend(spec.calendar))
    store = feature_store(spec, [series])
    columns = SeriesSpec(spec.target, spec.observed, spec.known, spec.static, spec.categories, HOUR_S, SPLIT)
    return Table(store, parity_spec(SeriesStore(columns, (series,)), store, 24))


@pytest.fixture(scope="module")
def short() -> Table:
    """Of a short context, because recurrences are unrolled."""
    return table_of(horizon=6, context=18, segment=6)


@pytest.fixture(scope="module")
def longer() -> Table:
    """Of a context whose only product, that of a ridge, has weights enough for INT8."""
    return table_of(horizon=24, context=72, segment=24)


def model_of(kind: str) -> KindConfig:
    return TypeAdapter(AnyModel).validate_python({"kind": kind, **SETTINGS[kind]})


def refusal(kind: str, variant: VariantSpec) -> str:
    """Why a configuration that names a variant cannot be read; empty where it can."""
    try:
        plan_tournament(CompressionConfig(max_accuracy_loss=0, variants=(variant.name,)), model_of(kind))
    except ConfigError as error:
        return str(error)
    return ""


def problem(content: bytes, module: ForecastModule, parity: ParitySpec, precision: Precision) -> str:
    """Why a conversion is another model, by the rules of the tournament."""
    found, expected = LitePredictor(content).predict(parity.inputs), answers(module, parity.inputs)
    return compare(found, expected, parity, precision=precision, n_levels=3, middle=1).problem


def test_all_kinds_and_all_precisions_of_the_full_profile_are_here():
    assert {spec.precision for spec in FULL} == set(Precision)


@pytest.mark.parametrize("kind", sorted(SETTINGS))
def test_a_kind_is_refused_where_it_cannot_be_made_and_nowhere_else(kind):
    reasons = {precision: refusal(kind, VariantSpec(Pruning.NONE, precision)) for precision in Precision}
    assert {precision for precision, reason in reasons.items() if reason} == REFUSED.get(kind, set())
    narrow = refusal(kind, VariantSpec(Pruning.STRUCTURED, Precision.FLOAT32))
    assert (narrow != "") is (kind in NOT_NARROWED)
    for reason in filter(None, (*reasons.values(), narrow)):
        assert f"which model.kind {kind} cannot be made into: {kind} has no" in reason


@pytest.mark.parametrize("kind", sorted(SETTINGS))
def test_a_kind_passes_parity_in_every_precision(kind, short, longer):
    table = longer if kind == "ridge" else short
    store, parity = table.store, table.parity
    module = ForecastModule(build_network(NetworkSpec(store.spec, model_of(kind))), store.spec, FACTORS)
    content = convert_to_lite(module).content
    assert problem(content, module, parity, Precision.FLOAT32) == ""
    for precision in set(Precision) - {Precision.FLOAT32, Precision.INT8_AWARE} - REFUSED.get(kind, set()):
        lite = convert_to_lite(module, precision, calibration=parity.real, converted=content)
        assert (precision, problem(lite.content, module, parity, precision)) == (precision, "")
        assert len(lite.content) < len(content), precision


def without_columns(network: AnyForecaster, spec: NetworkSpec) -> tuple[AnyForecaster, FeatureSpec]:
    """A network without any column of the past that can go, and what it reads; the network itself where none can."""
    fewer = reduced_spec(spec.features, context=spec.features.context, dropped=removable_columns(spec.features))
    try:
        return with_inputs(network, spec, fewer), fewer
    except UnfitWeightsError:
        return network, spec.features


@pytest.mark.parametrize("kind", sorted(set(SETTINGS) - NOT_NARROWED))
def test_a_kind_that_lost_inputs_and_units_and_was_fine_tuned_for_int8_passes_parity(kind, short):
    store, parity = short.store, short.parity
    windows, spec = learning_windows(store, with_validation=False), NetworkSpec(store.spec, model_of(kind))
    network, reads = without_columns(build_network(spec), spec)
    assert (reads == store.spec) is (kind in KEEPS_INPUTS)
    smaller = NetworkSpec(reads, narrowed_model(model_of(kind), 0.7))
    scores = unit_importance(network, network.width_groups(), store, windows)
    narrow, _ = narrowed_network(network, smaller, scores)
    aware = aware_network(narrow, smaller, SHORT, store=store, train=windows, settings=AwareConfig(n_steps=2))
    module = ForecastModule(aware, store.spec, FACTORS)
    content = convert_to_lite(module).content
    assert problem(content, module, parity, Precision.FLOAT32) == ""
    lite = convert_to_lite(module, Precision.INT8_AWARE, calibration=parity.real, converted=content)
    assert problem(lite.content, module, parity, Precision.INT8_AWARE) == ""
