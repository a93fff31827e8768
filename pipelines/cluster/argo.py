"""The pipeline as resources of Argo Workflows, for clusters without Kubeflow Pipelines.

Written from the same steps, gates and configuration; Argo itself knows retries by exit code, one run at a time, time
zones of schedules and metrics. Pods share one volume and run `python -m pipelines.cluster.workflow_step`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from forecasting.config import AlmanacConfig, config_digest
from forecasting.config.cluster import StepResourcesConfig
from forecasting.contracts.codes import RETRYABLE_CODES
from forecasting.contracts.steps import GATES, StepName, steps_of
from forecasting.durations import duration_s
from pipelines.cluster.argo_pods import CONFIG_FILE, PASSED_FILE, pod_template, volumes
from pipelines.cluster.task_settings import SMALL, launches

API_VERSION = "argoproj.io/v1alpha1"
PARAMETERS = ("cutoff", "scheduled", "request")
BEGIN, REPORT = "begin-run", "report-run"
RUN = "{{workflow.name}}"


def argo_documents(config: AlmanacConfig, images: Mapping[StepName | None, str]) -> list[dict[str, Any]]:
    """Resources of one configuration.

    Args:
        config: The configuration.
        images: Image of each step; none: of what begins a run or records a refusal.

    Returns:
        A ConfigMap with the configuration, a WorkflowTemplate, and a CronWorkflow where `retraining.schedule` is set.
    """
    documents = [_config_map(config), _workflow_template(config, images)]
    return documents + ([_cron_workflow(config)] if config.retraining.schedule else [])


def as_text(documents: list[dict[str, Any]]) -> str:
    """The documents as YAML, in one file."""
    return yaml.safe_dump_all(documents, sort_keys=False, allow_unicode=True, width=120)


def _metadata(config: AlmanacConfig, name: str) -> dict[str, Any]:
    labels = {
        "app.kubernetes.io/name": "almanac",
        "app.kubernetes.io/component": "pipeline",
        "app.kubernetes.io/instance": config.name,
    }
    return {"name": name, "namespace": config.cluster.namespace, "labels": labels}


def _config_map(config: AlmanacConfig) -> dict[str, Any]:
    text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    metadata = _metadata(config, _config_name(config))
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "immutable": True, "data": {CONFIG_FILE: text}}  # fmt: skip


def _config_name(config: AlmanacConfig) -> str:
    """Named by content, so that a run that waits keeps the configuration it was made with."""
    return f"almanac-{config.name}-{config_digest(config)[:10]}"


def _workflow_template(config: AlmanacConfig, images: Mapping[StepName | None, str]) -> dict[str, Any]:
    cluster = config.cluster
    steps = [step for step in steps_of(config.optional_steps) if step != StepName.REPORT_RUN]
    spec = {
        "entrypoint": "pipeline",
        "onExit": REPORT,
        "arguments": {"parameters": [{"name": name, "value": ""} for name in PARAMETERS]},
        "serviceAccountName": cluster.service_account,
        "automountServiceAccountToken": False,
        "executor": {"serviceAccountName": f"{cluster.service_account}-executor"},
        "synchronization": {"mutexes": [{"name": f"almanac-{config.name}"}]},
        "activeDeadlineSeconds": duration_s(cluster.deadline),
        "ttlStrategy": {"secondsAfterCompletion": duration_s(cluster.keep_finished)},
        "podGC": {"strategy": "OnPodCompletion", "deleteDelayDuration": "1h"},
        "podMetadata": {"labels": _metadata(config, "")["labels"]},
        "securityContext": {
            "runAsNonRoot": True, "runAsUser": 10001, "runAsGroup": 10001, "fsGroup": 10001,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumes": volumes(cluster, _config_name(config)),
        "metrics": {"prometheus": _run_metrics(config)},
        "templates": [
            {"name": "pipeline", "dag": {"tasks": _tasks(steps)}},
            _begin_template(config, images[None]),
            *(_step_template(config, step, images) for step in steps),
            _refusal_template(config, images[None]),
            _report_template(config, images[StepName.REPORT_RUN]),
        ],
    }  # fmt: skip
    metadata = _metadata(config, f"almanac-{config.name}")
    return {"apiVersion": API_VERSION, "kind": "WorkflowTemplate", "metadata": metadata, "spec": spec}


def _cron_workflow(config: AlmanacConfig) -> dict[str, Any]:
    cluster, name = config.cluster, f"almanac-{config.name}"
    stop = cluster.stop_after_failures
    spec = {
        "schedules": [config.retraining.schedule],
        "timezone": config.retraining.time_zone,
        "concurrencyPolicy": "Forbid",
        "startingDeadlineSeconds": duration_s(cluster.start_deadline),
        **({"stopStrategy": {"expression": f"cronworkflow.failed >= {stop}"}} if stop else {}),
        "successfulJobsHistoryLimit": 3,
        "failedJobsHistoryLimit": 3,
        "workflowMetadata": {"labels": _metadata(config, "")["labels"]},
        "workflowSpec": {
            "workflowTemplateRef": {"name": name},
            "arguments": {"parameters": [{"name": "scheduled", "value": "{{workflow.scheduledTime}}"}]},
        },
    }
    return {"apiVersion": API_VERSION, "kind": "CronWorkflow", "metadata": _metadata(config, name), "spec": spec}


def _tasks(steps: Sequence[StepName]) -> list[dict[str, Any]]:
    """One after another. `.Succeeded` is asked for by name: a task that was skipped would count as done."""
    tasks: list[dict[str, Any]] = [{"name": BEGIN, "template": BEGIN}]
    for before, step in zip([None, *steps[:-1]], steps, strict=True):
        task = {
            "name": _dashed(step),
            "template": _dashed(step),
            "depends": f"{_dashed(before) if before else BEGIN}.Succeeded",
        }
        tasks.append({**task, "when": _answer(before, "true")} if before in GATES else task)
    return tasks + [_refusal(step) for step in steps if step in GATES]


def _refusal(gate: StepName) -> dict[str, Any]:
    return {
        "name": f"{_dashed(gate)}-refused",
        "template": "record-refusal",
        "arguments": {"parameters": [{"name": "gate", "value": gate.value}]},
        "depends": f"{_dashed(gate)}.Succeeded",
        "when": _answer(gate, "false"),
    }


def _answer(gate: StepName | None, value: str) -> str:
    return f"{{{{tasks.{_dashed(gate)}.outputs.parameters.passed}}}} == {value}" if gate else ""


def _dashed(step: StepName) -> str:
    return step.value.replace("_", "-")


def _begin_template(config: AlmanacConfig, image: str) -> dict[str, Any]:
    words = ["begin", "--run", RUN, "--cutoff", "{{workflow.parameters.cutoff}}"]
    words += ["--scheduled", "{{workflow.parameters.scheduled}}", "--request", "{{workflow.parameters.request}}"]
    return pod_template(BEGIN, words, image, config.cluster) | {"retryStrategy": _retries(config, SMALL)}


def _step_template(config: AlmanacConfig, step: StepName, images: Mapping[StepName | None, str]) -> dict[str, Any]:
    words = ["step", step.value, "--run", RUN]
    if launches(config.cluster, step):
        words += ["--worker-image", images[step]]
    image = images[None] if launches(config.cluster, step) else images[step]
    template = pod_template(_dashed(step), words, image, config.cluster, step)
    if step in GATES:
        template["outputs"] = {"parameters": [{"name": "passed", "valueFrom": {"path": PASSED_FILE}}]}
    metric = {
        "name": "almanac_step_duration_seconds",
        "help": "Time that the last run of a step took.",
        "labels": [{"key": "model", "value": config.name}, {"key": "step", "value": step.value}],
        "gauge": {"realtime": False, "value": "{{duration}}"},
    }
    retries = _retries(config, config.cluster.step(step))
    return template | {"retryStrategy": retries, "metrics": {"prometheus": [metric]}}


def _refusal_template(config: AlmanacConfig, image: str) -> dict[str, Any]:
    words = ["refuse", "{{inputs.parameters.gate}}", "--run", RUN]
    inputs = {"parameters": [{"name": "gate", "enum": [gate.value for gate in GATES]}]}
    template = pod_template("record-refusal", words, image, config.cluster)
    return template | {"inputs": inputs, "retryStrategy": _retries(config, SMALL)}


def _report_template(config: AlmanacConfig, image: str) -> dict[str, Any]:
    # It ends the run and gives its claim back, so that it must not be lost with its pod.
    template = pod_template(REPORT, ["report", "--run", RUN], image, config.cluster, StepName.REPORT_RUN)
    return template | {"retryStrategy": _retries(config, config.cluster.step(StepName.REPORT_RUN))}


def _retries(config: AlmanacConfig, wanted: StepResourcesConfig) -> dict[str, Any]:
    cluster = config.cluster
    codes = ", ".join(f'"{code}"' for code in sorted(RETRYABLE_CODES))
    return {
        "limit": cluster.retries,
        "retryPolicy": "Always",
        # The exit code is text. A pod that was taken away has none, and the status Error. One that was ended at its time limit
        # (143, too) would be ended there again.
        "expression": f"asInt(lastRetry.duration) < {duration_s(wanted.timeout)} && "
        f'(lastRetry.status == "Error" || lastRetry.exitCode in [{codes}])',
        "backoff": {
            "duration": str(duration_s(cluster.retry_delay)),
            "factor": 2,
            "cap": str(duration_s(cluster.retry_delay_limit)),
        },
    }


def _run_metrics(config: AlmanacConfig) -> list[dict[str, Any]]:
    return [
        {
            "name": "almanac_runs_total",
            "help": "Runs of the pipeline that ended, by phase of the workflow.",
            "labels": [{"key": "model", "value": config.name}, {"key": "phase", "value": "{{workflow.status}}"}],
            "counter": {"value": "1"},
        },
        {
            "name": "almanac_run_duration_seconds",
            "help": "Time that the last run of the pipeline took.",
            "labels": [{"key": "model", "value": config.name}],
            "gauge": {"realtime": False, "value": "{{workflow.duration}}"},
        },
    ]
