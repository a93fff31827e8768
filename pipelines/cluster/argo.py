"""The pipeline of a run as resources of Argo Workflows, for clusters without Kubeflow Pipelines.

Written from the same steps, gates and configuration; Argo itself knows retries by exit code, one run at a time, time
zones of schedules and metrics. Pods share one volume and run `python -m pipelines.cluster.workflow_step`.
"""

from collections.abc import Mapping, Sequence

from forecasting.config import AlmanacConfig
from forecasting.config.cluster import StepResourcesConfig
from forecasting.contracts.steps import GATES, StepName, steps_of
from forecasting.durations import duration_s
from pipelines.cluster.argo_pods import PASSED_FILE, pod_template
from pipelines.cluster.argo_resources import (
    Resource,
    config_map,
    cron_workflow,
    retry_strategy,
    workflow_metrics,
    workflow_template,
)
from pipelines.cluster.task_settings import SMALL, launches

PARAMETERS = ("cutoff", "scheduled", "request")
BEGIN, REPORT = "begin-run", "report-run"
RUN = "{{workflow.name}}"


def argo_documents(config: AlmanacConfig, images: Mapping[StepName | None, str]) -> list[Resource]:
    """Resources of one configuration.

    Args:
        config: The configuration.
        images: Image of each step; none: of what begins a run or records a refusal.

    Returns:
        A ConfigMap with the configuration, a WorkflowTemplate, and a CronWorkflow where `retraining.schedule` is set.
    """
    documents = [config_map(config), _workflow_template(config, images)]
    schedule = config.retraining.schedule
    return documents + ([_cron_workflow(config, schedule)] if schedule else [])


def _workflow_template(config: AlmanacConfig, images: Mapping[StepName | None, str]) -> Resource:
    steps = [step for step in steps_of(config.optional_steps) if step != StepName.REPORT_RUN]
    head = {
        "entrypoint": "pipeline",
        "onExit": REPORT,
        "arguments": {"parameters": [{"name": name, "value": ""} for name in PARAMETERS]},
        "synchronization": {"mutexes": [{"name": f"almanac-{config.name}"}]},
    }
    templates = [
        {"name": "pipeline", "dag": {"tasks": _tasks(steps)}},
        _begin_template(config, images[None]),
        *(_step_template(config, step, images) for step in steps),
        _refusal_template(config, images[None]),
        _report_template(config, images[StepName.REPORT_RUN]),
    ]
    metrics = workflow_metrics(
        config,
        counter=("almanac_runs_total", "Runs of the pipeline that ended, by phase of the workflow."),
        gauge=("almanac_run_duration_seconds", "Time that the last run of the pipeline took."),
    )
    return workflow_template(config, f"almanac-{config.name}", head, metrics=metrics, templates=templates)


def _cron_workflow(config: AlmanacConfig, schedule: str) -> Resource:
    zone = config.retraining.time_zone
    return cron_workflow(config, f"almanac-{config.name}", schedule=schedule, time_zone=zone, parameter="scheduled")


def _tasks(steps: Sequence[StepName]) -> list[Resource]:
    """One after another. `.Succeeded` is asked for by name: a task that was skipped would count as done."""
    tasks: list[Resource] = [{"name": BEGIN, "template": BEGIN}]
    for before, step in zip([None, *steps[:-1]], steps, strict=True):
        task = {
            "name": _dashed(step),
            "template": _dashed(step),
            "depends": f"{_dashed(before) if before else BEGIN}.Succeeded",
        }
        tasks.append({**task, "when": _answer(before, "true")} if before in GATES else task)
    return tasks + [_refusal(step) for step in steps if step in GATES]


def _refusal(gate: StepName) -> Resource:
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


def _begin_template(config: AlmanacConfig, image: str) -> Resource:
    words = ["begin", "--run", RUN, "--cutoff", "{{workflow.parameters.cutoff}}"]
    words += ["--scheduled", "{{workflow.parameters.scheduled}}", "--request", "{{workflow.parameters.request}}"]
    return pod_template(BEGIN, words, image, config.cluster) | {"retryStrategy": _retries(config, SMALL)}


def _step_template(config: AlmanacConfig, step: StepName, images: Mapping[StepName | None, str]) -> Resource:
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


def _refusal_template(config: AlmanacConfig, image: str) -> Resource:
    words = ["refuse", "{{inputs.parameters.gate}}", "--run", RUN]
    inputs = {"parameters": [{"name": "gate", "enum": [gate.value for gate in GATES]}]}
    template = pod_template("record-refusal", words, image, config.cluster)
    return template | {"inputs": inputs, "retryStrategy": _retries(config, SMALL)}


def _report_template(config: AlmanacConfig, image: str) -> Resource:
    # It ends the run and gives its claim back, so that it must not be lost with its pod.
    template = pod_template(REPORT, ["report", "--run", RUN], image, config.cluster, StepName.REPORT_RUN)
    return template | {"retryStrategy": _retries(config, config.cluster.step(StepName.REPORT_RUN))}


def _retries(config: AlmanacConfig, wanted: StepResourcesConfig) -> Resource:
    cluster = config.cluster
    return retry_strategy(
        limit=cluster.retries,
        delay_s=duration_s(cluster.retry_delay),
        longest_s=duration_s(cluster.retry_delay_limit),
        timeout_s=duration_s(wanted.timeout),
    )
