"""What a version must be before anything of it is run: its files are those that were published.

A model is a program. Whoever loads one (the model server, a step that scores the champion) asks `admit` first.
"""

from dataclasses import dataclass
from pathlib import Path

from forecasting.admission.version_files import check_version_files


@dataclass(frozen=True)
class AdmissionConfig:
    """What is demanded of every version."""

    require_manifest: bool = False
    """Whether a version without a list of its files is refused; one that was made elsewhere has none."""


def admit(version_dir: Path, config: AdmissionConfig) -> None:
    """Check a version before it is loaded.

    Raises:
        VersionRefusedError: It may not be loaded.
    """
    check_version_files(version_dir, required=config.require_manifest)
