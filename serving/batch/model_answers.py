"""Forecasts of all series of a version by its model in this process.

What is asked, cut, joined and left to the fallback is the gateway's own code, in batches of the same size, and the model is
run as the embedded model server runs it: the same version says the same for the same cutoff.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from forecasting.contracts.signature import QUANTILES, SERVING_DEFAULT
from forecasting.errors import ArtifactError
from forecasting.windows import ModelInputs
from serving.gateway.answered import BATCH, PartRecord, completed, cut_windows, join_parts, left_to_model
from serving.gateway.forecast_request import ForecastRequest
from serving.gateway.forecasts import ForecastsRecord
from serving.gateway.observed import ObservedRows
from serving.gateway.plan import PlanSpec, plan_forecasts
from serving.gateway.served_model import ServedModel
from serving.model_server.backends import Backend
from serving.model_server.signatures import ServedSignature, feeds_by_tensor
from serving.model_server.status import RequestError


def answer_in_process(
    served: ServedModel, backend: Backend, request: ForecastRequest, observed: ObservedRows | None = None
) -> ForecastsRecord:
    """Answer a request as the gateway does.

    Args:
        served: The version, with its series.
        backend: Its model.
        request: What is asked for.
        observed: What was observed since the version was made.

    Raises:
        AnswerError: No series can be forecast as it is asked for.
        ArtifactError: The model does not take what its feature spec says, or answers in another shape.
    """
    plan = plan_forecasts(served, request, observed)
    places = left_to_model(plan)
    asked = plan if len(places) == len(plan) else plan.take(places)
    return completed(join_parts(plan, places, _parts(asked, backend)), request)


def commonest_origin(served: ServedModel, observed: ObservedRows | None = None) -> int:
    """The latest origin of most series, epoch seconds; of several with as many series the latest.

    Raises:
        AnswerError: No series can be forecast.
    """
    origins, counts = np.unique(plan_forecasts(served, ForecastRequest(), observed).origins, return_counts=True)
    return int(origins[np.flatnonzero(counts == counts.max())[-1]])


def _parts(asked: PlanSpec, backend: Backend) -> Sequence[PartRecord]:
    parts = []
    for first in range(0, len(asked), BATCH):
        cut = cut_windows(asked, first, min(first + BATCH, len(asked)))
        inputs = cut.warm()
        parts.append(cut.answered(None if inputs is None else _run(asked.served, backend, inputs)))
    return parts


def _run(served: ServedModel, backend: Backend, inputs: ModelInputs) -> npt.NDArray[np.float32]:
    what = f"version {served.version} of {served.name!r}"
    if SERVING_DEFAULT not in backend.signatures:
        raise ArtifactError(f"{what} must have the signature {SERVING_DEFAULT}, found {sorted(backend.signatures)}")
    signature = ServedSignature.of(SERVING_DEFAULT, backend.signatures[SERVING_DEFAULT])
    if QUANTILES not in signature.outputs:
        raise ArtifactError(f"{what} must answer {QUANTILES!r}, found {sorted(signature.outputs)}")
    try:
        (found,) = backend.run(feeds_by_tensor(signature, inputs.as_dict()), [signature.outputs[QUANTILES]])
    except RequestError as error:
        raise ArtifactError(f"the model of {what} refuses what its feature spec says that it reads: {error}") from error
    answers: npt.NDArray[np.float32] = found
    shape = (len(inputs), served.spec.horizon, served.signature.n_columns)
    if answers.shape != shape:
        raise ArtifactError(f"the model of {what} must answer in the shape {shape}, found {answers.shape}")
    return answers
