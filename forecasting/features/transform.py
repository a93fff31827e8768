"""From values in the table's units to the model's input features: scaling, gaps, derived features.

`known_columns` needs nothing of the target and may look at the horizon; `past_columns` may not. Beam
runs both over whole series; the exported graph runs both over one window. Because `history` is
longer than the context by what the derived features look back, both give the same numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from forecasting.features.columns import ColumnBlock
from forecasting.features.namespace import Array, ArrayNamespace
from forecasting.features.spec import FeatureSpec
from forecasting.features.terms import Term


@dataclass(frozen=True)
class FeatureBlocks:
    """Names of the feature columns a model reads, in order.

    past: target (scaled, 0 where missing), whether it is present, observed, derived from these.
    known: known covariates (scaled, 0 where missing), derived from these, calendar.
    """

    past: tuple[str, ...]
    known: tuple[str, ...]


def feature_blocks(spec: FeatureSpec) -> FeatureBlocks:
    """Names of the feature columns that a spec makes."""
    past = (term.name for term in _derived(spec, _past_names(spec)))
    known = (term.name for term in _derived(spec, spec.known))
    return FeatureBlocks(
        past=(spec.target, f"{spec.target}_present", *spec.observed, *past),
        known=(*spec.known, *known, *spec.calendar.names),
    )


def past_columns(values: Array, spec: FeatureSpec, xp: ArrayNamespace) -> list[Array]:
    """Features of target and observed columns.

    Args:
        values: float32 `[B,T,1 + observed]` in the table's units, NaN where missing.
        spec: Feature spec.
        xp: Library that does the arithmetic.

    Returns:
        float32 `[B,T]` for each of `feature_blocks(spec).past`.
    """
    names = _past_names(spec)
    blocks = _column_blocks(values, names, spec, xp)
    target, *observed = (block.filled for block in blocks.values())
    derived = [term.compute(blocks[term.column]) for term in _derived(spec, names)]
    return [target, blocks[spec.target].present, *observed, *derived]


def known_columns(values: Array, spec: FeatureSpec, xp: ArrayNamespace) -> list[Array]:
    """Features of known covariates, without the calendar.

    Args:
        values: float32 `[B,T,known]` in the table's units, NaN where missing.
        spec: Feature spec.
        xp: Library that does the arithmetic.

    Returns:
        float32 `[B,T]` for each of `feature_blocks(spec).known` before the calendar.
    """
    blocks = _column_blocks(values, spec.known, spec, xp)
    derived = [term.compute(blocks[term.column]) for term in _derived(spec, spec.known)]
    return [*(block.filled for block in blocks.values()), *derived]


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
    n_past, n_known = 1 + len(spec.observed), len(spec.known)
    skipped = spec.history_length - spec.context
    past = xp.stack_last([column[:, skipped:] for column in past_columns(history[:, :, :n_past], spec, xp)])
    line = xp.concat([history[:, :, n_past:], future], axis=1)
    known = line[:, skipped:, n_known:]
    if n_known:
        columns = [column[:, skipped:] for column in known_columns(line[:, :, :n_known], spec, xp)]
        known = xp.concat([xp.stack_last(columns), known], axis=2)
    return xp.concat([past, known[:, : spec.context]], axis=2), known[:, spec.context :]


def _past_names(spec: FeatureSpec) -> tuple[str, ...]:
    return (spec.target, *spec.observed)


def _derived(spec: FeatureSpec, names: Sequence[str]) -> list[Term]:
    return [term for term in spec.derived if term.column in names]


def _column_blocks(
    values: Array, names: Sequence[str], spec: FeatureSpec, xp: ArrayNamespace
) -> dict[str, ColumnBlock]:
    return {
        name: ColumnBlock(values[:, :, i], spec.scaler.location[name], spec.scaler.scale[name], xp)
        for i, name in enumerate(names)
    }
