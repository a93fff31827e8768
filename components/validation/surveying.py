"""Every part of a table sorted and laid on the grid, and what is to be known of all parts before any is judged.

The step of the source is that of all rows. As it is nearly always that of the first part, parts are laid on this grid
while all distances are counted; in the rare other case they are done again.
"""

import logging
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from components.validation.grid import GridReport, GridSeries, RowTable, StepCounts, StepReport, infer_step, locate_step
from components.validation.observed_overlay import ObservedOverlay
from components.validation.parts import TableParts
from components.validation.reading import ParsedTable, sort_rows
from components.validation.report import BrokenRuleRecord
from components.validation.series_profile import RowProfileReport, profile_rows
from components.validation.storing import GriddedTable, SpansReport, lay_on_grid, source_frequency
from components.validation.value_rules import broken_in_series
from forecasting.config.root import ValidateDataSettings
from forecasting.durations import duration_s
from forecasting.errors import DataError

logger = logging.getLogger(__name__)


_NOTHING = np.zeros(0, dtype=np.int64)
_NO_ROWS = RowTable(_NOTHING, _NOTHING, np.zeros((0, 0)), _NOTHING)


class GridShelf:
    """Parts of a table on the grid: one in memory, several in scratch files."""

    def __init__(self, folder: Path, n_parts: int) -> None:
        """A shelf for some parts."""
        self._folder, self._n_parts = folder, n_parts
        self._tables: dict[int, GriddedTable] = {}

    def __len__(self) -> int:
        return self._n_parts

    def put(self, part: int, table: GriddedTable) -> None:
        """Keep a part, in place of what was kept of it before."""
        if self._n_parts > 1:
            values = [one.values for one in table.grid.series]
            np.save(self._path(part, "values"), np.concatenate(values))
            np.save(self._path(part, "starts"), [one.start for one in table.grid.series])
            np.save(self._path(part, "ends"), np.cumsum([len(one) for one in values]))
            ahead = table.ahead
            for name, column in (("series", ahead.series), ("times", ahead.times), ("known", ahead.values)):
                np.save(self._path(part, name), column)
            table = replace(table, grid=GridReport((), table.grid.n_partial_buckets), ahead=_NO_ROWS)
        self._tables[part] = table

    def get(self, part: int) -> GriddedTable:
        """A part that was kept."""
        table = self._tables[part]
        if self._n_parts == 1:
            return table
        values, starts, ends = (np.load(self._path(part, name)) for name in ("values", "starts", "ends"))
        pieces = np.split(values, ends[:-1])
        series = tuple(GridSeries(start, piece) for start, piece in zip(starts.tolist(), pieces, strict=True))
        owners, times, known = (np.load(self._path(part, name)) for name in ("series", "times", "known"))
        ahead = RowTable(owners, times, known, np.arange(len(times)))
        return replace(table, grid=GridReport(series, table.grid.n_partial_buckets), ahead=ahead)

    def _path(self, part: int, name: str) -> Path:
        return self._folder / f"grid-{part:04d}-{name}.npy"


@dataclass(frozen=True)
class SurveyReport:
    """What sorting all parts found.

    step: of the source, without the rows of any part. spans, rows: of all series, in order of id. first_time: of all rows up to
    the last target; n_rows: how many they are. n_equal, n_differing: rows that repeat series and time of another.
    broken: series that break a rule on values which is judged within each, by the name of its check.
    """

    step: StepReport
    spans: SpansReport
    rows: tuple[RowProfileReport, ...]
    n_rows: int
    n_equal: int
    n_differing: int
    first_time: int
    broken: dict[str, list[BrokenRuleRecord]]


def survey(
    parts: TableParts, shelf: GridShelf, *, settings: ValidateDataSettings, cutoff: int | None, created: float | None,
    overlay: ObservedOverlay | None = None,
) -> SurveyReport:  # fmt: skip
    """Sort every part, lay it on the grid and put it on a shelf.

    Args:
        parts: Of the table.
        shelf: Gets every part.
        settings: With roles of the columns that the parts have.
        cutoff: That was asked for, UTC epoch seconds.
        created: When the run was begun, epoch seconds.
        overlay: What was observed of the series beside the table; none: nothing.

    Raises:
        DataError: No series has two time stamps, the table is coarser than `data.frequency`, or a series has two
            categories of a static column.
    """
    surveyor = _Surveyor(shelf, settings, cutoff, created, guess=None, overlay=overlay)
    while True:
        for number, table in enumerate(parts):
            surveyor.add(number, table)
            if len(parts) > 1:
                logger.info("part %d of %d sorted", number + 1, len(parts))
        found = surveyor.step
        if found is None:
            name, n_rows = parts.found.source.name, surveyor.n_rows
            raise DataError(
                f"{name} must have a series with at least two time stamps; its {n_rows:,} rows have one a "
                "series; if a series has several columns as its name, set data.id_columns to all of them"
            )
        if found == surveyor.guess:
            source_frequency(
                StepReport(*found, np.zeros(0, dtype=np.int64), None, None), settings.data, parts.found.source.name
            )
            return surveyor.report()
        logger.info("the step is %d s and its phase %d s, other than in the first part", *found)
        surveyor = _Surveyor(shelf, settings, cutoff, created, guess=found, overlay=overlay)


class _Surveyor:
    """One go over all parts, with a guess of step and phase of the source."""

    def __init__(
        self, shelf: GridShelf, settings: ValidateDataSettings, cutoff: int | None, created: float | None, *,
        guess: tuple[int, int] | None, overlay: ObservedOverlay | None,
    ) -> None:  # fmt: skip
        self._overlay = overlay
        self._shelf, self._settings, self._cutoff, self._created = shelf, settings, cutoff, created
        self.guess = guess
        self._counts = StepCounts()
        self._spans: list[SpansReport] = []
        self._rows: list[RowProfileReport] = []
        self._broken: dict[str, list[BrokenRuleRecord]] = {}
        self._first_time = np.iinfo(np.int64).max
        self.n_rows = self._n_equal = self._n_differing = 0

    @property
    def step(self) -> tuple[int, int] | None:
        """Step and phase of the source; the phase is right where the step is the guess."""
        step_s = self._counts.step_s
        return None if step_s is None else (step_s, self._counts.phase_s)

    def add(self, number: int, table: ParsedTable) -> None:
        """Sort a part and lay it on the grid that is guessed."""
        sorting = sort_rows(table, self._settings.validation.duplicates)
        rows = sorting.rows
        step = self._located(rows)
        self._counts.add(rows, step.step_s)
        self.n_rows += table.n_rows
        self._n_equal += len(sorting.equal)
        self._n_differing += len(sorting.differing)
        self._first_time = min(self._first_time, int(rows.times.min()))
        self._rows += profile_rows(table, sorting, step, self._created)
        for check, found in broken_in_series(table, self._settings).items():
            self._broken.setdefault(check, []).extend(found)
        data = self._settings.data
        if duration_s(data.frequency) % step.step_s == 0:
            gridded = lay_on_grid(table, rows, step=step, data=data, cutoff=self._cutoff)
            if self._overlay is not None:
                phase_s = step.phase_s if duration_s(data.frequency) == step.step_s else 0
                gridded = self._overlay.lay_over(gridded, data, phase_s=phase_s)
            self._spans.append(gridded.spans(duration_s(data.frequency)))
            self._shelf.put(number, gridded)

    def report(self) -> SurveyReport:
        """What was found, with the guess confirmed."""
        step_s, phase_s = self.guess or (0, 0)
        spans = SpansReport(
            np.concatenate([one.starts for one in self._spans]),
            np.concatenate([one.n_steps for one in self._spans]),
            np.concatenate([one.ends for one in self._spans]),
        )
        step = StepReport(step_s, phase_s, np.zeros(0, dtype=np.int64), None, None)
        return SurveyReport(
            step,
            spans,
            tuple(self._rows),
            self.n_rows,
            self._n_equal,
            self._n_differing,
            int(self._first_time),
            self._broken,
        )

    def _located(self, rows: RowTable) -> StepReport:
        if self.guess is None:
            # A first part whose series have one row each tells nothing; any step does until another is known.
            found = infer_step(rows)
            self.guess = (1, 0) if found is None else (found.step_s, found.phase_s)
            if found is not None:
                return found
        return locate_step(rows, *self.guess)
