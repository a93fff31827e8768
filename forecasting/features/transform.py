"""From values in the table's units to the model's input features: scaling, gaps, derived features.

`known_columns` needs nothing of the target and may look at the horizon; `past_columns` may not. Beam
runs both over whole series; the exported graph runs both over one window. Because `history` is
longer than the context by what the derived features look back, both give the same numbers.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from forecasting.features.columns import ColumnBlock
from forecasting.features.namespace import Array, ArrayNamespace
from forecasting.features.spec import FeatureSpec
from forecasting.features.terms import Term


@dataclass(frozen=True)
class FeatureBlocks:
    """Names of the feature columns a model reads, in order.

    past: target (scaled; where missing filled from a season before if the spec says so, else 0), whether it is
    present, whether it is filled if the spec fills it, observed, derived from these.
    known: known covariates (scaled, 0 where missing), derived from these, calendar.
    """

    past: tuple[str, ...]
    known: tuple[str, ...]


def feature_blocks(spec: FeatureSpec) -> FeatureBlocks:
    """Names of the feature columns that a spec makes."""
    past = (term.name for term in derived_terms(spec, _past_names(spec)))
    known = (term.name for term in derived_terms(spec, spec.known))
    return FeatureBlocks(
        past=(spec.target, *_flag_names(spec), *spec.observed, *past),
        known=(*spec.known, *known, *spec.calendar.names),
    )


def vintage_part(spec: FeatureSpec) -> FeatureSpec:
    """A spec with no other covariates than those that have vintages, and what is derived from them."""
    return replace(spec, known=spec.vintages, derived=tuple(derived_terms(spec, spec.vintages)))


def vintage_places(spec: FeatureSpec) -> tuple[int, ...]:
    """Where `known_columns` of `vintage_part(spec)` stand in `feature_blocks(spec).known`."""
    part, names = vintage_part(spec), feature_blocks(spec).known
    return tuple(names.index(name) for name in (*part.known, *(term.name for term in part.derived)))


def n_fixed_columns(spec: FeatureSpec) -> int:
    """Columns of the past that every model reads: the target, whether it is present, and whether it is filled if the spec fills it."""
    return 1 + len(_flag_names(spec))


def removable_columns(spec: FeatureSpec) -> tuple[str, ...]:
    """Columns of the past that a network may do without: observed covariates, and what is derived from target and covariates."""
    return feature_blocks(spec).past[n_fixed_columns(spec) :]


OwnScales = Mapping[str, tuple[Array | float, Array | float]]
"""Location and scale of the columns that each series scales by itself: one number each, or one a window `[B,1]`."""


def own_scales(static: Array | None, spec: FeatureSpec) -> OwnScales:
    """The scales among the static inputs of a model `[B,S]`, where they stand after the category codes."""
    if static is None:
        return {}
    first = len(spec.static)
    places = {column: first + 2 * i for i, column in enumerate(spec.scaler.own)}
    return {column: (static[:, i : i + 1], static[:, i + 1 : i + 2]) for column, i in places.items()}


def unscaled(scaled: Array, own: OwnScales, spec: FeatureSpec, xp: ArrayNamespace) -> Array:
    """The target in its own units from its scaled form of any shape, which its scales fit: the inverse of what features do with it."""
    scaler = spec.scaler
    location, scale = own.get(spec.target, (scaler.location[spec.target], scaler.scale[spec.target]))
    values = scaled * xp.cast(scale, "float32") + xp.cast(location, "float32")
    return xp.exp(values) - xp.cast(1.0, "float32") if spec.target in scaler.logarithmic else values


def bounded(values: Array, spec: FeatureSpec, xp: ArrayNamespace) -> Array:
    """Forecasts of any shape in the target's unit, as the target can be: whole where it is a count, within its bounds."""
    return within_bounds(xp.round(values) if spec.whole_numbers else values, spec, xp)


def within_bounds(values: Array, spec: FeatureSpec, xp: ArrayNamespace) -> Array:
    """Values within the target's bounds: all that holds for a mean, which even of a count need not be whole."""
    found = values
    if spec.lower_bound is not None:
        found = xp.maximum(found, xp.cast(spec.lower_bound, "float32"))
    return found if spec.upper_bound is None else xp.minimum(found, xp.cast(spec.upper_bound, "float32"))


def past_columns(values: Array | Sequence[Array], own: OwnScales, spec: FeatureSpec, xp: ArrayNamespace) -> list[Array]:
    """Features of target and observed columns.

    Args:
        values: float32 `[B,T,1 + observed]` in the table's units, NaN where missing; or its columns `[B,T]`.
        own: Scales of the columns that each series scales by itself.
        spec: Feature spec.
        xp: Library that does the arithmetic.

    Returns:
        float32 `[B,T]` for each of `feature_blocks(spec).past`.
    """
    names = _past_names(spec)
    blocks = column_blocks(values, names, own, spec, xp)
    target, *observed = (block.filled for block in blocks.values())
    flags = [blocks[spec.target].present]
    if spec.fill_season:
        target = blocks[spec.target].filled_from(spec.fill_season)
        flags.append(blocks[spec.target].is_filled(spec.fill_season))
    derived = [term.compute(blocks[term.column]) for term in derived_terms(spec, names)]
    return [target, *flags, *observed, *derived]


def known_columns(
    values: Array | Sequence[Array],
    own: OwnScales,
    spec: FeatureSpec,
    xp: ArrayNamespace,
    block: type[ColumnBlock] = ColumnBlock,
) -> list[Array]:
    """Features of known covariates, without the calendar.

    Args:
        values: float32 `[B,T,known]` in the table's units, NaN where missing; or its columns `[B,T]`.
        own: Scales of the columns that each series scales by itself.
        spec: Feature spec.
        xp: Library that does the arithmetic.
        block: How reductions over windows are made.

    Returns:
        float32 `[B,T]` for each of `feature_blocks(spec).known` before the calendar.
    """
    blocks = column_blocks(values, spec.known, own, spec, xp, block)
    derived = [term.compute(blocks[term.column]) for term in derived_terms(spec, spec.known)]
    return [*(column.filled for column in blocks.values()), *derived]


def window_features(
    history: Array, future: Array, static: Array | None, spec: FeatureSpec, xp: ArrayNamespace
) -> tuple[Array, Array]:
    """Model inputs of a window, from the arrays of the serving signature.

    Args:
        history: float32 `[B,L,C]`.
        future: float32 `[B,H,F]`.
        static: float32 `[B,S]`; none where the signature has none.
        spec: Feature spec.
        xp: Library that does the arithmetic.

    Returns:
        history_features `[B,context,past + known]` and future_features `[B,H,known]`.
    """
    own = own_scales(static, spec)
    n_past, n_known = 1 + len(spec.observed), len(spec.known)
    skipped = spec.history_length - spec.context
    past = xp.stack_last([column[:, skipped:] for column in past_columns(history[:, :, :n_past], own, spec, xp)])
    line = xp.concat([history[:, :, n_past:], future], axis=1)
    known = line[:, skipped:, n_known:]
    if n_known:
        columns = [column[:, skipped:] for column in known_columns(line[:, :, :n_known], own, spec, xp)]
        known = xp.concat([xp.stack_last(columns), known], axis=2)
    return xp.concat([past, known[:, : spec.context]], axis=2), known[:, spec.context :]


def reduced_spec(spec: FeatureSpec, *, context: int, dropped: Collection[str]) -> FeatureSpec:
    """A spec without some columns of the past and with a shorter context.

    Args:
        spec: What a model reads.
        context: Steps that remain, a multiple of the segment.
        dropped: Names of observed covariates and of features derived from the target or from them.

    Raises:
        ValueError: One of the names is no such column, or an observed covariate is dropped that a feature is derived from.
    """
    removable = removable_columns(spec)
    if unknown := sorted(set(dropped) - set(removable)):
        raise ValueError(f"columns that are dropped must be among {', '.join(removable)}; found {', '.join(unknown)}")
    observed = tuple(name for name in spec.observed if name not in dropped)
    past = derived_terms(spec, _past_names(spec))
    derived = tuple(term for term in spec.derived if term not in past or term.name not in dropped)
    if left := sorted({term.name for term in derived if term.column in spec.observed and term.column not in observed}):
        raise ValueError(f"a covariate can be dropped with all that is derived from it; {', '.join(left)} would remain")
    return replace(spec, context=context, observed=observed, derived=derived)


def read_history(history: Array, served: FeatureSpec, spec: FeatureSpec, xp: ArrayNamespace) -> Array:
    """The part of a history `[B,L,C]` as it is served that a reduced spec reads, in the order of its columns."""
    if spec.history_length < served.history_length:
        history = history[:, served.history_length - spec.history_length :]
    if spec.observed == served.observed:
        return history
    first = 1 + len(served.observed)
    places = [1 + served.observed.index(name) for name in spec.observed]
    return xp.concat([history[:, :, :1], *(history[:, :, i : i + 1] for i in places), history[:, :, first:]], axis=2)


def _flag_names(spec: FeatureSpec) -> tuple[str, ...]:
    filled = (f"{spec.target}_filled",) if spec.fill_season else ()
    return (f"{spec.target}_present", *filled)


def _past_names(spec: FeatureSpec) -> tuple[str, ...]:
    return (spec.target, *spec.observed)


def derived_terms(spec: FeatureSpec, names: Sequence[str]) -> list[Term]:
    """Terms of some columns, in order."""
    return [term for term in spec.derived if term.column in names]


def column_blocks(
    values: Array | Sequence[Array],
    names: Sequence[str],
    own: OwnScales,
    spec: FeatureSpec,
    xp: ArrayNamespace,
    block: type[ColumnBlock] = ColumnBlock,
) -> dict[str, ColumnBlock]:
    """Columns `[B,T]` of values `[B,T,names]`, or these columns themselves, by their names."""
    scaler, blocks = spec.scaler, {}
    columns = values if isinstance(values, Sequence) else xp.unstack_last(values)
    for name, column in zip(names, columns, strict=True):
        location, scale = own.get(name, (scaler.location[name], scaler.scale[name]))
        logarithmic = name in scaler.logarithmic
        blocks[name] = block(column, location, scale, xp, logarithmic=logarithmic)
    return blocks
