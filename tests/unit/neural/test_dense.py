"""Dense layers of rank 2."""

import numpy as np
import tensorflow as tf

from forecasting.neural.models.dense import Dense


def test_inputs_in_another_order_are_weighed_as_in_their_own():
    layer = Dense(3, activation="gelu", name="layer")
    rows = tf.constant(np.random.default_rng(0).normal(size=(2, 5, 4)).astype(np.float32))
    expected = layer(rows)
    order = np.array([2, 0, 3, 1])
    found = layer(tf.gather(rows, order, axis=2), order=order)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7)
