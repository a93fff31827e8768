"""Whether a version may be loaded: where it comes from, and what its graph does."""

from dataclasses import dataclass, field
from pathlib import Path

from forecasting.admission.operations import (
    AllowedOperations,
    allowed_operations,
    check_lite_model,
    check_saved_model,
)
from forecasting.admission.provenance import ProvenanceConfig, admit_files
from forecasting.contracts.artifacts import TFLITE_FILE


@dataclass(frozen=True)
class AdmissionConfig(ProvenanceConfig):
    """What is demanded of every version that is loaded."""

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
    admit_files(version_dir, config, subject=f"{version_dir.absolute().parent.name}/{version_dir.name.lstrip('0')}")
    if prefer_lite and (lite := version_dir / TFLITE_FILE).is_file():
        check_lite_model(lite, config.operations)
    else:
        check_saved_model(version_dir, config.operations)
