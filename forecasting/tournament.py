"""`tournament.json`: the float reference and its compressed variants, as compress_model measured them."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Any

from forecasting.errors import ArtifactError

FLOAT_REFERENCE = "saved_model"
"""Name of the first entry, the SavedModel of train_model."""


class VariantStatus(StrEnum):
    """What became of a variant in compress_model."""

    BUILT = "built"
    """Converted, and equal enough to the float network that it was made from."""
    REJECTED = "rejected"
    """It could not be converted or measured, or is another model than it should be."""
    LEFT_OUT = "left_out"
    """Time did not last for it."""
    UNNEEDED = "unneeded"
    """A simpler variant costs no more accuracy than is allowed."""


@dataclass(frozen=True)
class VariantRecord:
    """One variant, as it was measured in the runtime that would serve it, in a process of its own, one thread.

    path: file relative to the directory of compress_model, empty for the float reference. build_s: wall seconds to make it, a
    part of a pruning that others share not counted. compressed_bytes: the same gzipped. latency_*: of a single forecast.
    forecasts_per_s*: of calls with 1, 32 and 256 windows. load_s: to the first forecast, without the import of the runtime.
    peak_memory_bytes: most resident memory that the model took. parity_*_ratio: difference to the float network it was made
    from on real windows, as a share of the mean forecast; `window`: the mean difference in the window where it is largest, as a share
    of that window's own mean. extreme_ratio: the same of made-up windows, extreme_windows: of which kind. validation_loss_ratio: increase of the MAE over the float model's on those real windows.
    sparsity: share of weights that are zero. n_parameters: weights of the network. note: what else was found. None: not measured.
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
    build_s: float | None = None
    forecasts_per_s_32: float | None = None
    forecasts_per_s_256: float | None = None
    load_s: float | None = None
    peak_memory_bytes: int | None = None
    extreme_ratio: float | None = None
    extreme_windows: str = ""
    validation_loss_ratio: float | None = None
    n_parameters: int | None = None
    note: str = ""
    parity_window_ratio: float | None = None

    @property
    def is_float_reference(self) -> bool:
        """Whether this is the SavedModel."""
        return self.name == FLOAT_REFERENCE


def write_tournament(variants: list[VariantRecord], path: Path) -> None:
    """Write the variants, the float reference first; a measure that is not finite counts as not measured."""
    document = {"variants": [variant_document(variant) for variant in variants]}
    path.write_text(json.dumps(document, indent=1, allow_nan=False), encoding="utf-8")


def read_tournament(path: Path) -> tuple[VariantRecord, ...]:
    """Read the variants.

    Raises:
        ArtifactError: The file is missing, or its first entry is not the float reference.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))["variants"]
        variants = tuple(variant_record(entry) for entry in document)
    except (OSError, json.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"{path} must list the variants of a model: {error}; run compress_model again") from error
    if not variants or not variants[0].is_float_reference:
        raise ArtifactError(f"{path} must begin with {FLOAT_REFERENCE}; run compress_model again")
    return variants


def variant_record(entry: Mapping[str, Any]) -> VariantRecord:
    """A variant from its JSON object; keys that this version does not know are left out.

    Raises:
        KeyError: Name, path or status is missing.
        ValueError: The status is unknown.
    """
    known = {field.name: entry[field.name] for field in fields(VariantRecord) if field.name in entry}
    return VariantRecord(**{**known, "status": VariantStatus(entry["status"])})


def variant_document(variant: VariantRecord) -> dict[str, Any]:
    """A variant as a JSON object, which has no NaN."""
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in asdict(variant).items()
    }
