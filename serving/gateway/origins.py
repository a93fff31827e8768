"""Where a series can be forecast."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from forecasting.features.spec import FeatureSpec
from forecasting.schema import Series
from serving.gateway.answers import AnswerError, iso_time


@dataclass(frozen=True)
class OriginRange:
    """Origins (epoch seconds, inclusive) at which a series can be forecast, and the one taken by default."""

    first: int
    last: int
    default: int


def possible_origins(series: Series, spec: FeatureSpec) -> OriginRange | None:
    """Where a series can be forecast: after its first step, as far as its known covariates cover the horizon.

    Of covariates with vintages, only what was issued up to an origin covers its horizon.

    The default is the step after the last known target, or the last possible one before it. None
    where there is no target or the covariates never cover a horizon.
    """
    following = next_origin(series, spec)
    if following is None:
        return None
    first, last = series.start + spec.step_s, series.start + series.n_steps * spec.step_s
    if not spec.known:
        return OriginRange(first, last, following)
    if series.n_steps < spec.horizon:
        return None
    starts = series.start + spec.step_s * np.flatnonzero(_covered_horizons(series, spec))
    starts = starts[starts >= first]
    if not len(starts):
        return None
    before = starts[starts <= following]
    return OriginRange(first, int(starts[-1]), int(before[-1] if len(before) else starts[-1]))


def _covered_horizons(series: Series, spec: FeatureSpec) -> npt.NDArray[np.bool_]:
    """Whether the known covariates cover the horizon from each row on, as far as it lies inside `[T - H + 1]`."""
    issued = () if series.vintages is None else series.vintages.columns
    plain = [i for i, name in enumerate(spec.known) if name not in issued]
    known = series.values[:, series.values.shape[1] - len(spec.known) :]
    missing = ~np.isfinite(known[:, plain]).all(axis=1)
    covered: npt.NDArray[np.bool_] = np.logical_not(sliding_window_view(missing, spec.horizon).any(axis=1))
    if series.vintages is None:
        return covered
    stamps = series.timestamps(spec.step_s)
    columns = [i for i, name in enumerate(issued) if name in spec.known]
    first = series.vintages.first_issued(stamps)[:, columns].max(axis=1, initial=np.iinfo(np.int64).min)
    covered &= sliding_window_view(first, spec.horizon).max(axis=1) <= stamps[: len(covered)]
    return covered


def next_origin(series: Series, spec: FeatureSpec) -> int | None:
    """The step after the last known target; none for a series without a target."""
    target = np.flatnonzero(np.isfinite(series.values[:, 0]))
    return series.start + (int(target[-1]) + 1) * spec.step_s if len(target) else None


def choose_origin(series: Series, spec: FeatureSpec, asked: int | None) -> int:
    """The origin that was asked for, else the default.

    Raises:
        AnswerError: 400: the origin lies off the grid or outside of what can be forecast.
    """
    possible = possible_origins(series, spec)
    if possible is None:
        raise AnswerError(
            400,
            f"series {series.id!r} cannot be forecast: it has no target, or known covariates, which can be given under "
            f"'known', never cover {spec.horizon} steps",
        )
    if asked is None:
        return possible.default
    return _checked(series, spec, asked, (possible.first, possible.last))


def choose_given_origin(series: Series, spec: FeatureSpec, asked: int | None) -> int:
    """The origin that was asked for, else the step after the last target, where the covariates are given.

    Raises:
        AnswerError: 400: the origin lies off the grid or outside of the series and the step after it.
    """
    if asked is not None:
        last = series.start + series.n_steps * spec.step_s
        return _checked(series, spec, asked, (series.start + spec.step_s, last))
    following = next_origin(series, spec)
    if following is None:
        raise AnswerError(400, f"series {series.id!r} cannot be forecast: it has no target")
    return following


def past_origins(series: Series, spec: FeatureSpec, *, cutoff: int) -> OriginRange | None:
    """Where a series can be forecast of which nothing but the past is read; none where it has no target."""
    following = next_origin(series, spec)
    if following is None:
        return None
    last = series.start + (max(cutoff - series.start, series.n_steps * spec.step_s) // spec.step_s) * spec.step_s
    return OriginRange(series.start + spec.step_s, last, following)


def choose_past_origin(series: Series, spec: FeatureSpec, asked: int | None, *, cutoff: int) -> int:
    """The origin that was asked for, else the step after the last target, where nothing but the past is read.

    Raises:
        AnswerError: 400: the series has no target, or the origin lies off the grid, before its second step or
            after both its end and the cutoff.
    """
    possible = past_origins(series, spec, cutoff=cutoff)
    if possible is None:
        raise AnswerError(400, f"series {series.id!r} cannot be forecast: it has no target")
    return possible.default if asked is None else _checked(series, spec, asked, (possible.first, possible.last))


def _checked(series: Series, spec: FeatureSpec, asked: int, bounds: tuple[int, int]) -> int:
    if (asked - series.start) % spec.step_s:
        raise AnswerError(
            400,
            f"'origin' must lie on the grid of {spec.step_s} s steps from {iso_time(series.start)}, found {iso_time(asked)}",
        )
    first, last = bounds
    if not first <= asked <= last:
        raise AnswerError(
            400,
            f"'origin' of series {series.id!r} must be from {iso_time(first)} to {iso_time(last)}, found {iso_time(asked)}",
        )
    return asked
