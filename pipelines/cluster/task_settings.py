"""What each task gets of a cluster that Kubeflow Pipelines runs on."""

from collections.abc import Callable

from kfp import dsl, kubernetes

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
    again is no use.
    """
    cluster = config.cluster

    def place(task: dsl.PipelineTask, step: StepName | None) -> None:
        _equip(task, SMALL if step is None else cluster.step(step), cluster)
        if cluster.retries and step != StepName.REPORT_RUN:
            task.set_retry(
                num_retries=cluster.retries,
                backoff_duration=f"{duration_s(cluster.retry_delay)}s",
                backoff_factor=2.0,
                backoff_max_duration=f"{duration_s(cluster.retry_delay_limit)}s",
            )

    return place


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
