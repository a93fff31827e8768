"""Join what was forecast with what came: what monitoring and the judgement of candidates measure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from forecasting.observed_history import NOT_OBSERVED, ObservedSpan, lay_over
from forecasting.schema import Series
from forecasting.store.forecasts import StoredForecastRecord
from forecasting.store.history import HistoryQuery, read_history
from forecasting.store.opening import Store
from forecasting.store.packing import GridSpec

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class JoinedActualsRecord:
    """R steps of forecasts of one set of quantile levels that have an actual, in the order of the forecasts.

    levels: Q of them. forecast_at `[R]`: place of the forecast in what was joined. step `[R]`: its step, from 0. time
    `[R]`: epoch seconds. actual `[R]`: what came. quantiles `[R,Q]`, mean `[R]`: what was forecast, the mean NaN where the
    model has none. All in the target's unit.
    """

    levels: tuple[float, ...]
    forecast_at: Integers
    step: Integers
    time: Integers
    actual: Floats
    quantiles: Floats
    mean: Floats

    def __len__(self) -> int:
        return len(self.time)

    def level(self, level: float) -> Floats:
        """Forecasts of one level `[R]`.

        Raises:
            ValueError: The forecasts do not have it.
        """
        return self.quantiles[:, self.levels.index(level)]


def join_actuals(
    store: Store,
    forecasts: Sequence[StoredForecastRecord],
    target: str,
    *,
    tables: Mapping[str, Series] | None = None,
    cutoff: int = 0,
    known_by: int | None = None,
) -> list[JoinedActualsRecord]:
    """The steps of some forecasts of one model that have an actual by now, a record for each set of levels.

    An actual is the target as it is known best: of the table of a version, with what was observed laid over it as
    `forecasting.observed_history` says. A forecast without an answer has no rows.

    Args:
        store: Where the observations are.
        forecasts: Read from it; all of one model.
        target: Column that was forecast.
        tables: Series of a version by id, for actuals that came through the pipeline; their first column is the target.
        cutoff: Of that version.
        known_by: What became known later does not exist; none: all that is known.

    Raises:
        RetryableError: The store cannot be used now.
    """
    groups: dict[tuple[GridSpec, tuple[float, ...], int], list[int]] = {}
    for place, one in enumerate(forecasts):
        if one.quantiles is not None:
            groups.setdefault((GridSpec.of(one.step_s, one.origin), one.levels, one.n_steps), []).append(place)
    found: dict[tuple[float, ...], list[JoinedActualsRecord]] = {}
    for (grid, levels, n_steps), places in groups.items():
        mine = [forecasts[place] for place in places]
        ids = tuple(dict.fromkeys(one.series for one in mine))
        start = min(one.origin for one in mine)
        end = max(one.origin for one in mine) + n_steps * grid.step_s
        query = HistoryQuery(
            model=mine[0].model, series=ids, names=(target,), grid=grid, start=start,
            n_steps=(end - start) // grid.step_s, known_by=known_by,
        )  # fmt: skip
        actuals = actual_values(read_history(store, query), ids, tables or {}, cutoff=cutoff)
        found.setdefault(levels, []).append(_joined(mine, np.array(places), ids, actuals, start))
    return [_together(levels, parts) for levels, parts in found.items()]


def actual_values(observed: ObservedSpan, ids: Sequence[str], tables: Mapping[str, Series], *, cutoff: int) -> Floats:
    """The target of N series over the T steps of `observed` `[N,T,1]`, NaN where it is not known; pure.

    Args:
        observed: `[N,T,1]`, in the order of `ids`.
        ids: N of them.
        tables: Series of a version by id; those off the grid of `observed` are left alone.
        cutoff: Of that version: what its table has from there on is no actual.
    """
    table = table_values(observed, ids, tables, cutoff=cutoff)
    return lay_over(table[:, :, None], observed, cutoff=cutoff if tables else NOT_OBSERVED)


def table_values(observed: ObservedSpan, ids: Sequence[str], tables: Mapping[str, Series], *, cutoff: int) -> Floats:
    """What the table of a version alone has for the steps of `observed` `[N,T]`; arguments as of `actual_values`."""
    n_steps, step_s = observed.numbers.shape[1], observed.step_s
    table = np.full((len(ids), n_steps), np.nan)
    for row, series in enumerate(tables.get(one) for one in ids):
        if series is None or (series.start - observed.start) % step_s:
            continue
        end = min(observed.end, series.start + series.n_steps * step_s, cutoff + (series.start - cutoff) % step_s)
        first = max(observed.start, series.start)
        if first < end:
            into = slice((first - observed.start) // step_s, (end - observed.start) // step_s)
            table[row, into] = series.values[(first - series.start) // step_s : (end - series.start) // step_s, 0]
    return table


def _joined(
    forecasts: Sequence[StoredForecastRecord], places: Integers, ids: Sequence[str], actuals: Floats, start: int
) -> JoinedActualsRecord:
    """Of forecasts of one grid, levels and length."""
    first = forecasts[0]
    row_of = {one: row for row, one in enumerate(ids)}
    rows = np.array([row_of[one.series] for one in forecasts])
    begins = np.array([(one.origin - start) // first.step_s for one in forecasts])
    steps = np.arange(first.n_steps)
    came = actuals[rows[:, None], begins[:, None] + steps, 0]
    quantiles = np.stack([one.quantiles for one in forecasts if one.quantiles is not None]).astype(np.float64)
    nothing = np.full(first.n_steps, np.nan)
    means = np.stack([nothing if one.mean is None else one.mean for one in forecasts]).astype(np.float64)
    forecast, step = np.nonzero(np.isfinite(came))
    return JoinedActualsRecord(
        levels=first.levels,
        forecast_at=places[forecast],
        step=step,
        time=start + first.step_s * (begins[forecast] + step),
        actual=came[forecast, step],
        quantiles=quantiles[forecast, step],
        mean=means[forecast, step],
    )


def _together(levels: tuple[float, ...], parts: Sequence[JoinedActualsRecord]) -> JoinedActualsRecord:
    names = ("forecast_at", "step", "time", "actual", "quantiles", "mean")
    columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    order = np.lexsort((columns["step"], columns["forecast_at"]))
    return JoinedActualsRecord(levels, **{name: column[order] for name, column in columns.items()})
