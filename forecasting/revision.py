"""The commit of the code that runs."""

import os
import subprocess
from dataclasses import dataclass

from forecasting.code_closure import PROJECT_ROOT

REVISION_VARIABLE = "ALMANAC_REVISION"
"""Set in images, which have no checkout."""
_GIT_S = 10.0
_COMMIT = "# branch.oid "
_NO_COMMIT = "(initial)"
"""In a checkout without a commit."""


@dataclass(frozen=True)
class RevisionSpec:
    """commit: none where it is not known. dirty: whether files under version control differ from it."""

    commit: str | None = None
    dirty: bool = False

    @property
    def text(self) -> str:
        """The commit, with `-dirty` behind it where files differ; empty where it is not known."""
        return f"{self.commit or ''}{'-dirty' if self.commit and self.dirty else ''}"


def code_revision() -> RevisionSpec:
    """The commit of the checkout, of the image where there is none."""
    named = os.environ.get(REVISION_VARIABLE, "")
    if named and named != "unknown":
        return RevisionSpec(named)
    if not (PROJECT_ROOT / ".git").exists():
        return RevisionSpec()
    lines = _status()
    commit = next((line.removeprefix(_COMMIT) for line in lines if line.startswith(_COMMIT)), _NO_COMMIT)
    if commit == _NO_COMMIT:
        return RevisionSpec()
    return RevisionSpec(commit, dirty=any(not line.startswith("#") for line in lines))


def _status() -> list[str]:
    """Commit and changes in one answer of git; none where there is no git, or it does not read this checkout."""
    command = [
        "git",
        "-C",
        str(PROJECT_ROOT),
        "status",
        "--porcelain=v2",
        "--branch",
        "--untracked-files=no",
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_GIT_S)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return done.stdout.splitlines() if done.returncode == 0 else []
