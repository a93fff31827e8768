"""Units are taken out of every kind of model; what nobody reads can go without a change of any forecast."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from pydantic import TypeAdapter

from forecasting.config.models import AnyModel, EnsembleConfig, LstmConfig, RidgeConfig, SegmentGruConfig
from forecasting.config.widths import WIDTHS, supports_integers, supports_structured
from forecasting.features.transform import feature_blocks
from forecasting.neural.compression.narrowing import n_parameters, narrowed_model, narrowed_network
from forecasting.neural.models import NetworkSpec, build_network
from forecasting.neural.models.registry import HORIZON_MODELS
from tests.unit.features.feature_specs import melbourne_spec
from tests.unit.neural.model_windows import drawn
from tests.unit.neural.test_model_matrix import with_trend

SETTINGS = {
    "segment_lstm": {"units": 8, "embedding_units": 4, "layers": 2, "normalisation": "layer"},
    "segment_gru": {"units": 8, "embedding_units": 4},
    "lstm": {"units": [8, 4]},
    "bilstm": {"units": [8, 4], "normalisation": "batch"},
    "gru": {"units": [8, 4]},
    "stacked_lstm": {"units": [8, 8, 8]},
    "seq2seq": {"units": [6, 8]},
    "cnn_lstm": {"units": [8], "filters": 4, "kernel": 3, "strides": [2, 2]},
    "transformer_lstm": {"units": 6, "heads": 2, "layers": 1, "chunk": 3, "patch": 6, "recurrent_units": [8]},
    "additive": {},
    "linear": {},
    "tsmixer": {"units": 8, "hidden_units": 8, "layers": 2, "normalisation": "none"},
}
KINDS = sorted(SETTINGS)
NORMALISED = {"segment_lstm": "none", "bilstm": "none"}
"""Kinds whose normalisation would see a column go: what is normalised changes with it."""


@pytest.fixture(scope="module")
def features():
    spec = melbourne_spec(700, horizon=9, context=18, segment=6, seasons=(12,), derived=())
    spec = replace(spec, static=("shop",), categories={"shop": ("x", "y")}, mean=True)
    return replace(spec, calendar=with_trend(spec.calendar))


def settings(kind: str, **more: object):
    head = {"head_units": 8, "step_units": 4}
    return TypeAdapter(AnyModel).validate_python({"kind": kind, **head, **SETTINGS[kind], **more})


def trained_like(features, model):
    """A network whose weights are all drawn at random."""
    spec = NetworkSpec(features, model)
    network = build_network(spec)
    rng = np.random.default_rng(7)
    for weight in network.weights:
        weight.assign(
            np.abs(rng.normal(0.0, 0.3, weight.shape))
            if "variance" in weight.path
            else rng.normal(0.0, 0.3, weight.shape)
        )
    return spec, network


def forecast(network, features):
    blocks = feature_blocks(features)
    history = drawn(3, features.context, len(blocks.past) + len(blocks.known))
    future = drawn(3, features.horizon, len(blocks.known), seed=4)
    return network(history, future, tf.constant([[0.0], [1.0], [1.0]]))[0].numpy()


def random_importance(network):
    rng = np.random.default_rng(1)
    return [rng.uniform(size=group.n_units) for group in network.width_groups()]


def test_every_kind_says_whether_it_can_lose_units():
    assert set(WIDTHS) == set(HORIZON_MODELS)
    assert set(SETTINGS) == {kind for kind, widths in WIDTHS.items() if widths}


@pytest.mark.parametrize("kind", KINDS)
def test_groups_are_those_of_the_widths_that_a_kind_declares(kind, features):
    network = build_network(NetworkSpec(features, settings(kind)))
    assert {group.field for group in network.width_groups()} == set(WIDTHS[kind])


@pytest.mark.parametrize("kind", KINDS)
def test_a_network_that_keeps_all_units_answers_the_same(kind, features):
    spec, network = trained_like(features, settings(kind))
    same, _ = narrowed_network(network, spec, random_importance(network))
    np.testing.assert_array_equal(forecast(same, features), forecast(network, features))


@pytest.mark.parametrize("kind", KINDS)
def test_units_that_nobody_reads_are_taken_out_without_a_change(kind, features):
    model = settings(kind, normalisation="none") if kind in NORMALISED else settings(kind)
    _, network = trained_like(features, model)
    smaller = NetworkSpec(features, narrowed_model(model, 0.5))
    importance = random_importance(network)
    narrow, kept = narrowed_network(network, smaller, importance)
    for group, units in zip(network.width_groups(), kept, strict=True):
        gone = np.setdiff1d(np.arange(group.n_units), units)
        assert gone.size
        for axis in group.axes:
            if axis.reads:
                values = np.moveaxis(axis.variable.numpy(), axis.axis, 0)
                values[axis.positions[gone].ravel()] = 0.0
                axis.variable.assign(np.moveaxis(values, 0, axis.axis))
    np.testing.assert_allclose(forecast(narrow, features), forecast(network, features), rtol=1e-4, atol=1e-5)
    assert n_parameters(narrow) < n_parameters(network)


@pytest.mark.parametrize("kind", sorted(NORMALISED))
def test_normalisations_lose_the_same_columns(kind, features):
    spec, network = trained_like(features, settings(kind))
    narrow, _ = narrowed_network(
        network, NetworkSpec(features, narrowed_model(spec.model, 0.5)), random_importance(network)
    )
    assert np.all(np.isfinite(forecast(narrow, features)))


def test_the_most_important_units_are_kept(features):
    spec, network = trained_like(features, settings("segment_gru"))
    groups = network.width_groups()
    importance = [np.arange(group.n_units, dtype=float) for group in groups]
    _, kept = narrowed_network(network, NetworkSpec(features, narrowed_model(spec.model, 0.5)), importance)
    assert [units.tolist() for units in kept] == [list(range(group.n_units // 2, group.n_units)) for group in groups]


def test_members_of_an_ensemble_lose_units_each_by_their_own_importance(features):
    model = EnsembleConfig(members=(settings("segment_gru"), settings("linear")), seeds=2)
    _, network = trained_like(features, model)
    narrow, _ = narrowed_network(network, NetworkSpec(features, narrowed_model(model, 0.5)), random_importance(network))
    assert [member.head.hidden.units for member in narrow.members] == [4, 4, 4, 4]
    np.testing.assert_array_equal(narrow.shares.numpy(), network.shares.numpy())


@pytest.mark.parametrize(
    ("width", "ratio", "expected"),
    [(192, 0.7, 136), (64, 0.7, 48), (16, 0.7, 12), (8, 0.7, 4), (2, 0.5, 1), (8, 1.0, 8)],
)
def test_widths_are_lowered_to_multiples_that_registers_hold(width, ratio, expected):
    assert narrowed_model(SegmentGruConfig(head_units=width), ratio).head_units == expected


def test_each_layer_of_a_list_of_widths_is_lowered():
    assert narrowed_model(LstmConfig(units=(64, 32)), 0.5).units == (32, 16)


def test_a_ridge_is_refused_by_name_alone_and_is_no_reason_in_an_ensemble():
    assert "ridge has no hidden units" in supports_structured(RidgeConfig())
    assert "ridge has no layers" in supports_integers(RidgeConfig())
    both = EnsembleConfig(members=(RidgeConfig(), SegmentGruConfig()))
    assert supports_structured(both) is None
    assert supports_integers(both) is None
    assert "ridge" in supports_structured(EnsembleConfig(members=(RidgeConfig(), RidgeConfig())))
