"""What each task gets of a cluster that Kubeflow Pipelines runs on."""

from collections.abc import Callable

from kfp import dsl, kubernetes

from components.launching.launch_training import POD_VARIABLE
from forecasting.config import AlmanacConfig
from forecasting.config.cluster import ClusterConfig, StepResourcesConfig
from forecasting.contracts.steps import StepName
from forecasting.durations import duration_s
from pipelines.graph import Place

GPU = "nvidia.com/gpu"
USER = 10001
"""User and group of the images."""

SMALL = StepResourcesConfig(cpu="250m", memory="1Gi", timeout="15min")
"""What the tasks get that only write records."""


def task_settings(config: AlmanacConfig) -> Place:
    """What gives a task of a run its volume, secrets, resources, time limit and retries.

    A retry of Kubeflow Pipelines asks for no exit code; `forecasting.execution.run_component` ends at once where trying
    again is no use, and so does `forecasting.task_attempts` for a task that is no step.
    """
    cluster = config.cluster

    def place(task: dsl.PipelineTask, step: StepName | None) -> None:
        _equip(task, pod_resources(cluster, step), cluster)
        if launches(cluster, step):
            kubernetes.use_field_path_as_env(task, POD_VARIABLE, "metadata.name")
        if cluster.retries and step != StepName.REPORT_RUN:
            task.set_retry(
                num_retries=cluster.retries,
                backoff_duration=f"{duration_s(cluster.retry_delay)}s",
                backoff_factor=2.0,
                backoff_max_duration=f"{duration_s(cluster.retry_delay_limit)}s",
            )

    return place


def launches(cluster: ClusterConfig, step: StepName | None) -> bool:
    """Whether the work of a step is done by pods of its own."""
    return step == StepName.TRAIN_MODEL and cluster.training.launched


def pod_resources(cluster: ClusterConfig, step: StepName | None) -> StepResourcesConfig:
    """What the pod of a task gets. One that launches others needs little, and waits as long as they may take.

    Args:
        cluster: The section.
        step: None: of a task that only writes records.
    """
    if step is None:
        return SMALL
    return (
        SMALL.model_copy(update={"timeout": cluster.step(step).timeout})
        if launches(cluster, step)
        else cluster.step(step)
    )


def batch_settings(config: AlmanacConfig) -> Callable[[dsl.PipelineTask], None]:
    """What gives the task of the pipeline forecast_batch its volume, secrets, resources and time limit."""
    return lambda task: _equip(task, config.cluster.batch, config.cluster)


def _equip(task: dsl.PipelineTask, wanted: StepResourcesConfig, cluster: ClusterConfig) -> None:
    kubernetes.mount_pvc(task, pvc_name=cluster.volume_claim, mount_path=cluster.home)
    kubernetes.set_timeout(task, duration_s(wanted.timeout))
    kubernetes.set_security_context(task, run_as_user=USER, run_as_group=USER, run_as_non_root=True)
    _set_resources(task, wanted)
    for variable, place in cluster.secrets.items():
        kubernetes.use_secret_as_env(task, place.secret, {place.key: variable})


def _set_resources(task: dsl.PipelineTask, wanted: StepResourcesConfig) -> None:
    task.set_cpu_request(wanted.cpu)
    task.set_memory_request(wanted.memory)
    task.set_memory_limit(wanted.memory)
    if wanted.gpu:
        task.set_accelerator_type(GPU)
        task.set_accelerator_limit(wanted.gpu)
    for key, value in wanted.node_selector.items():
        kubernetes.add_node_selector(task, label_key=key, label_value=value)
    for taint in wanted.tolerations:
        kubernetes.add_toleration(task, taint.key, taint.operator, taint.value, taint.effect)
