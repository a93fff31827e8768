import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from forecasting.config.models import LstmConfig
from forecasting.neural.models.recurrence import portable_recurrence
from forecasting.neural.models.stack import RecurrentStack
from tests.unit.neural.model_windows import drawn

MODEL = LstmConfig(dropout=0.0)


def stacks(
    truncate: int | None, *, cell: str = "lstm", residual: bool = False
) -> tuple[RecurrentStack, RecurrentStack]:
    """One that is truncated, one that is not, of the same weights."""
    units = (4, 4, 4)
    one = RecurrentStack(MODEL, units, cell=cell, residual=residual, truncate=truncate)
    other = RecurrentStack(MODEL, units, cell=cell, residual=residual)
    for stack in (one, other):
        stack(drawn(2, 11, 3), tf.ones([2, 11]))
    other.set_weights(one.get_weights())
    return one, other


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("truncate", [3, 4, 10])
def test_what_is_read_in_pieces_ends_where_the_whole_does(cell, truncate):
    cut, whole = stacks(truncate, cell=cell, residual=True)
    values, counting = drawn(2, 11, 3), tf.concat([tf.zeros([2, 2]), tf.ones([2, 9])], axis=1)
    outputs, last, states = tf.function(cut, autograph=False)(values, counting)
    expected, expected_last, expected_states = whole(values, counting)
    np.testing.assert_allclose(outputs, expected[:, -truncate:], atol=1e-6)
    np.testing.assert_allclose(last[0], expected_last[0], atol=1e-6)
    np.testing.assert_allclose(states[1][0], expected_states[1][0], atol=1e-6)


@pytest.mark.parametrize("portable", [False, True])
def test_gradients_end_at_the_cut_and_the_state_does_not(portable):
    cut, whole = stacks(4)
    values, counting = drawn(2, 11, 3), tf.ones([2, 11])

    def gradient(stack: RecurrentStack) -> np.ndarray:
        with tf.GradientTape() as tape:
            tape.watch(values)
            _, last, _ = stack(values, counting, training=True)
            loss = tf.reduce_sum(last[0] ** 2)
        return tape.gradient(loss, values).numpy()

    def both() -> tuple[np.ndarray, np.ndarray]:
        if not portable:
            return gradient(cut), gradient(whole)
        with portable_recurrence():
            return gradient(cut), gradient(whole)

    found, expected = both()
    assert not np.any(found[:, :7])
    assert np.all(np.any(expected[:, :7] != 0, axis=2))
    np.testing.assert_allclose(found[:, 7:], expected[:, 7:], rtol=1e-4, atol=1e-6)
    moved = values + tf.concat([tf.ones([2, 7, 3]), tf.zeros([2, 4, 3])], axis=1)
    assert np.abs(cut(moved, counting)[1][0] - cut(values, counting)[1][0]).max() > 1e-5


def test_layers_that_run_both_ways_read_the_steps_after_the_cut_alone():
    stack = RecurrentStack(MODEL, (4,), both_ways=True, truncate=4)
    values = drawn(2, 11, 3)
    _, last, _ = stack(values, tf.ones([2, 11]))
    _, short, _ = stack(values[:, 7:], tf.ones([2, 4]))
    np.testing.assert_array_equal(last[1], short[1])


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux: the peak of memory is read from /proc")
def test_memory_does_not_grow_with_a_context_of_5000_steps():
    command = [sys.executable, "-m", "tests.unit.neural.long_context_process"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    peak = json.loads(done.stdout)
    assert peak["5000/500"] < peak["1000/500"] + 30
    assert peak["5000/5000"] > 3 * max(peak["5000/500"], peak["1000/500"])
    # Attention among all 1,000 tokens would take 256 MiB for each layer of weights alone.
    assert peak["transformer/5000"] < 250
    assert peak["transformer/5000"] < 2.5 * peak["transformer/2500"]
