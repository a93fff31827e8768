"""Permutation importance: how much worse forecasts get where a column is that of another window."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from forecasting.backtest.origins import BacktestSpec
from forecasting.backtest.score import block_inputs
from forecasting.contracts.signature import POINT_QUANTILE
from forecasting.features.spec import FeatureSpec
from forecasting.masks import MASK_SUFFIX
from forecasting.predictors import Predictor
from forecasting.windows import ModelInputs, stack_inputs

logger = logging.getLogger(__name__)

CALENDAR = "calendar"
"""Name of the group of all calendar columns."""
_SEED = 20_010


class ColumnRole(StrEnum):
    """What a group of columns is to the model."""

    TARGET = "target"
    OBSERVED = "observed"
    KNOWN = "known"
    CALENDAR = "calendar"
    STATIC = "static"


@dataclass(frozen=True)
class ColumnGroupSpec:
    """Model inputs that a person knows as one column, by their places in the three inputs of the signature."""

    name: str
    role: ColumnRole
    history: tuple[int, ...] = ()
    future: tuple[int, ...] = ()
    static: tuple[int, ...] = ()


@dataclass(frozen=True)
class ColumnImportanceReport:
    """mae: with the column taken from other windows, mean over the repeats; mae_std: standard deviation over them.

    increase_ratio: by how much that is more than the error with every column in its place, as a share of it.
    """

    name: str
    role: str
    mae: float
    mae_std: float
    increase_ratio: float


@dataclass(frozen=True)
class ImportanceReport:
    """Importance of every column, the most important first. mae: with every column in its place, on the same windows."""

    n_windows: int
    n_repeats: int
    mae: float
    columns: tuple[ColumnImportanceReport, ...]


def column_groups(spec: FeatureSpec) -> tuple[ColumnGroupSpec, ...]:
    """Inputs of a model as a person knows them: target, covariates, static columns, the calendar.

    The mask of an imputed covariate goes with it, and so do the columns of a covariate that is a word, and the scale
    that a series has of its own. What the graph derives from a column changes with the column.
    """
    roles = [ColumnRole.TARGET] + [ColumnRole.OBSERVED] * len(spec.observed) + [ColumnRole.KNOWN] * len(spec.known)
    found: dict[str, ColumnGroupSpec] = {}
    for place, (column, role) in enumerate(zip(spec.value_columns, roles, strict=True)):
        group = found.setdefault(_known_as(column), ColumnGroupSpec(_known_as(column), role))
        future = (*group.future, spec.known.index(column)) if column in spec.known else group.future
        found[group.name] = replace(group, history=(*group.history, place), future=future)
    for place, column in enumerate(spec.scaler.own):
        group, first = found[_known_as(column)], len(spec.static) + 2 * place
        found[group.name] = replace(group, static=(*group.static, first, first + 1))
    groups = list(found.values())
    groups += [ColumnGroupSpec(name, ColumnRole.STATIC, static=(place,)) for place, name in enumerate(spec.static)]
    if n_calendar := len(spec.calendar.names):
        past, ahead = len(spec.value_columns), len(spec.known)
        groups.append(
            ColumnGroupSpec(
                CALENDAR,
                ColumnRole.CALENDAR,
                history=tuple(range(past, past + n_calendar)),
                future=tuple(range(ahead, ahead + n_calendar)),
            )
        )
    return tuple(groups)


def permutation_importance(
    predictor: Predictor,
    spec: FeatureSpec,
    *,
    backtest: BacktestSpec,
    n_forecasts: int,
    n_repeats: int,
    batch_size: int,
) -> ImportanceReport | None:
    """Error of a model with each column in turn taken from other windows (Breiman 2001, Random Forests; Fisher et al. 2019).

    Two columns that say the same hide each other's importance: the model reads the one that was left in its place.

    Args:
        predictor: The model.
        spec: Its feature spec; its columns are those of the backtest's series.
        backtest: Windows, of which an even choice is taken.
        n_forecasts: Forecasts that may be asked for in all; it sets the number of windows.
        n_repeats: How often each column is shuffled anew.
        batch_size: Windows forecast at once.

    Returns:
        None where that allows for fewer than two windows.
    """
    started = time.monotonic()
    groups = column_groups(spec)
    n_windows = min(backtest.n_windows, n_forecasts // (1 + n_repeats * len(groups)))
    if n_windows < 2:
        return None
    chosen = np.unique(np.linspace(0, backtest.n_windows - 1, n_windows).astype(np.int64))
    inputs = stack_inputs([block_inputs(backtest, spec, first=int(i), end=int(i) + 1) for i in chosen])
    actual = backtest.actual[chosen]

    def error_of(asked: ModelInputs) -> float:
        return _mae(predictor, spec, asked, actual, batch_size=batch_size)

    rng = np.random.default_rng(_SEED)
    mae = error_of(inputs)
    columns = []
    for group in groups:
        errors = [error_of(_exchanged(inputs, group, rng)) for _ in range(n_repeats)]
        increase = float(np.mean(errors)) / mae - 1 if mae > 0 else float("nan")
        columns.append(
            ColumnImportanceReport(
                group.name, group.role.value, float(np.mean(errors)), float(np.std(errors)), increase
            )
        )
    logger.info(
        "importance of %d columns on %d windows in %.1f s", len(groups), len(chosen), time.monotonic() - started
    )
    return ImportanceReport(len(chosen), n_repeats, mae, tuple(sorted(columns, key=lambda column: -column.mae)))


def _known_as(column: str) -> str:
    """The column of the table that a column of the store was made from."""
    return column.removesuffix(MASK_SUFFIX).partition("=")[0]


def _exchanged(inputs: ModelInputs, group: ColumnGroupSpec, rng: np.random.Generator) -> ModelInputs:
    """Inputs whose columns of one group are those of another window, together for past and future."""
    # One cycle through all windows in random order, so that none keeps its own.
    order = rng.permutation(len(inputs))
    donor = np.empty_like(order)
    donor[order] = np.roll(order, 1)
    return ModelInputs(
        _with_columns(inputs.history, donor, group.history),
        _with_columns(inputs.future, donor, group.future),
        None if inputs.static is None else _with_columns(inputs.static, donor, group.static),
    )


def _with_columns(
    array: npt.NDArray[np.float32], donor: npt.NDArray[np.int64], places: Sequence[int]
) -> npt.NDArray[np.float32]:
    if not places:
        return array
    changed = array.copy()
    changed[..., list(places)] = array[donor][..., list(places)]
    return changed


def _mae(
    predictor: Predictor, spec: FeatureSpec, inputs: ModelInputs, actual: npt.NDArray[np.float64], *, batch_size: int
) -> float:
    point = spec.quantiles.index(POINT_QUANTILE)
    starts = range(0, len(inputs), batch_size)
    parts = [predictor.predict(inputs[first : first + batch_size]) for first in starts]
    errors = np.abs(np.concatenate(parts)[:, :, point] - actual)
    known = np.isfinite(errors)
    return float(errors[known].mean()) if known.any() else float("nan")
