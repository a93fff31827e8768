import keras
import numpy as np
import tensorflow as tf

from forecasting.neural.models.dropout import Dropout


def test_one_process_drops_out_what_keras_does_call_after_call():
    own, reference, ones = Dropout(0.4, seed=3), keras.layers.Dropout(0.4, seed=3), tf.ones([8, 16])
    masks = [own(ones, training=True).numpy() for _ in range(3)]
    for mask in masks:
        np.testing.assert_array_equal(mask, reference(ones, training=True))
    assert not np.array_equal(masks[0], masks[1])


def test_nothing_is_dropped_out_but_in_training():
    ones = tf.ones([8, 16])
    np.testing.assert_array_equal(Dropout(0.4, seed=3)(ones), ones)
    np.testing.assert_array_equal(Dropout(0.0, seed=3)(ones, training=True), ones)
