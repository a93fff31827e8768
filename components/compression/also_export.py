"""What else is exported beside the variants of the tournament: `compression.also_export`."""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from forecasting.config.compression import CompressionConfig
from forecasting.contracts.artifacts import EXPORTS_DIR, ONNX_FILE
from forecasting.errors import ConfigError
from forecasting.windows import ModelInputs

if TYPE_CHECKING:
    from forecasting.neural.export import ForecastModule

_PACKAGES = {"onnx": ("onnx", "onnxruntime", "tf2onnx")}


def require_exporters(compression: CompressionConfig) -> None:
    """Check that the packages of the exports are installed.

    Raises:
        ConfigError: One is not.
    """
    for form in compression.also_export:
        missing = [package for package in _PACKAGES[form] if find_spec(package) is None]
        if missing:
            raise ConfigError(
                f"compression.also_export names {form}, which needs {', '.join(missing)}; install almanac[{form}], "
                f"or take {form} out of compression.also_export"
            )


def export_also(compression: CompressionConfig, module: "ForecastModule", windows: ModelInputs, output: Path) -> None:
    """Write exports/model.onnx where it is asked for.

    Args:
        compression: Names the forms.
        module: The model as it was trained.
        windows: Real windows, on which an export must answer what the model answers.
        output: Directory of the step.

    Raises:
        ArtifactError: The model cannot be written so, or computes something else then.
    """
    if "onnx" in compression.also_export:
        from forecasting.neural.compression.onnx_export import export_onnx

        path = output / EXPORTS_DIR / ONNX_FILE
        path.parent.mkdir(parents=True)
        path.write_bytes(export_onnx(module, windows))
