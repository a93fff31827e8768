"""Averages of the weights: what is validated and exported in place of the last weights."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from forecasting.config.training import TrainingConfig

Tensor = Any
_WARM_STEPS = 10.0
"""The moving average follows closely at first: its momentum is at most n / (n + 10) after n steps."""


class WeightAverage:
    """A moving average by step, and over the last epochs a plain mean of the weights that each ended with.

    The mean: P. Izmailov et al., "Averaging Weights Leads to Wider Optima and Better Generalization" (UAI 2018).
    """

    def __init__(self, weights: Sequence[Any], training: TrainingConfig) -> None:
        """Average of some weights; make it in the strategy's scope."""
        self._weights = weights
        self._momentum = training.ema
        self._first_epoch = training.max_epochs - training.swa_epochs + 1
        self.moving = [tf.Variable(weight.numpy(), trainable=False) for weight in weights]
        n_mean = len(weights) if training.swa_epochs else 0
        self.mean = [tf.Variable(weight.numpy(), trainable=False) for weight in weights[:n_mean]]

    @property
    def variables(self) -> list[tf.Variable]:
        """What a checkpoint keeps."""
        return [*self.moving, *self.mean]

    def follow(self, n_steps: Tensor) -> None:
        """Move the average after `n_steps` steps; a part of the step."""
        momentum = tf.minimum(self._momentum, n_steps / (n_steps + _WARM_STEPS))
        for average, weight in zip(self.moving, self._weights, strict=True):
            average.assign(momentum * average + (1.0 - momentum) * weight.value)

    def end_epoch(self, epoch: int) -> None:
        """Take the weights at the end of an epoch, from 1, into the mean."""
        n_before = epoch - self._first_epoch
        if not self.mean or n_before < 0:
            return
        for mean, weight in zip(self.mean, self._weights, strict=True):
            mean.assign((mean.numpy() * n_before + weight.numpy()) / (n_before + 1))

    def at_end_of(self, epoch: int) -> list[tf.Variable]:
        """The average that counts at the end of an epoch."""
        return self.mean if self.mean and epoch >= self._first_epoch else self.moving
