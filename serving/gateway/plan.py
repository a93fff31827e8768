"""From which origin each series of a request is forecast, and what is known of its horizon; N series at once.

Arrays carry what nearly all series have in common; only a series that is refused, in quarantine or given covariates by
name costs Python steps of its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from forecasting.features.spec import FeatureSpec
from forecasting.schema import Series
from serving.gateway.answers import AnswerError, iso_time
from serving.gateway.fallback import FallbackCause
from serving.gateway.forecast_request import ForecastRequest
from serving.gateway.given import GivenRows, check_columns, check_times, joined, static_codes
from serving.gateway.known import check_known, known_ahead
from serving.gateway.observed import ObservedRows
from serving.gateway.origins import origin_error
from serving.gateway.series_block import NO_TIME
from serving.gateway.served_model import ServedModel

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class DegradedSpec:
    """Why the fallback answers: the cause that is counted, and the reason in words."""

    cause: FallbackCause
    reason: str


@dataclass(frozen=True)
class SkippedRecord:
    """A series that cannot be forecast, and why."""

    series: str
    reason: str


@dataclass(frozen=True)
class PlanSpec:
    """What a request comes to, for N series.

    ids: of the series. rows `[N]`: place in the block of the version, -1 for a series that the request brings.
    start, origins `[N]`: a time on the grid, and the first step of the forecast, UTC epoch seconds.
    ahead: known covariates `[N,H,K]`. static `[N,S]`: static inputs. given: rows of the request; given_of `[R]`: to
    which of the N each belongs, ascending. limited_by: why a forecast does not start after the last target although
    no origin was asked for; degraded: why the fallback answers; both by place. skipped: series without a forecast.
    """

    served: ServedModel
    ids: tuple[str, ...]
    rows: Integers
    start: Integers
    origins: Integers
    ahead: npt.NDArray[np.float32]
    static: npt.NDArray[np.float32]
    given: GivenRows | None = None
    given_of: Integers = field(default_factory=lambda: np.empty(0, np.int64))
    limited_by: Mapping[int, str] = field(default_factory=dict)
    degraded: Mapping[int, DegradedSpec] = field(default_factory=dict)
    skipped: tuple[SkippedRecord, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, places: Integers) -> "PlanSpec":
        """The plan of some of its series, in ascending order of place."""
        new = np.full(len(self), -1)
        new[places] = np.arange(len(places))
        given, given_of = self.given, self.given_of
        if given is not None:
            is_kept = new[given_of] >= 0
            given, given_of = given.pick(is_kept), new[given_of[is_kept]]
        return replace(
            self,
            ids=tuple(self.ids[i] for i in places),
            rows=self.rows[places],
            start=self.start[places],
            origins=self.origins[places],
            ahead=self.ahead[places],
            static=self.static[places],
            given=given,
            given_of=given_of,
            limited_by={int(new[i]): text for i, text in self.limited_by.items() if new[i] >= 0},
            degraded={int(new[i]): why for i, why in self.degraded.items() if new[i] >= 0},
        )

    def past(self, place: int, *, n_steps: int) -> Series:
        """One series with what the request gives of it: at most so many steps, up to its last target before the origin."""
        spec, row = self.served.spec, int(self.rows[place])
        if row >= 0:
            found = self.served.series[self.ids[place]]
        else:
            found = Series(self.ids[place], int(self.start[place]), np.empty((0, len(spec.value_columns))))
        rows = slice(*np.searchsorted(self.given_of, (place, place + 1)))
        if self.given is None or rows.start == rows.stop:
            return found
        return past_with_rows(found, self.given, rows, spec, before=int(self.origins[place]), n_steps=n_steps)


def plan_forecasts(served: ServedModel, request: ForecastRequest, observed: ObservedRows | None = None) -> PlanSpec:
    """Where each series asked for is forecast: at the origin asked for, else the latest that has all it needs.

    A series in quarantine is left to the fallback where the request allows it. Where all series are asked for,
    those that cannot be forecast are skipped; one that is named, under `series`, `history` or `known`, refuses the request.
    What was observed since the version was made goes before what is stored with it, and the request before both.

    Raises:
        AnswerError: 404 for an unknown series; 400 where a named series or all cannot be forecast, or
            `history` or `known` does not fit the model.
    """
    given = None if request.given is None else request.given.at_step(served.spec.step_s)
    if given is not None:
        check_columns(given, served.spec)
    ids, rows = _wanted(served, request, given, observed)
    _check_known(served, request, ids)
    laid = _laid(served, ids, rows, given, None if observed is None else observed.take(ids))
    start, static, rows_given, given_of = laid.start, laid.static, laid.rows, laid.of
    has_own = laid.has_own
    if request.known:
        has_own = has_own | np.array([one in request.known for one in ids])
    following = _following(served, rows, rows_given, given_of)
    wanted = _WantedSpec(served, request, ids, rows, start, has_own, laid.has_seen, following, following)
    if request.origin is None and request.cutoff is None and laid.has_seen.any():
        wanted = replace(wanted, reached=_reached(wanted, rows_given, given_of))
    origins, refused = _origins(wanted)
    refused |= laid.refused
    ahead = _ahead(wanted, origins, rows_given, given_of)
    plan = PlanSpec(served, ids, rows, start, origins, ahead, static, rows_given, given_of)
    _give_known(plan, request, refused)
    degraded = _quarantined(wanted, refused)
    _refuse_uncovered(plan, refused, degraded)
    named = set(ids) if request.series is not None or given is not None else set(request.known)
    return _without_refused(replace(plan, limited_by=_limits(wanted, origins), degraded=degraded), refused, named)


def degrade(plan: PlanSpec, why: Mapping[int, DegradedSpec]) -> PlanSpec:
    """The plan with some of its series left to the fallback."""
    return replace(plan, degraded={**why, **plan.degraded})


@dataclass(frozen=True)
class _WantedSpec:
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


def _wanted(
    served: ServedModel, request: ForecastRequest, given: GivenRows | None, observed: ObservedRows | None
) -> tuple[tuple[str, ...], Integers]:
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


def _check_known(served: ServedModel, request: ForecastRequest, ids: Sequence[str]) -> None:
    asked = set(ids) if request.known else set()
    for series_id, columns in request.known.items():
        if series_id not in asked and series_id not in served.series:
            raise AnswerError(404, f"there is no series {series_id!r}; the model knows {len(served.series)} series", series=series_id)  # fmt: skip
        if series_id not in asked:
            raise AnswerError(400, f"'known' names series {series_id!r}, which 'series' does not ask for", series=series_id)  # fmt: skip
        check_known(series_id, columns, served.spec)


@dataclass(frozen=True)
class _LaidRows:
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


def _laid(
    served: ServedModel, ids: Sequence[str], rows: Integers, given: GivenRows | None, seen: GivenRows | None
) -> _LaidRows:
    block, spec = served.block, served.spec
    start, static = block.start[rows], block.static[rows]
    parts = [part for part in (seen, given) if part is not None]
    has_own, has_seen = (np.zeros(len(ids), dtype=np.bool_) for _ in range(2))
    if not parts:
        return _LaidRows(start, static, None, np.empty(0, np.int64), has_own, has_seen)
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
    return _LaidRows(start, static, together, of, has_own, has_seen, refused)


def _reached(wanted: _WantedSpec, given: GivenRows | None, given_of: Integers) -> Integers:
    """The latest origin whose horizon the known covariates cover: after the last target, or as far before it as they end early."""
    block, spec, following = wanted.served.block, wanted.served.spec, wanted.following
    apart = block.apart[wanted.rows] & (wanted.rows >= 0)
    lacks = np.asarray(np.isnan(_ahead(wanted, following, given, given_of)).any(axis=2))
    missing = np.where(lacks.any(axis=1) & ~apart, spec.horizon - np.argmax(lacks, axis=1), 0)
    earlier = np.where(following == NO_TIME, NO_TIME, following - missing * spec.step_s)
    covered = ~np.isnan(_ahead(wanted, earlier, given, given_of)).any(axis=(1, 2))
    stored = np.where(wanted.rows >= 0, block.default[wanted.rows], NO_TIME)
    usable = apart | (covered & (earlier > np.maximum(stored, wanted.start)))
    # Where nothing covers a horizon, that of the last target says what is missing.
    return np.where(usable, earlier, np.where(stored == NO_TIME, following, stored))


def _following(served: ServedModel, rows: Integers, given: GivenRows | None, given_of: Integers) -> Integers:
    found = np.where(rows >= 0, served.block.following[rows], NO_TIME)
    target = given.columns.get(served.spec.target) if given is not None else None
    if given is not None and target is not None:
        has_target = np.isfinite(target)
        np.maximum.at(found, given_of[has_target], given.time[has_target] + served.spec.step_s)
    return found


def _origins(wanted: _WantedSpec) -> tuple[Integers, dict[int, AnswerError]]:
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


def _ahead(
    wanted: _WantedSpec, origins: Integers, given: GivenRows | None, given_of: Integers
) -> npt.NDArray[np.float32]:
    """Known covariates of every horizon as the store and the given rows have them, NaN where missing `[N,H,K]`."""
    block, spec, rows = wanted.served.block, wanted.served.spec, wanted.rows
    ahead = np.full((len(rows), spec.horizon, len(spec.known)), np.nan, dtype=np.float32)
    if not spec.known:
        return ahead
    n_before = len(spec.value_columns) - len(spec.known)
    step = ((origins - wanted.start) // spec.step_s)[:, None] + np.arange(spec.horizon)
    inside = (rows >= 0)[:, None] & (step >= 0) & (step < block.n_steps[rows][:, None])
    ahead[inside] = block.values[(block.offset[rows][:, None] + step)[inside], n_before:]
    _issue(wanted, origins, ahead)
    if given is not None:
        place = (given.time - origins[given_of]) // spec.step_s
        in_horizon = (place >= 0) & (place < spec.horizon)
        for k, name in enumerate(spec.known):
            if (column := given.columns.get(name)) is not None:
                taken = in_horizon & np.isfinite(column)
                ahead[given_of[taken], place[taken], k] = column[taken]
    return ahead


def _issue(wanted: _WantedSpec, origins: Integers, ahead: npt.NDArray[np.float32]) -> None:
    """Put what was issued up to each origin in the place of what stood later; what series share is looked up once."""
    block, spec = wanted.served.block, wanted.served.spec
    seen: dict[tuple[int, int], npt.NDArray[np.float64]] = {}
    for i, row in enumerate(wanted.rows.tolist() if block.vintages else ()):
        if row < 0 or (vintages := block.vintages.get(row)) is None:
            continue
        key = (id(vintages), int(origins[i]))
        if key not in seen:
            seen[key] = vintages.known_at(origins[i : i + 1], spec.horizon, spec.step_s)[0]
        for j, name in enumerate(vintages.columns):
            if name in spec.known:
                ahead[i, :, spec.known.index(name)] = seen[key][:, j]


def _give_known(plan: PlanSpec, request: ForecastRequest, refused: dict[int, AnswerError]) -> None:
    """Lay what `known` has over the horizons."""
    if not request.known:
        return
    spec, place = plan.served.spec, {one: i for i, one in enumerate(plan.ids)}
    for series_id, columns in request.known.items():
        i = place[series_id]
        if i in refused:
            continue
        for name, values in known_ahead(columns, series_id, spec, int(plan.origins[i])).items():
            is_given = np.isfinite(values)
            plan.ahead[i, is_given, spec.known.index(name)] = values[is_given]


def _quarantined(wanted: _WantedSpec, refused: dict[int, AnswerError]) -> dict[int, DegradedSpec]:
    block, found = wanted.served.block, {}
    for i in np.flatnonzero(block.apart[wanted.rows] & (wanted.rows >= 0)) if block.apart.any() else ():
        series_id = wanted.ids[i]
        reason = wanted.served.quarantine[series_id]
        if not wanted.request.fallback:
            text = f"series {series_id!r} is in quarantine and the fallback is refused: {reason}"
            refused[int(i)] = AnswerError(400, text, series=series_id)
        found[int(i)] = DegradedSpec(FallbackCause.QUARANTINE, f"the series is in quarantine: {reason}")
    return found


def _refuse_uncovered(plan: PlanSpec, refused: dict[int, AnswerError], degraded: Mapping[int, DegradedSpec]) -> None:
    """Refuse horizons of which a known covariate is missing."""
    spec = plan.served.spec
    missing = ~np.isfinite(plan.ahead)
    for i in np.flatnonzero(missing.any(axis=(1, 2))) if missing.any() else ():
        if int(i) in refused or int(i) in degraded:
            continue
        k = int(np.argmax(missing[i].any(axis=0)))
        origin, place = int(plan.origins[i]), int(np.argmax(missing[i, :, k]))
        time, series_id = iso_time(origin + spec.step_s * place), plan.ids[i]
        text = (
            f"series {series_id!r}: the known covariate {spec.known[k]!r} is missing at {time}, in the horizon of "
            f"{iso_time(origin)}; it can be given under 'known'"
        )
        refused[int(i)] = AnswerError(400, text, series=series_id, column=spec.known[k], place=time)


def _limits(wanted: _WantedSpec, origins: Integers) -> dict[int, str]:
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


def _without_refused(plan: PlanSpec, refused: Mapping[int, AnswerError], named: set[str]) -> PlanSpec:
    for place in sorted(refused):
        if plan.ids[place] in named:
            raise refused[place]
    if not refused and len(plan):
        return plan
    skipped = tuple(SkippedRecord(plan.ids[place], str(refused[place])) for place in sorted(refused))
    if len(skipped) == len(plan):
        reason = f"; {skipped[0].reason}" if skipped else ""
        raise AnswerError(400, f"none of the {len(skipped)} series can be forecast{reason}")
    kept = np.setdiff1d(np.arange(len(plan)), np.fromiter(refused, dtype=np.int64), assume_unique=True)
    return replace(plan.take(kept), skipped=skipped)


def past_with_rows(
    series: Series, given: GivenRows, rows: slice, spec: FeatureSpec, *, before: int, n_steps: int
) -> Series:
    """The past of a series with given rows in the place of its own.

    Rows may lie decades apart: only what is read is laid out.

    Args:
        series: As it is stored.
        given: Rows on its grid.
        rows: Which of them are its own.
        spec: Names of the columns, and the step.
        before: The origin, UTC epoch seconds.
        n_steps: Most steps that are read, up to the last target before the origin.
    """
    steps = (given.time[rows] - series.start) // spec.step_s
    end = (before - series.start) // spec.step_s
    columns = {name: given.columns[name][rows] for name in spec.value_columns if name in given.columns}
    stored = np.flatnonzero(np.isfinite(series.values[: max(0, end), 0]))
    brought = steps[np.isfinite(columns.get(spec.target, np.full(len(steps), np.nan))) & (steps < end)]
    if not len(stored) and not len(brought):
        return replace(series, values=series.values[:0], vintages=None)
    last = int(np.concatenate([stored[-1:], brought]).max())
    first = max(min(0, int(steps.min())), last + 1 - n_steps)
    values = np.full((last + 1 - first, len(spec.value_columns)), np.nan)
    low, high = max(0, first), min(series.n_steps, last + 1)
    if low < high:
        values[low - first : high - first] = series.values[low:high]
    for j, name in enumerate(spec.value_columns):
        if name in columns:
            taken = np.isfinite(columns[name]) & (steps >= first) & (steps <= last)
            values[steps[taken] - first, j] = columns[name][taken]
    return replace(series, start=series.start + first * spec.step_s, values=values, vintages=None)


def with_rows(series: Series, given: GivenRows, rows: Integers, spec: FeatureSpec) -> Series:
    """A series with given rows in the place of its own."""
    steps = (given.time[rows] - series.start) // spec.step_s
    first, end = min(0, int(steps.min())), max(series.n_steps, int(steps.max()) + 1)
    values = np.full((end - first, len(spec.value_columns)), np.nan)
    values[-first : series.n_steps - first] = series.values
    for j, name in enumerate(spec.value_columns):
        if name in given.columns:
            column = given.columns[name][rows]
            is_given = np.isfinite(column)
            values[steps[is_given] - first, j] = column[is_given]
    return replace(series, start=series.start + first * spec.step_s, values=values, vintages=None)
