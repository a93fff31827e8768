"""Guess what the columns of a table mean, each with the reason.

A guess that a person must look at is marked: it says so in the configuration and on the terminal.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from forecasting.errors import ConfigError, DataError
from pipelines.initial.clockwork import columns_of_time
from pipelines.initial.holiday_region import HolidayGuess, guess_region
from pipelines.initial.keys import KeyGuess, guess_key
from pipelines.initial.look import ColumnKind, ColumnLook, TableLook, read_times
from pipelines.initial.wide import WideGuess, guess_wide
from pipelines.initial.words import (
    PLAN_WORDS,
    SURPRISE_WORDS,
    TIME_WORDS,
    has_word,
    names_holiday,
    names_issue,
    names_stock_out,
    target_rank,
)

_TO_VINTAGES = "put a table of covariates with the time of their issue under data.vintages"
_MAX_CATEGORIES = 200
"""Different values of a static column at most: more tell series apart instead of grouping them."""
_MAX_WORDS, _MIN_ROWS_PER_WORD = 20, 10
"""Different words of a categorical covariate at most, and rows that there must be of each on average."""
_MAX_MISSING_WORDS = 0.5
"""Share of rows that may have no word: a column of remarks says when something was, not that nothing was."""
_MIN_FILLED = 0.5
"""Share of rows that a target has, where a column has as many: one that ended long ago is none."""
_MAX_LATER_RATIO = 0.3
"""Share of the rows that may lie after the last target; with more of them the target has ended, and nothing is a plan."""
WIDE_TARGET = "value"
"""Name of the values of a wide table."""


@dataclass(frozen=True)
class ColumnGuess:
    """A column in a role. check: a person should confirm it."""

    name: str
    reason: str
    check: bool = False


@dataclass(frozen=True)
class RolesGuess:
    """Every column of a table in one role.

    categorical: those of known and observed that are words. holidays: the region of which a column has the holidays. wide: the columns that are series, where the table
    has one column a series; the target is then the name of their values.
    """

    time: ColumnGuess
    is_naive: bool
    target: ColumnGuess
    key: KeyGuess
    known: tuple[ColumnGuess, ...] = ()
    observed: tuple[ColumnGuess, ...] = ()
    static: tuple[ColumnGuess, ...] = ()
    unused: tuple[ColumnGuess, ...] = ()
    censored_by: ColumnGuess | None = None
    categorical: tuple[ColumnGuess, ...] = ()
    wide: WideGuess | None = None
    holidays: HolidayGuess | None = None


def guess_roles(look: TableLook, target: str | None = None) -> RolesGuess:
    """Give every column a role.

    Args:
        look: The table.
        target: Column to forecast; none: guess it.

    Raises:
        ConfigError: `target` is no numeric column of the table.
        DataError: There is no time column or no numeric column, or rows cannot be told apart.
    """
    time = guess_time(look)
    seconds, is_naive = read_times(look.source, time.name)
    of_time = _columns_of_time(look, time.name, seconds, target)
    look = look.without(of_time)
    _check_no_vintages(look, time.name)
    chosen = _named_target(look, target) if target else None
    wide = None if target else guess_wide(look, time.name)
    key = guess_key(
        look,
        time.name,
        without=(target,) if target else wide.columns if wide else (),
        target=_likely_target(look, target),
    )
    if wide:
        chosen = ColumnGuess(WIDE_TARGET, "what the values of the series columns are called")
    chosen = chosen or guess_target(look, without=key.columns)
    guess = RolesGuess(time, is_naive, chosen, key, wide=wide, holidays=guess_region(look, seconds))
    taken = {time.name, chosen.name, *key.columns, *(wide.columns if wide else ())}
    present = present_rows(look, guess)
    if not present.any():
        raise DataError(f"{look.name}: the target {chosen.name!r} must have values, and it has none")
    last = int(seconds[present].max())
    for column in look.columns:
        if column.name not in taken:
            guess = _place(guess, column, look, later=seconds > last)
    return replace(guess, unused=(*guess.unused, *(ColumnGuess(*each) for each in of_time.items())))


def present_rows(look: TableLook, roles: RolesGuess) -> npt.NDArray[np.bool_]:
    """Rows with a target, of any series where the table is wide `[rows]`."""
    names = roles.wide.columns if roles.wide else (roles.target.name,)
    filled = [~np.isnan(numbers) for name in names if (numbers := look.column(name).numbers) is not None]
    return np.logical_or.reduce(filled) if filled else np.zeros(look.n_rows, dtype=np.bool_)


def guess_time(look: TableLook) -> ColumnGuess:
    """The column of times: of several the one with a time's name, then the one with most different times.

    Raises:
        DataError: No column holds times.
    """
    times = look.of_kind(ColumnKind.TIME)
    if not times:
        raise DataError(_no_time(look))
    found = [column for column in times if not names_issue(column.name)] or times
    finest = max(column.n_distinct for column in found)
    # A date beside the times has far fewer different values than they have; an index of times about as many.
    fine = [column for column in found if column.n_distinct * 2 > finest]
    best = next((column for column in fine if has_word(column.name, TIME_WORDS)), fine[0])
    others = [column.name for column in found if column is not best]
    reason = f"{best.n_distinct:,} different times"
    if others:
        return ColumnGuess(best.name, f"{reason}, the finest of the columns of times; also: {', '.join(others)}", len(fine) > 1)  # fmt: skip
    return ColumnGuess(best.name, f"{reason}; the only column of times")


def guess_target(look: TableLook, without: tuple[str, ...] = ()) -> ColumnGuess:
    """The column to forecast: by its name, else the only one that varies, else the last of them.

    Raises:
        DataError: No column of numbers varies.
    """
    numbers = [c for c in look.of_kind(ColumnKind.NUMBER, ColumnKind.FLAG) if c.name not in without]
    varying = [c for c in numbers if c.kind is ColumnKind.NUMBER and c.n_distinct > 1 and not is_row_number(c)]
    if not varying:
        raise DataError(_no_number(look, numbers))
    varying = [column for column in varying if column.filled_ratio >= _MIN_FILLED] or varying
    ranked = [(rank, c) for c in varying if (rank := target_rank(c.name)) is not None]
    if ranked:
        best = min(ranked, key=lambda pair: pair[0])[1]
        others = [c.name for _, c in ranked if c is not best]
        reason = "its name is one of what people forecast" + (f"; so is that of {', '.join(others)}" if others else "")
        return ColumnGuess(best.name, reason, bool(others))
    plain = [c for c in varying if not has_word(c.name, PLAN_WORDS | SURPRISE_WORDS)] or varying
    plain = [c for c in plain if not _is_mostly_one(c)] or plain
    if len(plain) == 1:
        return ColumnGuess(plain[0].name, "the only column of numbers that varies and is no plan")
    return ColumnGuess(plain[-1].name, f"the last of {len(plain)} columns of numbers that vary; no name tells", check=True)  # fmt: skip


def _is_mostly_one(column: ColumnLook) -> bool:
    """Whether most rows have one value, as a column of events such as rain."""
    found = column.codes[column.codes >= 0]
    return bool(np.bincount(found).max() > len(found) / 2)


def is_row_number(column: ColumnLook) -> bool:
    """Whether a column counts the rows."""
    if column.numbers is None or len(column.numbers) < 3:
        return False
    return bool(np.all(np.diff(column.numbers) == 1)) and not target_rank(column.name)


def _check_no_vintages(look: TableLook, time: str) -> None:
    """Refuse a table with a row for each issue of a time: what is forecast happens once.

    Raises:
        DataError: A column says by its name when a row was issued, and rows of one time differ in it.
    """
    codes = look.column(time).codes
    for column in look.of_kind(ColumnKind.TIME):
        if column.name == time or not names_issue(column.name):
            continue
        repeats = look.n_rows - len(np.unique(codes))
        if repeats > look.n_rows / 2 - 1 and len(np.unique(np.stack([codes, column.codes]), axis=1).T) == look.n_rows:
            raise DataError(
                f"{look.name} looks like a table of forecasts by vintage: {repeats:,} of {look.n_rows:,} rows repeat a time of {time!r}, "
                f"and {column.name!r} tells them apart; give the table of what is to be forecast, and {_TO_VINTAGES}"
            )


def _columns_of_time(look: TableLook, time: str, seconds: npt.NDArray[np.int64], target: str | None) -> dict[str, str]:
    """Columns that follow from the time; none where no other column varies, as of a table that repeats itself."""
    counts = [column.name for column in look.columns if is_row_number(column)]
    found = columns_of_time(look.without(counts), time, seconds)
    found = {name: reason for name, reason in found.items() if name != target}
    others = look.without((*found, time)).of_kind(ColumnKind.NUMBER)
    return found if any(column.n_distinct > 1 and not is_row_number(column) for column in others) else {}


def _place(guess: RolesGuess, column: ColumnLook, look: TableLook, *, later: np.ndarray) -> RolesGuess:
    """The guess with one more column in its role."""
    name = column.name
    if reason := _useless(guess, column, look):
        return replace(guess, unused=(*guess.unused, ColumnGuess(name, reason)))
    if guess.key.is_constant(column.codes):
        return _place_static(guess, column)
    if column.numbers is None:
        if (n_missing := int(np.count_nonzero(column.codes < 0))) > _MAX_MISSING_WORDS * look.n_rows:
            hint = "; features.holidays gives a flag for the whole day" if names_holiday(name) else ""
            reason = f"text that {n_missing:,} of {look.n_rows:,} rows lack; bring it as numbers, 0 where there is nothing, to use it{hint}"
            return replace(guess, unused=(*guess.unused, ColumnGuess(name, reason)))
        if column.n_distinct > min(_MAX_WORDS, look.n_rows // _MIN_ROWS_PER_WORD):
            reason = f"text that changes over time ({column.n_distinct:,} different); bring it as numbers to use it"
            return replace(guess, unused=(*guess.unused, ColumnGuess(name, reason)))
        words = ColumnGuess(name, f"{column.n_distinct:,} different words: each becomes a column of 0 and 1")
        guess = replace(guess, categorical=(*guess.categorical, words))
    n_later = int(np.count_nonzero(later & (column.codes >= 0)))
    if n_later and np.mean(later) <= _MAX_LATER_RATIO:
        known = ColumnGuess(name, f"known ahead: {n_later:,} values after the last target")
        return replace(guess, known=(*guess.known, known))
    if names_stock_out(name):
        reason = "by its name it marks where the target is not the true demand"
        hides = ColumnGuess(name, f"{reason}; such steps are hidden from training and scores", check=True)
        observed = ColumnGuess(name, "known only once it has happened")
        return replace(guess, observed=(*guess.observed, observed), censored_by=guess.censored_by or hides)
    if not has_word(name, SURPRISE_WORDS):
        if has_word(name, PLAN_WORDS):
            known = ColumnGuess(name, "a plan or calendar by its name; its values for the days ahead must be in the table", True)  # fmt: skip
            return replace(guess, known=(*guess.known, known))
        if column.kind is ColumnKind.FLAG:
            known = ColumnGuess(name, "a flag; move it to observed if it is known only once it has happened", True)
            return replace(guess, known=(*guess.known, known))
    if n_later:
        observed = ColumnGuess(
            name, f"{n_later:,} values after the last target, too many for a plan: the target has ended", True
        )
    else:
        observed = ColumnGuess(name, "no values after the last target")
    return replace(guess, observed=(*guess.observed, observed))


def _place_static(guess: RolesGuess, column: ColumnLook) -> RolesGuess:
    n_series, n = guess.key.n_series, column.n_distinct
    if n >= n_series:
        one = ColumnGuess(column.name, f"as many values as series ({n:,}): another name of the series")
    elif n > _MAX_CATEGORIES:
        one = ColumnGuess(column.name, f"one value a series, but {n:,} different ones; a category has {_MAX_CATEGORIES} at most")  # fmt: skip
    else:
        static = ColumnGuess(column.name, f"one value for each series, {n:,} different")
        return replace(guess, static=(*guess.static, static))
    return replace(guess, unused=(*guess.unused, one))


def _useless(guess: RolesGuess, column: ColumnLook, look: TableLook) -> str | None:
    if column.name in look.problems:
        return f"cannot be read: {look.problems[column.name].removeprefix(f'{look.name}: ')}"
    if column.kind is ColumnKind.EMPTY:
        return "has no values"
    if column.kind is ColumnKind.TIME and names_issue(column.name):
        return f"when a row was issued, by its name: {_TO_VINTAGES}"
    if column.kind is ColumnKind.TIME:
        return f"times, and {guess.time.name} is the time column"
    if column.n_distinct == 1 and not (column.codes < 0).any():
        return "constant"
    if is_row_number(column):
        return "the number of the row"
    return None


def _likely_target(look: TableLook, target: str | None) -> str | None:
    """The target as far as it can be told before the names of the series are known."""
    try:
        return target or guess_target(look).name
    except DataError:
        return None


def _named_target(look: TableLook, name: str) -> ColumnGuess:
    names = [column.name for column in look.columns]
    if name not in names:
        raise ConfigError(f"--target must name a column of {look.name}, found {name!r}; it has {', '.join(names)}")
    if name in look.problems:
        raise DataError(look.problems[name])
    if look.column(name).numbers is None:
        raise ConfigError(f"--target must name a column of numbers; {name!r} holds {look.column(name).kind.value}")
    return ColumnGuess(name, "named by --target")


def _no_time(look: TableLook) -> str:
    named = [column.name for column in look.columns if has_word(column.name, TIME_WORDS)]
    message = f"{look.name} must have a column of times in ISO 8601, such as 2014-01-31T13:00:00Z or 2014-01-31, and none of its columns is one"
    if not named:
        return f"{message}: {', '.join(column.name for column in look.columns)}"
    first = look.source.table[named[0]].drop_null()
    example = f", but it holds values such as {first[0].as_py()!r}" if len(first) else ""
    return f"{message}; {named[0]!r} may be meant{example}: write it in ISO 8601, or in one form that strptime reads"


def _no_number(look: TableLook, numbers: list[ColumnLook]) -> str:
    if problem := next(iter(look.problems.values()), None):
        return f"{look.name} must have a column of numbers to forecast, and none can be read whole: {problem}"
    if numbers:
        return f"{look.name} must have a column of numbers that varies, and {', '.join(c.name for c in numbers)} do not; name one by --target"
    return f"{look.name} must have a column of numbers to forecast, and none of its columns is one: {', '.join(c.name for c in look.columns)}"
