"""The variables of a training by group, their values as arrays, and back."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Arrays = tuple[npt.NDArray[Any], ...]


class TrainingVariables:
    """Everything that a step changes."""

    def __init__(self, groups: Mapping[str, Sequence[Any]]) -> None:
        """Variables by the name of their group."""
        self._groups = groups

    def values(self) -> dict[str, Arrays]:
        """Copies of all values."""
        return {name: values_of(variables) for name, variables in self._groups.items()}

    def put(self, values: Mapping[str, Arrays]) -> None:
        """Set all values, on every replica."""
        for name, variables in self._groups.items():
            assign(variables, values[name])


def values_of(variables: Sequence[Any]) -> Arrays:
    """Copies of the values of some variables."""
    return tuple(np.array(variable.numpy()) for variable in variables)


def assign(variables: Sequence[Any], values: Sequence[npt.NDArray[Any]]) -> None:
    """Set some variables, on every replica."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
