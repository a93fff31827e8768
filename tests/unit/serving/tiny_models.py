"""Two tiny forecasters with the contract's signature, as SavedModels and as TensorFlow Lite files.

    quantiles = factor * mean of the known past targets + temperature ahead + (-1, 0, 1)

Run as a program it writes `<out>/saved/<factor>/` and `<out>/lite/<factor>.tflite`, and in `<out>/forbidden/` SavedModels
that do more than compute; TensorFlow is imported only then. `converter.tflite` lacks the metadata entry that TensorFlow Serving reads.
"""

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np

from forecasting.features import spec
from forecasting.features.spec import CalendarSpec, FeatureSpec, ScalerSpec, write_feature_spec
from forecasting.windows import ModelInputs

CONTEXT, HORIZON = 6, 3
SPEC = FeatureSpec(
    target="Demand",
    observed=(),
    known=("Temperature",),
    static=(),
    categories={},
    step_s=3600,
    context=CONTEXT,
    horizon=HORIZON,
    segment=3,
    seasons=(3,),
    quantiles=(0.1, 0.5, 0.9),
    calendar=CalendarSpec(("day_of_week",), (), (), (0,), ()),
    derived=(),
    scaler=ScalerSpec({"Demand": 0.0, "Temperature": 0.0}, {"Demand": 1.0, "Temperature": 1.0}),
    target_scaling="train",
)


def expected(inputs: ModelInputs, factor: float) -> np.ndarray:
    """The forecaster in NumPy."""
    base = factor * np.nanmean(inputs.history[..., 0], axis=1, keepdims=True) + inputs.future[..., 0]
    return base[..., None] + np.array([-1.0, 0.0, 1.0])


def window(*, target: float = 10.0, temperature: float = 1.0, n: int = 1) -> ModelInputs:
    """Constant history and future."""
    history = np.zeros((n, CONTEXT, 3), np.float32)
    history[..., 0] = target
    future = np.zeros((n, HORIZON, 2), np.float32)
    future[..., 0] = temperature
    return ModelInputs(history, future)


def build(cache: Path) -> Path:
    """Folder with the models, made once for a version of this file and of the feature specification they hold."""
    sources = (Path(__file__), Path(spec.__file__))
    folder = cache / hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:16]
    if not folder.is_dir():
        temporary = folder.with_name(f"{folder.name}.{hashlib.sha256(str(id(folder)).encode()).hexdigest()[:8]}")
        subprocess.run(
            [sys.executable, "-m", "tests.unit.serving.tiny_models", str(temporary)], check=True, capture_output=True
        )
        if not folder.is_dir():
            temporary.rename(folder)
    return folder


def write_version(models: Path, version_dir: Path, *, factor: int, lite: bool) -> Path:
    """A version directory: the SavedModel and, if asked, the Lite model."""
    import shutil

    shutil.copytree(models / "saved" / str(factor), version_dir)
    if lite:
        shutil.copyfile(models / "lite" / f"{factor}.tflite", version_dir / "model.tflite")
    return version_dir


def _with_metadata(model: bytes) -> bytes:
    """The converter's own signature once more, where TensorFlow Serving looks for it."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema
    from flatbuffers import flexbuffers

    from forecasting.wire.messages import SignatureDef

    tree = schema.ModelT.InitFromObj(schema.Model.GetRootAs(model, 0))
    found, tensors = tree.signatureDefs[0], tree.subgraphs[0].tensors
    signature = SignatureDef(method_name="tensorflow/serving/predict")
    for pairs, target in ((found.inputs, signature.inputs), (found.outputs, signature.outputs)):
        for pair in pairs:
            tensor = tensors[pair.tensorIndex]
            entry = target[pair.name.decode()]
            entry.name, entry.dtype = tensor.name.decode(), 1
            for size in tensor.shapeSignature:
                entry.tensor_shape.dim.add(size=int(size))
    builder = flexbuffers.Builder()
    with builder.Map():
        builder.Key("serving_default")
        builder._WriteBlob(signature.SerializeToString(), append_zero=True, type_=flexbuffers.Type.STRING)
    buffer = schema.BufferT()
    buffer.data = bytearray(builder.Finish())
    tree.buffers.append(buffer)
    entry = schema.MetadataT()
    entry.name, entry.buffer = "signature_defs_metadata", len(tree.buffers) - 1
    tree.metadata = [*(tree.metadata or []), entry]
    packed = flatbuffers.Builder(4096)
    packed.Finish(tree.Pack(packed), file_identifier=b"TFL3")
    return bytes(packed.Output())


def _make(out: Path) -> None:
    import tensorflow as tf

    class Forecaster(tf.Module):
        def __init__(self, factor: float) -> None:
            super().__init__()
            self.factor = tf.Variable(factor)

        @tf.function(
            input_signature=[
                tf.TensorSpec([None, CONTEXT, 3], tf.float32, name="history"),
                tf.TensorSpec([None, HORIZON, 2], tf.float32, name="future"),
            ]
        )
        def serve(self, history, future):
            target = history[..., 0]
            missing = tf.math.is_nan(target)
            known = tf.reduce_sum(tf.cast(~missing, tf.float32), axis=1, keepdims=True)
            total = tf.reduce_sum(tf.where(missing, tf.zeros_like(target), target), axis=1, keepdims=True)
            base = self.factor * total / tf.maximum(known, 1.0) + future[..., 0]
            return {"quantiles": tf.stack([base - 1.0, base, base + 1.0], axis=-1)}

    (out / "lite").mkdir(parents=True)
    for factor in (1, 2):
        module, saved = Forecaster(float(factor)), out / "saved" / str(factor)
        tf.saved_model.save(module, str(saved), signatures={"serving_default": module.serve})
        write_feature_spec(SPEC, saved / "assets.extra" / "almanac_feature_spec.json")
        converted = tf.lite.TFLiteConverter.from_saved_model(str(saved), signature_keys=["serving_default"]).convert()
        (out / "lite" / "converter.tflite").write_bytes(converted)
        (out / "lite" / f"{factor}.tflite").write_bytes(_with_metadata(converted))
    _make_forbidden(out / "forbidden")


def _make_forbidden(out: Path) -> None:
    """Models that read a file, write one, and call Python."""
    import tensorflow as tf

    programs = {
        "ReadFile": lambda name: tf.io.read_file(name),
        "WriteFile": lambda name: (tf.io.write_file(name, name), name)[1],
        "EagerPyFunc": lambda name: tf.py_function(lambda text: text, [name], tf.string),
    }
    for operation, program in programs.items():
        module = tf.Module()
        module.serve = tf.function(program, input_signature=[tf.TensorSpec([], tf.string, name="name")])
        tf.saved_model.save(module, str(out / operation), signatures={"serving_default": module.serve})


if __name__ == "__main__":
    _make(Path(sys.argv[1]))
