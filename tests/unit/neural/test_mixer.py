import numpy as np
import tensorflow as tf

from forecasting.config.models import TsmixerConfig
from forecasting.neural.models.mixer import FeatureMixing, MixerBlock
from forecasting.neural.models.projection import TimeProjection
from tests.unit.neural.model_windows import drawn

PLAIN = TsmixerConfig(units=4, hidden_units=5, layers=1, normalisation="none", dropout=0.0)


def test_a_projection_maps_each_column_along_time():
    layer, values = TimeProjection(6, 3, name="onto"), drawn(2, 6, 4)
    layer(values)
    layer.bias.assign([1.0, 2.0, 3.0])
    expected = np.einsum("btc,th->bhc", values, layer.kernel) + np.asarray([1.0, 2.0, 3.0])[:, None]
    np.testing.assert_allclose(layer(values), expected, atol=1e-5)


def test_a_short_history_takes_the_weights_of_the_last_steps():
    layer, values = TimeProjection(6, 3, name="onto"), drawn(2, 4, 4)
    padded = layer(tf.pad(values, [[0, 0], [2, 0], [0, 0]]))
    np.testing.assert_allclose(layer(values), padded, atol=1e-6)


def test_feature_mixing_is_a_perceptron_around_a_residual():
    layer, values = FeatureMixing(PLAIN, 4, "mixing"), drawn(2, 3, 7)
    layer(values)
    layer.hidden.bias.assign(drawn(5))
    hidden = np.maximum(values.numpy() @ layer.hidden.kernel.numpy() + layer.hidden.bias.numpy(), 0.0)
    expected = hidden @ layer.out.kernel.numpy() + values.numpy() @ layer.around.kernel.numpy()
    np.testing.assert_allclose(layer(values), expected, atol=1e-5)


def test_time_mixing_adds_what_other_steps_say():
    block, values, group = MixerBlock(PLAIN, 3, "block"), drawn(2, 3, 7), drawn(2, 3, 2)
    block(values, group)
    mixed = np.maximum(np.einsum("bhc,hk->bkc", values, block.mixing.kernel), 0.0) + values
    expected = block.features(tf.concat([mixed, group], axis=2))
    np.testing.assert_allclose(block(values, group), expected, atol=1e-5)
