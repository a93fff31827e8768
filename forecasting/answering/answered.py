"""What the model answered to a plan, batch by batch, and what is left to the fallback.

Who asks the model, a model server or one in this process, cuts and joins by the same functions, so that both say the same.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from forecasting.answering.answer_error import AnswerError
from forecasting.answering.fallback import FallbackCause
from forecasting.answering.forecasts import ForecastsRecord
from forecasting.answering.inputs import WindowFlags, model_inputs, window_flags
from forecasting.answering.plan import DegradedSpec, PlanSpec, degrade
from forecasting.answering.request import ForecastRequest
from forecasting.answering.served_model import ServedModel
from forecasting.answering.stand_in import filled
from forecasting.contracts.vocabulary import ModelRole
from forecasting.crossed_quantiles import is_crossed
from forecasting.features.spec import FeatureSpec
from forecasting.windows import ModelInputs

BATCH = 512
"""Series that the model is asked for at once."""
_COLD = DegradedSpec(FallbackCause.COLD, "the series has no target in what the model reads of its history")
NOT_FINITE = DegradedSpec(FallbackCause.MODEL_ANSWER, "the model answers with a missing value")
CROSSED = DegradedSpec(FallbackCause.MODEL_ANSWER, "the model answers with quantiles that cross")
BEYOND_BOUNDS = DegradedSpec(FallbackCause.MODEL_ANSWER, "the model answers beyond the bounds of the target")
_REFUSED = "refused"
_UNFIT = {NOT_FINITE: "not_finite", CROSSED: "crossed", BEYOND_BOUNDS: "beyond_bounds"}
INVALID_REASONS = (*_UNFIT.values(), _REFUSED)
"""Labels of why an answer of the model was not passed on; see `count_invalid`."""


@dataclass(frozen=True)
class PartRecord:
    """Answers of one batch `[B,H,A]`, NaN for a series whose window has no target, and the flags of its windows."""

    answers: npt.NDArray[np.float32]
    flags: WindowFlags


@dataclass(frozen=True)
class CutRecord:
    """Windows of one batch of B series, and what they are like."""

    served: ServedModel
    inputs: ModelInputs
    flags: WindowFlags

    def warm(self) -> ModelInputs | None:
        """The windows that have a target, of which alone the model is asked; none where no window has one."""
        rows = np.flatnonzero(~self.flags.cold)
        if rows.size == len(self.inputs):
            return self.inputs
        if not rows.size:
            return None
        static = None if self.inputs.static is None else self.inputs.static[rows]
        return ModelInputs(self.inputs.history[rows], self.inputs.future[rows], static)

    def answered(self, found: npt.NDArray[np.float32] | None) -> PartRecord:
        """The batch with what the model says to `warm` `[W,H,A]`."""
        shapes = self.served.signature
        answers = np.full((len(self.inputs), shapes.horizon, shapes.n_columns), np.nan, dtype=np.float32)
        if found is not None:
            answers[~self.flags.cold] = found
        return PartRecord(answers, self.flags)


@dataclass(frozen=True)
class AnsweredRecord:
    """A plan with the answers of the model `[N,H,A]` and the flags of the windows; none where it was not asked.

    role: of the version that was to answer.
    """

    plan: PlanSpec
    answers: npt.NDArray[np.float32] | None = None
    flags: WindowFlags | None = None
    role: ModelRole = ModelRole.CHAMPION


def left_to_model(plan: PlanSpec) -> npt.NDArray[np.int64]:
    """Places of the series that are not left to the fallback already, ascending."""
    everyone = np.arange(len(plan))
    return np.setdiff1d(everyone, list(plan.degraded)) if plan.degraded else everyone


def cut_windows(plan: PlanSpec, first: int, end: int) -> CutRecord:
    """Windows of the series from one place of a plan up to another."""
    inputs = model_inputs(plan, first, end)
    return CutRecord(plan.served, inputs, window_flags(plan, inputs))


def join_parts(plan: PlanSpec, places: npt.NDArray[np.int64], parts: Sequence[PartRecord]) -> AnsweredRecord:
    """Parts as one; what has no finite answer, one beyond the bounds of the target, or quantiles that cross, is left to the fallback.

    Quantiles that cross by what float32 rounds off are made equal, so that none of an answer ever cross.

    Args:
        plan: All series.
        places: Of those that the model was asked for, in the order of the parts; see `left_to_model`.
        parts: One a batch.
    """
    spec, n_series = plan.served.spec, len(plan)
    if len(parts) == 1 and len(places) == len(plan) and _is_sound(parts[0].answers, spec):
        return AnsweredRecord(plan, parts[0].answers, parts[0].flags)
    answers = np.full((n_series, spec.horizon, plan.served.signature.n_columns), np.nan, dtype=np.float32)
    flags = {name: np.zeros(n_series, dtype=np.bool_) for name in ("imputed", "stale", "cold")}
    if parts:
        answers[places] = np.concatenate([part.answers for part in parts])
        for name, values in flags.items():
            values[places] = np.concatenate([getattr(part.flags, name) for part in parts])
    quantiles = answers[:, :, : len(spec.quantiles)]
    lacking = places[~np.isfinite(answers[places]).all(axis=(1, 2))].tolist()
    crossed = places[is_crossed(quantiles[places]).any(axis=1)].tolist()
    why = dict.fromkeys(crossed, CROSSED)
    why |= dict.fromkeys(places[_is_beyond(answers[places], spec)].tolist(), BEYOND_BOUNDS)
    why |= {place: _COLD if flags["cold"][place] else NOT_FINITE for place in lacking}
    np.maximum.accumulate(quantiles, axis=2, out=quantiles)
    answers[list(why)] = np.nan
    return AnsweredRecord(degrade(plan, why), answers, WindowFlags(**flags))


def count_invalid(degraded: Iterable[DegradedSpec]) -> Counter[str]:
    """Series whose answer of the model was not passed on, by a label of `INVALID_REASONS`."""
    return Counter(_UNFIT.get(why, _REFUSED) for why in degraded if why.cause is FallbackCause.MODEL_ANSWER)


def _is_sound(answers: npt.NDArray[np.float32], spec: FeatureSpec) -> bool:
    n_levels = len(spec.quantiles)
    ascends = answers[:, :, 1:n_levels] >= answers[:, :, : n_levels - 1]
    return bool(ascends.all() and np.isfinite(answers).all()) and not _is_beyond(answers, spec).any()


def _is_beyond(answers: npt.NDArray[np.float32], spec: FeatureSpec) -> npt.NDArray[np.bool_]:
    """Series `[B]` whose answers `[B,H,A]` are beyond a bound of the target: a graph made here keeps them within."""
    beyond = np.zeros(len(answers), dtype=np.bool_)
    # Bounds as the graph has them, in float32. What is missing is beyond nothing.
    if spec.lower_bound is not None:
        beyond |= (answers < np.float32(spec.lower_bound)).any(axis=(1, 2))
    if spec.upper_bound is not None:
        beyond |= (answers > np.float32(spec.upper_bound)).any(axis=(1, 2))
    return beyond


def check_levels(request: ForecastRequest, served: ServedModel) -> None:
    """Refuse quantile levels that a model does not have.

    Raises:
        AnswerError: 400: there is such a level.
    """
    levels = request.quantiles or ()
    if len(set(levels)) != len(levels):
        raise AnswerError(400, f"'quantiles' must not name a level twice, found {list(levels)}")
    for level in levels:
        if level not in served.spec.quantiles:
            raise AnswerError(400, f"'quantiles' must be among {list(served.spec.quantiles)}, found {level}")


def completed(answered: AnsweredRecord, request: ForecastRequest) -> ForecastsRecord:
    """All forecasts, those of the fallback among them; raises what `filled` raises."""
    return filled(answered.plan, answered.answers, answered.flags, request)
