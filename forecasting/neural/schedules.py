"""The learning rate of every step: a plain function of its number."""

import math
from dataclasses import dataclass

from forecasting.config.training import REFERENCE_BATCH_SIZE, TrainingConfig

_CYCLE_RISE = 0.3
_CYCLE_START_RATIO = 0.04
"""One cycle rises from a twenty-fifth of the largest rate over three tenths of the steps."""


@dataclass(frozen=True)
class RatePlan:
    """The course of the learning rate over a training of `n_steps` optimiser steps."""

    training: TrainingConfig
    n_steps: int

    @property
    def peak(self) -> float:
        """The largest rate.

        Linear scaling: P. Goyal et al., "Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour" (2017), with
        the warm-up that it needs; by the square root: A. Krizhevsky, "One weird trick for parallelizing
        convolutional neural networks" (2014).
        """
        ratio = self.training.windows_per_step / REFERENCE_BATCH_SIZE
        power = {"none": 0.0, "linear": 1.0, "sqrt": 0.5}[self.training.rate_scaling]
        return float(self.training.learning_rate * ratio**power)

    def rate(self, step: int) -> float:
        """Rate of step `step`, from 0."""
        if self.training.schedule == "one_cycle":
            return self.peak * self._one_cycle(step)
        warmup = max(1, min(self.training.warmup_steps, self.n_steps // 4))
        progress = min(1.0, max(0.0, (step - warmup) / max(1, self.n_steps - warmup)))
        return self.peak * min(1.0, (step + 1) / warmup) * self._decay(progress)

    def _decay(self, progress: float) -> float:
        """Share of the largest rate after a share of the steps behind the warm-up.

        Cosine: I. Loshchilov and F. Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts" (2017).
        """
        last = self.training.final_rate_ratio
        match self.training.schedule:
            case "cosine":
                return _half_cosine(1.0, last, progress)
            case "exponential":
                return float(last**progress)
            case _:
                return 1.0

    def _one_cycle(self, step: int) -> float:
        """L. Smith and N. Topin, "Super-Convergence: Very Fast Training of Neural Networks" (2018)."""
        progress = min(1.0, step / max(1, self.n_steps - 1))
        if progress < _CYCLE_RISE:
            return _half_cosine(_CYCLE_START_RATIO, 1.0, progress / _CYCLE_RISE)
        return _half_cosine(1.0, self.training.final_rate_ratio, (progress - _CYCLE_RISE) / (1.0 - _CYCLE_RISE))


def _half_cosine(first: float, last: float, progress: float) -> float:
    return last + (first - last) * 0.5 * (1.0 + math.cos(math.pi * progress))
