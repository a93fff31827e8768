"""What a version must be before anything of it is run: its files are those that were published, its graph only computes.

A model is a program. Whoever loads one (the model server, a step that scores the champion) asks `admit` first.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from forecasting.admission.operations import (
    AllowedOperations,
    allowed_operations,
    check_lite_model,
    check_saved_model,
)
from forecasting.admission.signing import check_signature
from forecasting.admission.version_files import check_version_files
from forecasting.contracts.artifacts import TFLITE_FILE

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey


@dataclass(frozen=True)
class AdmissionConfig:
    """What is demanded of every version."""

    require_manifest: bool = False
    """Whether a version without a list of its files is refused; one that was made elsewhere has none."""
    operations: AllowedOperations = field(default_factory=allowed_operations)
    public_key: "EllipticCurvePublicKey | None" = None
    """Of the owner who must have signed every version; none: signatures are not looked at."""


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


def admit_files(version_dir: Path, config: AdmissionConfig, *, subject: str) -> None:
    """Check the files of a version and who signed them, not what its graph does.

    Args:
        version_dir: Directory of the version.
        config: What is demanded.
        subject: `<model>/<version>`, for which it must be signed.

    Raises:
        VersionRefusedError: It may not be used.
    """
    needs_list = config.require_manifest or config.public_key is not None
    listed = check_version_files(version_dir, required=needs_list)
    if config.public_key is not None:
        check_signature(version_dir, listed, config.public_key, subject=subject)
