"""What each layer alone loses in INT8, and which of them stay in float."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from forecasting.predictors import LitePredictor
from forecasting.windows import ModelInputs

_SHARE_LEFT = 0.5
"""Of all squared errors together, what the layers in INT8 may keep."""


@dataclass(frozen=True)
class LayerErrorRecord:
    """A layer, and how far forecasts move when it alone is in INT8: the root mean square as a share of the mean forecast."""

    layer: str
    error_ratio: float


def layer_errors(alone: Mapping[str, bytes], reference: bytes, windows: ModelInputs) -> list[LayerErrorRecord]:
    """The error of each layer, the largest first.

    Args:
        alone: By the name of each layer, a model in which it alone is in INT8.
        reference: The float model.
        windows: What they are compared on.
    """
    expected = LitePredictor(reference).predict(windows)
    size = float(np.mean(np.abs(expected))) or 1.0
    found = []
    for layer, content in alone.items():
        difference = LitePredictor(content).predict(windows) - expected
        found.append(LayerErrorRecord(layer, float(np.sqrt(np.mean(np.square(difference)))) / size))
    return sorted(found, key=lambda record: -record.error_ratio)


def costly_layers(errors: Sequence[LayerErrorRecord]) -> tuple[LayerErrorRecord, ...]:
    """The fewest layers without which the others keep at most half of all squared errors; never all of them."""
    squares = np.square([record.error_ratio for record in errors])
    n = 0
    while n < len(errors) - 1 and squares[n:].sum() > _SHARE_LEFT * squares.sum():
        n += 1
    return tuple(errors[:n])
