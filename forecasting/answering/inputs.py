"""Windows of many series in the serving signature, cut from arrays at once.

`forecasting.windows.window_inputs` says what a window is, one series at a time; a test holds both equal.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from forecasting.answering.plan import PlanSpec
from forecasting.masks import masks_among
from forecasting.windows import ModelInputs

Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class WindowFlags:
    """What the history of each of N windows is like.

    imputed `[N]`: whether the model's context has a step without a target, or a covariate that was filled; the model fills
    both. stale `[N]`: whether the newest target is more than a horizon older than the step before the origin. cold `[N]`:
    whether there is no target at all in what the model reads.
    """

    imputed: Flags
    stale: Flags
    cold: Flags


def model_inputs(plan: PlanSpec, first: int, end: int) -> ModelInputs:
    """Inputs of the model for the series from one place of a plan up to another."""
    spec, rows = plan.served.spec, slice(first, end)
    shapes = plan.served.signature
    n_values, length = plan.served.block.values.shape[1], shapes.history_length
    history = np.empty((end - first, length, shapes.n_history_columns), dtype=np.float32)
    future = np.empty((end - first, shapes.horizon, shapes.n_future_columns), dtype=np.float32)
    history[:, :, :n_values] = _past(plan, first, end)
    future[:, :, : len(spec.known)] = plan.ahead[rows]
    origins = plan.origins[rows]
    distinct = set(origins.tolist())
    for origin in distinct:
        calendar = plan.served.calendar(origin)
        of_origin = slice(None) if len(distinct) == 1 else origins == origin
        history[of_origin, :, n_values:] = calendar[:length]
        future[of_origin, :, len(spec.known) :] = calendar[length:]
    return ModelInputs(history, future, plan.static[rows] if plan.static.shape[1] else None)


def window_flags(plan: PlanSpec, inputs: ModelInputs) -> WindowFlags:
    """Flags of the windows of some inputs."""
    spec = plan.served.spec
    known: Flags = np.isfinite(inputs.history[:, :, 0])
    age = np.argmax(known[:, ::-1], axis=1)
    imputed: Flags = np.logical_not(known[:, -spec.context :].all(axis=1))
    masks = [spec.value_columns.index(mask) for mask in masks_among(spec.value_columns).values()]
    if masks:
        imputed |= (inputs.history[:, -spec.context :, masks] > 0).any(axis=(1, 2))
    cold: Flags = np.logical_not(known.any(axis=1))
    return WindowFlags(imputed, cold | (age > spec.horizon), cold)


def _past(plan: PlanSpec, first: int, end: int) -> npt.NDArray[np.float64]:
    """Values before the origins `[N,L,V]`, NaN where missing, given rows in the place of stored ones."""
    spec, block = plan.served.spec, plan.served.block
    rows = plan.rows[first:end]
    step = ((plan.origins[first:end] - plan.start[first:end]) // spec.step_s)[:, None] + np.arange(
        -spec.history_length, 0
    )
    inside = (step >= 0) & (step < block.n_steps[rows][:, None]) & (rows >= 0)[:, None]
    places = block.offset[rows][:, None] + step
    if inside.all():
        past = block.values[places]
    else:
        past = np.full((*step.shape, block.values.shape[1]), np.nan)
        past[inside] = block.values[places[inside]]
    if plan.given is not None:
        _lay_over(plan, first, end, past)
    return past


def _lay_over(plan: PlanSpec, first: int, end: int, past: npt.NDArray[np.float64]) -> None:
    spec, given = plan.served.spec, plan.given
    if given is None:
        return
    low, high = np.searchsorted(plan.given_of, (first, end))
    of_rows = plan.given_of[low:high]
    place = (given.time[low:high] - plan.origins[of_rows]) // spec.step_s + spec.history_length
    in_window = (place >= 0) & (place < spec.history_length)
    for j, name in enumerate(spec.value_columns):
        if name in given.columns:
            column = given.columns[name][low:high]
            taken = in_window & np.isfinite(column)
            past[of_rows[taken] - first, place[taken], j] = column[taken]
