"""Training throughput in windows per CPU second: the feed alone, and models through the whole loop, beside peers.

`feed`: shuffled batches of windows of 168 steps by 8 columns, 24 ahead, as tensors. `segment_336`: the segment model
over two weeks of hours. `lstm_168`: LSTM(64), LSTM(32), Dense(24) over (168, 8). `fraction_of_limit` is the share of
what matrix products alone would reach: their number in a training step, at the speed of a large product on the same
core in the same process. Every figure comes from a process of its own on one thread. Run by `make bench-training`;
writes build/bench/training.json.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from components.features.build_features import make_feature_spec, plane_index
from forecasting.config.derived import RollingConfig
from forecasting.config.features import FeaturesConfig, FourierConfig
from forecasting.config.models import LstmConfig, ModelConfig, SegmentLstmConfig
from forecasting.config.root import BuildFeaturesSettings
from forecasting.config.sections import ForecastConfig
from forecasting.config.training import TrainingConfig
from forecasting.feature_store import FeatureStore, WindowIndex, learning_windows
from forecasting.features.spec import ScalerSpec
from forecasting.features.transform import feature_blocks
from forecasting.schema import Series, SeriesSpec, SeriesStore, SplitSpec
from tests.benchmarks.bench_file import write_bench
from tests.benchmarks.peers.environment import ROOT

HOUR_S = 3_600
START = 1_577_836_800
N_STEPS = 20_000
HORIZON = 24
FEED_BATCH, MODEL_BATCH = 512, 256
N_EPOCHS, N_BATCHES = 5, 16
BACKWARD = 2
"""Matrix products of the backward pass for one of the forward pass."""
PEERS = ("keras_lstm_168", "tf_data_feed", "torch_lstm_168")


@dataclass(frozen=True)
class ModelCase:
    """A model to measure, and the features that it reads."""

    model: ModelConfig
    features: FeaturesConfig
    context: int
    segment: int


NARROW = FeaturesConfig(calendar=(), fourier=(FourierConfig(period="24h", order=2),), derived=())
WIDE = FeaturesConfig(
    calendar=("day_of_week", "is_weekend", "hour_of_day"),
    fourier=(FourierConfig(period="24h", order=2),),
    derived=(RollingConfig(kind="rolling", windows=(24, 168), statistics=("mean", "std", "min", "max")),),
)
CASES = {
    "segment_336": ModelCase(SegmentLstmConfig(), WIDE, context=336, segment=24),
    "lstm_168": ModelCase(LstmConfig(units=(64, 32), dropout=0.0), NARROW, context=168, segment=24),
}
FEED_CASE = CASES["lstm_168"]


def make_store(case: ModelCase) -> FeatureStore:
    """A feature store of one series of noise; what is in it does not matter to the speed."""
    split = SplitSpec(*(START + int(share * N_STEPS) * HOUR_S for share in (0.8, 0.9, 1.0)))
    spec = SeriesSpec("y", (), ("a", "b"), (), {}, HOUR_S, split)
    rng = np.random.default_rng(0)
    store = SeriesStore(spec, (Series("s", START, rng.normal(size=(N_STEPS, 3))),))
    forecast = ForecastConfig(horizon=HORIZON, context=case.context, segment=case.segment, seasons=(24,))
    settings = BuildFeaturesSettings(name="bench", forecast=forecast, features=case.features)
    scaler = ScalerSpec(dict.fromkeys("yab", 0.0), dict.fromkeys("yab", 1.0))
    features = make_feature_spec(settings, spec, store.index, scaler)
    blocks = feature_blocks(features)
    planes = rng.normal(size=(case.context + N_STEPS, len(blocks.past) + len(blocks.known))).astype(np.float32)
    planes[:, 1] = 1.0
    return FeatureStore(features, split, plane_index(store.index, case.context), planes)


def measure_feed() -> dict[str, float]:
    """Shuffled batches of all training windows, three times over."""
    import tensorflow as tf

    from forecasting.neural.batches import window_gather
    from forecasting.neural.feed import WindowFeed, epoch_order

    store = make_store(FEED_CASE)
    windows = learning_windows(store, with_validation=False)
    feed = WindowFeed(window_gather(store, windows), tf.distribute.get_strategy(), FEED_BATCH)
    n_windows, began = 0, time.process_time()
    for epoch in range(20):
        for batch in feed.batches(epoch_order(len(windows), len(windows), seed=1, epoch=epoch)):
            n_windows += len(batch.numbers)
    cpu_s = time.process_time() - began
    return {"windows_per_cpu_s": n_windows / cpu_s, "n_columns": store.planes.shape[1], "batch_size": FEED_BATCH}


def measure_model(name: str) -> dict[str, float]:
    """Training through the loop, the best epoch after the first, which compiles."""
    from forecasting.neural.models import NetworkSpec
    from forecasting.neural.strategy import make_strategy

    training = TrainingConfig(
        batch_size=MODEL_BATCH, max_epochs=N_EPOCHS, max_steps_per_epoch=N_BATCHES, schedule="constant", threads=1
    )
    strategy = make_strategy(training)
    from forecasting.neural.loop import TrainingLoop

    case = CASES[name]
    store = make_store(case)
    windows = learning_windows(store, with_validation=False)
    loop = TrainingLoop(NetworkSpec(store.spec, case.model), training, strategy)
    report = loop.fit(store, windows, None, checkpoint=None, key="bench")
    speeds = [row.windows_per_s / row.cpu_use for row in report.history[1:]]
    flops = (1 + BACKWARD) * product_flops(loop.network, store, windows)
    limit = product_speed() / flops
    return {
        "windows_per_cpu_s": max(speeds),
        "median_windows_per_cpu_s": float(np.median(speeds)),
        "fraction_of_limit": max(speeds) / limit,
        "limit_windows_per_cpu_s": limit,
        "mflop_per_window": flops / 1e6,
        "n_parameters": report.n_parameters,
        "n_columns": store.planes.shape[1],
        "batch_size": MODEL_BATCH,
    }


def product_flops(network: Any, store: FeatureStore, windows: WindowIndex) -> float:
    """Floating-point operations of the matrix products of one window's forward pass."""
    import tensorflow as tf

    from forecasting.neural.batches import window_gather
    from forecasting.neural.models.recurrence import portable_recurrence

    batch = window_gather(store, windows)(np.arange(1))
    with portable_recurrence():
        function = tf.function(lambda: network(batch["history"], batch["future"], None)[0], autograph=False)
        graph = function.get_concrete_function().graph
    total = 0.0
    for op in graph.get_operations():
        if op.type == "MatMul":
            (rows, inner), columns = op.inputs[0].shape, op.outputs[0].shape[1]
            total += 2.0 * rows * inner * columns
    return total


def product_speed() -> float:
    """Floating-point operations per CPU second of a large matrix product."""
    import tensorflow as tf

    size = 1_024
    left = tf.random.normal([size, size])
    best = 0.0
    for _ in range(5):
        began = time.process_time()
        for _ in range(4):
            tf.matmul(left, left)
        best = max(best, 4 * 2.0 * size**3 / (time.process_time() - began))
    return best


def in_process(*words: str) -> dict[str, Any] | None:
    """Measure one part in a process of its own and read its last line; none where it cannot be measured here."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, *words], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    found: dict[str, Any] | None = json.loads(done.stdout.strip().splitlines()[-1])
    shown = f"{found['windows_per_cpu_s']:12,.0f} windows a CPU second" if found else f"{'left out':>12}"
    print(f"{words[-1]:20}{shown}", flush=True)
    return found


def measure_all(out: Path) -> None:
    """All parts one after another."""
    ours = ("-m", __spec__.name)
    figures = {name: in_process(*ours, name) for name in (*CASES, "feed")}
    script = str(Path(__file__).with_name("peers") / "training_loops.py")
    peers = {name: found for name in PEERS if (found := in_process(script, name)) is not None}
    write_bench(out, figures=figures, peers=peers)
    # The figures stand at the top as well, for those who look them up by name.
    document = json.loads(out.read_text(encoding="utf-8"))
    out.write_text(json.dumps({**document, **figures}, indent=1), encoding="utf-8")
    print(out)


def main() -> None:
    """Measure all, or one part in this process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", nargs="?", choices=("all", "feed", *CASES), default="all")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    match arguments.part:
        case "all":
            measure_all(arguments.out)
        case "feed":
            print(json.dumps(measure_feed()))
        case name:
            print(json.dumps(measure_model(name)))


if __name__ == "__main__":
    main()
