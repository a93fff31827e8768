"""A narrower network out of a trained one: the units that matter most, with their weights."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from forecasting.config.models import EnsembleConfig, KindConfig, SingleConfig
from forecasting.config.widths import WIDTHS
from forecasting.neural.compression.importance import Importance
from forecasting.neural.models import AnyForecaster, NetworkSpec, build_network
from forecasting.neural.models.widths import WidthGroup

RemovedPlaces = dict[tuple[int, int], npt.NDArray[np.int64]]
"""Places along an axis that are taken out, by the id of the variable and the axis."""
_MULTIPLES = ((32, 8), (8, 4))
"""Widths from so many units on become multiples of so many: what a register of a processor holds."""


class UnfitWeightsError(ValueError):
    """What is left of a weight has another shape than in the network it should go to, as one that belongs to a step of the context."""


def narrowed_model(model: KindConfig, ratio: float) -> KindConfig:
    """Settings with every width that can be lowered at about a share of what it is, at least 1.

    Args:
        model: Settings of a trained network.
        ratio: In (0, 1].
    """
    if isinstance(model, EnsembleConfig):
        members = tuple(_narrowed_single(member, ratio) for member in model.members)
        return model.model_copy(update={"members": members})
    if not isinstance(model, SingleConfig):
        raise TypeError(f"settings of a model are needed here, found {type(model).__name__}")
    return _narrowed_single(model, ratio)


def _narrowed_single(model: SingleConfig, ratio: float) -> Any:
    update: dict[str, Any] = {}
    for field in WIDTHS[model.kind]:
        width = getattr(model, field)
        many = isinstance(width, tuple)
        update[field] = tuple(_lower(n, ratio) for n in width) if many else _lower(width, ratio)
    return model.model_copy(update=update)


def _lower(n_units: int, ratio: float) -> int:
    multiple = next((multiple for least, multiple in _MULTIPLES if n_units >= least), 1)
    return min(n_units, max(multiple, round(n_units * ratio / multiple) * multiple))


def narrowed_network(
    network: AnyForecaster, spec: NetworkSpec, importance: Sequence[Importance]
) -> tuple[AnyForecaster, list[npt.NDArray[np.int64]]]:
    """A network of other settings with the units of a trained one that matter most.

    Args:
        network: The trained network, whose model has the same layers and greater or equal widths.
        spec: What the new network is made from.
        importance: Of the units of each group of the trained network.

    Returns:
        The new network, and the units that it kept, ascending, by group.

    Raises:
        ValueError: The trained network has other layers than the new one.
    """
    narrow = build_network(spec)
    groups, targets = network.width_groups(), narrow.width_groups()
    kept = [
        np.sort(np.argsort(-scores, kind="stable")[: target.n_units])
        for scores, target in zip(importance, targets, strict=True)
    ]
    copy_weights(network, narrow, _removed_places(groups, kept))
    return narrow, kept


def copy_weights(network: AnyForecaster, narrow: AnyForecaster, removed: RemovedPlaces) -> None:
    """Give a network the weights of another one of the same layers.

    Args:
        network: Where they come from.
        narrow: It is changed.
        removed: Places along axes of variables of the first that the second has not.

    Raises:
        UnfitWeightsError: What is left of a weight does not fit.
        ValueError: There are more weights in one than in the other.
    """
    if len(narrow.weights) != len(network.weights):
        raise ValueError(
            f"a network must have {len(network.weights)} weights to take another one's, found {len(narrow.weights)}"
        )
    for old, new in zip(network.weights, narrow.weights, strict=True):
        values = old.numpy()
        for axis in range(values.ndim):
            values = np.delete(values, removed.get((id(old), axis), []), axis=axis)
        if values.shape != tuple(new.shape):
            raise UnfitWeightsError(f"{new.path} must be {tuple(new.shape)}, found {values.shape} left of {old.path}")
        new.assign(values)


def _removed_places(groups: Sequence[WidthGroup], kept: Sequence[npt.NDArray[np.int64]]) -> RemovedPlaces:
    """Places along each axis of each variable that belong to units which are not kept."""
    found: RemovedPlaces = {}
    for group, units in zip(groups, kept, strict=True):
        gone = np.setdiff1d(np.arange(group.n_units), units)
        for axis in group.axes:
            key = id(axis.variable), axis.axis
            places = axis.positions[gone].ravel()
            found[key] = np.union1d(found[key], places) if key in found else places
    return found


def n_parameters(network: keras.Model) -> int:
    """Trainable weights."""
    return int(sum(np.prod(weight.shape) for weight in network.trainable_variables))
