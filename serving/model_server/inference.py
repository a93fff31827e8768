"""The answers of PredictionService and ModelService, before either transport."""

import time
from typing import Any

from forecasting.contracts.signature import SERVING_DEFAULT
from forecasting.errors import ConfigError
from forecasting.wire.messages import (
    GetModelMetadataResponse,
    GetModelStatusResponse,
    PredictResponse,
    ReloadConfigResponse,
    SignatureDefMap,
)
from forecasting.wire.tensors import from_tensor, to_tensor
from serving.model_server.backends import Arrays
from serving.model_server.feeds import check_feeds, check_fetches
from serving.model_server.metrics import RUNTIME_LATENCY, ServerMetrics
from serving.model_server.model_specs import specs_of
from serving.model_server.servables import ServableManager, ServedVersion
from serving.model_server.status import RequestError, StatusCode, invalid


class InferenceService:
    """What the server can be asked, in messages and arrays."""

    def __init__(self, manager: ServableManager, metrics: ServerMetrics) -> None:
        """Answer from the manager's versions."""
        self.manager = manager
        self.metrics = metrics

    def resolve(self, spec: Any) -> ServedVersion:
        """The version that a ModelSpec message names.

        Raises:
            RequestError: The name is empty, or there is no such version.
        """
        if not spec.name:
            raise invalid("ModelSpec has no name specified.")
        version = spec.version.value if spec.HasField("version") else None
        return self.manager.find(spec.name, version, spec.version_label or None)

    def signature(self, served: ServedVersion, key: str) -> Any:
        """A signature of a version.

        Raises:
            RequestError: FAILED_PRECONDITION: there is none of that key.
        """
        signatures = served.backend.signatures if served.backend else {}
        if key not in signatures:
            raise RequestError(StatusCode.FAILED_PRECONDITION, f'Serving signature key "{key}" not found.')
        return signatures[key]

    async def run(
        self, served: ServedVersion, signature: Any, feeds: Arrays, fetches: tuple[str, ...], api: str
    ) -> Arrays:
        """Check the inputs and run the model, timed."""
        check_feeds(signature, feeds)
        start = time.perf_counter()
        results = await self.manager.run(served, signature, feeds, fetches)
        self.metrics.observe(RUNTIME_LATENCY, (time.perf_counter() - start) * 1e6, served.name, api, "TF1")
        return results

    async def predict(self, request: Any) -> Any:
        """PredictionService.Predict."""
        if not request.HasField("model_spec"):
            raise invalid("Missing ModelSpec")
        served = self.resolve(request.model_spec)
        key = request.model_spec.signature_name or SERVING_DEFAULT
        signature = self.signature(served, key)
        feeds = {alias: _parse(alias, tensor) for alias, tensor in request.inputs.items()}
        fetches = check_fetches(signature, list(request.output_filter))
        results = await self.run(served, signature, feeds, fetches, "Predict")
        response = PredictResponse()
        _echo(response.model_spec, served, key)
        for alias, array in results.items():
            response.outputs[alias].CopyFrom(to_tensor(array, as_content=False))
        return response

    def metadata(self, request: Any) -> Any:
        """PredictionService.GetModelMetadata; the one field is `signature_def`."""
        if not request.HasField("model_spec"):
            raise invalid("Missing ModelSpec")
        if not request.metadata_field:
            raise invalid("GetModelMetadataRequest must specify at least one metadata_field")
        for name in request.metadata_field:
            if name != "signature_def":
                raise invalid(f"Metadata field {name} is not supported")
        served = self.resolve(request.model_spec)
        response = GetModelMetadataResponse()
        _echo(response.model_spec, served, "")
        response.metadata["signature_def"].Pack(self.signature_map(served))
        return response

    def signature_map(self, served: ServedVersion) -> Any:
        """All signatures of a version as a SignatureDefMap message."""
        found = SignatureDefMap()
        for key, signature in (served.backend.signatures if served.backend else {}).items():
            found.signature_def[key].CopyFrom(signature)
        return found

    def status(self, request: Any) -> Any:
        """ModelService.GetModelStatus; labels are ignored, as TensorFlow Serving does."""
        if not request.model_spec.name:
            raise invalid("ModelSpec has no name specified.")
        name = request.model_spec.name
        wanted = request.model_spec.version.value if request.model_spec.HasField("version") else None
        versions = self.manager.versions(name)
        if not versions:
            raise RequestError(StatusCode.NOT_FOUND, f"Could not find any versions of model {name}")
        response = GetModelStatusResponse()
        for served in versions:
            if wanted in (None, served.version):
                entry = response.model_version_status.add(version=served.version, state=int(served.state))
                entry.status.error_code = int(served.error_code)
                entry.status.error_message = served.error_message
        if not response.model_version_status:
            raise RequestError(StatusCode.NOT_FOUND, f"Could not find version {wanted} of model {name}")
        return response

    async def reload(self, request: Any) -> Any:
        """ModelService.HandleReloadConfigRequest: replace the models, answer once they are loaded."""
        if not request.config.HasField("model_config_list"):
            raise invalid("Only ModelConfigList is currently supported")
        try:
            specs = specs_of(request.config)
        except ConfigError as error:
            raise invalid(str(error)) from error
        await self.manager.configure(specs)
        for spec in specs:
            self.manager.find(spec.name)
        return ReloadConfigResponse()


def _parse(alias: str, tensor: Any) -> Any:
    try:
        return from_tensor(tensor)
    except ValueError as error:
        raise invalid(f"tensor parsing error: {alias}: {error}") from error


def _echo(spec: Any, served: ServedVersion, signature_name: str) -> None:
    spec.name = served.name
    spec.version.value = served.version
    spec.signature_name = signature_name
