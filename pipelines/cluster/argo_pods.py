"""The pods of Argo templates: what they run, may do, mount and get."""

from typing import Any

from components.launching.launch_training import POD_VARIABLE
from forecasting.config.cluster import ClusterConfig, StepResourcesConfig
from forecasting.contracts.layout import HOME_VARIABLE
from forecasting.contracts.steps import StepName
from forecasting.durations import duration_s
from pipelines.cluster.task_settings import GPU, launches, pod_resources

CONFIG_DIR, CONFIG_FILE = "/etc/almanac", "config.yaml"
SCRATCH_DIR = "/tmp"  # nosec B108 # an empty volume of the pod alone
PASSED_FILE = f"{SCRATCH_DIR}/passed"
HOME_VOLUME, CONFIG_VOLUME, SCRATCH_VOLUME = "home", "config", "scratch"
LAUNCHER_SUFFIX = "-launcher"
"""Behind `cluster.service_account`: the account of a step that launches workers."""


def volumes(cluster: ClusterConfig, config_map: str) -> list[dict[str, Any]]:
    """Volumes of the workflow: the shared home, the configuration, and a place for scratch files of each pod."""
    return [
        {"name": HOME_VOLUME, "persistentVolumeClaim": {"claimName": cluster.volume_claim}},
        {"name": CONFIG_VOLUME, "configMap": {"name": config_map}},
        {"name": SCRATCH_VOLUME, "emptyDir": {"sizeLimit": cluster.scratch}},
    ]


def pod_template(
    name: str, words: list[str], image: str, cluster: ClusterConfig, step: StepName | None = None, *,
    wanted: StepResourcesConfig | None = None,
) -> dict[str, Any]:  # fmt: skip
    """A template that runs one command of `pipelines.cluster.workflow_step`.

    Args:
        name: Name of the template.
        words: The command, after the module.
        image: Image of its container.
        cluster: The section.
        step: Whose resources it gets; none: those of a command that only writes records.
        wanted: The resources, where they are of no step.
    """
    wanted = wanted or pod_resources(cluster, step)
    gpu = {GPU: str(wanted.gpu)} if wanted.gpu else {}
    container = {
        "image": image,
        "command": ["python", "-m", "pipelines.cluster.workflow_step"],
        "args": [*words, "--config", f"{CONFIG_DIR}/{CONFIG_FILE}", "--passed", PASSED_FILE],
        "env": [{"name": HOME_VARIABLE, "value": cluster.home}, *_own_name(cluster, step), *_secrets(cluster)],
        "resources": {
            "requests": {"cpu": wanted.cpu, "memory": wanted.memory, **gpu},
            "limits": {"memory": wanted.memory, **gpu},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": HOME_VOLUME, "mountPath": cluster.home},
            {"name": CONFIG_VOLUME, "mountPath": CONFIG_DIR, "readOnly": True},
            {"name": SCRATCH_VOLUME, "mountPath": SCRATCH_DIR},
        ],
    }
    template: dict[str, Any] = {"name": name, "container": container}
    template["activeDeadlineSeconds"] = duration_s(wanted.timeout)
    if launches(cluster, step):
        # The one step that asks Kubernetes for anything.
        template["serviceAccountName"] = f"{cluster.service_account}{LAUNCHER_SUFFIX}"
        template["automountServiceAccountToken"] = True
    if wanted.node_selector:
        template["nodeSelector"] = dict(wanted.node_selector)
    if wanted.tolerations:
        template["tolerations"] = [taint.model_dump(exclude_none=True) for taint in wanted.tolerations]
    return template


def _own_name(cluster: ClusterConfig, step: StepName | None) -> list[dict[str, Any]]:
    named = {"name": POD_VARIABLE, "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
    return [named] if launches(cluster, step) else []


def _secrets(cluster: ClusterConfig) -> list[dict[str, Any]]:
    return [
        {"name": variable, "valueFrom": {"secretKeyRef": {"name": place.secret, "key": place.key}}}
        for variable, place in cluster.secrets.items()
    ]
