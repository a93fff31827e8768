"""Which parts of which weights belong to one unit of a width, so that units can be taken out of a network.

A width is a setting of a model, such as `units`. A group is a number of units of it that carry the same values from one
place of the network to others: the columns of the weights that make a unit, and the rows of those that read it. Several
groups may have one width; they may lose different units, but as many.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from forecasting.neural.models.recurrence import Recurrence

Positions = npt.NDArray[np.int64]


@dataclass(frozen=True)
class WeightAxis:
    """Where units lie along an axis of a variable.

    positions: `[units,K]`, K places for each unit. reads: whether the variable reads the units; otherwise it makes them.
    """

    variable: Any
    axis: int
    positions: Positions
    reads: bool


@dataclass(frozen=True)
class WidthGroup:
    """Units of a width: the setting `field` of the model, its entry `place` where it is a list."""

    field: str
    axes: tuple[WeightAxis, ...]
    place: int | None = None

    @property
    def n_units(self) -> int:
        """Units in the group."""
        return len(self.axes[0].positions)


def units_of(field: str, *axes: Iterable[WeightAxis], place: int | None = None) -> WidthGroup:
    """A group of the axes of several layers."""
    return WidthGroup(field, tuple(axis for part in axes for axis in part), place)


def made_by(layer: keras.layers.Layer, n_units: int, *, repeats: int = 1) -> list[WeightAxis]:
    """Outputs of a dense layer or a convolution that makes each unit `repeats` times, all units after each other."""
    places = positions(n_units, repeats=repeats, stride=n_units)
    made = [WeightAxis(layer.kernel, len(layer.kernel.shape) - 1, places, reads=False)]
    return made if layer.bias is None else [*made, WeightAxis(layer.bias, 0, places, reads=False)]


def state_of(layer: Recurrence) -> list[WeightAxis]:
    """The state of a recurrence: what makes each gate of it, and what reads it at the next step."""
    gates = positions(layer.units, repeats=layer.n_gates, stride=layer.units)
    biases = positions(layer.units, repeats=layer.n_gates * layer.n_biases, stride=layer.units)
    return [
        WeightAxis(layer.kernel, 1, gates, reads=False),
        WeightAxis(layer.recurrent_kernel, 1, gates, reads=False),
        WeightAxis(layer.bias, 0, biases, reads=False),
        WeightAxis(layer.recurrent_kernel, 0, positions(layer.units), reads=True),
    ]


def read_by(
    layer: keras.layers.Layer, n_units: int, *, first: int = 0, repeats: int = 1, stride: int = 0
) -> list[WeightAxis]:
    """Inputs of a layer from `first` on; with `repeats`, the same units again after each `stride` inputs."""
    places = positions(n_units, first=first, repeats=repeats, stride=stride)
    return [WeightAxis(layer.kernel, len(layer.kernel.shape) - 2, places, reads=True)]


def normalised_by(layer: keras.layers.Layer | None, n_units: int, *, first: int = 0) -> list[WeightAxis]:
    """Columns of a normalisation, of which a variable has one number each; none where there is no normalisation."""
    if layer is None:
        return []
    places = positions(n_units, first=first)
    return [WeightAxis(variable, 0, places, reads=False) for variable in layer.variables if len(variable.shape) == 1]


def positions(n_units: int, *, first: int = 0, repeats: int = 1, stride: int = 0) -> Positions:
    """Places `[units,repeats]` of units that lie side by side from `first` on, and again every `stride` places."""
    return first + np.arange(n_units)[:, None] + stride * np.arange(repeats)[None]
