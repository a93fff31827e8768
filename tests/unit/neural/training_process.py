"""Trainings of a small table in a process of its own: what they end with, one line of JSON each.

    python -m tests.unit.neural.training_process STRATEGY JOB...

A job is `whole` (without checkpoints), `plain` (without dropout), `killed=DIRECTORY` (by SIGKILL, in the
middle of the second epoch) or `resumed=DIRECTORY`.
"""

import hashlib
import json
import os
import signal
import sys
from pathlib import Path

import numpy as np

from tests.unit.neural.conftest import SHORT, SMALL, SPLIT, feature_store

KILLED_AT = 5
"""Step of the second epoch at which a training is killed; checkpoints lie at every third."""
TRAINING = SHORT.model_copy(update={"max_epochs": 3, "checkpoint_every_steps": 3})


def main(strategy_name: str, jobs: list[str]) -> None:
    """Do the jobs one after another."""
    from forecasting.neural.strategy import make_strategy

    strategy = make_strategy(TRAINING.model_copy(update={"strategy": strategy_name, "threads": 1}))
    from forecasting.feature_store import window_index
    from forecasting.neural.loop import TrainingLoop
    from forecasting.neural.models import NetworkSpec
    from tests.unit.features.feature_specs import gappy_series, melbourne_spec

    class KilledLoop(TrainingLoop):
        def _save_due(self, state):
            if (state.n_epochs, state.step) == (1, KILLED_AT):
                os.kill(os.getpid(), signal.SIGKILL)
            return super()._save_due(state)

    store = feature_store(melbourne_spec(700), [gappy_series(700)])
    windows = (
        window_index(store, None, SPLIT.train_end, min_age=24),
        window_index(store, SPLIT.train_end, SPLIT.validation_end, min_age=24),
    )
    for job in jobs:
        name, _, place = job.partition("=")
        model = SMALL.model_copy(update={"dropout": 0.0}) if name == "plain" else SMALL
        kind = KilledLoop if name == "killed" else TrainingLoop
        loop = kind(NetworkSpec(store.spec, model), TRAINING, strategy)
        report = loop.fit(store, *windows, checkpoint=Path(place) if place else None, key="k")
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


def digest(arrays) -> str:
    return hashlib.sha256(b"".join(np.asarray(array).tobytes() for array in arrays)).hexdigest()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
