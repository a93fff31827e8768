"""Models for the conformance suite: `python -m tests.conformance.fixture_models FOLDER` writes them with TensorFlow.

Every model lies under `<folder>/<name>/<version>/`; `models.config` beside them serves them from `/models`,
where a container would mount the folder.
"""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

SERVED = {
    "default": "half_plus_two",
    "forecaster": "forecaster",
    "identity": "identity",
    "odd": "odd",
    "slow": "slow",
    "with_default": "with_default",
}
ODD_NAME = "modelname!#$%&'()*+,/:;=?@[]"
FORECAST_STEPS = 8


def build(cache: Path) -> Path:
    """The folder, made once for a version of this file."""
    folder = cache / hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:16]
    if not folder.is_dir():
        temporary = folder.with_name(f"{folder.name}.{id(folder):x}")
        subprocess.run([sys.executable, "-m", __name__, str(temporary)], check=True, capture_output=True)
        if not folder.is_dir():
            temporary.rename(folder)
    return folder


def model_config(base: str) -> str:
    """ModelServerConfig of the models that one server serves for most of the suite."""
    entries = {**SERVED, ODD_NAME: "half_plus_three"}
    text = "".join(
        f'  config {{ name: "{name}" base_path: "{base}/{folder}" model_platform: "tensorflow" }}\n'
        for name, folder in entries.items()
    )
    return (
        f"model_config_list {{\n{text}"
        f'  config {{ name: "two_versions" base_path: "{base}/two_versions" model_platform: "tensorflow"'
        " model_version_policy { all {} } }\n}\n"
    )


def _half_plus(export_dir: Path, offset: float) -> None:
    """Y = 0.5 x + offset in TensorFlow 1 style, with signatures of all three kinds."""
    import tensorflow as tf

    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        factor, first, second = (
            v1.Variable(value, name=name) for name, value in (("a", 0.5), ("b", offset), ("c", 3.0))
        )
        serialised = v1.placeholder(tf.string, name="tf_example")
        features = {
            "x": v1.FixedLenFeature([1], tf.float32),
            "x2": v1.FixedLenFeature([1], tf.float32, default_value=[0.0]),
        }
        parsed = v1.parse_example(serialised, features)
        for tensor in parsed.values():
            tensor.set_shape([None, 1])
        x, x2 = tf.identity(parsed["x"], name="x"), tf.identity(parsed["x2"], name="x2")
        y = tf.add(tf.multiply(factor, x), first, name="y")
        y2 = tf.add(tf.multiply(factor, x), second, name="y2")
        y3 = tf.add(tf.multiply(factor, x2), second, name="y3")
        session.run(v1.global_variables_initializer())

        def signature(method, inputs, outputs):
            tensors = [
                {alias: v1.saved_model.build_tensor_info(tensor) for alias, tensor in side.items()}
                for side in (inputs, outputs)
            ]
            return v1.saved_model.build_signature_def(*tensors, f"tensorflow/serving/{method}")

        builder = v1.saved_model.Builder(str(export_dir))
        builder.add_meta_graph_and_variables(
            session,
            ["serve"],
            signature_def_map={
                "serving_default": signature("predict", {"x": x}, {"y": y}),
                "regress_x_to_y": signature("regress", {"inputs": serialised}, {"outputs": y}),
                "regress_x_to_y2": signature("regress", {"inputs": serialised}, {"outputs": y2}),
                "regress_x2_to_y3": signature("regress", {"inputs": x2}, {"outputs": y3}),
                "classify_x_to_y": signature("classify", {"inputs": serialised}, {"scores": y}),
            },
        )
        builder.save()


def _save(functions, folder: Path) -> None:
    """Save functions by signature key."""
    import tensorflow as tf

    module = tf.Module()
    module.kept = list(functions.values())
    tf.saved_model.save(module, str(folder), signatures=functions)


def _forecaster(folder: Path) -> None:
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec([None, 24], name="history"), tf.TensorSpec([None, 4], name="future")])
    def serve(history, future):
        level = tf.reduce_mean(history, axis=1, keepdims=True) + tf.reduce_sum(future, axis=1, keepdims=True)
        middle = tf.tile(level, [1, FORECAST_STEPS])
        return {"p10": middle - 1.0, "p50": middle, "p90": middle + 1.0}

    _save({"serving_default": serve}, folder)


def _identity(folder: Path) -> None:
    import tensorflow as tf

    types = {"i": tf.int32, "s": tf.string, "d": tf.float64, "b": tf.bool, "u": tf.uint8, "l": tf.int64}

    def echo(alias):
        @tf.function(input_signature=[tf.TensorSpec([None], types[alias], name=alias)])
        def serve(value):
            return {alias: tf.identity(value)}

        return serve

    @tf.function(input_signature=[tf.TensorSpec([None], types[alias], name=alias) for alias in "isdb"])
    def everything(i, s, d, b):
        return {
            "i": tf.identity(i),
            "s": tf.identity(s),
            "d": tf.identity(d),
            "b": tf.identity(b),
            "blob_bytes": tf.identity(s),
        }

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def floats(x):
        return {"y": tf.identity(x)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="s")])
    def blob(s):
        return {"out_bytes": tf.identity(s)}

    _save({"serving_default": everything, "x": floats, "blob": blob, **{alias: echo(alias) for alias in types}}, folder)


def _odd(folder: Path) -> None:
    import tensorflow as tf

    def cast(dtype):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
        def serve(x):
            return {"y": tf.cast(x, dtype)}

        return serve

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def scalar(x):
        return {"total": tf.reduce_sum(x)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def uneven(x):
        return {"a": tf.identity(x), "b": x[:1] * 2.0}

    @tf.function(input_signature=[tf.TensorSpec([None, None, None], tf.float32, name="x")])
    def cube(x):
        return {"y": x + 1.0}

    @tf.function(
        input_signature=[tf.TensorSpec([None], tf.float32, name="x"), tf.TensorSpec([None], tf.float32, name="z")]
    )
    def pair(x, z):
        return {"y": x + tf.reduce_sum(z)}

    casts = {dtype.name: cast(dtype) for dtype in (tf.complex64, tf.bfloat16, tf.float16)}
    _save({"serving_default": scalar, "uneven": uneven, "cube": cube, "pair": pair, **casts}, folder)


def _slow(folder: Path) -> None:
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def serve(x):
        def step(i, matrix):
            return i + 1, tf.tanh(tf.matmul(matrix, matrix))

        n_steps = tf.cast(tf.reduce_max(x), tf.int32)
        _, found = tf.while_loop(lambda i, _: i < n_steps, step, (0, tf.eye(64)))
        return {"y": x + 0.0 * tf.reduce_sum(found)}

    _save({"serving_default": serve}, folder)


def _with_default(folder: Path, source: Path) -> None:
    """Half plus two whose input has a default value of 4."""
    from tensorflow.core.protobuf import saved_model_pb2

    shutil.copytree(source, folder)
    path = folder / "saved_model.pb"
    model = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    default = model.meta_graphs[0].signature_def["serving_default"].defaults["x"]
    default.dtype = 1
    default.tensor_shape.dim.add(size=1)
    default.float_val.append(4.0)
    path.write_bytes(model.SerializeToString())


def _lite_half_plus_two(path: Path) -> None:
    """Y = 0.5 x + 2 with the tensors x and y, and no signature."""
    import flatbuffers
    import tensorflow as tf
    from ai_edge_litert import schema_py_generated as schema

    function = tf.function(lambda x: 0.5 * x + 2.0, input_signature=[tf.TensorSpec([1, 1], tf.float32, name="x")])
    concrete = function.get_concrete_function()
    raw = tf.lite.TFLiteConverter.from_concrete_functions([concrete], function).convert()
    tree = schema.ModelT.InitFromObj(schema.Model.GetRootAs(raw, 0))
    graph = tree.subgraphs[0]
    graph.tensors[graph.inputs[0]].name, graph.tensors[graph.outputs[0]].name = "x", "y"
    tree.signatureDefs = []
    packed = flatbuffers.Builder(1024)
    packed.Finish(tree.Pack(packed), file_identifier=b"TFL3")
    path.parent.mkdir(parents=True)
    path.write_bytes(bytes(packed.Output()))


def _lite_forecaster(folder: Path, source: Path) -> None:
    import numpy as np
    import tensorflow as tf

    from tests.unit.serving.tiny_models import _with_metadata

    def converter():
        return tf.lite.TFLiteConverter.from_saved_model(str(source), signature_keys=["serving_default"])

    def windows():
        rng = np.random.default_rng(0)
        for _ in range(20):
            yield {
                "history": rng.uniform(-4, 4, (1, 24)).astype(np.float32),
                "future": rng.uniform(-1, 1, (1, 4)).astype(np.float32),
            }

    plain = converter().convert()
    whole = converter()
    whole.optimizations, whole.representative_dataset = [tf.lite.Optimize.DEFAULT], windows
    for name, raw in (("plain", plain), ("signed", _with_metadata(plain)), ("int8", _with_metadata(whole.convert()))):
        target = folder / f"lite_forecaster_{name}" / "1" / "model.tflite"
        target.parent.mkdir(parents=True)
        target.write_bytes(raw)


def _make(folder: Path) -> None:
    _half_plus(folder / "half_plus_two" / "00000123", 2.0)
    _half_plus(folder / "half_plus_three" / "00000123", 3.0)
    for version, source in (("00000123", "half_plus_two"), ("00000124", "half_plus_three")):
        shutil.copytree(folder / source / "00000123", folder / "two_versions" / version)
    _forecaster(folder / "forecaster" / "1")
    _identity(folder / "identity" / "1")
    _odd(folder / "odd" / "1")
    _slow(folder / "slow" / "1")
    _with_default(folder / "with_default" / "1", folder / "half_plus_two" / "00000123")
    _lite_half_plus_two(folder / "lite_half_plus_two" / "123" / "model.tflite")
    _lite_forecaster(folder, folder / "forecaster" / "1")
    (folder / "models.config").write_text(model_config("/models"))


if __name__ == "__main__":
    _make(Path(sys.argv[1]))
