"""Magnitude pruning while fine-tuning.

Sparsity rises with the cube of the remaining steps, as in M. Zhu and S. Gupta, "To prune, or not
to prune: exploring the efficacy of pruning for model compression" (2017, arXiv:1710.01878). Zeros
make a file compress better; on dense kernels they make nothing faster.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from forecasting.config.training import TrainingConfig
from forecasting.neural.compression.fine_tuning import TuningConfig, TuningWindows, fine_tune
from forecasting.neural.models import AnyForecaster

_PRUNE_EVERY = 10
_RATE_FACTOR = 0.1
"""On the learning rates of the training: the network has been trained, and only its zeros are new."""
_RAMP_SHARE = 0.7
"""Share of the steps over which sparsity rises; the rest lets the weights settle."""


@dataclass(frozen=True)
class PruningReport:
    """What pruning left. `sparsity` is the share of zero weights among the kernels."""

    n_steps: int
    sparsity: float
    n_kernel_weights: int


def prune_network(
    network: AnyForecaster,
    drawn: TuningWindows,
    training: TrainingConfig,
    *,
    sparsity: float,
    progress: Callable[[int], None] | None = None,
) -> PruningReport:
    """Set the smallest weights of every kernel to zero while the rest adapts.

    Args:
        network: The trained network, which is changed.
        drawn: Windows of every step of fine-tuning; without a step it is pruned at once.
        training: Settings it was trained with; `batch_size` is a number.
        sparsity: Share of each kernel to set to zero at the end, in [0, 1).
        progress: Called after each step with its number.
    """
    n_steps = len(drawn.steps)
    kernels = [weight for weight in network.trainable_variables if len(weight.shape) >= 2]
    masks = [np.ones(kernel.shape, dtype=np.float32) for kernel in kernels]

    def prune(share: float) -> None:
        for i, kernel in enumerate(kernels):
            masks[i] = magnitude_mask(kernel.numpy(), share)

    def after_step(step: int) -> None:
        if step % _PRUNE_EVERY == 0 or step == n_steps:
            ramp = min(1.0, step / (_RAMP_SHARE * n_steps))
            prune(sparsity * (1.0 - (1.0 - ramp) ** 3))
        for kernel, mask in zip(kernels, masks, strict=True):
            kernel.assign(kernel * mask)
        if progress is not None:
            progress(step)

    if n_steps:
        fine_tune(network, drawn, training, settings=TuningConfig(_RATE_FACTOR), after_step=after_step)
    else:
        prune(sparsity)
        for kernel, mask in zip(kernels, masks, strict=True):
            kernel.assign(kernel * mask)
    total = sum(int(np.prod(kernel.shape)) for kernel in kernels)
    return PruningReport(n_steps=n_steps, sparsity=zero_share(network), n_kernel_weights=total)


def zero_share(network: AnyForecaster) -> float:
    """Share of zero weights among the kernels."""
    kernels = [weight.numpy() for weight in network.trainable_variables if len(weight.shape) >= 2]
    total = sum(kernel.size for kernel in kernels)
    return sum(int(np.count_nonzero(kernel == 0)) for kernel in kernels) / max(total, 1)


def magnitude_mask(weights: npt.NDArray[np.float32], sparsity: float) -> npt.NDArray[np.float32]:
    """1 for the weights to keep, 0 for the `sparsity` share with the smallest magnitude."""
    n_zero = round(sparsity * weights.size)
    mask = np.ones(weights.size, dtype=np.float32)
    mask[np.argsort(np.abs(weights), axis=None, kind="stable")[:n_zero]] = 0.0
    return mask.reshape(weights.shape)
