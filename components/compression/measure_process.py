"""One model in a process of its own that imports only what would serve it, measured round by round on request.

`python -m components.compression.measure_process KIND PATH WINDOWS`: tells on its standard output, a line of JSON each, that it
has imported the runtime; loads the model when it is asked to and says how long that took; then answers requests for rounds, and at
the end of its input what memory the model took.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from forecasting.contracts.signature import QUANTILES, SERVING_DEFAULT

LITE, SAVED_MODEL, FROZEN, SIGNATURE = "lite", "saved_model", "frozen", "signature"
"""LiteRT; the session of the model server; the same with a frozen graph; a call of the loaded signature."""

Arrays = Mapping[str, npt.NDArray[np.float32]]
Forecast = Callable[[Arrays], npt.NDArray[np.float32]]

_CLEAR_REFS = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")


def _lite(path: Path) -> Forecast:
    from forecasting.runtimes.lite import LiteSlot
    from forecasting.wire.lite_signatures import read_signatures

    model = path.read_bytes()
    slot = LiteSlot(model)
    signature = read_signatures(model)[SERVING_DEFAULT]
    inputs = {name: _known(info.name, slot.inputs) for name, info in signature.inputs.items()}
    output = _known(signature.outputs[QUANTILES].name, slot.outputs)
    return lambda arrays: slot.run({tensor: arrays[name] for name, tensor in inputs.items()}, [output])[0]


def _known(name: str, tensors: Mapping[str, int]) -> str:
    return name if name in tensors else name.partition(":")[0]


def _session(path: Path, *, frozen: bool) -> Forecast:
    from forecasting.runtimes.session import SavedModelSession

    model = SavedModelSession(path)
    signature = model.meta_graph.signature_def[SERVING_DEFAULT]
    names, fetch = list(signature.inputs), signature.outputs[QUANTILES].name
    if frozen:
        model.freeze([fetch])
    call = model.prepare([signature.inputs[name].name for name in names], [fetch])
    return lambda arrays: call(*(arrays[name] for name in names))[0]


def _signature(path: Path) -> Forecast:
    import tensorflow as tf

    loaded = tf.saved_model.load(str(path))
    serve = loaded.signatures[SERVING_DEFAULT]

    def forecast(arrays: Arrays, _kept: Any = loaded) -> npt.NDArray[np.float32]:
        found: npt.NDArray[np.float32] = serve(**{name: tf.constant(array) for name, array in arrays.items()})[
            QUANTILES
        ].numpy()
        return found

    return forecast


_LOADERS: Mapping[str, Callable[[Path], Forecast]] = {
    LITE: _lite,
    SAVED_MODEL: lambda path: _session(path, frozen=False),
    FROZEN: lambda path: _session(path, frozen=True),
    SIGNATURE: _signature,
}


def import_runtime(kind: str) -> None:
    """Import what serves a kind of file, which is not a part of loading a model."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if kind == LITE:
        from ai_edge_litert import interpreter, schema_py_generated  # noqa: F401
    else:
        import tensorflow as tf  # noqa: F401


def _memory_kb(key: str) -> int | None:
    """A line of /proc/self/status; none where there is no such file."""
    try:
        lines = _STATUS.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{key}:")), None)


def _reset_peak() -> None:
    """Let VmHWM begin at what is used now, so that importing the runtime does not hide what the model takes."""
    try:
        _CLEAR_REFS.write_text("5", encoding="ascii")
    except OSError:
        return


def _times_ms(forecast: Forecast, arrays: Arrays, *, batch: int, n: int) -> list[float]:
    n_windows = len(next(iter(arrays.values())))
    times = []
    # The first run of another batch size allocates.
    for number in range(-1, n):
        rows = (np.arange(batch) + max(number, 0) * batch) % n_windows
        chosen = {name: np.ascontiguousarray(array[rows]) for name, array in arrays.items()}
        began = time.perf_counter()
        forecast(chosen)
        if number >= 0:
            times.append(1e3 * (time.perf_counter() - began))
    return times


def main(arguments: list[str]) -> int:
    """Serve rounds until the input ends."""
    kind, path, windows = arguments
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    # What libraries print must not come between the answers.
    os.dup2(2, 1)

    def tell(document: Mapping[str, Any]) -> None:
        answers.write(json.dumps(document) + "\n")
        answers.flush()

    import_runtime(kind)
    with np.load(windows) as stored:
        arrays = {name: stored[name] for name in stored.files}
    tell({"ready": True})
    if not sys.stdin.readline():
        return 0
    _reset_peak()
    before = _memory_kb("VmRSS")
    began = time.perf_counter()
    forecast = _LOADERS[kind](Path(path))
    forecast({name: array[:1] for name, array in arrays.items()})
    tell({"load_s": time.perf_counter() - began})
    for line in sys.stdin:
        request = json.loads(line)
        tell({"times_ms": _times_ms(forecast, arrays, batch=request["batch"], n=request["n"])})
    peak = _memory_kb("VmHWM")
    tell({"peak_memory_bytes": None if peak is None or before is None else 1024 * max(0, peak - before)})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
