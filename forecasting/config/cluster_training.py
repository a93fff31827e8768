"""The section `cluster.training`: train_model on several pods of a cluster, made by a resource of their own."""

from typing import Literal

from pydantic import Field, model_validator

from forecasting.config.section import Section
from forecasting.config.values import Duration

LaunchKind = Literal["none", "tfjob", "trainjob"]
GangKind = Literal["none", "volcano", "coscheduling"]


class ClusterTrainingConfig(Section):
    """Workers of train_model; each gets what `cluster.resources` says of train_model."""

    launcher: LaunchKind = Field(
        "none",
        description="What makes the workers: none, the pod of the step trains; tfjob, Kubeflow's training operator; trainjob, Kubeflow Trainer v2.",
    )
    workers: int = Field(1, ge=1, le=256, description="Pods that train together; several need a launcher.")
    port: int = Field(2222, ge=1024, le=65_535, description="Port at which workers find each other.")
    gang: GangKind = Field(
        "none", description="Gang scheduler, which starts all workers or none; it must run in the cluster."
    )
    queue: str | None = Field(None, min_length=1, description="Queue of the gang scheduler (volcano).")
    scheduler: str | None = Field(
        None,
        min_length=1,
        description="Scheduler of the workers. None: `volcano` with that gang on trainjob, else what the operator or the cluster takes.",
    )
    priority_class: str | None = Field(None, min_length=1, description="Priority class of the workers.")
    start_deadline: Duration = Field(
        "15min", description="Time in which all workers must run; else they are removed, and the step is tried again."
    )
    grace: Duration = Field("2min", description="Time that a worker has for its checkpoint when it is to end.")
    keep_failed: bool = Field(
        False, description="Leave the resource of a failed attempt for people to look at, until the next attempt."
    )

    @model_validator(mode="after")
    def _check_launcher(self) -> "ClusterTrainingConfig":
        if self.launcher == "none" and (self.workers > 1 or self.gang != "none"):
            raise ValueError(
                f"cluster.training.launcher must be tfjob or trainjob for {self.workers} workers with gang {self.gang}, found none"
            )
        if self.queue is not None and self.gang != "volcano":
            raise ValueError(f"cluster.training.queue is of gang volcano, found gang {self.gang}")
        return self

    @property
    def launched(self) -> bool:
        """Whether train_model is done by pods of its own."""
        return self.launcher != "none"
