"""Fill short gaps of covariates by a stated policy, and mark what was filled.

A filled value has a 1 in a column of its own, `NAME_imputed`, which is a covariate like any other, observed or known as
the column that it marks: it goes through features, training and serving with no special case, so the model can learn what
such values are worth, in the past and in the horizon. Observed covariates are filled before the cutoff and by looking back
only; known ones wherever they are stated. Targets are never filled here: the model is told which are missing, and no loss
and no score counts them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from forecasting.config.validation import ImputationMethod, ValidationConfig
from forecasting.errors import ConfigError
from forecasting.masks import mask_name
from forecasting.schema import Series, SeriesSpec

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ImputationSpec:
    """Which covariates are filled how, and the schema of the store with their masks.

    source: schema without masks. methods: of the covariates that are filled. season: steps that seasonal looks back.
    """

    source: SeriesSpec
    filled: SeriesSpec
    methods: Mapping[str, ImputationMethod]
    season: int
    max_gap: int

    def fill(self, one: Series) -> Series:
        """A series with filled gaps and their masks; itself where no policy is stated."""
        return _impute_series(one, self) if self.methods else one

    def n_filled(self, one: Series) -> dict[str, int]:
        """How many values of each covariate were filled in a filled series."""
        places = {name: self.filled.columns.index(mask_name(name)) for name in self.methods}
        return {name: int(np.nansum(one.values[:, place])) for name, place in places.items()}


def plan_imputation(spec: SeriesSpec, limits: ValidationConfig, *, season: int) -> ImputationSpec:
    """What is to be filled.

    Args:
        spec: Of the validated series.
        limits: Policies for known and observed covariates, and the largest number of steps.
        season: Steps that the policy `seasonal` looks back.

    Raises:
        ConfigError: A column of the table has the name of a mask.
    """
    policy = limits.imputation
    # What lacks of a covariate by vintage is told as it is: a fill would know what was issued later.
    plain = [name for name in spec.known if name not in spec.vintages]
    methods: dict[str, ImputationMethod] = dict.fromkeys(spec.observed, policy.observed)
    methods |= dict.fromkeys(plain, policy.known)
    filled = {name: method for name, method in methods.items() if method != "none"}
    if taken := [name for name in filled if mask_name(name) in spec.columns]:
        raise ConfigError(
            f"validation.imputation marks filled values of {taken[0]!r} in {mask_name(taken[0])!r}, and the table has a "
            "column of that name in use; rename it, or fill that column before"
        )
    longer = replace(
        spec,
        observed=(*spec.observed, *(mask_name(name) for name in spec.observed if name in filled)),
        known=(*spec.known, *(mask_name(name) for name in spec.known if name in filled)),
    )
    return ImputationSpec(spec, longer, filled, season, policy.max_gap)


def impute(values: Floats, method: ImputationMethod, *, season: int, max_gap: int) -> Floats:
    """Fill gaps of one column.

    Args:
        values: `[T]`, NaN where missing.
        method: previous and seasonal look back only and fill the first `max_gap` steps of any gap; interpolate
            looks ahead too and fills gaps of at most `max_gap` steps between two values.
        season: Steps that seasonal looks back.
        max_gap: Steps.

    Returns:
        `[T]`, with NaN where nothing was filled.
    """
    missing = np.isnan(values)
    if method == "none" or not missing.any():
        return values
    steps = np.arange(len(values))
    last = np.maximum.accumulate(np.where(missing, -1, steps))
    is_near = missing & (steps - last <= max_gap)
    match method:
        case "previous":
            found = np.where(last >= 0, values[np.maximum(last, 0)], np.nan)
        case "seasonal":
            found = np.r_[np.full(min(season, len(values)), np.nan), values[:-season]]
        case "interpolate":
            following = np.minimum.accumulate(np.where(missing, len(values), steps)[::-1])[::-1]
            is_near = missing & (last >= 0) & (following < len(values)) & (following - last - 1 <= max_gap)
            found = np.interp(steps, steps[~missing], values[~missing]) if is_near.any() else values
    return np.where(is_near, found, values)


def _impute_series(one: Series, plan: ImputationSpec) -> Series:
    spec = plan.source
    n_before = min((spec.split.cutoff - one.start) // spec.step_s, one.n_steps)
    values = one.values.copy()
    masks: dict[bool, list[Floats]] = {True: [], False: []}
    for name, method in plan.methods.items():
        place, is_known = spec.columns.index(name), name in spec.known
        # What is observed ends at the cutoff; what is known goes on, and its gaps with it.
        n_rows = one.n_steps if is_known else n_before
        before, mask = values[:n_rows, place].copy(), np.full(one.n_steps, np.nan)
        values[:n_rows, place] = impute(before, method, season=plan.season, max_gap=plan.max_gap)
        mask[:n_rows] = np.isnan(before) & ~np.isnan(values[:n_rows, place])
        masks[is_known].append(mask)
    first = 1 + len(spec.observed)
    return replace(one, values=np.column_stack([values[:, :first], *masks[False], values[:, first:], *masks[True]]))
