"""Peak memory of training on long contexts, in a process of its own: `{"context/truncate": MiB}` on stdout."""

import gc
import json
import sys
from pathlib import Path

import tensorflow as tf

from forecasting.config.models import LstmConfig, TransformerLstmConfig
from forecasting.neural.models import NetworkSpec
from forecasting.neural.models.registry import HORIZON_MODELS
from tests.unit.features.feature_specs import melbourne_spec
from tests.unit.neural.model_windows import drawn_window

BATCH = 16


def peak_mib(model, context: int) -> float:
    """How much the peak of resident memory lies above what was held before, over two steps of training."""
    spec = melbourne_spec(context=context, derived=(), segment=20)
    window = drawn_window(spec, batch=BATCH)
    network = HORIZON_MODELS[model.kind](NetworkSpec(spec, model), model)
    network.messages(window, training=False)

    @tf.function(autograph=False)
    def train() -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(network.messages(window, training=True).steps ** 2)
        return tape.gradient(loss, [weight.value for weight in network.trainable_variables])

    train.get_concrete_function()
    gc.collect()
    held = _status_mib("VmRSS")
    # Linux counts the peak from here on.
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    for _ in range(2):
        train()
    return _status_mib("VmHWM") - held


def _status_mib(name: str) -> float:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return float(line.split()[1]) / 1024.0
    raise LookupError(name)


def main() -> None:
    peak_mib(LstmConfig(units=(32, 32)), 100)
    found = {f"{context}/{truncate}": peak_mib(LstmConfig(units=(32, 32), truncate_steps=truncate), context)
             for context, truncate in ((1000, 500), (5000, 500), (5000, 5000))}  # fmt: skip
    transformer = TransformerLstmConfig(patch=5, units=32, recurrent_units=(32,))
    for context in (2500, 5000):
        found[f"transformer/{context}"] = peak_mib(transformer, context)
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
