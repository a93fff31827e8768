"""The profile of a series store: what its columns and series look like, as plain numbers for a report."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.validation.report import iso_time
from forecasting.schema import SeriesStore

_N_BINS = 20
_LEVELS = (0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99)


@dataclass(frozen=True)
class ColumnReport:
    """One column before the cutoff, in its own unit. Statistics are none where every value is missing."""

    n: int
    n_missing: int
    mean: float | None
    std: float | None
    min: float | None
    max: float | None
    zeros_ratio: float | None
    quantiles: dict[str, float]
    histogram_edges: tuple[float, ...]
    histogram_counts: tuple[int, ...]


@dataclass(frozen=True)
class ProfileReport:
    """Contents of profile.json of validate_data; steps before the cutoff. n_steps are those of all series."""

    n_series: int
    n_steps: int
    shortest_series_steps: int
    longest_series_steps: int
    step_s: int
    first: str
    last: str
    target_zeros_ratio: float | None
    static: dict[str, dict[str, int]]
    columns: dict[str, ColumnReport]


def profile_store(store: SeriesStore) -> ProfileReport:
    """Describe a store; `first` is the first time stamp, `last` the last before the cutoff."""
    spec = store.spec
    lengths = [min((spec.split.cutoff - one.start) // spec.step_s, one.n_steps) for one in store]
    values = np.concatenate([one.values[:n] for one, n in zip(store, lengths, strict=True)])
    columns = {name: describe(values[:, i]) for i, name in enumerate(spec.columns)}
    static = {
        name: {
            category: sum(one.static[i] == code for one in store) for code, category in enumerate(spec.categories[name])
        }
        for i, name in enumerate(spec.static)
    }
    return ProfileReport(
        n_series=len(store.series),
        n_steps=sum(lengths),
        shortest_series_steps=min(lengths),
        longest_series_steps=max(lengths),
        step_s=spec.step_s,
        first=iso_time(min(one.start for one in store)),
        last=iso_time(max(one.start + (n - 1) * spec.step_s for one, n in zip(store, lengths, strict=True))),
        target_zeros_ratio=columns[spec.target].zeros_ratio,
        static=static,
        columns=columns,
    )


def describe(values: npt.NDArray[np.float64]) -> ColumnReport:
    """Describe a column `[T]`; quantiles are keyed by their level, the histogram has 20 equal bins."""
    found = values[~np.isnan(values)]
    n_missing = len(values) - len(found)
    if not len(found):
        return ColumnReport(len(values), n_missing, None, None, None, None, None, {}, (), ())
    counts, edges = np.histogram(found, bins=_N_BINS)
    quantiles = np.quantile(found, _LEVELS)
    return ColumnReport(
        n=len(values),
        n_missing=n_missing,
        mean=float(found.mean()),
        std=float(found.std()),
        min=float(found.min()),
        max=float(found.max()),
        zeros_ratio=float(np.mean(found == 0)),
        quantiles={f"{level:g}": float(value) for level, value in zip(_LEVELS, quantiles, strict=True)},
        histogram_edges=tuple(float(edge) for edge in edges),
        histogram_counts=tuple(int(count) for count in counts),
    )
