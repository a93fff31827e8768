"""Known covariates that a request brings: which steps of a horizon they fill."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from forecasting.answering.answer_error import AnswerError
from forecasting.answering.iso_time import iso_time
from forecasting.answering.request import KnownColumn
from forecasting.features.spec import FeatureSpec
from forecasting.masks import masks_among

AheadValues = Mapping[str, npt.NDArray[np.float64]]
"""Values of the horizon `[H]` by column, NaN where none was given."""


def check_known(series_id: str, columns: Mapping[str, KnownColumn], spec: FeatureSpec) -> None:
    """Refuse what does not fit the model.

    Raises:
        AnswerError: 400: a column that is none of its known covariates, or a list of another length than the horizon.
    """
    for name, values in columns.items():
        if name not in spec.known:
            raise AnswerError(
                400, f"'known' of series {series_id!r} must name columns among {list(spec.known)}, found {name!r}",
                series=series_id, column=name,
            )  # fmt: skip
        if isinstance(values, tuple) and len(values) != spec.horizon:
            raise AnswerError(
                400,
                f"'known' of series {series_id!r}, column {name!r}, must have {spec.horizon} values, "
                f"one a step of the horizon, found {len(values)}",
                series=series_id,
                column=name,
            )


def known_ahead(columns: Mapping[str, KnownColumn], series_id: str, spec: FeatureSpec, origin: int) -> AheadValues:
    """Values for the horizon from an origin: lists as they are, values by time at their steps.

    A value that is given was seen: the mask of its column, where the model reads one, is 0 unless it is given too.

    Raises:
        AnswerError: 400: a time lies off the grid of the series, or none of a column's lies in the horizon.
    """
    steps = origin + spec.step_s * np.arange(spec.horizon, dtype=np.int64)
    given = {
        name: _at(values, steps, f"'known' of series {series_id!r}, column {name!r},", step_s=spec.step_s)
        for name, values in columns.items()
    }
    masks = {mask: np.where(np.isfinite(given[column]), 0.0, np.nan) for column, mask in masks_among(spec.known).items() if column in given}  # fmt: skip
    return {**masks, **given}


def _at(values: KnownColumn, steps: npt.NDArray[np.int64], where: str, *, step_s: int) -> npt.NDArray[np.float64]:
    if isinstance(values, tuple):
        return np.asarray(values, dtype=np.float64)
    first, last = int(steps[0]), int(steps[-1])
    if odd := [time for time in values if (time - first) % step_s]:
        raise AnswerError(400, f"{where} must have times on the grid of {step_s} s steps, found {iso_time(odd[0])}")
    found = np.array([values.get(int(step), np.nan) for step in steps])
    if not np.isfinite(found).any():
        horizon = f"from {iso_time(first)} to {iso_time(last)}, the horizon"
        raise AnswerError(400, f"{where} must have a time {horizon}, and none of {len(values)} is one")
    return found
