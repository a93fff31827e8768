"""What a TFJob may hold, as far as it is known here: closed, so that a field of another name is refused.

Its resource definition is not among the schemas of ../shared; the pod is held to the one that a TrainingRuntime has.
"""

from typing import Any


def _closed(required: tuple[str, ...], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


_INTEGER, _TEXT = {"type": "integer"}, {"type": "string"}
_POLICY = _closed((), minAvailable=_INTEGER, minResources={"type": "object"}, priorityClass=_TEXT, queue=_TEXT,
                  scheduleTimeoutSeconds=_INTEGER)  # fmt: skip
_RUN_POLICY = _closed(
    (), activeDeadlineSeconds=_INTEGER, backoffLimit=_INTEGER, cleanPodPolicy={"enum": ["None", "Running", "All"]},
    managedBy=_TEXT, schedulingPolicy=_POLICY, suspend={"type": "boolean"}, ttlSecondsAfterFinished=_INTEGER,
)  # fmt: skip


def tfjob_schema(pod_template: dict[str, Any]) -> dict[str, Any]:
    """The schema.

    Args:
        pod_template: Schema of the template of its pods.
    """
    restart = {"enum": ["Always", "OnFailure", "Never", "ExitCode"]}
    replica = _closed(("template",), replicas=_INTEGER, restartPolicy=restart, template=pod_template)
    kinds = dict.fromkeys(("Chief", "Master", "Worker", "PS", "Evaluator"), replica)
    spec = _closed(
        ("tfReplicaSpecs",), enableDynamicWorker={"type": "boolean"}, runPolicy=_RUN_POLICY,
        successPolicy={"enum": ["", "AllWorkers"]}, tfReplicaSpecs=_closed((), **kinds),
    )  # fmt: skip
    return _closed(
        ("apiVersion", "kind", "metadata", "spec"), apiVersion={"const": "kubeflow.org/v1"}, kind={"const": "TFJob"},
        metadata={"type": "object"}, spec=spec,
    )  # fmt: skip
