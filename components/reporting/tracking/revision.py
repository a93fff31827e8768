"""The commit of the code that runs."""

import os
import subprocess
from dataclasses import dataclass

from forecasting.code_closure import PROJECT_ROOT

REVISION_VARIABLE = "ALMANAC_REVISION"
"""Set in images, which have no checkout."""
_GIT_S = 10.0


@dataclass(frozen=True)
class RevisionSpec:
    """commit: none where it is not known. dirty: whether files under version control differ from it."""

    commit: str | None = None
    dirty: bool = False


def code_revision() -> RevisionSpec:
    """The commit of the checkout, of the image where there is none."""
    named = os.environ.get(REVISION_VARIABLE, "")
    if named and named != "unknown":
        return RevisionSpec(named)
    if not (PROJECT_ROOT / ".git").exists():
        return RevisionSpec()
    commit = _git("rev-parse", "HEAD")
    return (
        RevisionSpec(commit, dirty=bool(_git("status", "--porcelain", "--untracked-files=no")))
        if commit
        else RevisionSpec()
    )


def _git(*arguments: str) -> str:
    """What git says; empty where there is no git, or it does not read this checkout."""
    command = ["git", "-C", str(PROJECT_ROOT), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_GIT_S)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
