"""How often the significance test promotes a model that is no better, and how often it finds one that is.

Pairs of forecasts are simulated: daily origins, 24 steps each. The error of each is the sum of a part that both share, a
part of its own that stays over days (autoregressive), and noise of each step; both have the same distribution, or one has
all errors smaller by `gain`. Run by `make bench-significance`; writes build/bench/significance.json, whose figures
docs/gates.md quotes.
"""

import argparse
import math
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import stats
from scipy.signal import lfilter

from forecasting.metrics.significance import better_than
from tests.benchmarks.bench_file import write_bench

Doubles = npt.NDArray[np.float64]

HORIZON = 24
_SEED = 20_261_121
_BURN_IN = 100
_WEIGHT = 1 / math.sqrt(3)
"""Of each of the three parts of an error, so that its variance is 1."""


def simulate_pairs(
    n_pairs: int, *, n_origins: int, correlation: float, gain: float, seed: int
) -> Iterator[tuple[Doubles, Doubles]]:
    """Mean absolute error of both forecasts at each origin `[O]`, pair by pair.

    Args:
        n_pairs: How many.
        n_origins: O.
        correlation: From one origin to the next, of the parts that stay.
        gain: Share by which the errors of the first are smaller.
        seed: Of the random numbers.
    """
    rng = np.random.default_rng(seed)
    for _ in range(n_pairs):
        shared, own, others = _stay(rng, n_origins, correlation)
        noise = rng.normal(size=(2, n_origins, HORIZON))
        first = _WEIGHT * (shared[:, None] + own[:, None] + noise[0])
        second = _WEIGHT * (shared[:, None] + others[:, None] + noise[1])
        yield (1 - gain) * np.abs(first).mean(axis=1), np.abs(second).mean(axis=1)


def simulate_hourly_pairs(
    n_pairs: int, *, n_days: int, correlation: float, gain: float, seed: int
) -> Iterator[tuple[Doubles, Doubles]]:
    """Mean absolute error of both forecasts at each of 24 origins a day `[O]`, pair by pair; see `simulate_pairs`.

    The error of a step is the same from whichever origin it is forecast, as that of a missed level is.
    """
    rng = np.random.default_rng(seed)
    n_hours, window = (n_days + 1) * HORIZON, np.ones(HORIZON) / HORIZON
    for _ in range(n_pairs):
        shared, own, others = _stay(rng, n_hours, correlation ** (1 / HORIZON), burn_in=_BURN_IN * HORIZON)
        noise = rng.normal(size=(2, n_hours))
        first = np.abs(_WEIGHT * (shared + own + noise[0]))
        second = np.abs(_WEIGHT * (shared + others + noise[1]))
        size = n_days * HORIZON
        yield (
            (1 - gain) * np.convolve(first, window, mode="valid")[:size],
            np.convolve(second, window, mode="valid")[:size],
        )


def _stay(rng: np.random.Generator, n_origins: int, correlation: float, *, burn_in: int = _BURN_IN) -> Doubles:
    """Three autoregressive series of variance 1 `[3,O]`."""
    shocks = rng.normal(size=(n_origins + burn_in, 3)) * math.sqrt(1 - correlation**2)
    values: Doubles = lfilter([1.0], [1.0, -correlation], shocks, axis=0)
    return values[burn_in:].T


def promoted_share(pairs: Iterable[tuple[Doubles, Doubles]], *, overlap: int = 1) -> dict[str, float]:
    """Share of pairs promoted at the level of 5 %: by the gate, by each test alone, and by a plain t test."""
    found = {"gate": 0, "diebold_mariano": 0, "fixed_smoothing": 0, "plain_t": 0}
    n_pairs = 0
    for losses, other in pairs:
        n_pairs += 1
        report = better_than(losses, other, overlap=overlap)
        found["gate"] += report.p_value <= 0.05
        found["diebold_mariano"] += report.diebold_mariano <= 0.05
        found["fixed_smoothing"] += report.fixed_smoothing <= 0.05
        found["plain_t"] += stats.ttest_1samp(losses - other, 0.0, alternative="less").pvalue <= 0.05
    return {name: float(count) / n_pairs for name, count in found.items()}


def main() -> None:
    """Simulate all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=1_000)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    figures = {}
    for gain in (0.0, 0.05, 0.1, 0.2):
        for correlation in (0.0, 0.5, 0.7, 0.9):
            for n_origins in (20, 55, 180):
                name = f"gain {gain:g}, correlation {correlation:g}, {n_origins} origins"
                pairs = simulate_pairs(
                    arguments.pairs, n_origins=n_origins, correlation=correlation, gain=gain, seed=_SEED
                )
                figures[name] = promoted_share(pairs)
                print(f"{name}: {figures[name]}", flush=True)
    for correlation in (0.0, 0.5, 0.7, 0.9):
        name = f"gain 0, correlation {correlation:g}, 55 days of hourly origins"
        hourly = simulate_hourly_pairs(arguments.pairs, n_days=55, correlation=correlation, gain=0.0, seed=_SEED)
        figures[name] = promoted_share(hourly, overlap=HORIZON)
        print(f"{name}: {figures[name]}", flush=True)
    write_bench(arguments.out, figures=figures, peers={})


if __name__ == "__main__":
    main()
