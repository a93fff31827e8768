"""Forecasts of series of a version by its model in this process.

What is asked, cut, joined and left to the fallback is what the gateway does it by, in batches of the same size, and the
model is run as the embedded model server runs it: the same version says the same for the same cutoff.
"""

from collections.abc import Sequence

from forecasting.answering.answered import BATCH, PartRecord, completed, cut_windows, join_parts, left_to_model
from forecasting.answering.forecasts import ForecastsRecord
from forecasting.answering.plan import PlanSpec
from forecasting.answering.request import ForecastRequest
from forecasting.errors import ArtifactError
from forecasting.runtimes.version_model import VersionModel


def answer_in_process(plan: PlanSpec, model: VersionModel, request: ForecastRequest) -> ForecastsRecord:
    """Answer a plan as the gateway does.

    Args:
        plan: Of some series.
        model: Of the version of the plan.
        request: What the plan was made of.

    Raises:
        AnswerError: No series can be forecast as it is asked for.
        ArtifactError: The model does not take what its feature spec says, or answers in another shape.
    """
    places = left_to_model(plan)
    asked = plan if len(places) == len(plan) else plan.take(places)
    return completed(join_parts(plan, places, _parts(asked, model)), request)


def _parts(asked: PlanSpec, model: VersionModel) -> Sequence[PartRecord]:
    served, parts = asked.served, []
    for first in range(0, len(asked), BATCH):
        cut = cut_windows(asked, first, min(first + BATCH, len(asked)))
        inputs, found = cut.warm(), None
        if inputs is not None:
            found = model.answer(inputs)
            shape = (len(inputs), served.spec.horizon, served.signature.n_columns)
            if found.shape != shape:
                what = f"the model of version {served.version} of {served.name!r}"
                raise ArtifactError(f"{what} must answer in the shape {shape}, found {found.shape}")
        parts.append(cut.answered(found))
    return parts
