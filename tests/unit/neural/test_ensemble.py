import numpy as np
import pytest
import tensorflow as tf
from pydantic import ValidationError

from forecasting.config.models import EnsembleConfig, LinearConfig
from forecasting.features.transform import feature_blocks
from forecasting.neural.models import NetworkSpec, build_network
from tests.unit.features.feature_specs import melbourne_spec
from tests.unit.neural.model_windows import drawn

PAIR = EnsembleConfig(members=(LinearConfig(head_units=4), LinearConfig(form="nlinear", head_units=4)))


def test_the_answer_is_the_mean_of_the_members_by_their_shares():
    spec = melbourne_spec()
    network = build_network(NetworkSpec(spec, PAIR))
    network.shares.assign([0.25, 0.75])
    n_known = len(feature_blocks(spec).known)
    history, future = drawn(2, spec.context, network.n_past + n_known), drawn(2, spec.horizon, n_known)
    one, other = (member(history, future)[0] for member in network.members)
    found, _ = network(history, future)
    np.testing.assert_allclose(found, 0.25 * one + 0.75 * other, atol=1e-5)
    assert "shares" not in {variable.name for variable in network.trainable_variables}


def test_an_ensemble_of_one_model_is_refused():
    with pytest.raises(ValidationError, match="an ensemble needs two models"):
        EnsembleConfig(members=(LinearConfig(),))
    assert [seed for _, seed in EnsembleConfig(members=(LinearConfig(),), seeds=2).singles(7)] == [7, 8]


def test_members_take_the_same_scale_out_of_a_window():
    spec = melbourne_spec(target_scaling="window")
    network = build_network(NetworkSpec(spec, PAIR))
    n_known = len(feature_blocks(spec).known)
    history, future = drawn(2, spec.context, network.n_past + n_known), drawn(2, spec.horizon, n_known)
    scales = [member(history, future)[1] for member in network.members]
    np.testing.assert_array_equal(scales[0], scales[1])
    np.testing.assert_array_equal(network(history, future)[1], scales[0])
    assert tf.reduce_min(scales[0]) > 0


def test_weights_and_shares_survive_their_file(tmp_path):
    spec = NetworkSpec(melbourne_spec(), PAIR)
    network, other = build_network(spec), build_network(spec)
    network.shares.assign([0.25, 0.75])
    network.save_weights(tmp_path / "model.weights.h5")
    other.load_weights(tmp_path / "model.weights.h5")
    for one, read in zip(network.variables, other.variables, strict=True):
        np.testing.assert_array_equal(one.numpy(), read.numpy())
