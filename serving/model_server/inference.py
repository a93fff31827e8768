"""The answers of PredictionService, before either transport."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from forecasting.contracts.signature import SERVING_DEFAULT
from forecasting.wire.fast_predict import PredictCall, TensorError, response_bytes
from forecasting.wire.messages import (
    ClassificationResponse,
    GetModelMetadataResponse,
    MultiInferenceResponse,
    RegressionResponse,
    SignatureDefMap,
)
from serving.model_server.backends import Arrays
from serving.model_server.examples import (
    ExamplePlan,
    classify_plan,
    example_feeds,
    examples_of,
    multi_plans,
    regress_plan,
)
from serving.model_server.executor import ModelExecutor
from serving.model_server.metrics import EXAMPLE_COUNT_TOTAL, EXAMPLE_COUNTS, RUNTIME_LATENCY, ServerMetrics
from serving.model_server.served_version import ServedVersion
from serving.model_server.signatures import (
    ServedSignature,
    feeds_by_tensor,
    fetches_of,
    require_input_count,
    require_predict_method,
)
from serving.model_server.status import RequestError, StatusCode, invalid
from serving.model_server.version_keeper import VersionKeeper

SIGNATURE_FIELD = "signature_def"


@dataclass
class Resolution:
    """What a request turned out to ask, filled in as soon as it is known; a client's own words never stand here."""

    served: ServedVersion | None = None
    signatures: tuple[str, ...] = ()


class InferenceService:
    """What a model can be asked, in messages and arrays."""

    def __init__(
        self,
        keeper: VersionKeeper,
        executor: ModelExecutor,
        metrics: ServerMetrics,
        *,
        check_methods: bool = False,
        as_content: bool = False,
    ) -> None:
        """Answer from the keeper's versions.

        Args:
            keeper: Models and versions.
            executor: Runs them.
            metrics: Where to count.
            check_methods: `--enable_signature_method_name_check`.
            as_content: `--enable_serialization_as_tensor_content`.
        """
        self.keeper, self.executor, self.metrics = keeper, executor, metrics
        self._check_methods, self._as_content = check_methods, as_content

    def resolve(self, spec: Any) -> ServedVersion:
        """The version that a ModelSpec message names.

        Raises:
            RequestError: The name is empty, or there is no such version or label.
        """
        choice = spec.WhichOneof("version_choice")
        version = spec.version.value if choice == "version" else None
        return self.keeper.find(spec.name, version, spec.version_label if choice == "version_label" else None)

    async def predict(self, call: PredictCall, deadline_s: float | None, found: Resolution) -> bytes:
        """PredictionService.Predict; the serialised answer."""
        request = call.message
        found.served = served = self.resolve(_spec_of(request))
        self.executor.require_room(served, deadline_s)
        key = request.model_spec.signature_name or SERVING_DEFAULT
        signature = served.signatures.get(key)
        if signature is None:
            raise RequestError(StatusCode.FAILED_PRECONDITION, f'Serving signature key "{key}" not found.')
        found.signatures = (key,)
        if self._check_methods:
            require_predict_method(signature)
        require_input_count(signature, request.inputs)
        try:
            sent = call.arrays()
        except TensorError as error:
            raise invalid(f"tensor parsing error: {error.alias} ({error})") from error
        results = await self.run(served, signature, sent, list(request.output_filter), "Predict", deadline_s)
        return response_bytes(results, as_content=self._as_content) + served.echo(key)

    async def run(
        self,
        served: ServedVersion,
        signature: ServedSignature,
        sent: Arrays,
        output_filter: Sequence[str],
        api: str,
        deadline_s: float | None,
    ) -> Arrays:
        """Check inputs by alias, run the model, timed; outputs by alias."""
        feeds = feeds_by_tensor(signature, sent)
        aliases = fetches_of(signature, output_filter)
        start = time.perf_counter()
        values = await self.executor.run(served, feeds, [signature.outputs[alias] for alias in aliases], deadline_s)
        self.metrics.observe(RUNTIME_LATENCY, (time.perf_counter() - start) * 1e6, served.name, api, "TF1")
        return dict(zip(aliases, values, strict=True))

    async def classify(self, request: Any, deadline_s: float | None, found: Resolution) -> Any:
        """PredictionService.Classify."""
        response = ClassificationResponse()
        served, plan = self._planned(request, classify_plan, found)
        (result,) = await self._run_examples(served, [plan], request.input, "Classify", deadline_s)
        response.result.CopyFrom(result)
        response.model_spec.CopyFrom(served.spec(plan.signature_name))
        return response

    async def regress(self, request: Any, deadline_s: float | None, found: Resolution) -> Any:
        """PredictionService.Regress."""
        response = RegressionResponse()
        served, plan = self._planned(request, regress_plan, found)
        (result,) = await self._run_examples(served, [plan], request.input, "Regress", deadline_s)
        response.result.CopyFrom(result)
        response.model_spec.CopyFrom(served.spec(plan.signature_name))
        return response

    async def multi_inference(self, request: Any, deadline_s: float | None, found: Resolution) -> Any:
        """PredictionService.MultiInference."""
        if not request.tasks:
            raise invalid("ModelSpec has no name specified.")
        found.served = served = self.resolve(request.tasks[0].model_spec)
        plans = multi_plans(served.signatures, request.tasks, check_method=self._check_methods)
        found.signatures = tuple(plan.signature_name or SERVING_DEFAULT for plan in plans)
        results = await self._run_examples(served, plans, request.input, None, deadline_s)
        response = MultiInferenceResponse()
        for plan, result in zip(plans, results, strict=True):
            entry = response.results.add()
            entry.model_spec.CopyFrom(served.spec(plan.signature_name))
            getattr(entry, f"{plan.kind}_result").CopyFrom(result)
        return response

    def metadata(self, request: Any) -> Any:
        """PredictionService.GetModelMetadata; the one field is `signature_def`."""
        spec = _spec_of(request)
        if not request.metadata_field:
            raise invalid("GetModelMetadataRequest must specify at least one metadata_field")
        for name in request.metadata_field:
            if name != SIGNATURE_FIELD:
                raise invalid(f"Metadata field {name} is not supported")
        served = self.resolve(spec)
        response = GetModelMetadataResponse(model_spec=served.spec(None))
        response.metadata[SIGNATURE_FIELD].Pack(self.signature_map(served))
        return response

    def signature_map(self, served: ServedVersion) -> Any:
        """All signatures of a version as a SignatureDefMap message."""
        found = SignatureDefMap()
        for key, signature in served.signatures.items():
            found.signature_def[key].CopyFrom(signature.message)
        return found

    def _planned(self, request: Any, make: Any, found: Resolution) -> tuple[ServedVersion, ExamplePlan]:
        found.served = served = self.resolve(_spec_of(request))
        plan = make(served.signatures, request.model_spec.signature_name, check_method=self._check_methods)
        found.signatures = (plan.signature_name or SERVING_DEFAULT,)
        return served, plan

    async def _run_examples(
        self,
        served: ServedVersion,
        plans: Sequence[ExamplePlan],
        message: Any,
        api: str | None,
        deadline_s: float | None,
    ) -> list[Any]:
        examples = examples_of(message)
        feeds = example_feeds(plans, examples)
        fetches = sorted({tensor for plan in plans for tensor in plan.fetches})
        start = time.perf_counter()
        values = await self.executor.run(served, feeds, fetches, deadline_s)
        if api is not None:
            self.metrics.observe(RUNTIME_LATENCY, (time.perf_counter() - start) * 1e6, served.name, api, "TF1")
        self.metrics.observe(EXAMPLE_COUNTS, len(examples), served.name)
        self.metrics.count(EXAMPLE_COUNT_TOTAL, served.name, by=len(examples))
        found: dict[str, npt.NDArray[Any]] = dict(zip(fetches, values, strict=True))
        return [plan.result([found[tensor] for tensor in plan.fetches], len(examples)) for plan in plans]


def _spec_of(request: Any) -> Any:
    if not request.HasField("model_spec"):
        raise invalid("Missing ModelSpec")
    return request.model_spec
