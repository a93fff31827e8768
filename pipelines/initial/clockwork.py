"""Find columns that follow from the time alone, such as the hour or the month: the calendar features have what they say."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from pipelines.initial.look import ColumnKind, ColumnLook, TableLook
from pipelines.initial.words import target_rank

_MAX_DISTINCT = 2_000
"""Different values of such a column at most: the quarters of an hour of a week are 672."""
_MIN_CYCLES, _MIN_YEARS = 8.0, 1.5
"""How often each part of a cycle must be there on average; years are long, and their parts last."""
_MIN_RUN_DAYS = 14
"""Days that a value lasts at least where a year's days tell it: a holiday of a fixed date is no season."""
_DAY_S, _WEEK_S = 86_400, 604_800

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class _PartSpec:
    """A part of the time `[rows]`, the cycle that it lies in, and how often a value must come again.

    numbers: how calendars number the part; a column that has these numbers needs to come again nowhere.
    """

    name: str
    part: Ints
    cycle: Ints
    min_cycles: float
    is_numbered: bool = True
    min_run_days: int = 0


def columns_of_time(look: TableLook, time: str, seconds: Ints) -> dict[str, str]:
    """Columns that follow from the time, each with the reason.

    A column is one where all rows of the same part of the time have one value, and the table shows the cycle several
    times, or where it holds the very numbers of a calendar. A column with the name of a target is none.

    Args:
        look: The table.
        time: Its time column.
        seconds: Time of each row, epoch seconds of UTC or of the table's own clock `[rows]`.
    """
    wall = _on_its_clock(look.source.table.schema.field(time).type, seconds)
    parts, found = _parts(wall), {}
    for column in look.without((time,)).of_kind(ColumnKind.NUMBER, ColumnKind.FLAG, ColumnKind.TEXT):
        if (
            not 1 < column.n_distinct <= _MAX_DISTINCT
            or (column.codes < 0).any()
            or target_rank(column.name) is not None
        ):
            continue
        said = next((part.name for part in parts if _follows(column, part, wall)), None)
        if said is not None:
            found[column.name] = (
                f"it follows from the time, by the {said}: features.calendar and features.fourier have it"
            )
    return found


def _on_its_clock(kind: pa.DataType, seconds: Ints) -> Ints:
    """Times of a typed column with a zone on the clock of this zone."""
    if not pa.types.is_timestamp(kind) or kind.tz is None:
        return seconds
    local = pd.DatetimeIndex(seconds.astype("datetime64[s]"), tz="UTC").tz_convert(kind.tz).tz_localize(None)
    return local.to_numpy(dtype="datetime64[s]").astype(np.int64)


def _parts(wall: Ints) -> list[_PartSpec]:
    stamps = pd.DatetimeIndex(wall.astype("datetime64[s]"))
    day, week = wall // _DAY_S, (wall // _DAY_S + 3) // 7
    year = stamps.year.to_numpy().astype(np.int64)
    month, in_month = stamps.month.to_numpy().astype(np.int64), stamps.day.to_numpy().astype(np.int64)
    in_year = stamps.dayofyear.to_numpy().astype(np.int64)
    iso = stamps.isocalendar()
    return [
        _PartSpec("hour of the day", wall % _DAY_S // 3_600, day, _MIN_CYCLES),
        _PartSpec("minute of the hour", wall % 3_600 // 60, day, _MIN_CYCLES),
        _PartSpec("time of the day", wall % _DAY_S, day, _MIN_CYCLES, is_numbered=False),
        _PartSpec("day of the week", (wall // _DAY_S + 3) % 7, week, _MIN_CYCLES),
        _PartSpec("time of the week", (wall + 3 * _DAY_S) % _WEEK_S, week, _MIN_CYCLES, is_numbered=False),
        _PartSpec("month", month, year, _MIN_YEARS),
        _PartSpec("quarter", (month - 1) // 3, year, _MIN_YEARS),
        _PartSpec("day of the month", in_month, year * 12 + month, _MIN_CYCLES),
        _PartSpec("week of the year", iso["week"].to_numpy().astype(np.int64), iso["year"].to_numpy().astype(np.int64), np.inf),
        _PartSpec("day of the year", in_year, year, np.inf),
        _PartSpec("season of the year", month * 100 + in_month, year, _MIN_YEARS, is_numbered=False, min_run_days=_MIN_RUN_DAYS),
        _PartSpec("year", year, np.zeros_like(year), np.inf),
    ]  # fmt: skip


def _follows(column: ColumnLook, spec: _PartSpec, wall: Ints) -> bool:
    if spec.is_numbered and any(_is_shifted(column, part) for part in _numberings(spec)):
        return True
    parts, names = pd.factorize(spec.part)
    codes = column.codes if column.numbers is None else pd.factorize(np.round(column.numbers, 6))[0]
    n_seen = len(pd.unique(parts * (int(spec.cycle.max() - spec.cycle.min()) + 1) + spec.cycle - spec.cycle.min()))
    if len(names) < 2 or n_seen < spec.min_cycles * len(names):
        return False
    first = np.empty(len(names), dtype=np.int64)
    first[parts[::-1]] = codes[::-1]
    return bool(np.array_equal(first[parts], codes)) and _lasts(codes, wall, spec.min_run_days)


def _numberings(spec: _PartSpec) -> Iterator[Ints]:
    """The ways in which calendars number a part: weeks begin on any day."""
    yield spec.part
    if spec.name == "day of the week":
        yield from ((spec.part + shift) % 7 for shift in range(1, 7))


def _is_shifted(column: ColumnLook, part: Ints) -> bool:
    """Whether a column is a part, counted from another number perhaps."""
    if column.numbers is None or part.min() == part.max():
        return False
    differences = column.numbers - part
    return bool(np.all(differences == differences[0]))


def _lasts(codes: Ints, wall: Ints, min_run_days: int) -> bool:
    """Whether every value lasts some days; the first and the last may be cut off."""
    order = np.argsort(wall, kind="stable")
    changes = wall[order][1:][np.diff(codes[order]) != 0]
    return bool(np.all(np.diff(changes) >= min_run_days * _DAY_S))
