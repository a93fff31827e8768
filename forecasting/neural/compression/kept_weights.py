"""Weights of changed networks on disk, for a run that goes on after it was stopped."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from forecasting.manifests import replacing


@dataclass(frozen=True)
class KeptWeights:
    """Weights of a network, and what else must be known of it, as JSON."""

    weights: list[npt.NDArray[np.float32]]
    about: Mapping[str, Any]


def write_kept(path: Path, kept: KeptWeights) -> None:
    """Write it all or nothing."""
    about = {"n_weights": len(kept.weights), **kept.about}
    arrays = {f"weight_{i}": weight for i, weight in enumerate(kept.weights)}
    with replacing(path) as temporary, temporary.open("wb") as stream:
        np.savez(stream, about=np.array(json.dumps(about)), **arrays)  # type: ignore[arg-type]


def read_about(path: Path) -> dict[str, Any]:
    """What is known of weights that were written, without reading them."""
    with np.load(path, allow_pickle=False) as stored:
        found: dict[str, Any] = json.loads(str(stored["about"]))
    return found


def read_kept(path: Path) -> KeptWeights | None:
    """What was written; none where nothing was."""
    if not path.exists():
        return None
    with np.load(path, allow_pickle=False) as stored:
        about = json.loads(str(stored["about"]))
        weights = [stored[f"weight_{i}"] for i in range(about.pop("n_weights"))]
    return KeptWeights(weights, about)
