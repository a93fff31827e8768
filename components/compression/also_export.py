"""What else is exported beside the variants of the tournament: `compression.also_export`."""

import logging
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from forecasting.config.compression import CompressionConfig
from forecasting.contracts.artifacts import EXPORTS_DIR, ONNX_FILE
from forecasting.errors import ArtifactError, ConfigError
from forecasting.windows import ModelInputs

if TYPE_CHECKING:
    from forecasting.neural.export import ForecastModule

logger = logging.getLogger(__name__)

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


def export_also(
    compression: CompressionConfig, network: Callable[[], "ForecastModule"], windows: ModelInputs, output: Path
) -> dict[str, str]:
    """Write exports/model.onnx where it is asked for and can be.

    Args:
        compression: Names the forms.
        network: Gives the model as it was trained; asked where there is something to export.
        windows: Real windows, on which an export must answer what the model answers.
        output: Directory of the step.

    Returns:
        What became of each form: empty, or why the model cannot be written so. A run does not fail by it.
    """
    found: dict[str, str] = {}
    for form in compression.also_export:
        from forecasting.neural.compression.onnx_export import export_onnx

        try:
            content = export_onnx(network(), windows)
        except ArtifactError as error:
            logger.warning("%s is refused: %s", form, error)
            found[form] = str(error)
            continue
        path = output / EXPORTS_DIR / ONNX_FILE
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        found[form] = ""
    return found
