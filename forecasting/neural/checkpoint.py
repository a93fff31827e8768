"""Training checkpoints: everything that a resumed loop needs, written by temp, fsync and rename.

A directory holds the last two states (`state-STEP.npz`) and the best weights by validation (`best.npz`).
A file that was cut off or altered is found out by the checksums of the archive.
"""

import json
import logging
import shutil
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from forecasting.errors import ArtifactError
from forecasting.manifests import clear_leftovers, replacing
from forecasting.neural.divergence import DivergenceRecord, LossGuard, WindowRecord
from forecasting.neural.variables import Arrays
from forecasting.neural.watch import EpochRecord, EpochTally

logger = logging.getLogger(__name__)

N_KEPT = 2
BEST_FILE = "best.npz"
_META = "meta"


@dataclass(frozen=True)
class LoopRecord:
    """Where a training stands, apart from its arrays: `n_epochs` finished, `step` done of the one that runs."""

    step: int = 0
    best_loss: float = float("inf")
    best_epoch: int = 0
    n_stale: int = 0
    n_plateau: int = 0
    rate_factor: float = 1.0
    history: tuple[EpochRecord, ...] = ()
    tally: EpochTally = field(default_factory=EpochTally)
    guard: LossGuard = field(default_factory=LossGuard)
    divergences: tuple[DivergenceRecord, ...] = ()

    @property
    def n_epochs(self) -> int:
        """Epochs finished."""
        return len(self.history)


@dataclass(frozen=True)
class TrainingState:
    """A checkpoint. Arrays by group: weights (random numbers of the network included), average, optimizer, loss_scale."""

    step: int
    loop: LoopRecord
    arrays: Mapping[str, Arrays]


class CheckpointStore:
    """The checkpoints of one training in a directory; `key` names settings and features."""

    def __init__(self, directory: Path, key: str, *, writes: bool = True) -> None:
        """Store; where `writes` is false nothing is written (every worker but the chief)."""
        self._directory, self._key, self._writes = directory, key, writes

    def save(self, state: TrainingState) -> None:
        """Write a state and forget all but the last two."""
        if not self._writes:
            return
        arrays = {f"{group}_{i}": array for group, found in state.arrays.items() for i, array in enumerate(found)}
        self._write(self._directory / f"state-{state.step:010d}.npz", {"loop": asdict(state.loop), "step": state.step}, arrays)  # fmt: skip
        for old in self._states()[N_KEPT:]:
            old.unlink(missing_ok=True)

    def save_best(self, weights: Arrays, epoch: int) -> None:
        """Write the best weights by validation."""
        if self._writes:
            arrays = {f"best_{i}": array for i, array in enumerate(weights)}
            self._write(self._directory / BEST_FILE, {"epoch": epoch}, arrays)

    def load(self) -> TrainingState | None:
        """The newest whole state of this key, or none; a damaged one is passed over with a warning."""
        if self._writes:
            # Nobody else writes here: what is left is of a training that was killed.
            clear_leftovers(self._directory, older_than_s=0.0)
        for path in self._states():
            try:
                meta, arrays = _read(path)
            except ArtifactError as error:
                logger.warning("%s; the checkpoint before it is taken", error)
                continue
            if meta["key"] == self._key:
                return TrainingState(meta["step"], _loop_record(meta["loop"]), _grouped(arrays))
            break
        self.clear()
        return None

    def load_best(self, epoch: int) -> Arrays | None:
        """The best weights, or none where they are damaged, missing or of an earlier epoch than `epoch`."""
        try:
            meta, arrays = _read(self._directory / BEST_FILE)
        except ArtifactError as error:
            logger.warning("%s", error)
            return None
        if meta["key"] != self._key or meta["epoch"] < epoch:
            return None
        return _grouped(arrays)["best"]

    def clear(self) -> None:
        """Forget everything."""
        if self._writes:
            shutil.rmtree(self._directory, ignore_errors=True)

    def _states(self) -> list[Path]:
        return sorted(self._directory.glob("state-*.npz"), reverse=True)

    def _write(self, path: Path, meta: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary, temporary.open("wb") as stream:
            np.savez(stream, allow_pickle=False, **{_META: np.asarray(json.dumps({**meta, "key": self._key}))}, **arrays)  # fmt: skip


def read_unfinished(directory: Path) -> LoopRecord | None:
    """What the loop of an unfinished training has told so far, whatever its settings; none without a whole state."""
    for path in sorted(directory.glob("state-*.npz"), reverse=True):
        try:
            meta, _ = _read(path)
        except ArtifactError as error:
            logger.warning("%s; the checkpoint before it is taken", error)
            continue
        return _loop_record(meta["loop"])
    return None


def _read(path: Path) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
    """Meta data and arrays of a file, every checksum verified.

    Raises:
        ArtifactError: The file is missing or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        meta = json.loads(str(arrays.pop(_META)))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ArtifactError(f"checkpoint {path} cannot be read ({error})") from error
    return meta, arrays


def _grouped(arrays: Mapping[str, npt.NDArray[Any]]) -> dict[str, Arrays]:
    groups: dict[str, dict[int, npt.NDArray[Any]]] = {}
    for name, array in arrays.items():
        group, _, number = name.rpartition("_")
        groups.setdefault(group, {})[int(number)] = array
    return {group: tuple(found[i] for i in range(len(found))) for group, found in groups.items()}


def _loop_record(document: dict[str, Any]) -> LoopRecord:
    tally = document["tally"]
    sums = {name: tuple(tally[name]) for name in ("before_sums", "after_sums")}
    return LoopRecord(
        **{
            **document,
            "history": tuple(_epoch_record(row) for row in document["history"]),
            "tally": EpochTally(**{**tally, **sums}),
            "guard": LossGuard(tuple(document["guard"]["recent"]), document["guard"]["n_exploded"]),
            "divergences": tuple(_divergence_record(row) for row in document["divergences"]),
        }
    )


def _epoch_record(row: dict[str, Any]) -> EpochRecord:
    norms = {name: (before, after) for name, (before, after) in row["layer_norms"].items()}
    return EpochRecord(**{**row, "layer_norms": norms})


def _divergence_record(row: dict[str, Any]) -> DivergenceRecord:
    return DivergenceRecord(**{**row, "windows": tuple(WindowRecord(**window) for window in row["windows"])})
