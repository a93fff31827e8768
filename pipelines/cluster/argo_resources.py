"""What the resources of Argo Workflows have in common, whichever pipeline they are of."""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from forecasting.config import AlmanacConfig, config_digest
from forecasting.contracts.codes import RETRYABLE_CODES
from forecasting.durations import duration_s
from pipelines.cluster.argo_pods import CONFIG_FILE, volumes

API_VERSION = "argoproj.io/v1alpha1"

Resource = dict[str, Any]


def config_map(config: AlmanacConfig) -> Resource:
    """The whole configuration, which every pod of a workflow reads."""
    text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    metadata = _metadata(config, _config_name(config))
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "immutable": True, "data": {CONFIG_FILE: text}}  # fmt: skip


def workflow_template(
    config: AlmanacConfig,
    name: str,
    head: Mapping[str, Any],
    *,
    metrics: Sequence[Resource],
    templates: Sequence[Resource],
) -> Resource:
    """A WorkflowTemplate.

    Args:
        config: The configuration.
        name: Its name.
        head: What this pipeline has of its own: its entrypoint and arguments at least.
        metrics: Of whole workflows.
        templates: Of its pods, and their graph where it has one.
    """
    cluster = config.cluster
    spec = {
        **head,
        "serviceAccountName": cluster.service_account,
        "automountServiceAccountToken": False,
        "executor": {"serviceAccountName": f"{cluster.service_account}-executor"},
        "activeDeadlineSeconds": duration_s(cluster.deadline),
        "ttlStrategy": {"secondsAfterCompletion": duration_s(cluster.keep_finished)},
        "podGC": {"strategy": "OnPodCompletion", "deleteDelayDuration": "1h"},
        "podMetadata": {"labels": _labels(config)},
        "securityContext": {
            "runAsNonRoot": True, "runAsUser": 10001, "runAsGroup": 10001, "fsGroup": 10001,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumes": volumes(cluster, _config_name(config)),
        "metrics": {"prometheus": list(metrics)},
        "templates": list(templates),
    }  # fmt: skip
    metadata = _metadata(config, name)
    return {"apiVersion": API_VERSION, "kind": "WorkflowTemplate", "metadata": metadata, "spec": spec}


def cron_workflow(config: AlmanacConfig, name: str, *, schedule: str, time_zone: str, parameter: str) -> Resource:
    """A CronWorkflow that begins workflows of the template of its name.

    Args:
        config: The configuration.
        name: Name of both.
        schedule: Five fields of cron.
        time_zone: Zone of the schedule (IANA name).
        parameter: The one that gets the time for which a workflow was due.
    """
    cluster = config.cluster
    stop = cluster.stop_after_failures
    spec = {
        "schedules": [schedule],
        "timezone": time_zone,
        "concurrencyPolicy": "Forbid",
        "startingDeadlineSeconds": duration_s(cluster.start_deadline),
        **({"stopStrategy": {"expression": f"cronworkflow.failed >= {stop}"}} if stop else {}),
        "successfulJobsHistoryLimit": 3,
        "failedJobsHistoryLimit": 3,
        "workflowMetadata": {"labels": _labels(config)},
        "workflowSpec": {
            "workflowTemplateRef": {"name": name},
            "arguments": {"parameters": [{"name": parameter, "value": "{{workflow.scheduledTime}}"}]},
        },
    }
    return {"apiVersion": API_VERSION, "kind": "CronWorkflow", "metadata": _metadata(config, name), "spec": spec}


def retry_strategy(*, limit: int, delay_s: int, longest_s: int, timeout_s: int) -> dict[str, Any]:
    """Try a pod again that ended for a passing reason.

    Args:
        limit: How often.
        delay_s: Time before the first of them; it doubles.
        longest_s: Longest time between two.
        timeout_s: After which a pod is ended.
    """
    codes = ", ".join(f'"{code}"' for code in sorted(RETRYABLE_CODES))
    return {
        "limit": limit,
        "retryPolicy": "Always",
        # The exit code is text. A pod that was taken away has none, and the status Error. One that was ended at its time limit
        # (143, too) would be ended there again.
        "expression": f"asInt(lastRetry.duration) < {timeout_s} && "
        f'(lastRetry.status == "Error" || lastRetry.exitCode in [{codes}])',
        "backoff": {"duration": str(delay_s), "factor": 2, "cap": str(longest_s)},
    }


def workflow_metrics(config: AlmanacConfig, *, counter: tuple[str, str], gauge: tuple[str, str]) -> list[Resource]:
    """Metrics of whole workflows, each by name and help: how many ended, by phase, and how long the last one took."""
    (ended, ended_help), (took, took_help) = counter, gauge
    return [
        {
            "name": ended,
            "help": ended_help,
            "labels": [{"key": "model", "value": config.name}, {"key": "phase", "value": "{{workflow.status}}"}],
            "counter": {"value": "1"},
        },
        {
            "name": took,
            "help": took_help,
            "labels": [{"key": "model", "value": config.name}],
            "gauge": {"realtime": False, "value": "{{workflow.duration}}"},
        },
    ]


def as_text(documents: Sequence[Resource]) -> str:
    """The documents as YAML, in one file."""
    return yaml.safe_dump_all(documents, sort_keys=False, allow_unicode=True, width=120)


def _labels(config: AlmanacConfig) -> dict[str, str]:
    return {
        "app.kubernetes.io/name": "almanac",
        "app.kubernetes.io/component": "pipeline",
        "app.kubernetes.io/instance": config.name,
    }


def _metadata(config: AlmanacConfig, name: str) -> dict[str, Any]:
    return {"name": name, "namespace": config.cluster.namespace, "labels": _labels(config)}


def _config_name(config: AlmanacConfig) -> str:
    """Named by content, so that a run that waits keeps the configuration it was made with."""
    return f"almanac-{config.name}-{config_digest(config)[:10]}"
