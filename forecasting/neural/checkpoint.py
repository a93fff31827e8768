"""Training checkpoints: everything that a resumed loop needs, in one file, written by temp and rename."""

import json
import os
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from forecasting.errors import ArtifactError

Arrays = tuple[npt.NDArray[np.float32], ...]


@dataclass(frozen=True)
class EpochRecord:
    """One epoch. Losses in scaled units: train per horizon step, validation per horizon step that is present."""

    epoch: int
    train_loss: float
    validation_loss: float
    learning_rate: float
    duration_s: float


@dataclass(frozen=True)
class TrainingState:
    """State at the end of an epoch. `key` names settings and features; another key is another training.

    weights: all variables of the network, the state of its random numbers included. average, best:
    its trainable variables only.
    """

    key: str
    weights: Arrays
    average: Arrays
    optimizer: Arrays
    best: Arrays
    best_loss: float
    n_stale: int
    history: tuple[EpochRecord, ...] = field(default=())

    @property
    def n_epochs(self) -> int:
        """Epochs finished."""
        return len(self.history)


_GROUPS = ("weights", "average", "optimizer", "best")


def save_state(state: TrainingState, path: Path) -> None:
    """Write a state; a reader sees the old or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {f"{group}_{i}": array for group in _GROUPS for i, array in enumerate(getattr(state, group))}
    meta = {
        "key": state.key,
        "best_loss": state.best_loss,
        "n_stale": state.n_stale,
        "history": [asdict(row) for row in state.history],
    }
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    with temporary.open("wb") as stream:
        np.savez(stream, allow_pickle=False, meta=np.asarray(json.dumps(meta)), **arrays)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)


def load_state(path: Path, key: str) -> TrainingState | None:
    """The state saved under a key, or none where there is no file or it belongs to other settings.

    Raises:
        ArtifactError: The file is damaged.
    """
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as stored:
            meta = json.loads(str(stored["meta"]))
            groups = {group: _numbered(stored, group) for group in _GROUPS}
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise ArtifactError(f"checkpoint {path} cannot be read ({error}); delete it to train from the start") from error
    if meta["key"] != key:
        return None
    history = tuple(EpochRecord(**row) for row in meta["history"])
    return TrainingState(key=key, best_loss=meta["best_loss"], n_stale=meta["n_stale"], history=history, **groups)


def _numbered(stored: "np.lib.npyio.NpzFile", group: str) -> Arrays:
    names: Sequence[str] = [name for name in stored.files if name.startswith(f"{group}_")]
    return tuple(stored[f"{group}_{i}"] for i in range(len(names)))
