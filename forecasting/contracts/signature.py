"""The serving signature: names, shapes and types of what a model takes and gives.

Dimensions: B batch, L history length, H horizon, C history columns, F future columns, S static
columns, Q quantiles, A columns of the answer: Q, and one more where the model has a mean. The same names and shapes hold for SavedModel and TensorFlow Lite.

    serving_default     history [B,L,C] float32, future [B,H,F] float32, static [B,S] float32 (only
                        where the model has static columns) → quantiles [B,H,A] float32
    serving_raw         as above without calendar columns, and origin [B] int64 → quantiles
    transform_features  as serving_default → history_features, future_features

`history` holds original units, NaN where a value is missing, columns in the order targets,
observed, known, calendar. `future` holds known then calendar. `origin` is the first forecast step
in UTC epoch seconds. `quantiles` are in the target's unit: Q levels, ascending, and where the
model has one the mean as the last column, which need not lie among them. The point forecast is the
0.5 quantile; the mean is what to add up over steps and series.
"""

from dataclasses import dataclass

SERVING_DEFAULT = "serving_default"
SERVING_RAW = "serving_raw"
TRANSFORM_FEATURES = "transform_features"

HISTORY = "history"
FUTURE = "future"
STATIC = "static"
ORIGIN = "origin"
QUANTILES = "quantiles"
HISTORY_FEATURES = "history_features"
FUTURE_FEATURES = "future_features"

POINT_QUANTILE = 0.5

INPUT_ORDER = (FUTURE, HISTORY, STATIC)
"""Alphabetical, which is how TensorFlow orders the inputs of a signature."""


@dataclass(frozen=True)
class SignatureSpec:
    """Shapes of `serving_default` of one model, without the batch dimension."""

    history_length: int
    horizon: int
    n_history_columns: int
    n_future_columns: int
    n_static_columns: int
    quantiles: tuple[float, ...]
    mean: bool = False

    @property
    def n_columns(self) -> int:
        """A: columns of the answer, the quantiles and then the mean where there is one."""
        return len(self.quantiles) + self.mean

    def input_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each input of `serving_default`, without B."""
        shapes: dict[str, tuple[int, ...]] = {
            HISTORY: (self.history_length, self.n_history_columns),
            FUTURE: (self.horizon, self.n_future_columns),
        }
        if self.n_static_columns:
            shapes[STATIC] = (self.n_static_columns,)
        return shapes

    def output_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each output of `serving_default`, without B."""
        return {QUANTILES: (self.horizon, self.n_columns)}
