"""Choice of the tf.distribute strategy and of threads. Call once, before any other TensorFlow code."""

import tensorflow as tf

from forecasting.config.sections import TrainingConfig
from forecasting.errors import ConfigError

N_LOGICAL_CPUS = 2
"""Replicas of a mirrored strategy on a machine without a GPU: enough to run what a cluster runs."""


def make_strategy(training: TrainingConfig) -> tf.distribute.Strategy:
    """Strategy named by the configuration.

    `auto` mirrors over several GPUs and is the default strategy otherwise. `mirrored` takes all
    GPUs, or two logical CPU devices where there is none.

    Raises:
        ConfigError: Devices were already in use with other settings.
    """
    gpus = tf.config.list_physical_devices("GPU")
    try:
        if training.threads:
            tf.config.threading.set_intra_op_parallelism_threads(training.threads)
        if training.strategy == "mirrored" and not gpus:
            cpu = tf.config.list_physical_devices("CPU")[0]
            tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * N_LOGICAL_CPUS)
    except RuntimeError as error:
        raise ConfigError(
            f"training.strategy and training.threads must be set before TensorFlow starts: {error}"
        ) from error
    if training.strategy == "mirrored" and not gpus:
        return tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(N_LOGICAL_CPUS)])
    if training.strategy == "mirrored" or (training.strategy == "auto" and len(gpus) > 1):
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()
