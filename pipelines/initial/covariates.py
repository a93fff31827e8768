"""Covariates that a proposal leaves out, for what their values are: the target in disguise, drifts, hardly any values."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from components.validation.leaks import absolute_correlation, most_alike_shift
from forecasting.schema import SeriesStore
from pipelines.initial.roles import ColumnGuess, RolesGuess

_MAX_COPY_CORRELATION = 0.98
_COPY_STEPS = 5_000
_EARLIER = 0.75
"""Share of each series that counts as earlier: about what a model learns from."""
_MAX_BEYOND, _MAX_MISSING = 0.5, 0.5


def unfit_covariates(store: SeriesStore, horizon: int) -> dict[str, str]:
    """Why covariates of a store are better left out, by name."""
    spec = store.spec
    found = {name: _like_target(like) for name, like in _copies_of_target(store, horizon).items()}
    for name in (*spec.known, *spec.observed):
        if name not in found and (reason := _unlearnable(store, spec.columns.index(name))):
            found[name] = reason
    return found


def without_covariates(roles: RolesGuess, reasons: Mapping[str, str]) -> RolesGuess:
    """The roles with these covariates among the columns that are not used; of words the whole column goes.

    Args:
        roles: Every column in its role.
        reasons: By name as the store has it: a word's column of 0 and 1 is named COLUMN=VALUE.
    """
    words = {one.name for one in roles.categorical}
    reasons = {column if (column := name.partition("=")[0]) in words else name: why for name, why in reasons.items()}
    gone = tuple(ColumnGuess(name, why) for name, why in reasons.items())
    known, observed, categorical = (
        tuple(one for one in guesses if one.name not in reasons)
        for guesses in (roles.known, roles.observed, roles.categorical)
    )
    unused = (*roles.unused, *gone)
    return replace(roles, known=known, observed=observed, categorical=categorical, unused=unused)


def _like_target(correlation: float) -> str:
    return f"its changes are those of the target (correlation {correlation:.3f}): the target in disguise"


def _copies_of_target(store: SeriesStore, horizon: int) -> dict[str, float]:
    """Known covariates whose changes are those of the target, at the same time or shifted within a horizon."""
    spec = store.spec
    one = max(store, key=lambda series: series.n_steps)
    changes = np.diff(one.values[: (spec.split.cutoff - one.start) // spec.step_s], axis=0)[-_COPY_STEPS:]
    found = {}
    for name in spec.known:
        column = changes[:, spec.columns.index(name)]
        together = absolute_correlation(changes[:, 0], column)
        reach = min(horizon, len(changes) // 2)
        shifted = most_alike_shift(changes[:, 0], column, range(-reach, reach))[1] if reach else 0.0
        if max(together, shifted) > _MAX_COPY_CORRELATION:
            found[name] = max(together, shifted)
    return found


def _unlearnable(store: SeriesStore, place: int) -> str | None:
    """Why a model could not learn what a column does: it has hardly any values early on, or its later ones are all new.

    A net that has seen a price index rise from 210 to 220 says anything of 230; what a series has once been at, it knows.
    """
    n_early = n_missing = 0
    beyond = []
    for series in store:
        values = series.values[:, place]
        cut = int(_EARLIER * len(values))
        early, late = (part[np.isfinite(part)] for part in (values[:cut], values[cut:]))
        n_early, n_missing = n_early + cut, n_missing + cut - len(early)
        if len(early) and len(late):
            beyond.append(float(np.mean((late < early.min()) | (late > early.max()))))
    if n_missing > _MAX_MISSING * n_early:
        return f"{n_missing / n_early:.0%} of its values are missing in the first {_EARLIER:.0%} of the series"
    if beyond and np.mean(beyond) > _MAX_BEYOND:
        return f"it drifts: {np.mean(beyond):.0%} of its values in the last {1 - _EARLIER:.0%} of the series are beyond all before"
    return None
