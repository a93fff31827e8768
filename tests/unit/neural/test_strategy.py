"""The one loop under MirroredStrategy on two logical CPU devices; needs a fresh process."""

import json
import subprocess
import sys

SCRIPT = """
import json
from forecasting.neural.strategy import make_strategy
from tests.unit.neural.conftest import SHORT, SMALL, SPLIT, feature_store
strategy = make_strategy(SHORT.model_copy(update={"strategy": "mirrored"}))
from forecasting.feature_store import window_index
from forecasting.neural.loop import TrainingLoop
from forecasting.neural.network import NetworkSpec
from tests.unit.features.feature_specs import gappy_series, melbourne_spec
store = feature_store(melbourne_spec(700), [gappy_series(700)])
train = window_index(store, None, SPLIT.train_end, min_age=24)
validation = window_index(store, SPLIT.train_end, SPLIT.validation_end, min_age=24)
model = SMALL.model_copy(update={"dropout": 0.0})
loop = TrainingLoop(NetworkSpec(store.spec, model), SHORT, strategy)
report = loop.fit(store, train, validation, checkpoint=None, key="k")
print(json.dumps({"replicas": report.n_replicas, "losses": [row.validation_loss for row in report.history]}))
"""


def test_two_replicas_learn_what_one_learns():
    mirrored = _run(SCRIPT)
    alone = _run(SCRIPT.replace('"mirrored"', '"default"'))
    assert (mirrored["replicas"], alone["replicas"]) == (2, 1)
    assert all(abs(a / b - 1) < 0.02 for a, b in zip(mirrored["losses"], alone["losses"], strict=True))


def _run(script: str) -> dict:
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])
