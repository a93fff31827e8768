"""The pipeline `forecast_batch` as resources of Argo Workflows: one pod, in the image of the model server."""

from forecasting.config import AlmanacConfig
from forecasting.durations import duration_s
from pipelines.batch_graph import BACKOFF_LIMIT_S, BACKOFF_S, RETRIES
from pipelines.cluster.argo_pods import pod_template
from pipelines.cluster.argo_resources import (
    Resource,
    config_map,
    cron_workflow,
    retry_strategy,
    workflow_metrics,
    workflow_template,
)

TASK = "forecast-batch"


def argo_batch_documents(config: AlmanacConfig, image: str) -> list[Resource]:
    """Resources of one configuration.

    Args:
        config: The configuration.
        image: Image of the model server.

    Returns:
        A ConfigMap with the configuration, a WorkflowTemplate with the parameters `to` (left out: `batch.to`, where that is set),
        `cutoff` (empty: the latest origin of most series) and `version` (0: the champion), and a CronWorkflow where
        `batch.schedule` is set, which gives the time for which a batch was due as its cutoff.
    """
    name = f"almanac-{config.name}-forecasts"
    documents = [config_map(config), _template(config, name, image)]
    if (schedule := config.batch.schedule) is not None:
        zone = config.batch.time_zone
        documents.append(cron_workflow(config, name, schedule=schedule, time_zone=zone, parameter="cutoff"))
    return documents


def _template(config: AlmanacConfig, name: str, image: str) -> Resource:
    place = {"name": "to", **({"value": config.batch.to} if config.batch.to else {})}
    parameters = [place, {"name": "cutoff", "value": ""}, {"name": "version", "value": "0"}]
    metrics = workflow_metrics(
        config,
        counter=("almanac_batches_total", "Batches of forecasts that ended, by phase of the workflow."),
        gauge=("almanac_batch_duration_seconds", "Time that the last batch of forecasts took."),
    )
    head = {"entrypoint": TASK, "arguments": {"parameters": parameters}}
    return workflow_template(config, name, head, metrics=metrics, templates=[_pod(config, image)])


def _pod(config: AlmanacConfig, image: str) -> Resource:
    wanted = config.cluster.batch
    words = ["batch"]
    for parameter in ("to", "cutoff", "version"):
        words += [f"--{parameter}", f"{{{{workflow.parameters.{parameter}}}}}"]
    template = pod_template(TASK, words, image, config.cluster, wanted=wanted)
    template["retryStrategy"] = retry_strategy(
        limit=RETRIES, delay_s=BACKOFF_S, longest_s=BACKOFF_LIMIT_S, timeout_s=duration_s(wanted.timeout)
    )
    return template
