"""What is to be launched, and the kinds of resources that make workers."""

import hashlib
from dataclasses import dataclass
from typing import Any

from forecasting.config.cluster import ClusterConfig, StepResourcesConfig
from forecasting.contracts.steps import StepName

RUN_ANNOTATION = "almanac/run"
KEY_ANNOTATION = "almanac/step-key"
COMPONENT = "training-worker"
"""Label `app.kubernetes.io/component` of the workers, by which network policies know them."""


@dataclass(frozen=True)
class LaunchSpec:
    """What the cluster gives a launched step. image: of the workers; see `cluster` of the configuration for the rest."""

    cluster: ClusterConfig
    image: str


@dataclass(frozen=True)
class JobSpec:
    """One launched step.

    model, run, key: whose step it is, and the key of the step, so that a later attempt knows its own resource. call: file
    that the workers read, on the volume of all pods. owner: reference to what takes the resource along when it goes, or none.
    """

    launch: LaunchSpec
    model: str
    run: str
    key: str
    call: str
    owner: dict[str, Any] | None = None

    @property
    def name(self) -> str:
        """Name of the resource: that of its run, short enough for the host names of its pods."""
        return f"almanac-train-{hashlib.sha256(self.run.encode()).hexdigest()[:10]}"

    @property
    def resources(self) -> StepResourcesConfig:
        """What each worker gets."""
        return self.launch.cluster.step(StepName.TRAIN_MODEL)

    @property
    def labels(self) -> dict[str, str]:
        """Labels of the resource and of its pods."""
        return {
            "app.kubernetes.io/name": "almanac",
            "app.kubernetes.io/part-of": "almanac",
            "app.kubernetes.io/component": COMPONENT,
            "app.kubernetes.io/instance": self.model,
        }

    def metadata(self, name: str) -> dict[str, Any]:
        """Metadata of a resource of this step."""
        found = {
            "name": name,
            "namespace": self.launch.cluster.namespace,
            "labels": self.labels,
            "annotations": {RUN_ANNOTATION: self.run, KEY_ANNOTATION: self.key},
        }
        return found if self.owner is None else {**found, "ownerReferences": [self.owner]}


@dataclass(frozen=True)
class JobKind:
    """A kind of resource that makes workers.

    group: path of its API. plural: as the API names it. selector: label of its pods that holds its name. index: label of
    a pod that holds its number. container: the container that trains. ended: the condition of one that went well; one that did not has `Failed`.
    """

    group: str
    plural: str
    selector: str
    index: str
    container: str
    ended: str


TF_JOB = JobKind(
    group="/apis/kubeflow.org/v1",
    plural="tfjobs",
    selector="training.kubeflow.org/job-name",
    index="training.kubeflow.org/replica-index",
    container="tensorflow",
    ended="Succeeded",
)
TRAIN_JOB = JobKind(
    group="/apis/trainer.kubeflow.org/v1alpha1",
    plural="trainjobs",
    selector="jobset.sigs.k8s.io/jobset-name",
    index="batch.kubernetes.io/job-completion-index",
    container="node",
    ended="Complete",
)
KINDS = {"tfjob": TF_JOB, "trainjob": TRAIN_JOB}
RUNTIME_PLURAL = "trainingruntimes"
