"""Real, tiny models: each answers the known covariate plus an offset, with a band of ±1."""

from pathlib import Path

import pytest

OFFSETS = {"good": 0.25, "close": 0.252, "worse": 0.35, "far": 1e6}


def _export(directory: Path, offset: float) -> None:
    import tensorflow as tf

    class Model(tf.Module):
        @tf.function(
            input_signature=[
                tf.TensorSpec([None, 48, 2], tf.float32, name="history"),
                tf.TensorSpec([None, 24, 1], tf.float32, name="future"),
            ]
        )
        def serve(self, history, future):  # type: ignore[no-untyped-def]
            # The history must be used, or the converter drops the input.
            point = future + 0.0 * history[:, :24, :1] + offset
            return {"quantiles": tf.concat([point - 1.0, point, point + 1.0], axis=2)}

    model = Model()
    tf.saved_model.save(model, str(directory / "saved_model"), signatures={"serving_default": model.serve})
    converter = tf.lite.TFLiteConverter.from_saved_model(
        str(directory / "saved_model"), signature_keys=["serving_default"]
    )
    (directory / "model.tflite").write_bytes(converter.convert())


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Directories with `saved_model/` and `model.tflite`, by name; see OFFSETS."""
    root = tmp_path_factory.mktemp("models")
    for name, offset in OFFSETS.items():
        (root / name).mkdir()
        _export(root / name, offset)
    return {name: root / name for name in OFFSETS}
