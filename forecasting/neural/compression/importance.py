"""How much each unit of a network matters."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from forecasting.feature_store import FeatureStore, WindowIndex
from forecasting.neural.batches import window_gather
from forecasting.neural.compression.fine_tuning import batch_loss
from forecasting.neural.models import AnyForecaster
from forecasting.neural.models.widths import WidthGroup

Tensor = Any
Criterion = Literal["taylor", "norm"]
Importance = npt.NDArray[np.float64]
_N_BATCHES, _BATCH_SIZE = 16, 32


def unit_importance(
    network: AnyForecaster,
    groups: Sequence[WidthGroup],
    store: FeatureStore,
    windows: WindowIndex,
    *,
    criterion: Criterion = "taylor",
) -> list[Importance]:
    """Importance of each unit, by group.

    `taylor`: how much the loss would move without the unit, to first order: P. Molchanov et al., "Importance Estimation for
    Neural Network Pruning" (CVPR 2019). A unit times its gradient is the sum of the weights that read it times theirs.
    `norm`: the length of all its weights.

    Args:
        network: A trained network.
        groups: Of the network.
        store: Feature store.
        windows: Calibration windows, of which some are taken, evenly spread.
        criterion: What is measured.
    """
    if criterion == "norm":
        return [_norms(found) for found in groups]
    gather = window_gather(store, windows, reads=network.features)
    weights = network.trainable_variables
    place = {id(weight): i for i, weight in enumerate(weights)}
    sums = [np.zeros(found.n_units) for found in groups]
    n = min(len(windows), _N_BATCHES * _BATCH_SIZE)
    chosen = np.linspace(0, len(windows) - 1, n).astype(np.int64)
    # Neighbours lie in different batches, so that a batch is a sample of all.
    for first in range(max(1, n // _BATCH_SIZE)):
        batch = gather(chosen[first :: max(1, n // _BATCH_SIZE)])
        with tf.GradientTape() as tape:
            loss = batch_loss(network, batch, store)
        gradients = tape.gradient(loss, [weight.value for weight in weights])
        for i, found in enumerate(groups):
            sums[i] += np.abs(_without(found, weights, gradients, place))
    return sums


def _without(found: WidthGroup, weights: list[Any], gradients: list[Tensor], place: dict[int, int]) -> Importance:
    """First-order change of the loss of a batch without each unit `[units]`."""
    change = np.zeros(found.n_units)
    for axis in found.axes:
        if axis.reads:
            i = place[id(axis.variable)]
            along = _along(weights[i].numpy() * gradients[i].numpy(), axis.axis)
            change += along.sum(axis=1)[axis.positions].sum(axis=1)
    return change


def _norms(found: WidthGroup) -> Importance:
    squares = np.zeros(found.n_units)
    for axis in found.axes:
        along = _along(np.square(axis.variable.numpy()), axis.axis)
        squares += along.sum(axis=1)[axis.positions].sum(axis=1)
    return np.sqrt(squares)


def _along(values: npt.NDArray[Any], axis: int) -> npt.NDArray[np.float64]:
    """An array `[N,…]` of one axis and of all others together."""
    return np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1).astype(np.float64)
