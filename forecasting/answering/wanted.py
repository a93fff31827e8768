"""Which series a request asks for."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from forecasting.answering.answer_error import AnswerError
from forecasting.answering.given import GivenRows
from forecasting.answering.known import check_known
from forecasting.answering.observed import ObservedRows
from forecasting.answering.request import ForecastRequest
from forecasting.answering.served_model import ServedModel

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class WantedSpec:
    """The series asked for.

    following `[N]`: the step after the last target, has_own `[N]`: whether the request gives any of it, has_seen `[N]`:
    whether it was observed since the version was made; reached `[N]`: the origin of those where none is asked for.
    """

    served: ServedModel
    request: ForecastRequest
    ids: tuple[str, ...]
    rows: Integers
    start: Integers
    has_own: npt.NDArray[np.bool_]
    has_seen: npt.NDArray[np.bool_]
    following: Integers
    reached: Integers


def wanted_series(
    served: ServedModel, request: ForecastRequest, given: GivenRows | None, observed: ObservedRows | None
) -> tuple[tuple[str, ...], Integers]:
    """Ids asked for, and the place of each in the block of the version, -1 for a series that it does not have `[N]`.

    Raises:
        AnswerError: 404 for an unknown series; 400 where `history` names one that `series` does not ask for.
    """
    block = served.block
    if request.series is None and given is None:
        new = () if observed is None else tuple(one for one in observed.places if one not in block.position)
        return (*block.ids, *new), np.concatenate([np.arange(len(block.ids)), np.full(len(new), -1, dtype=np.int64)])
    ids = request.series or (given.ids if given is not None else ())
    rows = np.array([block.position.get(one, -1) for one in ids], dtype=np.int64)
    brought = set(given.ids) if given is not None else set()
    for one in brought.difference(ids):
        raise AnswerError(400, f"'history' names series {one!r}, which 'series' does not ask for", series=one)
    for place in np.flatnonzero(rows < 0).tolist():
        if (one := ids[place]) not in brought and (observed is None or one not in observed.places):
            text = f"there is no series {one!r}; the model knows {len(block.ids)} series, others need an entry in 'history'"
            raise AnswerError(404, text, series=one)
    return ids, rows


def check_wanted_known(served: ServedModel, request: ForecastRequest, ids: Sequence[str]) -> None:
    """Refuse known covariates of series that are not asked for, and those that do not fit the model.

    Raises:
        AnswerError: 404 for an unknown series, else 400.
    """
    asked = set(ids) if request.known else set()
    for series_id, columns in request.known.items():
        if series_id not in asked and series_id not in served.series:
            raise AnswerError(404, f"there is no series {series_id!r}; the model knows {len(served.series)} series", series=series_id)  # fmt: skip
        if series_id not in asked:
            raise AnswerError(400, f"'known' names series {series_id!r}, which 'series' does not ask for", series=series_id)  # fmt: skip
        check_known(series_id, columns, served.spec)
