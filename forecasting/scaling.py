"""Location and scale of columns, as mergeable sums so that Beam can combine them over series."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from forecasting.features.spec import ScalerSpec


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


def scaler_spec(names: tuple[str, ...], moments: ColumnMoments, *, homogeneous: str | None = None) -> ScalerSpec:
    """Standard score of every column; a constant column keeps scale 1.

    Args:
        names: Columns in the order of the moments.
        moments: From the train cut only.
        homogeneous: A column whose location stays 0 and whose scale is its root mean square, so
            that dividing by a window's own scale later is all that changes.
    """
    location = {name: float(mean) for name, mean in zip(names, moments.mean, strict=True)}
    scale = {name: float(std) if std > 0 else 1.0 for name, std in zip(names, moments.std, strict=True)}
    if homogeneous is not None:
        i = names.index(homogeneous)
        size = float(np.hypot(moments.mean[i], np.nan_to_num(moments.std[i])))
        location[homogeneous], scale[homogeneous] = 0.0, size if size > 0 else 1.0
    return ScalerSpec(location=location, scale=scale)
