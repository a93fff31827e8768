"""Windows of a series in the serving signature: what a model is asked with, offline and online."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from forecasting.contracts.signature import FUTURE, HISTORY, STATIC
from forecasting.features.calendar import calendar_columns
from forecasting.features.spec import FeatureSpec
from forecasting.schema import Series

Floats = npt.NDArray[np.float32]
Timestamps = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ModelInputs:
    """Inputs of `serving_default`.

    history float32 `[B,L,C]`, future float32 `[B,H,F]`, static float32 `[B,S]` or none.
    """

    history: Floats
    future: Floats
    static: Floats | None = None

    def as_dict(self) -> dict[str, Floats]:
        """Arrays by input name."""
        arrays = {HISTORY: self.history, FUTURE: self.future}
        if self.static is not None:
            arrays[STATIC] = self.static
        return arrays

    def __len__(self) -> int:
        return len(self.history)

    def __getitem__(self, rows: slice) -> "ModelInputs":
        return ModelInputs(self.history[rows], self.future[rows], None if self.static is None else self.static[rows])


def window_inputs(series: Series, spec: FeatureSpec, origins: Timestamps) -> ModelInputs:
    """Inputs for forecasts that start at some origins.

    Nothing of the target or of an observed column at or after an origin is read, and of a covariate with
    vintages nothing that was issued after it.

    Args:
        series: Rows beyond either end count as missing.
        spec: Feature spec of the model; its columns must be those of the series.
        origins: First forecast step of each window, UTC epoch seconds `[B]`.

    Raises:
        ValueError: An origin is not on the grid of the series.
    """
    first = _row_of(series, spec, origins)
    past = first[:, None] + np.arange(-spec.history_length, 0)
    ahead = first[:, None] + np.arange(spec.horizon)
    values = _rows(series.values, past)
    known = known_at_origins(series, spec, origins)
    history = np.concatenate([values, _calendar(series, spec, past)], axis=2, dtype=np.float32)
    future = np.concatenate([known, _calendar(series, spec, ahead)], axis=2, dtype=np.float32)
    row = np.asarray((*series.static, *spec.scaler.own_scales(series.id)), dtype=np.float32)
    static = np.tile(row, (len(origins), 1)) if len(row) else None
    return ModelInputs(history, future, static)


def known_at_origins(series: Series, spec: FeatureSpec, origins: Timestamps) -> npt.NDArray[np.float64]:
    """Known covariates over the horizon of each origin, as they were known at it `[B,H,known]`, NaN where missing."""
    ahead = _row_of(series, spec, origins)[:, None] + np.arange(spec.horizon)
    known = _rows(series.values[:, series.values.shape[1] - len(spec.known) :], ahead)
    if series.vintages is not None:
        issued = series.vintages.known_at(origins, spec.horizon, spec.step_s)
        for i, name in enumerate(series.vintages.columns):
            if name in spec.known:
                known[..., spec.known.index(name)] = issued[..., i]
    return known


def stack_inputs(parts: Sequence[ModelInputs]) -> ModelInputs:
    """Concatenate windows along the batch."""
    statics = [part.static for part in parts if part.static is not None]
    return ModelInputs(
        np.concatenate([part.history for part in parts]),
        np.concatenate([part.future for part in parts]),
        np.concatenate(statics) if statics else None,
    )


def actuals(series: Series, spec: FeatureSpec, origins: Timestamps) -> npt.NDArray[np.float64]:
    """Target over the horizon of each origin `[B,H]`, NaN where missing or beyond the series."""
    first = _row_of(series, spec, origins)
    return _rows(series.values, first[:, None] + np.arange(spec.horizon))[..., 0]


def _row_of(series: Series, spec: FeatureSpec, origins: Timestamps) -> npt.NDArray[np.int64]:
    distance = np.asarray(origins, dtype=np.int64) - series.start
    if np.any(distance % spec.step_s):
        raise ValueError(
            f"origins of series {series.id!r} must lie a whole number of {spec.step_s} s steps from {series.start}"
        )
    return distance // spec.step_s


def _rows(values: npt.NDArray[np.float64], rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """`values[rows]` with NaN for rows outside."""
    inside = (rows >= 0) & (rows < len(values))
    if len(values) == 0:
        return np.full((*rows.shape, values.shape[1]), np.nan)
    taken = values[np.clip(rows, 0, len(values) - 1)]
    taken[~inside] = np.nan
    return taken


def _calendar(series: Series, spec: FeatureSpec, rows: npt.NDArray[np.int64]) -> Floats:
    # Neighbouring windows overlap: make each row's calendar once, then gather.
    low, high = int(rows.min()), int(rows.max())
    stamps = series.start + spec.step_s * np.arange(low, high + 1, dtype=np.int64)
    columns: Floats = calendar_columns(stamps, spec.calendar)
    return columns[rows - low]
