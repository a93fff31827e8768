"""Runs on Argo Workflows, through the interface of Kubernetes: one object a run, named by its request.

A name can be taken once, so that whoever submits a run may repeat it until it is answered.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from forecasting.cluster_api.session import CONFLICT, NOT_FOUND, ApiAnswerRecord, ApiRequestSpec, ApiSession
from forecasting.config import AlmanacConfig
from forecasting.contracts.steps import StepName
from forecasting.errors import ConfigError, RemoteError
from pipelines.cluster.backend import ClusterPhase, ClusterRunRecord, SubmissionSpec, submitted_name

REQUEST_ANNOTATION = "almanac/request"
NODE_ANNOTATION = "workflows.argoproj.io/node-name"
WORKFLOW_LABEL = "workflows.argoproj.io/workflow"
_GONE = 410
_PAGE = 100
_PLURALS = {"ConfigMap": "configmaps", "WorkflowTemplate": "workflowtemplates", "CronWorkflow": "cronworkflows"}
_PHASES = {
    "Running": ClusterPhase.RUNNING, "Succeeded": ClusterPhase.SUCCEEDED, "Failed": ClusterPhase.FAILED,
    "Error": ClusterPhase.FAILED,
}  # fmt: skip


class ArgoBackend:
    """Runs of one configuration; see `pipelines.cluster.backend.ClusterBackend`."""

    def __init__(
        self, config: AlmanacConfig, session: ApiSession, documents: Callable[[], list[dict[str, Any]]]
    ) -> None:
        """Asks nothing yet.

        Args:
            config: The configuration.
            session: To Kubernetes.
            documents: The resources of the pipeline; asked for only where they are needed, for they take a compiler.
        """
        self._config, self._session, self._documents = config, session, documents

    def submit(self, spec: SubmissionSpec) -> ClusterRunRecord:
        """Make the configuration of the run and its workflow; a workflow of this request that is there is the run."""
        documents = {document["kind"]: document for document in self._documents()}
        self._send("POST", self._core("configmaps"), body=documents["ConfigMap"], accept=(CONFLICT,))
        workflow = self._workflow(documents["WorkflowTemplate"], spec)
        made = self._send("POST", self._argo("workflows"), body=workflow, accept=(CONFLICT,))
        name = workflow["metadata"]["name"]
        found = self.run(name) if made.status == CONFLICT else _record(made.document)
        if found.request != spec.request:
            raise RemoteError(f"workflow {name} is of another request, {found.request!r}; give this one another name")
        return found

    def run(self, name: str) -> ClusterRunRecord:
        """A workflow by its name."""
        return _record(self._send("GET", self._argo("workflows", name)).document)

    def runs(self) -> Iterator[ClusterRunRecord]:
        """The workflows of the model, newest first."""
        found = sorted(self._pages(), key=lambda record: (record.created, record.name), reverse=True)
        yield from found

    def stop(self, name: str) -> ClusterRunRecord:
        """End a workflow; what it does at its end is done, so that its claim is given back."""
        found = self.run(name)
        if found.phase.over:
            raise ConfigError(f"run {name} is not going; it is {found.phase}")
        patch = {"spec": {"shutdown": "Stop"}}
        path = self._argo("workflows", name)
        return _record(self._send("PATCH", path, body=patch, content_type="application/merge-patch+json").document)

    def logs(self, name: str, step: StepName | None) -> Iterator[tuple[str, str]]:
        """What the pods printed, as long as the cluster keeps them."""
        self.run(name)
        selector = {"labelSelector": f"{WORKFLOW_LABEL}={name}"}
        for pod in self._send("GET", self._core("pods"), query=selector).document.get("items", []):
            metadata = pod["metadata"]
            task = metadata.get("annotations", {}).get(NODE_ANNOTATION, metadata["name"]).removeprefix(f"{name}.")
            if step is not None and task.partition("(")[0] != step.value.replace("_", "-"):
                continue
            path = f"{self._core('pods', metadata['name'])}/log"
            # 400: its container has not begun.
            answer = self._send("GET", path, query={"container": "main"}, accept=(400, NOT_FOUND))
            if answer.status < 400:
                yield task, answer.text

    def schedule(self) -> str:
        """Put template and schedule in the place of what is there."""
        documents = self._documents()
        if documents[-1]["kind"] != "CronWorkflow":
            raise ConfigError("retraining.schedule must be set to run the pipeline by a schedule, such as '0 3 * * 1'")
        for document in documents:
            self._apply(document)
        retraining = self._config.retraining
        return f"cron workflow {documents[-1]['metadata']['name']}: {retraining.schedule} in {retraining.time_zone}"

    def unschedule(self) -> bool:
        """Remove the schedule; runs that it began go on."""
        path = self._argo("cronworkflows", f"almanac-{self._config.name}")
        return self._send("DELETE", path, accept=(NOT_FOUND,)).status != NOT_FOUND

    def _workflow(self, template: Mapping[str, Any], spec: SubmissionSpec) -> dict[str, Any]:
        """A workflow of its own, not a reference: the template belongs to the schedule, and may change meanwhile."""
        given = {"cutoff": spec.cutoff, "request": spec.request}
        parameters = template["spec"]["arguments"]["parameters"]
        arguments = [{**entry, "value": given.get(entry["name"], entry["value"])} for entry in parameters]
        metadata = {
            "name": submitted_name(self._config.name, spec.request),
            "namespace": self._config.cluster.namespace,
            "labels": template["metadata"]["labels"],
            "annotations": {REQUEST_ANNOTATION: spec.request},
        }
        return {
            "apiVersion": template["apiVersion"], "kind": "Workflow", "metadata": metadata,
            "spec": {**template["spec"], "arguments": {"parameters": arguments}},
        }  # fmt: skip

    def _pages(self) -> list[ClusterRunRecord]:
        labels = f"app.kubernetes.io/name=almanac,app.kubernetes.io/instance={self._config.name}"
        found: list[ClusterRunRecord] = []
        following = ""
        while True:
            query = {"labelSelector": labels, "limit": str(_PAGE)} | ({"continue": following} if following else {})
            answer = self._send("GET", self._argo("workflows"), query=query, accept=(_GONE,))
            if answer.status == _GONE:
                # The place in the list has expired while it was read; from the beginning.
                found, following = [], ""
                continue
            found += [_record(item) for item in answer.document["items"]]
            following = answer.document.get("metadata", {}).get("continue", "")
            if not following:
                return found

    def _apply(self, document: Mapping[str, Any]) -> None:
        plural = _PLURALS[document["kind"]]
        place = self._core if document["apiVersion"] == "v1" else self._argo
        self._send(
            "PATCH", place(plural, document["metadata"]["name"]), body=document,
            query={"fieldManager": "almanac", "force": "true"}, content_type="application/apply-patch+yaml",
        )  # fmt: skip

    def _send(self, method: str, path: str, **settings: Any) -> ApiAnswerRecord:
        return self._session.send(ApiRequestSpec(method, path, **settings))

    def _argo(self, plural: str, name: str = "") -> str:
        return self._path("/apis/argoproj.io/v1alpha1", plural, name)

    def _core(self, plural: str, name: str = "") -> str:
        return self._path("/api/v1", plural, name)

    def _path(self, group: str, plural: str, name: str) -> str:
        return f"{group}/namespaces/{self._config.cluster.namespace}/{plural}" + (f"/{name}" if name else "")


def _record(workflow: Mapping[str, Any]) -> ClusterRunRecord:
    metadata, status = workflow["metadata"], workflow.get("status", {})
    phase = _PHASES.get(status.get("phase", ""), ClusterPhase.PENDING)
    if phase == ClusterPhase.FAILED and workflow["spec"].get("shutdown"):
        phase = ClusterPhase.STOPPED
    parameters = workflow["spec"].get("arguments", {}).get("parameters", [])
    given = {entry["name"]: entry.get("value") for entry in parameters}
    return ClusterRunRecord(
        id=metadata["name"],
        name=metadata["name"],
        phase=phase,
        created=metadata.get("creationTimestamp", ""),
        request=metadata.get("annotations", {}).get(REQUEST_ANNOTATION),
        cutoff=given.get("cutoff") or None,
        detail=status.get("message", ""),
    )
