"""What the champion was trained on, against what came since: ranges, missing values, rows, categories, drift.

Drift compares the last period of the table with the same weeks of the year in the champion's train cut, because summer
against the whole year always differs; where the train cut has no such weeks, with all of it. All values count.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from forecasting.config.validation import LearnedConfig
from forecasting.durations import duration_s
from forecasting.monitoring.drift import psi
from forecasting.ranking import ValueSpool, distance
from forecasting.schema import Series, SeriesSpec

_YEAR_S = 31_556_952
_MIN_SAME_SEASON = 0.5
"""Values in the same weeks of the champion's train cut, as a share of those compared, that are enough."""


@dataclass(frozen=True)
class LearnedReport:
    """One column against the champion's training; NaN where a measure does not apply to it.

    outside_ratio: share of values outside the range learned. missing_increase: of the share of missing values.
    rows_change: relative change of the rows in a period. n_new_categories: of a static column. reference: what was
    compared with, in words.
    """

    column: str
    outside_ratio: float
    missing_increase: float
    rows_change: float
    n_new_categories: float
    psi: float
    ks: float
    reference: str


class SeriesSource(Protocol):
    """Series that can be gone over again and again; a store is one, in memory or not."""

    @property
    def spec(self) -> SeriesSpec:
        """Their schema."""

    def __iter__(self) -> Iterator[Series]: ...


def compare(
    champion: SeriesSource, store: SeriesSource, limits: LearnedConfig, scratch: Path | None = None
) -> tuple[LearnedReport, ...]:
    """Compare the last period of a store with what a champion was trained on.

    Args:
        champion: The series that it was trained on.
        store: Validated series.
        limits: The period.
        scratch: Folder for values that are too many for memory; none: all stay there.

    Returns:
        One report a column that both have; nothing where the store does not go on after the champion's.
    """
    spec, cutoff = store.spec, store.spec.split.cutoff
    if cutoff <= champion.spec.split.cutoff:
        return ()
    first, end = max(cutoff - duration_s(limits.period), champion.spec.split.cutoff), cutoff
    names = [name for name in spec.columns if name in champion.spec.columns]
    train_end = champion.spec.split.train_end
    now = _Collected(names, [(first, end)], scratch and scratch / "now")
    for one in store:
        now.add(one, spec)
    learned = _Collected(names, [(0, train_end)], scratch and scratch / "learned")
    for one in champion:
        learned.add(one, champion.spec)
    # Weeks of the same season, as many years back as there can be; what is before the first row is empty.
    seasons = [
        (first - years * _YEAR_S, min(end - years * _YEAR_S, train_end))
        for years in range(1, (end - learned.start) // _YEAR_S + 2)
    ]
    season = _Collected(names, [span for span in seasons if span[1] > span[0]], scratch and scratch / "season")
    for one in champion:
        season.add(one, champion.spec)
    found = [_compare_column(name, now.of(name), learned.of(name), season.of(name), limits) for name in names]
    if found and found[0].column == spec.target:
        then = _rows_per_step(learned, spec.target, champion.spec, (0, train_end))
        change = abs(_rows_per_step(now, spec.target, spec, (first, end)) / then - 1) if then else float("nan")
        found[0] = replace(found[0], rows_change=change)
    nothing = float("nan")
    for name in [name for name in spec.static if name in champion.spec.static]:
        new = set(spec.categories[name]) - set(champion.spec.categories[name])
        found.append(LearnedReport(name, nothing, nothing, nothing, len(new), nothing, nothing, _named(sorted(new))))
    return tuple(found)


class _Collected:
    """Values of some columns in some spans of time (end excluded), of all series."""

    def __init__(self, names: Sequence[str], spans: Sequence[tuple[int, int]], folder: Path | None) -> None:
        if folder is not None:
            folder.mkdir(parents=True)
        self._spans = spans
        self._values = {name: ValueSpool(folder and folder / str(i)) for i, name in enumerate(names)}
        self.start = np.iinfo(np.int64).max

    def add(self, one: Series, spec: SeriesSpec) -> None:
        """Add the values of a series."""
        self.start = min(self.start, one.start)
        for first, end in self._spans:
            rows = slice(max(0, -(-(first - one.start) // spec.step_s)), max(0, -(-(end - one.start) // spec.step_s)))
            part = one.values[rows]
            for name, values in self._values.items():
                values.add(part[:, spec.columns.index(name)])

    def of(self, name: str) -> ValueSpool:
        """Values of a column."""
        return self._values[name]


def _compare_column(
    name: str, now: ValueSpool, learned: ValueSpool, season: ValueSpool, limits: LearnedConfig
) -> LearnedReport:
    nothing = float("nan")
    n_now, n_learned = now.n + now.n_missing, learned.n + learned.n_missing
    increase = now.n_missing / n_now - learned.n_missing / n_learned if n_now and n_learned else nothing
    if not now.n or not learned.n:
        return LearnedReport(name, nothing, increase, nothing, nothing, nothing, nothing, "no values to compare")
    margin = limits.range_margin * (learned.high - learned.low)
    n_outside = sum(
        int(np.count_nonzero((part < learned.low - margin) | (part > learned.high + margin))) for part in now.chunks()
    )
    is_same = season.n >= _MIN_SAME_SEASON * now.n
    reference, words = (season, "the same weeks of the years before") if is_same else (learned, "the whole train cut")
    return LearnedReport(
        name, n_outside / now.n, increase, nothing, nothing, psi(reference, now), distance(reference, now), words
    )


def _rows_per_step(found: _Collected, target: str, spec: SeriesSpec, span: tuple[int, int]) -> float:
    """Mean number of targets a step, over the steps from the first row on."""
    begin = max(span[0], found.start)
    return float(found.of(target).n * spec.step_s / max(span[1] - begin, 1))


def _named(names: list[str]) -> str:
    return ", ".join(names[:5]) + (" …" if len(names) > 5 else "")
