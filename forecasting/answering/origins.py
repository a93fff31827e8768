"""Where a series can be forecast."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from forecasting.answering.answer_error import AnswerError
from forecasting.answering.iso_time import iso_time
from forecasting.features.spec import FeatureSpec
from forecasting.schema import Series


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
    n_missing = np.concatenate([[0], np.cumsum(missing)])
    covered: npt.NDArray[np.bool_] = n_missing[spec.horizon :] == n_missing[: -spec.horizon]
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


def past_origins(series: Series, spec: FeatureSpec, *, cutoff: int) -> OriginRange | None:
    """Where a series can be forecast of which nothing but the past is read; none where it has no target."""
    following = next_origin(series, spec)
    if following is None:
        return None
    last = series.start + (max(cutoff - series.start, series.n_steps * spec.step_s) // spec.step_s) * spec.step_s
    return OriginRange(series.start + spec.step_s, last, following)


def origin_error(
    series_id: str, spec: FeatureSpec, origin: int, *, start: int, bounds: tuple[int, int], has_target: bool,
    reads_known: bool,
) -> AnswerError:  # fmt: skip
    """Why a series cannot be forecast from an origin.

    Args:
        series_id: Of the series.
        spec: Feature spec of the model.
        origin: First step that was asked for, UTC epoch seconds.
        start: A time on the grid of the series.
        bounds: First and last possible origin.
        has_target: Whether any target is known.
        reads_known: Whether the store must have the known covariates of the horizon.
    """
    if not has_target or bounds[1] < bounds[0] or bounds[1] == np.iinfo(np.int64).min:
        why = "it has no target"
        if reads_known:
            why += f", or known covariates, which can be given under 'known', never cover {spec.horizon} steps"
        return AnswerError(400, f"series {series_id!r} cannot be forecast: {why}", series=series_id)
    if (origin - start) % spec.step_s:
        text = (
            f"'origin' must lie on the grid of {spec.step_s} s steps from {iso_time(start)}, found {iso_time(origin)}"
        )
        return AnswerError(400, text, series=series_id)
    first, last = bounds
    text = (
        f"'origin' of series {series_id!r} must be from {iso_time(first)} to {iso_time(last)}, found {iso_time(origin)}"
    )
    return AnswerError(400, text, series=series_id)
