"""What a version must be before anything of it is run: its files are those that were published, its graph only computes.

A model is a program. Whoever loads one (the model server, a step that scores the champion) asks `admit` first.
"""

from dataclasses import dataclass, field
from pathlib import Path

from forecasting.admission.operations import (
    AllowedOperations,
    allowed_operations,
    check_lite_model,
    check_saved_model,
)
from forecasting.admission.version_files import check_version_files
from forecasting.contracts.artifacts import TFLITE_FILE


@dataclass(frozen=True)
class AdmissionConfig:
    """What is demanded of every version."""

    require_manifest: bool = False
    """Whether a version without a list of its files is refused; one that was made elsewhere has none."""
    operations: AllowedOperations = field(default_factory=allowed_operations)


def admit(version_dir: Path, config: AdmissionConfig, *, prefer_lite: bool = True) -> None:
    """Check a version before it is loaded.

    Args:
        version_dir: Directory of the version.
        config: What is demanded.
        prefer_lite: Whether `model.tflite` is what will be loaded where there is one; else the SavedModel.

    Raises:
        VersionRefusedError: It may not be loaded.
    """
    check_version_files(version_dir, required=config.require_manifest)
    if prefer_lite and (lite := version_dir / TFLITE_FILE).is_file():
        check_lite_model(lite, config.operations)
    else:
        check_saved_model(version_dir, config.operations)
