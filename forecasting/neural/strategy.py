"""Choice of the tf.distribute strategy and of threads. Call once, before any other TensorFlow code."""

import json
import os
import re
from typing import Any

import tensorflow as tf

from forecasting.config.training import TrainingConfig
from forecasting.errors import ConfigError

N_LOGICAL_CPUS = 2
"""Replicas of a mirrored strategy on a machine without a GPU: enough to run what a cluster runs."""
CLUSTER_VARIABLE = "TF_CONFIG"
LOST_WORKER_ERRORS = (tf.errors.UnavailableError, tf.errors.AbortedError)
"""What a step raises where a worker that takes part in it is gone."""
_TASK = re.compile(r"/job:(?P<job>\w+)/replica:\d+/task:(?P<task>\d+)")


def make_strategy(training: TrainingConfig) -> tf.distribute.Strategy:
    """Strategy named by the configuration.

    `auto` mirrors over several GPUs and is the default strategy otherwise. `mirrored` takes all
    GPUs, or two logical CPU devices where there is none. `multi_worker` takes the cluster of TF_CONFIG.

    Raises:
        ConfigError: The strategy is not supported, TF_CONFIG is no cluster, or devices were already in use
            with other settings; or a GPU was asked for and there is none.
    """
    if training.strategy == "tpu":
        raise ConfigError(
            "training.strategy tpu is refused: the loop was never run on a TPU; "
            "take auto, default, mirrored or multi_worker"
        )
    try:
        gpus = _gpus(training)
        for gpu in gpus:
            # Else a process takes all of a GPU's memory at once, and a second one beside it finds none.
            tf.config.experimental.set_memory_growth(gpu, True)
        if training.threads:
            tf.config.threading.set_intra_op_parallelism_threads(training.threads)
        if training.strategy == "mirrored" and not gpus:
            cpu = tf.config.list_physical_devices("CPU")[0]
            tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * N_LOGICAL_CPUS)
        if training.strategy == "multi_worker":
            _check_cluster(os.environ.get(CLUSTER_VARIABLE, ""))
            return tf.distribute.MultiWorkerMirroredStrategy()
    except RuntimeError as error:
        raise ConfigError(
            f"training.strategy and training.threads must be set before TensorFlow starts: {error}"
        ) from error
    if training.strategy == "mirrored" and not gpus:
        return tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(N_LOGICAL_CPUS)])
    if training.strategy == "mirrored" or (training.strategy == "auto" and len(gpus) > 1):
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


def _gpus(training: TrainingConfig) -> list[Any]:
    """GPUs that the training may use."""
    if training.accelerator == "cpu":
        tf.config.set_visible_devices([], "GPU")
        return []
    found: list[Any] = tf.config.list_physical_devices("GPU")
    if training.accelerator == "gpu" and not found:
        raise ConfigError(
            "training.accelerator gpu needs a GPU, and TensorFlow sees none: the driver, the CUDA libraries of the image or the "
            "device are missing; set training.accelerator: any to train on the processor instead"
        )
    return found


def worker_place(strategy: tf.distribute.Strategy) -> tuple[int, int]:
    """Number of this worker, from 0, and how many there are; (0, 1) where there is no cluster."""
    resolver = strategy.cluster_resolver
    if resolver is None or resolver.task_type is None:
        return 0, 1
    cluster = resolver.cluster_spec()
    before = cluster.num_tasks("chief") if resolver.task_type == "worker" and "chief" in cluster.jobs else 0
    n_workers = sum(cluster.num_tasks(job) for job in cluster.jobs if job in ("chief", "worker"))
    return before + int(resolver.task_id), max(1, n_workers)


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this worker is the one that writes."""
    return worker_place(strategy)[0] == 0


def check_agreement(strategy: tf.distribute.Strategy, step: int) -> None:
    """All workers must have found the same checkpoint.

    Raises:
        ConfigError: They have not.
    """
    _, n_workers = worker_place(strategy)
    if n_workers == 1:
        return
    n_replicas = strategy.num_replicas_in_sync
    found = strategy.run(lambda: tf.constant(float(step)))
    total = float(strategy.reduce(tf.distribute.ReduceOp.SUM, found, None))
    if total != float(step) * n_replicas:
        raise ConfigError(
            f"all workers must find the same checkpoint, this one found step {step} and not all the others did; "
            "ALMANAC_HOME must be shared between workers"
        )


def any_worker(strategy: tf.distribute.Strategy, flag: bool) -> bool:
    """Whether a flag is set on any worker; all of them must ask at the same step."""
    if worker_place(strategy)[1] == 1:
        return flag
    found = strategy.run(lambda: tf.constant(float(flag)))
    return float(strategy.reduce(tf.distribute.ReduceOp.SUM, found, None)) > 0.0


def say_lost_worker(strategy: tf.distribute.Strategy, message: str) -> str:
    """Which worker is gone, as far as TensorFlow's message names it, and what to do."""
    resolver = strategy.cluster_resolver
    named = _TASK.search(message)
    who = "another worker"
    if named is not None and resolver is not None:
        job, number = named["job"], int(named["task"])
        addresses = resolver.cluster_spec().as_dict().get(job, [])
        place = f" ({addresses[number]})" if number < len(addresses) else ""
        who = f"{job} {number}{place}"
    return f"{who} is gone; start all workers again, they go on from the last checkpoint: {message[:200]}"


def _check_cluster(text: str) -> None:
    try:
        found: Any = json.loads(text)
        workers = [*found["cluster"].get("chief", []), *found["cluster"]["worker"]]
        task = found["task"]
        known = task["type"] in ("chief", "worker") and int(task["index"]) >= 0 and workers
    except (ValueError, KeyError, TypeError, AttributeError):
        known = False
    if not known:
        raise ConfigError(
            f"training.strategy multi_worker needs {CLUSTER_VARIABLE} in the environment, such as "
            '{"cluster": {"worker": ["host0:2222", "host1:2222"]}, "task": {"type": "worker", "index": 0}}, '
            f"found {text[:200]!r}"
        )
