"""Forecasts of many series as arrays: what every form of an answer is written from."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from forecasting.answering.plan import DegradedSpec, SkippedRecord
from forecasting.answering.served_model import ServedModel
from forecasting.contracts.signature import POINT_QUANTILE
from forecasting.contracts.vocabulary import ModelRole

Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class ForecastsRecord:
    """Forecasts of N series.

    served: the version that was asked. ids: of the series. origins `[N]`: first steps, UTC epoch seconds. answers
    `[N,H,A]`: all levels of the model, then its mean where it has one, in the target's unit, finite. levels: that were
    asked for. degraded: what the fallback answered and why, limited_by: why a forecast starts early, both by place.
    imputed, stale `[N]`: see `inputs.WindowFlags`. skipped: series without a forecast.
    role: of the version. model_s: that the model server took for all answers, seconds; none where it did not answer.
    answer_id: of this answer alone; many answers may have one request id, those of a stream among them.
    """

    served: ServedModel
    ids: tuple[str, ...]
    origins: Integers
    answers: Floats
    levels: tuple[float, ...]
    degraded: Mapping[int, DegradedSpec]
    limited_by: Mapping[int, str]
    imputed: Flags
    stale: Flags
    skipped: tuple[SkippedRecord, ...]
    role: ModelRole = ModelRole.CHAMPION
    model_s: float | None = None
    answer_id: str = field(default_factory=lambda: uuid.uuid4().hex)

    def __len__(self) -> int:
        return len(self.ids)

    def columns(self) -> dict[str, Floats]:
        """What is answered by name, each `[N,H]`: `point`, `mean` where there is one, and `q` with each level asked for."""
        spec = self.served.spec
        by_level = {level: self.answers[:, :, i] for i, level in enumerate(spec.quantiles)}
        mean = {"mean": self.answers[:, :, -1]} if spec.mean else {}
        return {"point": by_level[POINT_QUANTILE], **mean, **{f"q{level:g}": by_level[level] for level in self.levels}}

    def times(self) -> Integers:
        """UTC epoch seconds of every step `[N,H]`."""
        spec = self.served.spec
        return self.origins[:, None] + spec.step_s * np.arange(spec.horizon, dtype=np.int64)
