"""A model that takes a stated time of one core: products of matrices, as many as the time needs on this machine.

Run as a program it writes `<out>/1/model.tflite`; TensorFlow is imported only then.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from forecasting.runtimes.lite import LiteSlot
from tests.unit.serving.tiny_models import _with_metadata

WIDTH = 256
_LOOKS = 30
INPUT = np.zeros((1, WIDTH), np.float32)


def make(out: Path, *, milliseconds: float) -> float:
    """Write the version directory; returns the milliseconds of CPU that a call takes."""
    few, many = _seconds(_converted(4)), _seconds(_converted(24))
    n_products = max(1, round(4 + 20 * (milliseconds / 1e3 - few) / (many - few)))
    model = _converted(n_products)
    (out / "1").mkdir(parents=True)
    (out / "1" / "model.tflite").write_bytes(model)
    return 1e3 * _seconds(model)


def _converted(n_products: int) -> bytes:
    import tensorflow as tf

    matrix = tf.constant(np.linalg.qr(np.random.default_rng(1).normal(size=(WIDTH, WIDTH)))[0].astype(np.float32))

    @tf.function(input_signature=[tf.TensorSpec([None, WIDTH], tf.float32, name="x")])
    def serve(x):
        rows = tf.tile(x, [64, 1])
        for _ in range(n_products):
            rows = tf.tanh(rows @ matrix)
        return {"y": tf.reduce_mean(rows, axis=1)}

    module = tf.Module()
    module.serve = serve
    with tempfile.TemporaryDirectory() as saved:
        tf.saved_model.save(module, saved, signatures={"serving_default": serve})
        converter = tf.lite.TFLiteConverter.from_saved_model(saved, signature_keys=["serving_default"])
        return _with_metadata(converter.convert())


def _seconds(model: bytes) -> float:
    slot, taken = LiteSlot(model), []
    names = list(slot.inputs), list(slot.outputs)
    for _ in range(_LOOKS):
        start = time.thread_time()
        slot.run({names[0][0]: INPUT}, names[1])
        taken.append(time.thread_time() - start)
    return float(np.median(taken))


def main(words: Sequence[str] | None = None) -> None:
    """Write the model and say what it takes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--milliseconds", type=float, default=5.0)
    given = parser.parse_args(words)
    print(f"{make(given.out, milliseconds=given.milliseconds):.2f}")


if __name__ == "__main__":
    main()
