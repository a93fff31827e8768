import numpy as np
import tensorflow as tf

from forecasting.neural.buffers import TensorBuffers, shared_tensor


def test_memory_that_an_array_holds_is_not_given_again():
    buffers = TensorBuffers()
    first = buffers.take((2, 3))
    second = buffers.take((2, 3))
    assert not np.shares_memory(first, second)
    assert len(buffers._buffers) == 2


def test_memory_that_nobody_holds_is_given_again():
    buffers = TensorBuffers()
    for _ in range(5):
        buffers.take((2, 3))
    assert len(buffers._buffers) == 1


def test_memory_that_a_tensor_holds_is_not_given_again_until_it_is_gone():
    buffers = TensorBuffers()
    array = buffers.take((4, 2))
    array[:] = 7.0
    tensor = shared_tensor(array)
    del array
    buffers.take((4, 2))[:] = 0.0
    assert tensor.numpy().tolist() == [[7.0, 7.0]] * 4
    assert len(buffers._buffers) == 2
    del tensor
    buffers.take((4, 2))
    buffers.take((4, 2))
    assert len(buffers._buffers) == 2


def test_a_tensor_that_a_function_computes_with_keeps_its_memory():
    buffers = TensorBuffers()
    array = buffers.take((3, 1))
    array[:] = 1.0
    doubled = tf.function(lambda tensor: tensor * 2.0)(shared_tensor(array))
    del array
    buffers.take((3, 1))[:] = 5.0
    assert doubled.numpy().tolist() == [[2.0]] * 3


def test_every_array_is_aligned_as_kernels_ask():
    buffers = TensorBuffers()
    held = [buffers.take((n, 7)) for n in range(1, 30)]
    assert {array.ctypes.data % 64 for array in held} == {0}
    assert {array.dtype.name for array in held} == {"float32"}
