"""From values in the table's units to the model's input features: scaling, gaps, rolling statistics.

`known_block` needs nothing of the target and may look at the horizon; `past_block` may not. Beam
runs both over whole series; the exported graph runs both over one window. Because `history` is
longer than the context by what the longest rolling window needs, both give the same numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from forecasting.features.namespace import Array, ArrayNamespace
from forecasting.features.rolling import rolling_columns
from forecasting.features.spec import FeatureSpec


@dataclass(frozen=True)
class FeatureBlocks:
    """Names of the feature columns a model reads, in order.

    past: target (scaled, 0 where missing), whether it is present, observed, rolling statistics of
    both. known: known covariates (scaled, 0 where missing), calendar, rolling statistics of known.
    """

    past: tuple[str, ...]
    known: tuple[str, ...]


def feature_blocks(spec: FeatureSpec) -> FeatureBlocks:
    """Names of the feature columns that a spec makes."""
    past_rolling = tuple(rolling.name for rolling in spec.rolling if rolling.column not in spec.known)
    known_rolling = tuple(rolling.name for rolling in spec.rolling if rolling.column in spec.known)
    return FeatureBlocks(
        past=(spec.target, f"{spec.target}_present", *spec.observed, *past_rolling),
        known=(*spec.known, *spec.calendar.names, *known_rolling),
    )


def past_block(values: Array, spec: FeatureSpec, xp: ArrayNamespace) -> Array:
    """Features of target and observed columns.

    Args:
        values: float32 `[B,T,1 + observed]` in the table's units, NaN where missing.
        spec: Feature spec.
        xp: Library that does the arithmetic.

    Returns:
        float32 `[B,T,len(feature_blocks(spec).past)]`.
    """
    names = (spec.target, *spec.observed)
    scaled = _scale(values, names, spec, xp)
    present = xp.where(xp.is_nan(scaled[:, :, :1]), xp.cast(0.0, "float32"), xp.cast(1.0, "float32"))
    filled = _fill(scaled, xp)
    parts = [filled[:, :, :1], present]
    if spec.observed:
        parts.append(filled[:, :, 1:])
    rolling = [item for item in spec.rolling if item.column not in spec.known]
    if rolling:
        parts.append(rolling_columns(scaled, rolling, names, xp))
    return xp.concat(parts, axis=2)


def known_block(values: Array, calendar: Array, spec: FeatureSpec, xp: ArrayNamespace) -> Array:
    """Features of known covariates and the calendar.

    Args:
        values: float32 `[B,T,known]` in the table's units, NaN where missing.
        calendar: float32 `[B,T,calendar]`.
        spec: Feature spec.
        xp: Library that does the arithmetic.

    Returns:
        float32 `[B,T,len(feature_blocks(spec).known)]`.
    """
    if not spec.known:
        return calendar
    scaled = _scale(values, spec.known, spec, xp)
    parts = [_fill(scaled, xp), calendar]
    rolling = [item for item in spec.rolling if item.column in spec.known]
    if rolling:
        parts.append(rolling_columns(scaled, rolling, spec.known, xp))
    return xp.concat(parts, axis=2)


def window_features(history: Array, future: Array, spec: FeatureSpec, xp: ArrayNamespace) -> tuple[Array, Array]:
    """Model inputs of a window, from the arrays of the serving signature.

    Args:
        history: float32 `[B,L,C]`.
        future: float32 `[B,H,F]`.
        spec: Feature spec.
        xp: Library that does the arithmetic.

    Returns:
        history_features `[B,context,past + known]` and future_features `[B,H,known]`.
    """
    n_past = 1 + len(spec.observed)
    n_known = len(spec.known)
    skipped = spec.history_length - spec.context
    past = past_block(history[:, :, :n_past], spec, xp)
    line = xp.concat([history[:, :, n_past:], future], axis=1)
    known = known_block(line[:, :, :n_known], line[:, :, n_known:], spec, xp)
    recent = xp.concat([past[:, skipped:], known[:, skipped : spec.history_length]], axis=2)
    return recent, known[:, spec.history_length :]


def _scale(values: Array, names: Sequence[str], spec: FeatureSpec, xp: ArrayNamespace) -> Array:
    location = xp.constant([[[spec.scaler.location[name] for name in names]]], "float32")
    scale = xp.constant([[[spec.scaler.scale[name] for name in names]]], "float32")
    return (values - location) / scale


def _fill(scaled: Array, xp: ArrayNamespace) -> Array:
    return xp.where(xp.is_nan(scaled), xp.cast(0.0, "float32"), scaled)
