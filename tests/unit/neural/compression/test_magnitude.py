import numpy as np
import tensorflow as tf

from forecasting.neural.compression.magnitude import magnitude_mask, prune_network
from forecasting.neural.loop import TrainingLoop
from forecasting.neural.models import NetworkSpec
from tests.unit.neural.conftest import SHORT, SMALL


def test_mask_keeps_the_largest_magnitudes():
    assert magnitude_mask(np.asarray([[0.1, -5.0], [2.0, -0.2]]), 0.5).tolist() == [[0.0, 1.0], [1.0, 0.0]]


def test_pruned_kernels_stay_sparse_through_fine_tuning(hourly_store, windows):
    loop = TrainingLoop(NetworkSpec(hourly_store.spec, SMALL), SHORT, tf.distribute.get_strategy())
    before = loop.network.head.hidden.kernel.numpy().copy()
    report = prune_network(loop, hourly_store, windows[0], sparsity=0.5, n_steps=12)
    after = loop.network.head.hidden.kernel.numpy()
    assert abs(report.sparsity - 0.5) < 0.02
    assert np.any(after[after != 0] != before[after != 0])
