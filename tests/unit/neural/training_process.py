"""Trainings of a small table in a process of its own: what they end with, one line of JSON each.

    python -m tests.unit.neural.training_process STRATEGY JOB...

A job is `whole` (without checkpoints), `plain` (without dropout), `killed=DIRECTORY` (by SIGKILL, in the
middle of the second epoch), `resumed=DIRECTORY`, `stopped=DIRECTORY` (worker 1, or one process, gets SIGTERM there),
`lost=DIRECTORY` (worker 1 alone is killed there) or `masks` (what the replicas drop out).
"""

import hashlib
import json
import os
import signal
import sys
from pathlib import Path

import numpy as np

from forecasting.errors import AlmanacError
from tests.unit.neural.conftest import SHORT, SMALL, SPLIT, feature_store

KILLED_AT = 5
"""Step of the second epoch at which a training is killed; checkpoints lie at every third."""
TRAINING = SHORT.model_copy(update={"max_epochs": 3, "checkpoint_every_steps": 3})


def main(strategy_name: str, jobs: list[str]) -> None:
    """Do the jobs one after another."""
    from forecasting.neural.strategy import make_strategy, worker_place

    strategy = make_strategy(TRAINING.model_copy(update={"strategy": strategy_name, "threads": 1}))
    from forecasting.feature_store import window_index
    from forecasting.neural.loop import TrainingLoop
    from forecasting.neural.models import NetworkSpec
    from tests.unit.features.feature_specs import gappy_series, melbourne_spec

    class SignalledLoop(TrainingLoop):
        """Sends itself a signal at a step; with a worker number, on that worker alone."""

        number, worker = signal.SIGKILL, None

        def _save_due(self, state):
            hit = (state.n_epochs, state.step) == (1, KILLED_AT)
            if hit and self.worker in (None, worker_place(self._strategy)[0]):
                os.kill(os.getpid(), self.number)
            return super()._save_due(state)

    class StoppedLoop(SignalledLoop):
        number, worker = signal.SIGTERM, worker_place(strategy)[1] - 1

    class LostLoop(SignalledLoop):
        worker = 1

    loops = {"killed": SignalledLoop, "stopped": StoppedLoop, "lost": LostLoop}

    store = feature_store(melbourne_spec(700), [gappy_series(700)])
    windows = (
        window_index(store, None, SPLIT.train_end, min_age=24),
        window_index(store, SPLIT.train_end, SPLIT.validation_end, min_age=24),
    )
    for job in jobs:
        name, _, place = job.partition("=")
        if name == "masks":
            print(json.dumps({"job": name, "masks": masks(strategy)}), flush=True)
            continue
        model = SMALL.model_copy(update={"dropout": 0.0, "segment_dropout": 0.0}) if name == "plain" else SMALL
        loop = loops.get(name, TrainingLoop)(NetworkSpec(store.spec, model), TRAINING, strategy)
        try:
            report = loop.fit(store, *windows, checkpoint=Path(place) if place else None, key="k")
        except AlmanacError as error:
            print(json.dumps({"job": name, "error": str(error)}), flush=True)
            sys.exit(error.exit_code)
        replicas = {
            digest([replica[i] for replica in found])
            for found in [[strategy.experimental_local_results(v.value) for v in loop.network.trainable_variables]]
            for i in range(len(found[0]))
        }
        print(json.dumps({
            "job": name,
            "losses": [[row.train_loss, row.validation_loss, row.gradient_norm] for row in report.history],
            "weights": sorted(replicas),
            "n_replicas": report.n_replicas,
            "resumed_from_step": report.resumed_from_step,
        }), flush=True)  # fmt: skip


def masks(strategy) -> list[str]:
    """What the replicas of this worker drop out in their second call."""
    import tensorflow as tf

    from forecasting.neural.models.dropout import Dropout

    with strategy.scope():
        layer = Dropout(0.5, seed=1)
        layer(tf.ones([2, 3]))

    @tf.function
    def drawn():
        return strategy.run(lambda: layer(tf.ones([8, 16]), training=True))

    drawn()
    return [digest([found.numpy()]) for found in strategy.experimental_local_results(drawn())]


def digest(arrays) -> str:
    return hashlib.sha256(b"".join(np.asarray(array).tobytes() for array in arrays)).hexdigest()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
