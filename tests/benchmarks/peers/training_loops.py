"""The same trainings by others, one in this process: Keras `model.fit`, tf.data with a gather in the graph, torch."""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

CONTEXT, N_COLUMNS, HORIZON, BATCH, N_ROWS = 168, 8, 24, 512, 20_000
N_BATCHES = 8


def windows() -> tuple[np.ndarray, np.ndarray]:
    """Windows `[4096,168,8]` and targets `[4096,24]` of noise."""
    rng = np.random.default_rng(0)
    n = N_BATCHES * BATCH
    return rng.normal(size=(n, CONTEXT, N_COLUMNS)).astype(np.float32), rng.normal(size=(n, HORIZON)).astype(np.float32)


def keras_lstm_168() -> dict[str, float]:
    """`model.fit` of LSTM(64), LSTM(32), Dense(24); the best epoch after the first."""
    import keras

    model = keras.Sequential(
        [keras.layers.LSTM(64, return_sequences=True), keras.layers.LSTM(32), keras.layers.Dense(HORIZON)]
    )
    model.compile("adam", "mse")
    history, target = windows()
    model.fit(history, target, batch_size=BATCH, verbose=0)
    best = 0.0
    for _ in range(2):
        began = time.process_time()
        model.fit(history, target, batch_size=BATCH, verbose=0)
        best = max(best, len(history) / (time.process_time() - began))
    return {"windows_per_cpu_s": best, "batch_size": BATCH}


def tf_data_feed() -> dict[str, float]:
    """tf.data over window numbers, gathered in the graph."""
    import tensorflow as tf

    planes = tf.constant(np.random.default_rng(0).normal(size=(N_ROWS, N_COLUMNS)).astype(np.float32))
    order = np.random.default_rng(1).integers(CONTEXT, N_ROWS - HORIZON, 40 * BATCH).astype(np.int32)

    def gather(row: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        past, ahead = row[:, None] + tf.range(-CONTEXT, 0)[None], row[:, None] + tf.range(HORIZON)[None]
        return tf.gather(planes, past), tf.gather(planes, ahead)

    dataset = tf.data.Dataset.from_tensor_slices(order).batch(BATCH).map(gather).prefetch(2)
    began = time.process_time()
    n_windows = sum(int(history.shape[0]) for history, _ in dataset)
    return {"windows_per_cpu_s": n_windows / (time.process_time() - began), "batch_size": BATCH}


TORCH = f"""
import json, time, torch
torch.set_num_threads(1)
class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.a = torch.nn.LSTM({N_COLUMNS}, 64, batch_first=True)
        self.b = torch.nn.LSTM(64, 32, batch_first=True)
        self.c = torch.nn.Linear(32, {HORIZON})
    def forward(self, x):
        return self.c(self.b(self.a(x)[0])[0][:, -1])
net = Net()
optimizer = torch.optim.Adam(net.parameters())
x, y = torch.randn({BATCH}, {CONTEXT}, {N_COLUMNS}), torch.randn({BATCH}, {HORIZON})
def step():
    optimizer.zero_grad()
    torch.nn.functional.mse_loss(net(x), y).backward()
    optimizer.step()
step()
began = time.process_time()
for _ in range({N_BATCHES}):
    step()
print(json.dumps({{"windows_per_cpu_s": {N_BATCHES * BATCH} / (time.process_time() - began), "batch_size": {BATCH}}}))
"""


def torch_lstm_168() -> dict[str, float] | None:
    """The same network in torch, where build/bench/peers-torch has one; it is too large to install for a benchmark."""
    python = Path(__file__).parents[3] / "build" / "bench" / "peers-torch" / "bin" / "python"
    if not python.is_file():
        return None
    done = subprocess.run([str(python), "-c", TORCH], stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


if __name__ == "__main__":
    parts = {part.__name__: part for part in (keras_lstm_168, tf_data_feed, torch_lstm_168)}
    print(json.dumps(parts[sys.argv[1]]()))
