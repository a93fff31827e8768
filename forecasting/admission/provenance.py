"""Where a version comes from: its files are those that were published, by whom they were signed."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from forecasting.admission.signing import check_signature
from forecasting.admission.version_files import check_version_files

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey


@dataclass(frozen=True)
class ProvenanceConfig:
    """What is demanded of the files of every version."""

    require_manifest: bool = False
    """Whether a version without a list of its files is refused; one that was made elsewhere has none."""
    public_key: "EllipticCurvePublicKey | None" = None
    """Of the owner who must have signed every version; none: signatures are not looked at."""


def admit_files(version_dir: Path, config: ProvenanceConfig, *, subject: str) -> None:
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
