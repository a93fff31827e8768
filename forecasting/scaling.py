"""Location and scale of columns, from mergeable sums so that Beam can combine them over series."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from forecasting.errors import DataError
from forecasting.scaling_methods import Method

Scale = tuple[float, float]
"""Location and scale."""
Quartiles = tuple[float, float, float]
QUARTILES = (0.25, 0.5, 0.75)

_NORMAL_QUARTILES = 1.3489795003921634
"""Distance between the quartiles of the standard normal distribution."""


@dataclass(frozen=True)
class ColumnMoments:
    """Count, mean, sum of squared deviations, minimum and maximum of columns `[C]`, missing left out.

    Merged by Chan, Golub and LeVeque (1983), which stays exact for large offsets.
    """

    count: npt.NDArray[np.float64]
    mean: npt.NDArray[np.float64]
    squares: npt.NDArray[np.float64]
    minimum: npt.NDArray[np.float64]
    maximum: npt.NDArray[np.float64]

    def merge(self, other: "ColumnMoments") -> "ColumnMoments":
        """Moments of both sets of rows together."""
        count = self.count + other.count
        weight = np.divide(other.count, count, out=np.zeros_like(count), where=count > 0)
        shift = other.mean - self.mean
        return ColumnMoments(
            count=count,
            mean=self.mean + shift * weight,
            squares=self.squares + other.squares + shift**2 * self.count * weight,
            minimum=np.fmin(self.minimum, other.minimum),
            maximum=np.fmax(self.maximum, other.maximum),
        )

    def columns(self, n_columns: int) -> "ColumnMoments":
        """Those of the first columns."""
        return ColumnMoments(
            *(values[:n_columns] for values in (self.count, self.mean, self.squares, self.minimum, self.maximum))
        )

    @property
    def std(self) -> npt.NDArray[np.float64]:
        """Population standard deviation `[C]`; NaN where there is no value."""
        return np.sqrt(np.divide(self.squares, self.count, out=np.full_like(self.count, np.nan), where=self.count > 0))


def column_moments(values: npt.NDArray[np.float64]) -> ColumnMoments:
    """Moments of rows `[T,C]`, NaN where missing."""
    present = ~np.isnan(values)
    count = present.sum(axis=0).astype(np.float64)
    filled = np.where(present, values, 0.0)
    mean = np.divide(filled.sum(axis=0), count, out=np.zeros_like(count), where=count > 0)
    return ColumnMoments(
        count=count,
        mean=mean,
        squares=(np.where(present, values - mean, 0.0) ** 2).sum(axis=0),
        minimum=np.where(present, values, np.inf).min(axis=0, initial=np.inf),
        maximum=np.where(present, values, -np.inf).max(axis=0, initial=-np.inf),
    )


def location_and_scale(method: Method, moments: ColumnMoments, column: int, quartiles: Quartiles | None) -> Scale:
    """What a column is scaled by: `(value - location) / scale`.

    Args:
        method: `z_score`, and `log1p` with the moments of log(1 + value): mean and standard deviation; `min_max`:
            minimum and range; `robust`: median and the range of the middle half, over 1.349 so that it is a
            standard deviation where values are normal; `none`: 0 and 1.
        moments: Of the values, or of their logarithms.
        column: Which of them.
        quartiles: 0.25, 0.5 and 0.75 quantile, for `robust`.

    Returns:
        Location and scale; a column that is constant, or has no values, keeps scale 1.
    """
    if method == "none" or not moments.count[column]:
        return 0.0, 1.0
    if method == "min_max":
        location, scale = moments.minimum[column], moments.maximum[column] - moments.minimum[column]
    elif method == "robust":
        if quartiles is None:
            raise ValueError("robust scaling needs quartiles")
        location, scale = quartiles[1], (quartiles[2] - quartiles[0]) / _NORMAL_QUARTILES
    else:
        location, scale = moments.mean[column], moments.std[column]
    return float(location), float(scale) if scale > 0 else 1.0


def own_scales(values: npt.NDArray[np.float64], methods: Sequence[tuple[int, Method]]) -> list[Scale]:
    """Location and scale of some columns of one series `[T,C]`, each by its method; 0 and 1 where it has no value."""
    scales = []
    for column, method in methods:
        chosen = values[:, [column]].astype(np.float32).astype(np.float64)
        if method == "log1p":
            chosen = log_one_plus(chosen)
        present = chosen[~np.isnan(chosen)]
        low, middle, high = np.quantile(present, QUARTILES).tolist() if len(present) else (0.0, 0.0, 0.0)
        scales.append(location_and_scale(method, column_moments(chosen), 0, (low, middle, high)))
    return scales


def log_one_plus(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Logarithm of 1 + value.

    Raises:
        DataError: A value is -1 or less.
    """
    if values.size and np.nanmin(values, initial=0.0) <= -1:
        raise DataError(
            f"a column that features.scaling takes the logarithm of must lie above -1 in the train cut, found {np.nanmin(values):g}; "
            "choose another method"
        )
    return np.log1p(values)


def homogeneous_scale(moments: ColumnMoments, column: int) -> Scale:
    """Location 0 and the root mean square, so that dividing by a window's own scale later is all that changes."""
    size = float(np.hypot(moments.mean[column], np.nan_to_num(moments.std[column])))
    return 0.0, size if size > 0 else 1.0
