"""ModelService: the state of versions, and a new configuration at run time."""

import logging
import re
from collections.abc import Awaitable, Callable
from typing import Any

from forecasting.wire.messages import GetModelStatusResponse, ReloadConfigResponse
from serving.model_server.metrics import FAMILIES, ServerMetrics
from serving.model_server.model_specs import require_same_platforms, specs_of
from serving.model_server.status import RequestError, StatusCode, invalid
from serving.model_server.version_keeper import VersionKeeper

logger = logging.getLogger(__name__)


class ModelService:
    """Answers of `tensorflow.serving.ModelService`."""

    def __init__(self, keeper: VersionKeeper, metrics: ServerMetrics, *, reload_timeout_s: float) -> None:
        """Answer from the keeper; a reload waits so long for new models at most."""
        self._keeper, self._metrics, self._reload_timeout_s = keeper, metrics, reload_timeout_s
        self.reload_all: Callable[[bytes, float], Awaitable[None]] | None = None
        """Puts a ModelServerConfig in force in all processes of the server, where there are several."""

    def status(self, request: Any) -> Any:
        """GetModelStatus; labels are ignored, as TensorFlow Serving does.

        Raises:
            RequestError: There is no such model or version.
        """
        if not request.HasField("model_spec"):
            raise invalid("Missing ModelSpec")
        spec = request.model_spec
        wanted = spec.version.value if spec.WhichOneof("version_choice") == "version" else None
        versions = self._keeper.versions(spec.name)
        if wanted is None and not versions:
            raise RequestError(StatusCode.NOT_FOUND, f"Could not find any versions of model {spec.name}")
        response = GetModelStatusResponse()
        for served in versions:
            if wanted in (None, served.version):
                entry = response.model_version_status.add(version=served.version, state=int(served.state))
                entry.status.error_code = int(served.error_code)
                entry.status.error_message = served.error_message
        if not response.model_version_status:
            raise RequestError(StatusCode.NOT_FOUND, f"Could not find version {wanted} of model {spec.name}")
        return response

    async def reload(self, request: Any, timeout_s: float | None) -> Any:
        """HandleReloadConfigRequest: replace the models, answer once those that are new are available.

        Raises:
            RequestError: The configuration cannot be used, and nothing is changed; or a new model cannot be loaded.
        """
        if not request.config.HasField("model_config_list"):
            raise invalid(
                "ServerModelConfig type not supported by HandleReloadConfigRequest. Only ModelConfigList is currently supported"
            )
        before = {name: self._metric(name) for name in request.metric_names}
        limit_s = self._reload_timeout_s if timeout_s is None else min(timeout_s, self._reload_timeout_s)
        if self.reload_all is not None:
            await self.reload_all(bytes(request.config.SerializeToString()), limit_s)
        else:
            await self.apply(request.config, limit_s)
        response = ReloadConfigResponse()
        response.status.error_code = int(StatusCode.OK)
        for name, value in before.items():
            response.metric.add(name=name, int64_value_increase=self._metric(name) - value)
        return response

    def check(self, config: Any) -> None:
        """Check that a ModelServerConfig could be put in force.

        Raises:
            RequestError: It could not.
        """
        require_same_platforms((spec.name for spec in self._keeper.specs), config)
        self._keeper.check(specs_of(config))

    async def apply(self, config: Any, limit_s: float) -> None:
        """Put a ModelServerConfig in force in this process, and wait until its new models are available.

        Raises:
            RequestError: It cannot be used, and nothing is changed; or a new model cannot be loaded in time.
        """
        self.check(config)
        await self._keeper.wait_available(self._keeper.configure(specs_of(config)), limit_s)

    def _metric(self, name: str) -> int:
        """The value of a counter under its internal name, for example `/tensorflow/serving/request_count`."""
        found = re.sub(r"[^a-zA-Z0-9_]", ":", name)
        return self._metrics.first(found) if found in FAMILIES else 0
