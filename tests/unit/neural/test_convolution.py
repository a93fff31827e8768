import numpy as np
import pytest
import tensorflow as tf
from pydantic import ValidationError

from forecasting.config.models import CnnLstmConfig
from forecasting.neural.models.convolution import GatedConvolution
from tests.unit.neural.model_windows import drawn


def test_every_third_step_counted_from_the_last_reads_the_steps_up_to_it():
    layer, values = GatedConvolution(5, 4, 3, "gated"), drawn(2, 11, 6)
    found, counts = layer(values, tf.ones([2, 11]))
    layer.convolution.bias.assign(drawn(10))
    found, counts = layer(values, tf.ones([2, 11]))
    padded = np.concatenate([np.zeros((2, 4, 6)), values], axis=1)
    kernel = layer.convolution.kernel.numpy()
    for place, step in enumerate((1, 4, 7, 10)):
        both = np.einsum("bkf,kfo->bo", padded[:, step + 1 : step + 5], kernel) + layer.convolution.bias.numpy()
        np.testing.assert_allclose(found[:, place], both[:, :5] / (1 + np.exp(-both[:, 5:])), atol=1e-5)
    np.testing.assert_array_equal(counts, np.ones((2, 4)))


def test_padding_of_any_length_changes_nothing_of_what_counts():
    layer, values = GatedConvolution(5, 4, 3, "gated"), drawn(2, 11, 6)
    unpadded, counts = layer(values, tf.ones([2, 11]))
    layer.convolution.bias.assign(drawn(10))
    unpadded, counts = layer(values, tf.ones([2, 11]))
    for n_padding in (1, 2, 3, 7):
        junk = 100.0 + drawn(2, n_padding, 6)
        mask = tf.concat([tf.zeros([2, n_padding]), tf.ones([2, 11])], axis=1)
        padded, padded_counts = layer(tf.concat([junk, values], axis=1), mask)
        np.testing.assert_allclose(padded[:, -4:], unpadded, atol=1e-6)
        assert not np.any(padded[:, :-4].numpy())
        assert tf.reduce_sum(padded_counts) == tf.reduce_sum(counts)


def test_a_stride_that_skips_steps_is_refused():
    with pytest.raises(ValidationError, match=r"strides of cnn_lstm must be at most its kernel \(3\)"):
        CnnLstmConfig(kernel=3, strides=(2, 4))
