"""Claims: which run of a cluster has the right to run a model's pipeline.

A lock of the operating system ends with its process, and the steps of such a run are processes of many pods. So this
right is a file on the volume that they share, `runs/.MODEL.claim`; it names the run, and says when the cluster ends it.
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from forecasting.errors import ArtifactError
from forecasting.file_locks import exclusive_lock
from forecasting.manifests import write_text_atomically
from forecasting.runs import is_finished

_RECORD_WITHIN_S = 300.0
"""A pod that took the claim and wrote no record within this time was killed between the two."""


@dataclass(frozen=True)
class ClaimRecord:
    """Which run has the right to run the pipeline of a model, since when and until when at most (epoch seconds)."""

    run: str
    since: float
    until: float


def claim_path(runs: Path, model: str) -> Path:
    """The claim of a model. runs: the folder of the runs of a home."""
    return runs / f".{model}.claim"


@contextmanager
def changing_claim(runs: Path, model: str) -> Iterator[None]:
    """Look at a claim and change it as one; held for a moment only.

    Raises:
        RetryableError: Another process changes it now.
    """
    runs.mkdir(parents=True, exist_ok=True)
    with exclusive_lock(runs / f".{model}.claims", f"the claim of {model!r} is being changed"):
        yield


def write_claim(runs: Path, model: str, claim: ClaimRecord) -> None:
    """Write a claim, atomically; the caller is within `changing_claim`."""
    write_text_atomically(claim_path(runs, model), json.dumps(asdict(claim)))


def held_claim(runs: Path, model: str) -> ClaimRecord | None:
    """The claim of a run that may be going: it has not ended, and the cluster would not have ended it.

    Raises:
        ArtifactError: There is a claim that cannot be read.
    """
    claim = load_claim(runs, model)
    return claim if claim is not None and _may_be_going(runs, claim) else None


def load_claim(runs: Path, model: str) -> ClaimRecord | None:
    """What the claim of a model says, whether or not its run is over; none where there is no claim.

    Raises:
        ArtifactError: It cannot be read.
    """
    path = claim_path(runs, model)
    try:
        return ClaimRecord(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise ArtifactError(f"{path} is no claim of a run: {error}; remove it once no run is going") from error


def _may_be_going(runs: Path, claim: ClaimRecord) -> bool:
    now = time.time()
    finished = is_finished(runs / claim.run)
    if finished is None:
        return now - claim.since < _RECORD_WITHIN_S
    return not finished and now < claim.until
