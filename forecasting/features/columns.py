"""One value column of a batch of series, with everything that features of it share."""

from functools import cached_property

from forecasting.features.namespace import Array, ArrayNamespace
from forecasting.features.reductions import WindowReduction, maxima, minima, moments

FILL_SEASONS = 7
"""Seasons that a missing value is looked for in."""
LARGE = 3.0e38
"""Stands for infinity: beyond every value, yet finite in float32."""
_LEAST = 1e-6
"""Least of 1 + value of which a logarithm is taken; training refuses what lies below, a request may hold it."""


class ColumnBlock:
    """A column `[B,T]` in its own units, NaN where missing, and its scaled form.

    Reductions are made when first asked for and shared by all features of the column.
    """

    def __init__(
        self,
        raw: Array,
        location: Array | float,
        scale: Array | float,
        xp: ArrayNamespace,
        *,
        logarithmic: bool = False,
    ) -> None:
        """Scale a column by `(raw - location) / scale`.

        Args:
            raw: float32 `[B,T]`.
            location: One number, or one a series `[B,1]`.
            scale: Likewise.
            xp: Library that does the arithmetic.
            logarithmic: Whether the logarithm of 1 + raw is scaled in its place.
        """
        self.raw, self.location, self.scale, self.xp, self.logarithmic = raw, location, scale, xp, logarithmic
        self._lagged: dict[int, ColumnBlock] = {}
        self._latest: dict[int, Array] = {}

    @cached_property
    def transformed(self) -> Array:
        """What is scaled: the values, or their logarithms."""
        if not self.logarithmic:
            return self.raw
        one, least = self.xp.cast(1.0, "float32"), self.xp.cast(_LEAST, "float32")
        # Missing values leave before the maximum, which NumPy and TensorFlow take differently of NaN.
        above = self.xp.maximum(one + self.xp.where(self.missing, one, self.raw), least)
        return self.xp.where(self.missing, self.raw, self.xp.log(above))

    @cached_property
    def scaled(self) -> Array:
        """Scaled values, NaN where missing."""
        return (self.transformed - self.xp.cast(self.location, "float32")) / self.xp.cast(self.scale, "float32")

    @cached_property
    def missing(self) -> Array:
        """Where there is no value (boolean)."""
        return self.xp.is_nan(self.raw)

    @cached_property
    def present(self) -> Array:
        """1 where there is a value, else 0."""
        return self.xp.where(self.missing, self.xp.cast(0.0, "float32"), self.xp.cast(1.0, "float32"))

    @cached_property
    def filled(self) -> Array:
        """Scaled values, 0 where missing."""
        return self.xp.where(self.missing, self.xp.cast(0.0, "float32"), self.scaled)

    def filled_from(self, season: int) -> Array:
        """Scaled values; one that is missing is that of a season earlier, of up to `FILL_SEASONS` such; else 0."""
        found = self._latest_of(season)
        return self.or_zero(self.xp.is_nan(found), found)

    def is_filled(self, season: int) -> Array:
        """1 where a value is missing and `filled_from` gives that of an earlier season, else 0."""
        found = self.or_zero(self.xp.is_nan(self._latest_of(season)), self.xp.cast(1.0, "float32"))
        return self.xp.where(self.missing, found, self.xp.cast(0.0, "float32"))

    def _latest_of(self, season: int) -> Array:
        if season not in self._latest:
            found = self.scaled
            for count in range(1, FILL_SEASONS + 1):
                earlier = self.xp.shift(self.scaled, count * season, float("nan"))
                found = self.xp.where(self.xp.is_nan(found), earlier, found)
            self._latest[season] = found
        return self._latest[season]

    @cached_property
    def moments(self) -> WindowReduction:
        """Count, mean and sum of squared deviations of scaled values."""
        return moments(self.filled, self.present, self.xp)

    @cached_property
    def minima(self) -> WindowReduction:
        """Smallest scaled value."""
        large = self.xp.cast(LARGE, "float32")
        return minima(self.xp.where(self.missing, large, self.scaled), self.xp, largest=LARGE)

    @cached_property
    def maxima(self) -> WindowReduction:
        """Largest scaled value."""
        small = self.xp.cast(-LARGE, "float32")
        return maxima(self.xp.where(self.missing, small, self.scaled), self.xp, smallest=-LARGE)

    def of_lengths(self, lengths: Array) -> "ColumnBlock":
        """Another column in the same unit, which misses the same values: lengths, 0 where they are missing."""
        made = type(self)(lengths, 0.0, self.scale, self.xp)
        made.missing, made.present, made.filled = self.missing, self.present, made.scaled
        return made

    def lagged(self, n_steps: int) -> "ColumnBlock":
        """The column as it was some steps earlier; missing before its first step."""
        if n_steps == 0:
            return self
        if n_steps not in self._lagged:
            earlier = self.xp.shift(self.raw, n_steps, float("nan"))
            self._lagged[n_steps] = type(self)(
                earlier, self.location, self.scale, self.xp, logarithmic=self.logarithmic
            )
        return self._lagged[n_steps]

    def or_zero(self, empty: Array, values: Array) -> Array:
        """0 where nothing is known, else the values."""
        return self.xp.where(empty, self.xp.cast(0.0, "float32"), values)
