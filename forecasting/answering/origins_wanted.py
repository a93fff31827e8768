"""From which step each series of a request is forecast."""

import numpy as np
import numpy.typing as npt

from forecasting.answering.ahead import known_of_horizons
from forecasting.answering.answer_error import AnswerError
from forecasting.answering.given import GivenRows
from forecasting.answering.iso_time import iso_time
from forecasting.answering.origins import origin_error
from forecasting.answering.series_block import NO_TIME
from forecasting.answering.served_model import ServedModel
from forecasting.answering.wanted import WantedSpec

Integers = npt.NDArray[np.int64]


def wanted_origins(wanted: WantedSpec) -> tuple[Integers, dict[int, AnswerError]]:
    """First step of each forecast, and the series that have none, with the reason."""
    block, spec, request, rows = wanted.served.block, wanted.served.spec, wanted.request, wanted.rows
    has_any = wanted.has_own | wanted.has_seen
    if request.origin is not None:
        origins = np.full(len(rows), request.origin)
    elif request.cutoff is not None:
        origins = wanted.start - (wanted.start - request.cutoff) // spec.step_s * spec.step_s
    else:
        observed = np.where(wanted.has_seen, wanted.reached, block.default[rows])
        origins = np.where(wanted.has_own, wanted.following, observed)
    first, last = block.first[rows], block.last[rows]
    if has_any.any():
        stored_last = np.where(rows >= 0, wanted.start + block.n_steps[rows] * spec.step_s, NO_TIME)
        own_last = np.maximum(stored_last, wanted.following)
        own_last = np.where(block.apart[rows] & (rows >= 0), np.maximum(own_last, last), own_last)
        first = np.where(has_any, wanted.start + spec.step_s, first)
        last = np.where(has_any, own_last, last)
    fits = (origins >= first) & (origins <= last) & ((origins - wanted.start) % spec.step_s == 0)
    fits &= (wanted.following != NO_TIME) & (last != NO_TIME)
    refused = {
        int(i): origin_error(
            wanted.ids[i], spec, int(origins[i]), start=int(wanted.start[i]), bounds=(int(first[i]), int(last[i])),
            has_target=bool(wanted.following[i] != NO_TIME), reads_known=not (has_any[i] or block.apart[rows[i]]),
        )
        for i in (np.flatnonzero(~fits).tolist() if not fits.all() else ())
    }  # fmt: skip
    return np.where(fits, origins, wanted.start), refused


def following_steps(served: ServedModel, rows: Integers, given: GivenRows | None, given_of: Integers) -> Integers:
    """The step after the last target of each series, UTC epoch seconds `[N]`; `NO_TIME` where there is none."""
    found = np.where(rows >= 0, served.block.following[rows], NO_TIME)
    target = given.columns.get(served.spec.target) if given is not None else None
    if given is not None and target is not None:
        has_target = np.isfinite(target)
        np.maximum.at(found, given_of[has_target], given.time[has_target] + served.spec.step_s)
    return found


def reached_origins(wanted: WantedSpec, given: GivenRows | None, given_of: Integers) -> Integers:
    """The latest origin whose horizon the known covariates cover: after the last target, or as far before it as they end early."""
    block, spec, following = wanted.served.block, wanted.served.spec, wanted.following
    apart = block.apart[wanted.rows] & (wanted.rows >= 0)
    lacks = np.asarray(np.isnan(known_of_horizons(wanted, following, given, given_of)).any(axis=2))
    missing = np.where(lacks.any(axis=1) & ~apart, spec.horizon - np.argmax(lacks, axis=1), 0)
    earlier = np.where(following == NO_TIME, NO_TIME, following - missing * spec.step_s)
    covered = ~np.isnan(known_of_horizons(wanted, earlier, given, given_of)).any(axis=(1, 2))
    stored = np.where(wanted.rows >= 0, block.default[wanted.rows], NO_TIME)
    usable = apart | (covered & (earlier > np.maximum(stored, wanted.start)))
    # Where nothing covers a horizon, that of the last target says what is missing.
    return np.where(usable, earlier, np.where(stored == NO_TIME, following, stored))


def limits_of(wanted: WantedSpec, origins: Integers) -> dict[int, str]:
    """Why a forecast does not start after the last target although no origin was asked for, by place."""
    if wanted.request.origin is not None or wanted.request.cutoff is not None:
        return {}
    spec, apart = wanted.served.spec, wanted.served.block.apart[wanted.rows]
    limited = ~wanted.has_own & ~apart & (origins < wanted.following)
    texts: dict[tuple[int, int], str] = {}
    found = {}
    for i in np.flatnonzero(limited).tolist():
        key = (int(origins[i]), int(wanted.following[i]))
        if key not in texts:
            texts[key] = (
                f"known covariates end at {iso_time(key[0] + (spec.horizon - 1) * spec.step_s)}; "
                f"with their values under 'known' of the request the forecast starts at {iso_time(key[1])}"
            )
        found[i] = texts[key]
    return found
