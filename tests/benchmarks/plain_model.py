"""A forecaster of usual shapes that costs next to nothing, so that what is around it can be measured.

quantiles = mean of the last seven days at the same hour + a tenth of the covariate ahead + (-1, 0, 1). Run as a program
it writes a version directory with `model.tflite` and its feature spec; TensorFlow is imported only then.
"""

import sys
from pathlib import Path

from forecasting.contracts.artifacts import EXPORTED_SPEC_FILE
from forecasting.features.spec import CalendarSpec, FeatureSpec, FourierSpec, ScalerSpec, write_feature_spec
from tests.unit.serving.tiny_models import _with_metadata

HORIZON, CONTEXT = 24, 168
SPEC = FeatureSpec(
    target="demand", observed=(), known=("temperature",), static=(), categories={}, step_s=3600, context=CONTEXT,
    horizon=HORIZON, segment=24, seasons=(24, 168), quantiles=(0.1, 0.5, 0.9),
    calendar=CalendarSpec(("is_holiday", "day_of_year"), (FourierSpec(86_400, 1),), (), (0,), (16_436, 16_801)),
    derived=(), scaler=ScalerSpec({"demand": 0.0, "temperature": 0.0}, {"demand": 1.0, "temperature": 1.0}),
    target_scaling="train",
)  # fmt: skip


def make(out: Path) -> None:
    """Write the version directory."""
    import tensorflow as tf

    class Forecaster(tf.Module):
        @tf.function(
            input_signature=[
                tf.TensorSpec([None, CONTEXT, len(SPEC.history_columns)], tf.float32, name="history"),
                tf.TensorSpec([None, HORIZON, len(SPEC.future_columns)], tf.float32, name="future"),
            ]
        )
        def serve(self, history, future):
            days = tf.reshape(history[:, :, 0], [-1, CONTEXT // HORIZON, HORIZON])
            base = tf.reduce_mean(days, axis=1) + 0.1 * future[:, :, 0]
            return {"quantiles": tf.stack([base - 1.0, base, base + 1.0], axis=-1)}

    module, saved = Forecaster(), out / "saved"
    tf.saved_model.save(module, str(saved), signatures={"serving_default": module.serve})
    converted = tf.lite.TFLiteConverter.from_saved_model(str(saved), signature_keys=["serving_default"]).convert()
    version = out / "version"
    version.mkdir()
    (version / "model.tflite").write_bytes(_with_metadata(converted))
    write_feature_spec(SPEC, version / EXPORTED_SPEC_FILE)


if __name__ == "__main__":
    make(Path(sys.argv[1]))
