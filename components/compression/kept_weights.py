"""Weights of changed networks on disk, for a run that goes on after it was stopped."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from forecasting.manifests import replacing


@dataclass(frozen=True)
class KeptNetwork:
    """A network without its code.

    model: its settings as JSON. sparsity: share of zero weights among the kernels. note: see `VariantRecord`.
    """

    weights: list[npt.NDArray[np.float32]]
    model: dict[str, Any]
    sparsity: float
    note: str = ""


def write_kept(path: Path, network: KeptNetwork) -> None:
    """Write it all or nothing."""
    about = {
        "n_weights": len(network.weights),
        "model": network.model,
        "sparsity": network.sparsity,
        "note": network.note,
    }
    arrays = {f"weight_{number}": weight for number, weight in enumerate(network.weights)}
    with replacing(path) as temporary, temporary.open("wb") as stream:
        np.savez(stream, about=np.array(json.dumps(about)), **arrays)  # type: ignore[arg-type]


def read_kept(path: Path) -> KeptNetwork | None:
    """What was written; none where nothing was."""
    if not path.exists():
        return None
    with np.load(path, allow_pickle=False) as stored:
        about = json.loads(str(stored["about"]))
        weights = [stored[f"weight_{number}"] for number in range(about["n_weights"])]
    return KeptNetwork(weights, about["model"], about["sparsity"], about["note"])
