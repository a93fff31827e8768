"""Export: one graph from the arrays of the serving signature to calibrated quantiles and the mean.

Feature functions, scaling, network, inverse scaling and calibration are all inside, so that a
served model cannot be fed with features made another way.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf

from forecasting.contracts.artifacts import EXPORTED_SPEC_FILE
from forecasting.contracts.signature import (
    FUTURE,
    FUTURE_FEATURES,
    HISTORY,
    HISTORY_FEATURES,
    ORIGIN,
    POINT_QUANTILE,
    QUANTILES,
    SERVING_DEFAULT,
    SERVING_RAW,
    STATIC,
    TRANSFORM_FEATURES,
)
from forecasting.features.calendar import calendar_columns
from forecasting.features.spec import FeatureSpec, write_feature_spec
from forecasting.features.transform import (
    bounded,
    own_scales,
    read_history,
    unscaled,
    window_features,
    within_bounds,
)
from forecasting.neural.models import AnyForecaster
from forecasting.neural.models.recurrence import is_portable
from forecasting.neural.namespace import TENSORFLOW
from forecasting.neural.portable_features import portable_window_features

Tensor = Any


@dataclass(frozen=True)
class CalibrationSpec:
    """Factor on each level's distance to the median `[Q]`."""

    factors: tuple[float, ...]


class ForecastModule:
    """The served model: functions of the serving signature, whose arrays may have more than the network reads."""

    def __init__(self, network: AnyForecaster, spec: FeatureSpec, calibration: CalibrationSpec) -> None:
        """Wrap a trained network."""
        self.network = network
        self.spec = spec
        self.calibration = calibration

    def quantiles(self, history: Tensor, future: Tensor, static: Tensor | None = None) -> Tensor:
        """Quantiles, then the mean where there is one `[B,H,A]`, in the target's unit, from the arrays of `serving_default`."""
        spec = self.spec
        past, ahead = self._features(history, future, static)
        codes = static[:, : len(spec.static)] if static is not None and spec.static else None
        scaled, _ = self.network(history_features=past, future_features=ahead, static=codes, training=False)
        n_levels = len(spec.quantiles)
        own = {
            name: (tf.expand_dims(location, 2), tf.expand_dims(scale, 2))
            for name, (location, scale) in own_scales(static, spec).items()
        }
        stretched = self._calibrate(scaled[:, :, :n_levels] if spec.mean else scaled)
        found = bounded(unscaled(stretched, own, spec, TENSORFLOW), spec, TENSORFLOW)
        if not spec.mean:
            return found
        mean = within_bounds(unscaled(scaled[:, :, n_levels:], own, spec, TENSORFLOW), spec, TENSORFLOW)
        return tf.concat([found, mean], axis=2)

    def _features(self, history: Tensor, future: Tensor, static: Tensor | None) -> tuple[Any, Tensor]:
        reads = self.network.features
        if not is_portable():
            read = read_history(history, self.spec, reads, TENSORFLOW)
            return window_features(read, future, static, reads, TENSORFLOW)
        every = self.network.derived_every
        return portable_window_features(history, future, static, reads, served=self.spec, derived_every=every)

    def _calibrate(self, scaled: Tensor) -> Tensor:
        """Stretch the gaps, then take the running extreme outwards so that levels stay sorted."""
        levels, factors = self.spec.quantiles, self.calibration.factors
        middle = levels.index(POINT_QUANTILE)
        median = scaled[:, :, middle : middle + 1]
        stretched = median + (scaled - median) * tf.constant(factors, tf.float32)
        if middle <= 1 and len(levels) - middle <= 2 and min(factors) >= 0.0:
            # Levels next to the median cannot cross it: a gap times a factor keeps its side.
            return stretched
        columns = tf.unstack(stretched, axis=2)
        for j in range(middle - 1, -1, -1):
            columns[j] = tf.minimum(columns[j], columns[j + 1])
        for j in range(middle + 1, len(levels)):
            columns[j] = tf.maximum(columns[j], columns[j - 1])
        return tf.stack(columns, axis=2)

    def serving_default(self) -> tf.types.experimental.ConcreteFunction:
        """The signature of the same name."""
        specs = self._input_specs()

        def serve(**inputs: Tensor) -> dict[str, Tensor]:
            return {QUANTILES: self.quantiles(inputs[HISTORY], inputs[FUTURE], inputs.get(STATIC))}

        return tf.function(serve, autograph=False).get_concrete_function(**specs)

    def transform_features(self) -> tf.types.experimental.ConcreteFunction:
        """The model's inputs, for tests of training and serving skew."""
        specs = self._input_specs()
        if not self.spec.scaler.own:
            specs.pop(STATIC, None)

        def transform(**inputs: Tensor) -> dict[str, Tensor]:
            past, ahead = window_features(inputs[HISTORY], inputs[FUTURE], inputs.get(STATIC), self.spec, TENSORFLOW)
            return {HISTORY_FEATURES: past, FUTURE_FEATURES: ahead}

        return tf.function(transform, autograph=False).get_concrete_function(**specs)

    def serving_raw(self) -> tf.types.experimental.ConcreteFunction:
        """As `serving_default`, with the calendar made in the graph from `origin`."""
        spec = self.spec
        n_calendar = len(spec.calendar.names)
        specs = self._input_specs()
        shapes = spec.signature
        specs[HISTORY] = tf.TensorSpec(
            [None, shapes.history_length, shapes.n_history_columns - n_calendar], tf.float32, name=HISTORY
        )
        specs[FUTURE] = tf.TensorSpec(
            [None, shapes.horizon, shapes.n_future_columns - n_calendar], tf.float32, name=FUTURE
        )
        specs[ORIGIN] = tf.TensorSpec([None], tf.int64, name=ORIGIN)

        def serve(**inputs: Tensor) -> dict[str, Tensor]:
            steps = tf.range(-spec.history_length, spec.horizon, dtype=tf.int64) * spec.step_s
            calendar = calendar_columns(inputs[ORIGIN][:, None] + steps[None], spec.calendar, TENSORFLOW)
            history = tf.concat([inputs[HISTORY], calendar[:, : spec.history_length]], axis=2)
            future = tf.concat([inputs[FUTURE], calendar[:, spec.history_length :]], axis=2)
            return {QUANTILES: self.quantiles(history, future, inputs.get(STATIC))}

        return tf.function(serve, autograph=False).get_concrete_function(**specs)

    def _input_specs(self) -> dict[str, tf.TensorSpec]:
        shapes = self.spec.signature.input_shapes()
        return {name: tf.TensorSpec([None, *shape], tf.float32, name=name) for name, shape in shapes.items()}


def export_saved_model(module: ForecastModule, directory: Path) -> None:
    """Write a SavedModel with all signatures, and the feature spec among its extra assets."""
    if directory.exists():
        shutil.rmtree(directory)
    signatures = {
        SERVING_DEFAULT: module.serving_default(),
        SERVING_RAW: module.serving_raw(),
        TRANSFORM_FEATURES: module.transform_features(),
    }
    # A plain module that owns the weights: saving a Keras model would trace its own call as well.
    root = tf.Module()
    root.weights = [weight.value for weight in module.network.variables]
    tf.saved_model.save(root, str(directory), signatures=signatures)
    write_feature_spec(module.spec, directory / EXPORTED_SPEC_FILE)
