"""The section `cluster`: where a compiled pipeline runs, as whom, with what, and how often it is tried."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator

from forecasting.config.cluster_api import ClusterApiConfig
from forecasting.config.cluster_training import ClusterTrainingConfig
from forecasting.config.section import Section
from forecasting.config.values import Duration
from forecasting.contracts.steps import StepName

ImageTarget = Literal["steps", "trainer", "serving"]


def _cpus(text: str) -> str:
    if not re.fullmatch(r"\d+(\.\d+)?|\d+m", text):
        raise ValueError(f"must be CPUs such as 2, 0.5 or 500m, found {text!r}")
    return text


def _memory(text: str) -> str:
    # What both Kubernetes and the compiler of Kubeflow Pipelines take: that one knows no fractions and no small k.
    if not re.fullmatch(r"\d+([MGTPE]i?|Ki)?", text):
        raise ValueError(f"must be whole bytes such as 512Mi or 4Gi, found {text!r}")
    return text


def _name(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?", text):
        raise ValueError(f"must be a name of Kubernetes: lower-case letters, digits and dashes, found {text!r}")
    return text


Cpus = Annotated[str, AfterValidator(_cpus)]
"""CPUs, or thousandths of one, as Kubernetes writes them."""

Memory = Annotated[str, AfterValidator(_memory)]
"""Bytes as Kubernetes writes them."""

KubernetesName = Annotated[str, AfterValidator(_name)]
"""The name of an object in Kubernetes."""


class TolerationConfig(Section):
    """A taint that pods of a step put up with."""

    key: str = Field(description="Key of the taint.")
    operator: Literal["Equal", "Exists"] = Field("Equal", description="Whether the value counts.")
    value: str | None = Field(None, description="Value of the taint; none with Exists.")
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(
        None, description="Effect of the taint; none: every effect."
    )


class StepResourcesConfig(Section):
    """What the pod of a step gets, and where it may run."""

    cpu: Cpus = Field("1", description="CPUs it asks for.")
    memory: Memory = Field("4Gi", description="Memory it asks for, and gets at most.")
    gpu: int = Field(0, ge=0, description="NVIDIA GPUs.")
    node_selector: dict[str, str] = Field(default_factory=dict, description="Labels that its node must have.")
    tolerations: tuple[TolerationConfig, ...] = Field((), description="Taints that it puts up with.")
    timeout: Duration = Field("6h", description="A step that takes longer is ended.")


class SecretKeyConfig(Section):
    """A key of a secret."""

    secret: KubernetesName = Field(description="Name of the secret.")
    key: str = Field(description="Key in it.")


class ClusterConfig(Section):
    """What a pipeline needs to know of a cluster, and where it is submitted."""

    backend: Literal["kfp", "argo"] = Field(
        "kfp", description="What runs the pipeline there: kfp, Kubeflow Pipelines; argo, Argo Workflows alone."
    )
    api: ClusterApiConfig = Field(default_factory=ClusterApiConfig, description="How it is reached.")
    namespace: KubernetesName = Field("almanac", description="Namespace of the pipeline.")
    service_account: KubernetesName = Field("almanac-pipeline", description="Service account of its pods.")
    volume_claim: KubernetesName = Field(
        "almanac-home",
        description="Claim of the volume with runs, models and store, mounted by every pod (ReadWriteMany where they run on several nodes).",
    )
    home: str = Field("/var/lib/almanac", pattern=r"^/[-._a-zA-Z0-9/]+$", description="Where that volume is mounted.")
    images: dict[ImageTarget, str] = Field(
        default_factory=dict,
        description="Image of each target of the Dockerfile, by digest (`registry/name@sha256:…`); `--image` of almanac compile goes before.",
    )
    secrets: dict[str, SecretKeyConfig] = Field(
        default_factory=dict, description="Environment variables of every step, each from a key of a secret."
    )
    resources: dict[StepName, StepResourcesConfig] = Field(
        default_factory=dict, description="What each step gets; a step that is not named gets the defaults."
    )
    training: ClusterTrainingConfig = Field(
        default_factory=ClusterTrainingConfig, description="Several pods that do train_model together."
    )
    batch: StepResourcesConfig = Field(
        default_factory=StepResourcesConfig, description="What the task of the pipeline forecast_batch gets."
    )
    scratch: Memory = Field(
        "8Gi", description="Room for scratch files of a pod, such as the spool of a large table (Argo)."
    )
    retries: int = Field(2, ge=0, le=10, description="How often a step that ended with 75, 137 or 143 is tried again.")
    retry_delay: Duration = Field("1min", description="Time before the first of them; it doubles.")
    retry_delay_limit: Duration = Field("15min", description="Longest time between two.")
    deadline: Duration = Field("24h", description="A run that takes longer is ended.")
    keep_finished: Duration = Field("7d", description="How long the cluster keeps the object of a finished run.")
    start_deadline: Duration = Field(
        "1h", description="A scheduled run that could not begin within this time is left out (Argo)."
    )
    stop_after_failures: int | None = Field(
        None, ge=1, description="The schedule stops once so many scheduled runs have failed (Argo). None: it goes on."
    )

    @field_validator("secrets")
    @classmethod
    def _check_variables(cls, secrets: dict[str, SecretKeyConfig]) -> dict[str, SecretKeyConfig]:
        for name in secrets:
            if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
                raise ValueError(f"cluster.secrets names {name!r}, which is no name of an environment variable")
        return secrets

    def step(self, step: StepName) -> StepResourcesConfig:
        """What a step gets."""
        return self.resources.get(step) or StepResourcesConfig()
