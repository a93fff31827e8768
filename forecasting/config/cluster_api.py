"""The section `cluster.api`: how the interface of the cluster is reached that runs are submitted to."""

from pydantic import Field

from forecasting.config.section import Section
from forecasting.config.values import Duration


class ClusterApiConfig(Section):
    """Address of the interface, and how patiently it is asked."""

    url: str | None = Field(
        None,
        pattern=r"^https?://[^/].*$",
        description="Address of the API server of Kubeflow Pipelines, or of Kubernetes for Argo; `kubectl proxy` and "
        "`kubectl port-forward` make one on this machine. None: for Argo that of the cluster in which the command runs; `--host` goes before.",
    )
    token_file: str | None = Field(
        None,
        description="File with the bearer token; it is read again for every request, because tokens of pods are renewed. None: no token, or for Argo in "
        "a pod that of its service account.",
    )
    ca_file: str | None = Field(
        None,
        description="Certificates (PEM) that the interface is trusted by. None: those of the system, or for Argo in a pod those of the cluster.",
    )
    experiment: str | None = Field(
        None,
        min_length=1,
        description="Experiment of Kubeflow Pipelines for the runs of this model alone; made where it is missing. None: `almanac-` and its name.",
    )
    multi_user: bool = Field(
        False,
        description="Whether Kubeflow Pipelines serves several users; experiments then belong to cluster.namespace.",
    )
    request_timeout: Duration = Field("15s", description="How long an answer may take.")
    patience: Duration = Field(
        "2min",
        description="How long a request is repeated while the interface cannot be reached, or answers 429 or 5xx.",
    )
