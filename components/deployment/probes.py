"""Real windows with which a candidate is tried."""

import numpy as np

from forecasting.errors import ArtifactError
from forecasting.features.spec import FeatureSpec
from forecasting.schema import Series, SeriesStore
from forecasting.windows import ModelInputs, actuals, stack_inputs, window_inputs

GAP_EVERY = 7
"""In the window with gaps, each of these steps of the history is missing."""


def pick_windows(store: SeriesStore, spec: FeatureSpec, n_windows: int) -> ModelInputs:
    """Windows of the test period, spread over series and origins, all of whose covariates are known.

    Returns:
        `n_windows` windows, fewer where the store has fewer.

    Raises:
        ArtifactError: No series has a window.
    """
    n_series = min(n_windows, len(store.series))
    chosen = [store.series[i] for i in np.unique(np.linspace(0, len(store.series) - 1, n_series).astype(int))]
    found: list[ModelInputs] = []
    # Round by round one horizon further back, so that few series give several origins and many series one each.
    for back in range(1, 2 + 4 * n_windows):
        for series in chosen:
            origin = store.spec.split.cutoff - back * spec.horizon * spec.step_s
            if len(found) < n_windows and origin > series.start:
                window = window_inputs(series, spec, np.array([origin]))
                if np.isfinite(window.future).all() and np.isfinite(window.history[..., 0]).any():
                    found.append(window)
        if len(found) >= n_windows:
            break
    if not found:
        raise ArtifactError(
            "no series has a window with known covariates and a past target before the cutoff; the candidate cannot be tried"
        )
    return stack_inputs(found)


def with_gaps(window: ModelInputs, spec: FeatureSpec) -> ModelInputs:
    """The same windows with every seventh step of every value column of the history missing."""
    history = window.history.copy()
    history[:, ::GAP_EVERY, : len(spec.value_columns)] = np.nan
    return ModelInputs(history, window.future, window.static)


def pick_series(store: SeriesStore, spec: FeatureSpec, origin: int, n_series: int) -> list[Series]:
    """Series for a forecast at an origin: those whose actuals are complete, spread evenly; else the first ones."""
    known = [series for series in store if series.start < origin]
    complete = [series for series in known if np.isfinite(actuals(series, spec, np.array([origin]))).all()]
    eligible = complete or known
    if not eligible:
        return []
    positions = np.unique(np.linspace(0, len(eligible) - 1, min(n_series, len(eligible))).astype(int))
    return [eligible[position] for position in positions]
