"""Rows of a request and of observations, laid over those of a version."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from forecasting.answering.answer_error import AnswerError
from forecasting.answering.given import GivenRows, check_times, joined, static_codes
from forecasting.answering.served_model import ServedModel

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class LaidRows:
    """Rows that go before those of the version, each series' observed ones first, so that those of the request win.

    start `[N]`: a time on the grid of each series. static `[N,S]`. rows: none where there are none; of `[R]`: whose they
    are, ascending. has_own, has_seen `[N]`: whether the request, or an observation, has any row of a series. refused: new
    series without a static column that the model reads, by place.
    """

    start: Integers
    static: npt.NDArray[np.float32]
    rows: GivenRows | None
    of: Integers
    has_own: npt.NDArray[np.bool_]
    has_seen: npt.NDArray[np.bool_]
    refused: Mapping[int, AnswerError] = field(default_factory=dict)


def lay_rows(
    served: ServedModel, ids: Sequence[str], rows: Integers, given: GivenRows | None, seen: GivenRows | None
) -> LaidRows:
    """Lay observed rows, then those of the request, over the series of a version.

    Args:
        served: The version.
        ids: N series.
        rows: Place of each in the block of the version, -1 for one that it does not have `[N]`.
        given: Of the request.
        seen: What was observed of these series.

    Raises:
        AnswerError: 400: a time of the request lies off the grid of its series, or comes twice.
    """
    block, spec = served.block, served.spec
    start, static = block.start[rows], block.static[rows]
    parts = [part for part in (seen, given) if part is not None]
    has_own, has_seen = (np.zeros(len(ids), dtype=np.bool_) for _ in range(2))
    if not parts:
        return LaidRows(start, static, None, np.empty(0, np.int64), has_own, has_seen)
    place = {one: i for i, one in enumerate(ids)}
    of_ids = [np.array([place[one] for one in part.ids], dtype=np.int64) for part in parts]
    of_rows = [of[part.series] for of, part in zip(of_ids, parts, strict=True)]
    # Of a new series the first row says where its grid is, an observed one before one of the request.
    for part, of in reversed(list(zip(parts, of_rows, strict=True))):
        first = np.full(len(ids), np.iinfo(np.int64).max)
        np.minimum.at(first, of, part.time)
        start = np.where((rows < 0) & (first != np.iinfo(np.int64).max), first, start)
    if seen is not None:
        has_seen[of_rows[0]] = True
    if given is not None:
        check_times(given, start[of_ids[-1]], spec.step_s)
        has_own[of_rows[-1]] = True
    refused: dict[int, AnswerError] = {}
    for i in np.flatnonzero(rows < 0).tolist():
        try:
            codes = static_codes(ids[i], {} if given is None else given.static.get(ids[i], {}), spec)
        except AnswerError as error:
            refused[i] = error
            continue
        static[i] = (*codes, *spec.scaler.own_scales(ids[i]))
    together = parts[0] if len(parts) == 1 else joined(*parts)
    of = np.concatenate(of_rows)
    if np.any(np.diff(of) < 0):
        order = np.argsort(of, kind="stable")
        together, of = together.pick(order), of[order]
    return LaidRows(start, static, together, of, has_own, has_seen, refused)
