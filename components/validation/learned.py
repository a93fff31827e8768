"""What the champion was trained on, against what came since: ranges, missing values, rows, categories, drift.

Drift compares the last period of the table with the same weeks of the year in the champion's train cut, because summer
against the whole year always differs; where the train cut has no such weeks, with all of it. All values count.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from forecasting.config.validation import LearnedConfig
from forecasting.durations import duration_s
from forecasting.schema import SeriesStore

Floats = npt.NDArray[np.float64]
_YEAR_S = 31_556_952
_N_BINS = 10
_MIN_BIN = 20
"""Values a bin at least: of a few values ten bins differ by chance alone."""
_MIN_RATIO = 1e-4
"""An empty bin counts as this share, so that the index stays finite."""
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


def compare(champion: SeriesStore, store: SeriesStore, limits: LearnedConfig) -> tuple[LearnedReport, ...]:
    """Compare the last period of a store with what a champion was trained on.

    Returns:
        One report a column that both have; nothing where the store does not go on after the champion's.
    """
    spec, cutoff = store.spec, store.spec.split.cutoff
    if cutoff <= champion.spec.split.cutoff:
        return ()
    first, end = max(cutoff - duration_s(limits.period), champion.spec.split.cutoff), cutoff
    found = []
    for name in [name for name in spec.columns if name in champion.spec.columns]:
        now = _between(store, name, first, end)
        learned = _between(champion, name, 0, champion.spec.split.train_end)
        found.append(_compare_column(name, now, learned, _same_season(champion, name, first, end), limits))
    if found and found[0].column == spec.target:
        then = _rows_per_step(champion, 0, champion.spec.split.train_end)
        change = abs(_rows_per_step(store, first, end) / then - 1) if then else float("nan")
        found[0] = replace(found[0], rows_change=change)
    nothing = float("nan")
    for name in [name for name in spec.static if name in champion.spec.static]:
        new = set(spec.categories[name]) - set(champion.spec.categories[name])
        found.append(LearnedReport(name, nothing, nothing, nothing, len(new), nothing, nothing, _named(sorted(new))))
    return tuple(found)


def psi(reference: Floats, current: Floats) -> float:
    """Population stability index of `[n]` against `[m]` over quantiles of the reference, ten where there are 200 values; 0 is no drift."""
    n_bins = min(_N_BINS, max(2, min(len(reference), len(current)) // _MIN_BIN))
    edges = np.unique(np.quantile(reference, np.linspace(0, 1, n_bins + 1)[1:-1]))
    shares = [
        np.maximum(
            np.bincount(np.searchsorted(edges, part, side="right"), minlength=len(edges) + 1) / len(part), _MIN_RATIO
        )
        for part in (reference, current)
    ]
    return float(np.sum((shares[1] - shares[0]) * np.log(shares[1] / shares[0])))


def ks(reference: Floats, current: Floats) -> float:
    """Kolmogorov-Smirnov statistic of two samples `[n]`, `[m]`: the largest distance of their distribution functions."""
    places = np.concatenate([reference, current])
    below = [np.searchsorted(np.sort(part), places, side="right") / len(part) for part in (reference, current)]
    return float(np.max(np.abs(below[0] - below[1])))


def _compare_column(name: str, now: Floats, learned: Floats, season: Floats, limits: LearnedConfig) -> LearnedReport:
    found, known = now[~np.isnan(now)], learned[~np.isnan(learned)]
    nothing = float("nan")
    increase = float(np.isnan(now).mean() - np.isnan(learned).mean()) if len(now) and len(learned) else nothing
    if not len(found) or not len(known):
        return LearnedReport(name, nothing, increase, nothing, nothing, nothing, nothing, "no values to compare")
    margin = limits.range_margin * float(known.max() - known.min())
    outside = float(np.mean((found < known.min() - margin) | (found > known.max() + margin)))
    same = season[~np.isnan(season)]
    is_same = len(same) >= _MIN_SAME_SEASON * len(found)
    reference, words = (same, "the same weeks of the years before") if is_same else (known, "the whole train cut")
    return LearnedReport(name, outside, increase, nothing, nothing, psi(reference, found), ks(reference, found), words)


def _between(store: SeriesStore, name: str, first: int, end: int) -> Floats:
    """Values of a column of all series from `first` up to, but not at, `end`."""
    place, step_s = store.spec.columns.index(name), store.spec.step_s
    parts = [
        one.values[max(0, -(-(first - one.start) // step_s)) : max(0, -(-(end - one.start) // step_s)), place]
        for one in store
    ]
    return np.concatenate(parts)


def _same_season(champion: SeriesStore, name: str, first: int, end: int) -> Floats:
    """Values of the train cut in the same weeks of all years that it has."""
    train_end, start = champion.spec.split.train_end, min(one.start for one in champion)
    parts = [np.zeros(0)]
    for years in range(1, (end - start) // _YEAR_S + 2):
        last = min(end - years * _YEAR_S, train_end)
        if last > first - years * _YEAR_S:
            parts.append(_between(champion, name, first - years * _YEAR_S, last))
    return np.concatenate(parts)


def _rows_per_step(store: SeriesStore, first: int, end: int) -> float:
    """Mean number of targets a step, over the steps from the first row on."""
    begin = max(first, min(one.start for one in store))
    target = _between(store, store.spec.target, first, end)
    return float(np.count_nonzero(~np.isnan(target)) * store.spec.step_s / max(end - begin, 1))


def _named(names: list[str]) -> str:
    return ", ".join(names[:5]) + (" …" if len(names) > 5 else "")
