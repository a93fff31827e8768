"""The pod of a worker: as the pods of other steps, without a token."""

from typing import Any

from components.launching.job_spec import JobSpec
from components.launching.tf_config import ADDRESSES_VARIABLE
from forecasting.contracts.layout import HOME_VARIABLE
from forecasting.durations import duration_s

GPU = "nvidia.com/gpu"
USER = 10001
"""User and group of the images."""
_SCRATCH = "/tmp"  # nosec B108 # an empty volume of the pod alone
_SHARED_MEMORY = "/dev/shm"  # nosec B108 # likewise


def worker_pod(spec: JobSpec, container: str, *, addresses: tuple[str, ...] = ()) -> dict[str, Any]:
    """Spec of the pods.

    Args:
        spec: The step.
        container: Name of the container, as the operator knows it.
        addresses: HOST:PORT of every worker where no operator says so to the pods.
    """
    cluster, wanted = spec.launch.cluster, spec.resources
    training = cluster.training
    pod: dict[str, Any] = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": duration_s(training.grace),
        "serviceAccountName": cluster.service_account,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True, "runAsUser": USER, "runAsGroup": USER, "fsGroup": USER,
            "fsGroupChangePolicy": "OnRootMismatch", "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(spec, container, addresses)],
        "volumes": [
            {"name": "home", "persistentVolumeClaim": {"claimName": cluster.volume_claim}},
            {"name": "scratch", "emptyDir": {"sizeLimit": cluster.scratch}},
            *([{"name": "memory", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}}] if wanted.gpu else []),
        ],
    }  # fmt: skip
    if wanted.node_selector:
        pod["nodeSelector"] = dict(wanted.node_selector)
    if wanted.tolerations:
        pod["tolerations"] = [taint.model_dump(exclude_none=True) for taint in wanted.tolerations]
    if training.priority_class:
        pod["priorityClassName"] = training.priority_class
    if training.scheduler:
        pod["schedulerName"] = training.scheduler
    return pod


def _container(spec: JobSpec, name: str, addresses: tuple[str, ...]) -> dict[str, Any]:
    cluster, wanted = spec.launch.cluster, spec.resources
    gpu = {GPU: str(wanted.gpu)} if wanted.gpu else {}
    return {
        "name": name,
        "image": spec.launch.image,
        "command": ["python", "-m", "components.launching.worker"],
        "args": ["--call", spec.call],
        "env": [
            {"name": HOME_VARIABLE, "value": cluster.home},
            *([{"name": ADDRESSES_VARIABLE, "value": ",".join(addresses)}] if addresses else []),
            *(
                {"name": variable, "valueFrom": {"secretKeyRef": {"name": place.secret, "key": place.key}}}
                for variable, place in cluster.secrets.items()
            ),
        ],
        "ports": [{"name": "tfjob-port", "containerPort": cluster.training.port}],
        "resources": {
            "requests": {"cpu": wanted.cpu, "memory": wanted.memory, **gpu},
            "limits": {"memory": wanted.memory, **gpu},
        },
        # What a container says last is then in the status of its pod.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {
            "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "home", "mountPath": cluster.home},
            {"name": "scratch", "mountPath": _SCRATCH},
            # NCCL talks through it within a node; 64 MiB, which a container has by itself, are too few.
            *([{"name": "memory", "mountPath": _SHARED_MEMORY}] if wanted.gpu else []),
        ],
    }  # fmt: skip
