"""Quantisation-aware fine-tuning: a network learns to answer as before although its products are rounded to INT8."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from forecasting.config.training import TrainingConfig
from forecasting.config.widths import supports_integers
from forecasting.errors import ConfigError
from forecasting.feature_store import FeatureStore, WindowIndex
from forecasting.neural.compression.fine_tuning import (
    TuningConfig,
    drawn_windows,
    fine_tune,
    taught_windows,
)
from forecasting.neural.models import AnyForecaster, NetworkSpec, build_network
from forecasting.neural.models.products import rounded_products
from forecasting.neural.models.recurrence import portable_recurrence


@dataclass(frozen=True)
class AwareConfig:
    """n_steps: optimiser steps. rate_factor: on the learning rates of the training. teacher_share: weight of the answers of the network in float."""

    n_steps: int = 150
    rate_factor: float = 0.1
    teacher_share: float = 0.8


def aware_network(
    network: AnyForecaster,
    spec: NetworkSpec,
    training: TrainingConfig,
    *,
    store: FeatureStore,
    train: WindowIndex,
    settings: AwareConfig,
    progress: Callable[[int], None] | None = None,
) -> AnyForecaster:
    """A copy of a network that loses less in INT8; weights that are zero stay so. Convert it with `Precision.INT8_AWARE`.

    Args:
        network: The trained network, which is left as it is.
        spec: What it is made from.
        training: Settings it was trained with; `batch_size` is a number.
        store: Feature store.
        train: Windows to fine-tune on.
        settings: See there.
        progress: Called after each step with its number.

    Raises:
        ConfigError: The kind of model has no products that could be in INT8.
    """
    reason = supports_integers(spec.model)
    if reason is not None:
        raise ConfigError(f"quantisation-aware fine-tuning needs products: {reason}")
    copy = build_network(spec)
    copy.set_weights(network.get_weights())
    taught = taught_windows(network, drawn_windows(store, train, training, n_steps=settings.n_steps))
    kernels = [weight for weight in copy.trainable_variables if len(weight.shape) >= 2]
    masks = [(kernel.numpy() != 0.0).astype(np.float32) for kernel in kernels]
    pruned = [(kernel, mask) for kernel, mask in zip(kernels, masks, strict=True) if not mask.all()]

    def keep_zeros(step: int) -> None:
        for kernel, mask in pruned:
            kernel.assign(kernel * mask)
        if progress is not None:
            progress(step)

    with portable_recurrence(), rounded_products():
        fine_tune(
            copy,
            taught,
            training,
            # Dropout would move the answers by far more than the rounding does.
            settings=TuningConfig(settings.rate_factor, settings.teacher_share, dropout=False),
            after_step=keep_zeros,
        )
    return copy
