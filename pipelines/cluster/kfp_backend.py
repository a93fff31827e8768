"""Runs on Kubeflow Pipelines, through its own interface (v2beta1).

It gives every run that is created a new id, so that whether a request has a run is looked up by name before one is
created, and again where it is not known whether one was.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from forecasting.cluster_api.session import (
    CONFLICT,
    NOT_FOUND,
    ApiAnswerRecord,
    ApiRequestSpec,
    ApiSession,
    NotThereError,
)
from forecasting.config import AlmanacConfig
from forecasting.contracts.steps import StepName
from forecasting.errors import ConfigError, RetryableError
from pipelines.cluster.backend import ClusterPhase, ClusterRunRecord, SubmissionSpec, submitted_name

_API = "/apis/v2beta1"
_PAGE = 100
_TRIES = 3
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_PHASES = {
    "RUNNING": ClusterPhase.RUNNING, "PAUSED": ClusterPhase.RUNNING, "CANCELING": ClusterPhase.RUNNING,
    "SUCCEEDED": ClusterPhase.SUCCEEDED, "SKIPPED": ClusterPhase.SUCCEEDED, "FAILED": ClusterPhase.FAILED,
    "CANCELED": ClusterPhase.STOPPED,
}  # fmt: skip


class KfpBackend:
    """Runs of one configuration; see `pipelines.cluster.backend.ClusterBackend`."""

    def __init__(self, config: AlmanacConfig, session: ApiSession, package: Callable[[], dict[str, Any]]) -> None:
        """Asks nothing yet.

        Args:
            config: The configuration.
            session: To Kubeflow Pipelines.
            package: `pipeline_spec` and `platform_spec`; asked for only where they are needed, for they take a compiler.
        """
        self._config, self._session, self._package = config, session, package
        self._experiment: str | None = None

    def submit(self, spec: SubmissionSpec) -> ClusterRunRecord:
        """Create a run, unless this request has one."""
        name = submitted_name(self._config.name, spec.request)
        body = {
            "display_name": name,
            "experiment_id": self._experiment_id(),
            "pipeline_spec": self._package(),
            "runtime_config": {"parameters": {"cutoff": spec.cutoff, "request": spec.request}},
            "service_account": self._config.cluster.service_account,
        }
        return _record(self._found_or_made("runs", "runs", name, body))

    def run(self, name: str) -> ClusterRunRecord:
        """A run by its id, or by the name that it was submitted with."""
        if _ID.fullmatch(name):
            return _record(self._send("GET", f"/runs/{name}").document)
        found = self._named("runs", "runs", name)
        if found is None:
            raise NotThereError(
                f"there is no run {name!r} in experiment {self._experiment_name}; `almanac runs list -c …` names them"
            )
        return _record(found)

    def runs(self) -> Iterator[ClusterRunRecord]:
        """The runs of the model's experiment, newest first."""
        for found in self._pages("runs", "runs", sort_by="created_at desc"):
            yield _record(found)

    def stop(self, name: str) -> ClusterRunRecord:
        """Have a run terminated; its claim is given back where its last task is still done."""
        found = self.run(name)
        if found.phase.over:
            raise ConfigError(f"run {name} is not going; it is {found.phase}")
        self._send("POST", f"/runs/{found.id}:terminate", body={})
        return self.run(found.id)

    def logs(self, name: str, step: StepName | None) -> Iterator[tuple[str, str]]:
        """What the pods printed, as long as the cluster keeps them."""
        found = self.run(name)
        document = self._send("GET", f"/runs/{found.id}").document
        for task in document.get("run_details", {}).get("task_details", []):
            label = task.get("display_name", "")
            if step is not None and label != step.value.replace("_", "-"):
                continue
            for pod in _pods(task):
                path = f"/apis/v1alpha1/runs/{found.id}/nodes/{pod}/log"
                answer = self._session.send(ApiRequestSpec("GET", path, accept=(400, NOT_FOUND)))
                if answer.status < 400:
                    yield label, answer.text

    def schedule(self) -> str:
        """Create a recurring run, then delete the ones before it; one that is the same stays."""
        retraining, name = self._config.retraining, f"almanac-{self._config.name}"
        if retraining.schedule is None:
            raise ConfigError("retraining.schedule must be set to run the pipeline by a schedule, such as '0 3 * * 1'")
        if retraining.time_zone not in ("UTC", "Etc/UTC"):
            raise ConfigError(
                f"retraining.time_zone must be UTC on Kubeflow Pipelines, whose schedules know no zone, found {retraining.time_zone}; "
                "set it, or use cluster.backend argo or almanac worker"
            )
        body = {
            "display_name": name,
            "experiment_id": self._experiment_id(),
            "pipeline_spec": self._package(),
            "runtime_config": {"parameters": {}},
            "service_account": self._config.cluster.service_account,
            "max_concurrency": "1",
            "no_catchup": True,
            "mode": "ENABLE",
            # Its fields begin with seconds.
            "trigger": {"cron_schedule": {"cron": f"0 {retraining.schedule}"}},
        }
        body["description"] = f"almanac {_digest(body)}"
        made = self._made_schedule(name, body)
        kept = made["recurring_run_id"]
        for other in [found for found in self._schedules(name) if found["recurring_run_id"] != kept]:
            self._delete_schedule(other)
        return f"recurring run {name} ({kept}): {retraining.schedule} in UTC"

    def unschedule(self) -> bool:
        """Delete the recurring runs; runs that they began go on."""
        found = self._schedules(f"almanac-{self._config.name}")
        for one in found:
            self._delete_schedule(one)
        return bool(found)

    def _made_schedule(self, name: str, body: dict[str, Any]) -> Mapping[str, Any]:
        for _ in range(_TRIES):
            same = [found for found in self._schedules(name) if found.get("description") == body["description"]]
            enabled = [found for found in same if found.get("status", "ENABLED") != "DISABLED"]
            if enabled:
                return enabled[0]
            try:
                return self._send("POST", "/recurringruns", body=body, repeatable=False).document
            except RetryableError as error:
                uncertain = error
        raise uncertain

    def _schedules(self, name: str) -> list[Mapping[str, Any]]:
        return list(self._pages("recurringruns", "recurringRuns", filter=_by_name(name)))

    def _delete_schedule(self, found: Mapping[str, Any]) -> None:
        self._send("DELETE", f"/recurringruns/{found['recurring_run_id']}", accept=(NOT_FOUND,))

    @property
    def _experiment_name(self) -> str:
        return self._config.cluster.api.experiment or f"almanac-{self._config.name}"

    def _experiment_id(self) -> str:
        if self._experiment is None:
            body = {"display_name": self._experiment_name, **self._namespace()}
            found = self._found_or_made("experiments", "experiments", self._experiment_name, body)
            self._experiment = str(found["experiment_id"])
        return self._experiment

    def _found_or_made(self, path: str, key: str, name: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """What has this name; created where nothing has, and looked for again where creating it had no clear answer."""
        for _ in range(_TRIES):
            found = self._named(path, key, name)
            if found is not None:
                return found
            try:
                made = self._send("POST", f"/{path}", body=body, accept=(CONFLICT,), repeatable=False)
            except RetryableError as error:
                uncertain = error
                continue
            if made.status != CONFLICT:
                return made.document
            uncertain = RetryableError(f"{path} has {name!r} and does not show it; try again later")
        raise uncertain

    def _named(self, path: str, key: str, name: str) -> Mapping[str, Any] | None:
        return next(self._pages(path, key, filter=_by_name(name)), None)

    def _pages(self, path: str, key: str, **query: str) -> Iterator[Mapping[str, Any]]:
        scope = self._namespace() if path == "experiments" else {"experiment_id": self._experiment_id()}
        token = ""  # nosec B105 # the token of the first page
        while True:
            page = {**scope, **query, "page_size": str(_PAGE)} | ({"page_token": token} if token else {})
            document = self._send("GET", f"/{path}", query=page).document
            yield from document.get(key, [])
            token = document.get("next_page_token", "")
            if not token:
                return

    def _namespace(self) -> dict[str, str]:
        return {"namespace": self._config.cluster.namespace} if self._config.cluster.api.multi_user else {}

    def _send(self, method: str, path: str, **settings: Any) -> ApiAnswerRecord:
        return self._session.send(ApiRequestSpec(method, f"{_API}{path}", **settings))


def _by_name(name: str) -> str:
    return json.dumps({"predicates": [{"operation": "EQUALS", "key": "display_name", "string_value": name}]})


def _digest(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:16]


def _pods(task: Mapping[str, Any]) -> list[str]:
    children = [child.get("pod_name", "") for child in task.get("child_tasks", [])]
    return [pod for pod in [task.get("pod_name", ""), *children] if pod]


def _record(run: Mapping[str, Any]) -> ClusterRunRecord:
    parameters = run.get("runtime_config", {}).get("parameters", {})
    return ClusterRunRecord(
        id=run["run_id"],
        name=run["display_name"],
        phase=_PHASES.get(run.get("state", ""), ClusterPhase.PENDING),
        created=run.get("created_at", ""),
        request=parameters.get("request") or None,
        cutoff=parameters.get("cutoff") or None,
        detail=run.get("error", {}).get("message", ""),
    )
