"""What training one model gives, and the windows that it learns from."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from components.training.remedies import RemedyRecord
from forecasting.config.root import TrainModelSettings
from forecasting.errors import DataError
from forecasting.feature_store import FeatureStore, WindowIndex, learning_windows, validation_windows

if TYPE_CHECKING:
    from forecasting.neural.fit_plan import FitReport
    from forecasting.neural.models import AnyForecaster

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class TrainedMember:
    """A network after its refit, its first fit, what that said of the validation period, CPU seconds of the refit, its settings after remedies.

    first_weights: those before the refit; none where there was none.
    """

    network: "AnyForecaster"
    fit: "FitReport"
    scored: dict[str, Floats]
    refit_cpu_s: float
    settings: TrainModelSettings
    first_weights: list[Floats] | None = None
    remedies: tuple[RemedyRecord, ...] = ()


def training_windows(store: FeatureStore) -> tuple[WindowIndex, WindowIndex]:
    """Windows of the train cut and of the validation period.

    A window may begin before its series does (what lacks is missing) once one segment is known.

    Raises:
        DataError: One of the two is empty.
    """
    train, validation = learning_windows(store, with_validation=False), validation_windows(store)
    if not len(train) or not len(validation):
        raise DataError(
            f"training and validation need at least one window of {store.spec.horizon} steps each, "
            f"found {len(train)} and {len(validation)}; give more history or shorten split.validation and split.test"
        )
    return train, validation
