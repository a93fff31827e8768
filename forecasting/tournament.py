"""`tournament.json`: the float reference and its compressed variants, as compress_model measured them."""

import json
import math
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Any

from forecasting.errors import ArtifactError

FLOAT_REFERENCE = "saved_model"
"""Name of the first entry, the SavedModel of train_model."""


class VariantStatus(StrEnum):
    """BUILT: converted and equal enough on real windows. REJECTED: not so. LEFT_OUT: not tried."""

    BUILT = "built"
    REJECTED = "rejected"
    LEFT_OUT = "left_out"


@dataclass(frozen=True)
class VariantRecord:
    """One variant. Latencies are of a single forecast in process, one thread; forecasts_per_s of one after the other.

    path: file relative to the directory of compress_model, empty for the float reference.
    compressed_bytes: size after zlib. parity_*_ratio: difference to the float network it was made from on real windows
    as a share of the mean forecast. sparsity: share of weights that are zero. None: not measured.
    """

    name: str
    path: str
    status: VariantStatus
    reason: str = ""
    size_bytes: int | None = None
    compressed_bytes: int | None = None
    latency_p50_ms: float | None = None
    latency_p99_ms: float | None = None
    forecasts_per_s: float | None = None
    parity_max_ratio: float | None = None
    parity_mean_ratio: float | None = None
    sparsity: float | None = None

    @property
    def is_float_reference(self) -> bool:
        """Whether this is the SavedModel."""
        return self.name == FLOAT_REFERENCE


def write_tournament(variants: list[VariantRecord], path: Path) -> None:
    """Write the variants, the float reference first; a measure that is not finite counts as not measured."""
    document = {"variants": [_finite(asdict(variant)) for variant in variants]}
    path.write_text(json.dumps(document, indent=1, allow_nan=False), encoding="utf-8")


def read_tournament(path: Path) -> tuple[VariantRecord, ...]:
    """Read the variants; keys that this version does not know are left out.

    Raises:
        ArtifactError: The file is missing, or its first entry is not the float reference.
    """
    known = {field.name for field in fields(VariantRecord)}
    try:
        document = json.loads(path.read_text(encoding="utf-8"))["variants"]
        variants = tuple(
            VariantRecord(
                **{key: value for key, value in entry.items() if key in known}
                | {"status": VariantStatus(entry["status"])}
            )
            for entry in document
        )
    except (OSError, json.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"{path} must list the variants of a model: {error}; run compress_model again") from error
    if not variants or not variants[0].is_float_reference:
        raise ArtifactError(f"{path} must begin with {FLOAT_REFERENCE}; run compress_model again")
    return variants


def _finite(entry: dict[str, Any]) -> dict[str, Any]:
    """JSON has no NaN."""
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in entry.items()
    }
