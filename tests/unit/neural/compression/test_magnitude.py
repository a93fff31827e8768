import numpy as np

from forecasting.neural.compression.fine_tuning import drawn_windows
from forecasting.neural.compression.magnitude import magnitude_mask, prune_network
from forecasting.neural.models import NetworkSpec, build_network
from tests.unit.neural.conftest import SHORT, SMALL


def test_mask_keeps_the_largest_magnitudes():
    assert magnitude_mask(np.asarray([[0.1, -5.0], [2.0, -0.2]]), 0.5).tolist() == [[0.0, 1.0], [1.0, 0.0]]


def test_pruned_kernels_stay_sparse_through_fine_tuning(hourly_store, windows):
    network = build_network(NetworkSpec(hourly_store.spec, SMALL))
    before = network.head.hidden.kernel.numpy().copy()
    report = prune_network(network, drawn_windows(hourly_store, windows[0], SHORT, n_steps=12), SHORT, sparsity=0.5)
    after = network.head.hidden.kernel.numpy()
    assert abs(report.sparsity - 0.5) < 0.02
    assert np.any(after[after != 0] != before[after != 0])
