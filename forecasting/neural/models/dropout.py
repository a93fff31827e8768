"""Dropout whose replicas draw masks of their own."""

from typing import Any

import keras
import tensorflow as tf
from typing_extensions import override

Tensor = Any
_APART = 1_000_003
"""Added to the first half of a seed for each replica; far more than there are layers, whose seeds are small."""


class ReplicaSeeds(keras.random.SeedGenerator):
    """Seeds that differ by replica and advance alike; those of the first replica are those of one process.

    Keras keeps the state of a generator equal on all replicas, which would then drop out the same units of every part of a
    batch.
    """

    @override
    def next(self, ordered: bool = True) -> Tensor:
        """The next seed `[2]` of the replica that asks."""
        seed = super().next(ordered)
        context = tf.distribute.get_replica_context()
        if context is None or context.num_replicas_in_sync == 1:
            return seed
        number = tf.cast(context.replica_id_in_sync_group, seed.dtype)
        return seed + tf.stack([_APART * number, tf.zeros_like(number)])


class Dropout(keras.layers.Layer):
    """As that of Keras, with `ReplicaSeeds`."""

    def __init__(self, rate: float, *, seed: int) -> None:
        """Dropout of a share of the units."""
        super().__init__()
        self._rate = rate
        self._seeds = ReplicaSeeds(seed) if rate else None

    @override
    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        """Units dropped out while training, the others scaled up."""
        if self._seeds is None or not training:
            return inputs
        return keras.random.dropout(inputs, self._rate, seed=self._seeds)
