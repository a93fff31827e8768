"""Assemble one version directory as TensorFlow Serving reads it."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from forecasting.contracts.artifacts import (
    EXPORTED_SPEC_FILE,
    EXPORTS_DIR,
    FEATURE_SPEC_FILE,
    ONNX_FILE,
    SAVED_MODEL_DIR,
    TFLITE_FILE,
    WARMUP_FILE,
)
from forecasting.contracts.signature import SERVING_DEFAULT
from forecasting.errors import ArtifactError
from forecasting.tournament import VariantRecord
from forecasting.windows import ModelInputs
from forecasting.wire.client import predict_request
from forecasting.wire.messages import PredictionLog
from forecasting.wire.records import write_records


def assemble_version(version_dir: Path, model_dir: Path, compressed_dir: Path, variant: VariantRecord) -> None:
    """Copy the SavedModel, the shipped Lite model and the ONNX export where there are any, and the feature spec.

    The SavedModel always goes along: it has `serving_raw`, and a server without TensorFlow Lite can
    still serve the version.

    Args:
        version_dir: Does not exist yet.
        model_dir: Output of train_model.
        compressed_dir: Output of compress_model.
        variant: What ships.

    Raises:
        ArtifactError: The file of the variant is missing.
    """
    shutil.copytree(model_dir / SAVED_MODEL_DIR, version_dir)
    if not variant.is_float_reference:
        source = compressed_dir / variant.path
        if not source.is_file():
            raise ArtifactError(f"the variant {variant.name} must lie at {source}; run compress_model again")
        shutil.copyfile(source, version_dir / TFLITE_FILE)
    exported_onnx = compressed_dir / EXPORTS_DIR / ONNX_FILE
    if exported_onnx.is_file():
        shutil.copyfile(exported_onnx, version_dir / ONNX_FILE)
    exported = version_dir / EXPORTED_SPEC_FILE
    exported.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(model_dir / FEATURE_SPEC_FILE, exported)


def write_warmup(version_dir: Path, model: str, requests: Sequence[ModelInputs]) -> None:
    """Store real requests that a server replays before a version takes traffic.

    Signature key and name are those of `serving_default`, which the SavedModel and the Lite model share.
    """
    logs = []
    for inputs in requests:
        log = PredictionLog()
        log.predict_log.request.CopyFrom(predict_request(model, inputs.as_dict(), signature=SERVING_DEFAULT))
        logs.append(log.SerializeToString())
    write_records(version_dir / WARMUP_FILE, logs)
