"""Scaled forecasts of a trained network over the windows of a feature store."""

from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from forecasting.feature_store import FeatureStore, WindowIndex
from forecasting.neural.batches import window_gather
from forecasting.neural.models import AnyForecaster

Tensor = Any


def predict_scaled(
    network: AnyForecaster, store: FeatureStore, windows: WindowIndex, batch_size: int
) -> dict[str, npt.NDArray[np.float32]]:
    """Scaled quantiles (no mean), targets and presence of windows, for calibration.

    Returns:
        quantiles `[W,H,Q]`, target `[W,H]`, present `[W,H]`.
    """
    gather = window_gather(store, windows, reads=network.features)
    parts: dict[str, list[npt.NDArray[np.float32]]] = {"quantiles": [], "target": [], "present": []}

    @tf.function(autograph=False, reduce_retracing=True)
    def call(history: Tensor, future: Tensor, static: Tensor | None) -> Tensor:
        return network(history, future, static, training=False)[0][:, :, : len(store.spec.quantiles)]

    for first in range(0, len(windows), batch_size):
        batch = gather(np.arange(first, min(first + batch_size, len(windows))))
        parts["quantiles"].append(call(batch["history"], batch["future"], batch.get("static")).numpy())
        parts["target"].append(batch["target"].numpy())
        parts["present"].append(batch["present"].numpy())
    return {name: np.concatenate(arrays) for name, arrays in parts.items()}
