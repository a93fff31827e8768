"""Inputs taken out of a trained network: columns of the past that it hardly reads, and the oldest segments of its context.

A column that goes takes with it the operations of the exported graph that compute it, and a segment a step of the recurrence:
on a small model these are most of what a forecast takes. Columns go in the order of the Taylor criterion that units go by, as
many as cost next to nothing on the validation windows, before anything is fine-tuned.
"""

import json
import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from forecasting.feature_store import FeatureStore, WindowIndex
from forecasting.features.spec import FeatureSpec
from forecasting.features.transform import reduced_spec, removable_columns
from forecasting.manifests import write_text_atomically
from forecasting.neural.compression.fine_tuning import mean_loss, window_scales
from forecasting.neural.compression.importance import Criterion, unit_importance
from forecasting.neural.compression.narrowing import RemovedPlaces, UnfitWeightsError, copy_weights
from forecasting.neural.models import AnyForecaster, NetworkSpec, build_network
from forecasting.neural.models.widths import WidthGroup

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class InputsRecord:
    """What was taken out: names of columns, and the context that remains. loss_ratio: rise of the validation loss as a share of it."""

    dropped: tuple[str, ...]
    context: int
    loss_ratio: float


def with_inputs(network: AnyForecaster, spec: NetworkSpec, reads: FeatureSpec) -> AnyForecaster:
    """A network with the weights of another one that reads fewer columns or a shorter context.

    Args:
        network: It is left as it is.
        spec: What it is made from.
        reads: A reduced spec of what it reads.

    Raises:
        UnfitWeightsError: It cannot do without them: its weights are of its columns or context in another way.
    """
    kept = set(removable_columns(reads))
    gone = np.flatnonzero([name not in kept for name in removable_columns(spec.features)])
    removed: RemovedPlaces = {
        (id(axis.variable), axis.axis): axis.positions[gone].ravel() for axis in network.input_axes()
    }
    fewer = build_network(NetworkSpec(reads, spec.model))
    copy_weights(network, fewer, removed)
    return fewer


def idle_inputs(
    network: AnyForecaster, spec: NetworkSpec, store: FeatureStore, *, learnt: WindowIndex, validation: WindowIndex,
    max_loss_ratio: float, shorten_context: bool = False, criterion: Criterion = "taylor",
) -> InputsRecord:  # fmt: skip
    """What can be taken out of a network, without fine-tuning, for so small a rise of its validation loss.

    Args:
        network: A network that has not learnt from the validation windows.
        spec: What it is made from.
        store: Feature store.
        learnt: Windows that it learnt from: what a column matters is found out on them.
        validation: What the loss is counted on.
        max_loss_ratio: Rise that may be, as a share of the loss.
        shorten_context: Whether the oldest segments of the context may go, too.
        criterion: What orders the columns.
    """
    features, before = spec.features, mean_loss(network, store, validation)
    # A shorter context has another scale, which would weigh the windows otherwise.
    scales = window_scales(network, store, validation)

    def rise(dropped: Collection[str], context: int) -> float:
        try:
            fewer = with_inputs(network, spec, reduced_spec(features, context=context, dropped=dropped))
        except UnfitWeightsError:
            # Its weights are one for each step of the context, as those of a linear model.
            return np.inf
        return mean_loss(fewer, store, validation, scales=scales) / before - 1.0

    order = _least_first(network, features, store, learnt, criterion)
    n_most = _most(len(order), lambda n: rise(_droppable(features, order[:n]), features.context) <= max_loss_ratio)
    dropped = _droppable(features, order[:n_most])
    n_fewer = (features.context - shortest_context(features)) // features.segment if shorten_context else 0
    n_segments = _most(n_fewer, lambda n: rise(dropped, features.context - n * features.segment) <= max_loss_ratio)
    context = features.context - n_segments * features.segment
    record = InputsRecord(dropped, context, rise(dropped, context))
    logger.info("%d of %d columns of the past can go, and %d of %d steps of the context: loss %+.2f %%", len(dropped),
                len(removable_columns(features)), features.context - context, features.context, 100 * record.loss_ratio)  # fmt: skip
    return record


def n_evaluations(spec: FeatureSpec, *, shorten_context: bool = False) -> int:
    """How many networks `idle_inputs` counts the loss of, at most."""
    n_fewer = (spec.context - shortest_context(spec)) // spec.segment if shorten_context else 0
    return 3 + len(removable_columns(spec)).bit_length() + n_fewer.bit_length()


def read_inputs(path: Path, spec: FeatureSpec) -> InputsRecord | None:
    """What was written; none where nothing was, or of other features."""
    if not path.exists():
        return None
    document = json.loads(path.read_text(encoding="utf-8"))
    if document["features"] != _of_features(spec):
        return None
    return InputsRecord(tuple(document["dropped"]), document["context"], document["loss_ratio"])


def write_inputs(path: Path, record: InputsRecord, spec: FeatureSpec) -> None:
    """Keep what can be taken out of a network of some features: found again, equal losses may come out as unequal."""
    write_text_atomically(path, json.dumps({"features": _of_features(spec), **asdict(record)}))


def _of_features(spec: FeatureSpec) -> dict[str, Any]:
    return {"context": spec.context, "columns": list(removable_columns(spec))}


def shortest_context(spec: FeatureSpec) -> int:
    """Steps of a context, a multiple of the segment, that still holds what lies the longest season before the horizon."""
    return min(spec.context, -(-max(spec.seasons, default=1) // spec.segment) * spec.segment)


def _least_first(
    network: AnyForecaster, spec: FeatureSpec, store: FeatureStore, windows: WindowIndex, criterion: Criterion
) -> list[str]:
    axes = tuple(network.input_axes())
    if not axes or not removable_columns(spec):
        return []
    scores = unit_importance(network, [WidthGroup("past", axes)], store, windows, criterion=criterion)[0]
    order: npt.NDArray[np.int64] = np.argsort(scores, kind="stable")
    return [removable_columns(spec)[i] for i in order]


def _droppable(spec: FeatureSpec, names: Sequence[str]) -> tuple[str, ...]:
    """Those of the names that can go together: a covariate only with all that is derived from it."""
    needed = {term.column for term in spec.derived if term.name not in names}
    return tuple(name for name in names if name not in needed)


def _most(limit: int, holds: Callable[[int], bool]) -> int:
    """The largest number up to a limit for which something holds that holds for 0 and, once it does not, for none above."""
    low, high = 0, limit
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if holds(middle) else (low, middle - 1)
    return low
