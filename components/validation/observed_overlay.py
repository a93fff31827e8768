"""Values that were posted to the gateway, laid over the table on its grid: a run sees what the service was told.

They are kept by step of `data.frequency`, so they are laid on after resampling. A step is what the gateway calls it: an observed
column with `data.availability_lag` has at each step the value that was published by then.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from components.validation.grid import GridSeries
from components.validation.storing import GriddedTable
from forecasting.config.retraining import ObservationsSettings
from forecasting.config.table import DataConfig
from forecasting.contracts.layout import HomeLayout
from forecasting.durations import duration_s
from forecasting.store.address import store_address
from forecasting.store.history import last_observed, read_cells
from forecasting.store.observations import KEYS_AT_ONCE, observed_series
from forecasting.store.opening import Store, open_store
from forecasting.store.packing import GridSpec

logger = logging.getLogger(__name__)

Floats = npt.NDArray[np.float64]


def known_by_of(settings: ObservationsSettings | None, data: DataConfig, cutoff: int | None) -> int | None:
    """Until when something must have become known for a run of a cutoff to see it; none: a run without a cutoff sees all.

    A run that is due at T has T less the lag, down to a whole step, as its cutoff: it is begun less than a step after cutoff
    and lag, and with what it can know then, so can whoever does it again.
    """
    if settings is None or cutoff is None:
        return None
    lag_s = duration_s(settings.data_lag) if settings.data_lag else 0
    return cutoff + lag_s + duration_s(data.frequency) - 1


@contextmanager
def observed_overlay(
    settings: ObservationsSettings | None, model: str, home: HomeLayout, *, known_by: int | None
) -> Iterator["ObservedOverlay | None"]:
    """The observations of a model; none where they are not asked for, or where there is no store yet.

    Args:
        settings: Which store; none: they are not asked for.
        model: Name of the model.
        home: Where the store is that no address names.
        known_by: What became known later does not exist; none: all that is known.

    Raises:
        ConfigError: `store.url` is wrong.
        RetryableError: The store cannot be used now.
    """
    address = None if settings is None else store_address(settings.url, home.serving_database)
    if settings is None or address is None or (address.file is not None and not address.file.is_file()):
        yield None
        return
    with open_store(address) as store:
        yield ObservedOverlay(store, model, settings, known_by=known_by)


class ObservedOverlay:
    """What was observed of the series of a table."""

    def __init__(self, store: Store, model: str, settings: ObservationsSettings, *, known_by: int | None) -> None:
        """Nothing was read yet."""
        self._store, self._model, self._settings, self._known_by = store, model, settings, known_by
        self.n_values = 0

    def last_target(self, target: str, *, cutoff: int | None) -> int | None:
        """The last step before the cutoff with an observed target; none where there is none."""
        before = np.iinfo(np.int64).max if cutoff is None else cutoff
        return last_observed(self._store, self._model, target, before=before, known_by=self._known_by)

    def lay_over(self, table: GriddedTable, data: DataConfig, *, phase_s: int) -> GriddedTable:
        """Some series with what was observed of them; each reaches to its last observed step.

        What was observed before the first row of a series is left alone, and so are series that the table does not have.

        Args:
            table: On the grid.
            data: Roles of its columns.
            phase_s: Of the grid, in steps of `data.frequency`.
        """
        step_s = duration_s(data.frequency)
        grid = GridSpec(step_s, phase_s % step_s)
        starts = [one.start for one in table.grid.series if len(one.values)]
        if not starts:
            return table
        found = list(table.grid.series)
        delays = [_delay(data, name, step_s) * step_s for name in table.columns]
        for first in range(0, len(found), KEYS_AT_ONCE):
            ids = table.names[first : first + KEYS_AT_ONCE]
            cells = read_cells(
                self._store, self._model, table.columns, grid, since=min(starts), series=ids, known_by=self._known_by
            )
            place = {name: first + number for number, name in enumerate(ids)}
            owners = np.array([place[name] for name in cells.series], dtype=np.int64)[cells.series_at]
            # The table's own rows are moved to the step of their publication later, and these with them.
            times = cells.time - np.array(delays, dtype=np.int64)[cells.name_at]
            order = np.argsort(owners, kind="stable")
            bounds = np.searchsorted(owners[order], np.unique(owners))
            for part in np.split(order, bounds[1:]) if len(order) else ():
                owner = int(owners[part[0]])
                found[owner] = self._laid(found[owner], times[part], cells.name_at[part], cells.number[part], step_s)
        return replace(table, grid=replace(table.grid, series=tuple(found)))

    def log_left_out(self, ids: tuple[str, ...], data: DataConfig) -> None:
        """One line on the series that were observed and are not among those of the table, where there are any."""
        columns = (data.target, *data.observed, *data.known)
        observed = observed_series(self._store, self._model, columns, duration_s(data.frequency))
        if left_out := sorted(set(observed) - set(ids)):
            logger.warning(
                "%d series that were observed are not in the table and are left out, such as %r; "
                "a series is trained on once the table has a row of it",
                len(left_out),
                left_out[0],
            )

    def _laid(
        self,
        series: GridSeries,
        times: npt.NDArray[np.int64],
        columns: npt.NDArray[np.int64],
        numbers: Floats,
        step_s: int,
    ) -> GridSeries:
        rows = (times - series.start) // step_s
        # NaN withdraws what was observed, and is no word on the table: as in forecasting/observed_history.py.
        kept = (rows >= 0) & ~np.isnan(numbers) & bool(len(series.values))
        rows, columns, numbers = rows[kept], columns[kept], numbers[kept]
        if not len(rows):
            return series
        n_steps = max(len(series.values), int(rows.max()) + 1)
        values = np.full((n_steps, series.values.shape[1]), np.nan)
        values[: len(series.values)] = series.values
        stands = np.full(len(rows), True)
        if self._settings.rule == "fill":
            stands = np.isnan(values[rows, columns])
        values[rows[stands], columns[stands]] = numbers[stands]
        self.n_values += int(stands.sum())
        return GridSeries(series.start, values)


def _delay(data: DataConfig, name: str, step_s: int) -> int:
    """Steps by which a column is published later."""
    lag = data.availability_lag.get(name)
    return 0 if lag is None else -(-duration_s(lag) // step_s)
