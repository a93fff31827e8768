"""What the settings of a training by several workers of a cluster must be."""

from collections.abc import Iterable
from typing import Any

from forecasting.config.models import AnyModel, EnsembleConfig
from forecasting.config.training import TrainingConfig
from forecasting.config.tuning import RangeConfig
from forecasting.errors import ConfigError

_BATCH = "training.batch_size"


def check_workers(training: TrainingConfig, model: AnyModel, *, n_workers: int, n_replicas: int) -> None:
    """Strategy and batch must be those of several workers; of a model that is solved no batch counts.

    Args:
        training: The section.
        model: The model.
        n_workers: Pods that train together.
        n_replicas: GPUs of all of them, or the pods themselves.

    Raises:
        ConfigError: One is not.
    """
    if training.strategy not in ("auto", "multi_worker"):
        raise ConfigError(
            f"cluster.training.workers ({n_workers}) train by the strategy multi_worker; "
            f"training.strategy must be auto or multi_worker, found {training.strategy}"
        )
    if not is_trained(model):
        return
    if training.batch_size == "auto":
        raise ConfigError(
            f"{_BATCH} must be a number where cluster.training.workers ({n_workers}) train together, found auto, which "
            "measures one machine"
        )
    if training.batch_size % n_replicas:
        raise ConfigError(
            f"{_BATCH} ({training.batch_size}) must be a multiple of the {n_replicas} replicas that "
            f"cluster.training.workers ({n_workers}) and the GPUs of each make"
        )


def check_searched_batches(space: dict[str, RangeConfig], *, n_replicas: int) -> None:
    """Whatever batch a search in the run may find must be spread evenly over all replicas.

    Raises:
        ConfigError: One cannot be.
    """
    values = space.get(_BATCH)
    if values is None:
        return
    wrong = [size for size in _sizes(values) if not isinstance(size, int | float) or size % n_replicas]
    if wrong:
        raise ConfigError(
            f"tuning.in_run may find a {_BATCH} of {wrong[0]}, which cannot be spread over the {n_replicas} replicas of "
            f"cluster.training; set tuning.space.{_BATCH} to multiples of {n_replicas}, or without it"
        )


def is_trained(model: AnyModel) -> bool:
    """Whether any part of the model is trained in batches; ridge is solved."""
    singles = model.members if isinstance(model, EnsembleConfig) else (model,)
    return any(single.kind != "ridge" for single in singles)


def _sizes(values: RangeConfig) -> Iterable[Any]:
    if values.grid is not None:
        return values.grid
    low, high = values.bounds
    return (low, low + 1, high)
