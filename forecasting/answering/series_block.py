"""All series of a version as arrays, so that thousands of windows are cut without a Python step each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from forecasting.answering.origins import next_origin, past_origins, possible_origins
from forecasting.features.spec import FeatureSpec
from forecasting.schema import Series
from forecasting.vintages import SeriesVintages

Integers = npt.NDArray[np.int64]
NO_TIME = np.iinfo(np.int64).min
"""Stands for a time that there is not."""


@dataclass(frozen=True)
class SeriesBlock:
    """S series of a version, in order of id.

    position: place of a series by id. values `[R,V]`: rows of all, one series after another; offset, n_steps `[S]`: where
    its rows lie. start, following, first, last, default `[S]`: first row, the step after the last target, and the origins
    that are possible and that is taken by default, UTC epoch seconds, `NO_TIME` where there is none. static `[S,n]`:
    static inputs. apart `[S]`: whether it is in quarantine. vintages: of each series that has any, by its place.
    """

    ids: tuple[str, ...]
    position: Mapping[str, int]
    values: npt.NDArray[np.float64]
    offset: Integers
    n_steps: Integers
    start: Integers
    following: Integers
    first: Integers
    last: Integers
    default: Integers
    static: npt.NDArray[np.float32]
    apart: npt.NDArray[np.bool_]
    vintages: Mapping[int, SeriesVintages]


def make_block(
    series: Sequence[Series], spec: FeatureSpec, quarantine: Mapping[str, str], *, cutoff: int
) -> SeriesBlock:
    """Arrays of some series.

    Args:
        series: In order of id.
        spec: Feature spec of the model that reads them.
        quarantine: Reasons by id.
        cutoff: End of their history, UTC epoch seconds.
    """
    n_steps = np.array([one.n_steps for one in series], dtype=np.int64)
    origins = np.array([_origins(one, spec, quarantine, cutoff) for one in series], dtype=np.int64).reshape(-1, 4)
    width = len(spec.value_columns)
    static = [(*one.static, *spec.scaler.own_scales(one.id)) for one in series]
    return SeriesBlock(
        ids=tuple(one.id for one in series),
        position={one.id: i for i, one in enumerate(series)},
        values=np.concatenate([np.empty((0, width)), *(one.values for one in series)]),
        offset=np.cumsum(n_steps) - n_steps,
        n_steps=n_steps,
        start=np.array([one.start for one in series], dtype=np.int64),
        following=origins[:, 0],
        first=origins[:, 1],
        last=origins[:, 2],
        default=origins[:, 3],
        static=np.array(static, dtype=np.float32).reshape(len(series), -1),
        apart=np.array([one.id in quarantine for one in series], dtype=np.bool_),
        vintages={i: one.vintages for i, one in enumerate(series) if one.vintages is not None},
    )


def _origins(
    series: Series, spec: FeatureSpec, quarantine: Mapping[str, str], cutoff: int
) -> tuple[int, int, int, int]:
    following = next_origin(series, spec)
    possible = past_origins(series, spec, cutoff=cutoff) if series.id in quarantine else possible_origins(series, spec)
    bounds = (NO_TIME, NO_TIME, NO_TIME) if possible is None else (possible.first, possible.last, possible.default)
    return (NO_TIME if following is None else following, *bounds)
