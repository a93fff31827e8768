"""Trains one small table by several settings in a process of its own: one line of JSON each.

    python -m tests.gpu.gpu_process DEVICE JOB...

DEVICE is the kind of device that the weights must lie on, GPU or CPU. A job is a key of `JOBS`.
"""

import json
import sys
from typing import Any

from tests.unit.neural.conftest import SHORT, SMALL, SPLIT, feature_store

JOBS: dict[str, dict[str, Any]] = {
    "float32": {},
    "mixed_bfloat16": {"precision": "mixed_bfloat16"},
    "mixed_float16": {"precision": "mixed_float16"},
    "xla": {"xla": True},
    "xla_mixed_bfloat16": {"xla": True, "precision": "mixed_bfloat16"},
}
MODEL = SMALL.model_copy(update={"dropout": 0.0, "segment_dropout": 0.0})
TRAINING = SHORT.model_copy(update={"max_epochs": 3, "threads": 1, "strategy": "default"})


def main(device: str, jobs: list[str]) -> None:
    """Do the jobs one after another, on a machine whose GPUs are hidden where the device is a CPU."""
    import tensorflow as tf

    if device == "CPU":
        tf.config.set_visible_devices([], "GPU")
    from forecasting.neural.strategy import make_strategy

    strategy = make_strategy(TRAINING)
    from forecasting.feature_store import window_index
    from tests.unit.features.feature_specs import gappy_series, melbourne_spec

    store = feature_store(melbourne_spec(700), [gappy_series(700)])
    windows = (
        window_index(store, None, SPLIT.train_end, min_age=24),
        window_index(store, SPLIT.train_end, SPLIT.validation_end, min_age=24),
    )
    for job in jobs:
        print(json.dumps({"job": job, **_trained(job, strategy, store, windows)}), flush=True)
    gpus = tf.config.list_physical_devices("GPU")
    print(json.dumps({"job": "memory", "grows": [tf.config.experimental.get_memory_growth(gpu) for gpu in gpus]}))


def _trained(job: str, strategy: Any, store: Any, windows: tuple[Any, Any]) -> dict[str, Any]:
    """What a training with the settings of a job ends with, and where its weights lie."""
    from forecasting.neural.loop import TrainingLoop
    from forecasting.neural.models import NetworkSpec

    loop = TrainingLoop(NetworkSpec(store.spec, MODEL), TRAINING.model_copy(update=JOBS[job]), strategy)
    report = loop.fit(store, *windows, checkpoint=None, key=job)
    weights = loop.network.trainable_variables
    return {
        "losses": [row.train_loss for row in report.history],
        "validation_losses": [row.validation_loss for row in report.history],
        "n_skipped_steps": sum(row.n_skipped_steps for row in report.history),
        "dtypes": sorted({weight.dtype for weight in weights}),
        "devices": sorted({weight.value.device.rsplit("/device:")[-1].split(":")[0] for weight in weights}),
    }


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
