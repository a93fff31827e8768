"""The pipeline as Kubeflow Pipelines sees it. One graph for the local run, the cluster and the golden file.

Every gate is an If and an Else on a single unnamed bool, because that is what every backend honours;
`report_run` is the exit handler, so that it tells of refused and failed runs too.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from kfp import dsl
from kfp.dsl.base_component import BaseComponent
from kfp.dsl.graph_component import GraphComponent

from components.compression.component import compress_model
from components.deployment.component import deploy_model, validate_serving
from components.evaluation.component import evaluate_compressed, evaluate_model
from components.features.component import build_features
from components.launching.component import launch_training
from components.reporting.component import begin_run, record_refusal, report_run
from components.training.component import train_model
from components.tuning.component import tune_model
from components.validation.component import validate_data
from forecasting.config import AlmanacConfig, StepSettings, step_settings
from forecasting.config.launched import cluster_step_settings
from forecasting.contracts.steps import GATES, StepName, parents_of, steps_of
from forecasting.durations import duration_s

COMPONENTS: dict[StepName, BaseComponent] = {
    StepName.VALIDATE_DATA: validate_data,
    StepName.BUILD_FEATURES: build_features,
    StepName.TUNE_MODEL: tune_model,
    StepName.TRAIN_MODEL: train_model,
    StepName.EVALUATE_MODEL: evaluate_model,
    StepName.COMPRESS_MODEL: compress_model,
    StepName.EVALUATE_COMPRESSED: evaluate_compressed,
    StepName.VALIDATE_SERVING: validate_serving,
    StepName.DEPLOY_MODEL: deploy_model,
    StepName.REPORT_RUN: report_run,
}

LOCAL_RETRIES = 1
"""How often a step is tried again in one run on this machine: one that failed by itself ends at once, see `run_component`."""

Place = Callable[[dsl.PipelineTask, StepName | None], None]
"""Gives a task what it has on a cluster; the step is none for what begins a run or records a refusal."""


def build_pipeline(config: AlmanacConfig, last: StepName = StepName.DEPLOY_MODEL) -> GraphComponent:
    """The pipeline of one configuration, for a run whose record its caller begins and ends.

    Args:
        config: The configuration; each step gets its own sections as a JSON constant.
        last: The last step before the report.

    Returns:
        A pipeline with the parameters `home`, `run` and `cutoff`.
    """

    def almanac(home: str, run: str, cutoff: str = "") -> None:
        graph = _Graph(config, home, run, cutoff, _try_again)
        with dsl.ExitHandler(graph.call(StepName.REPORT_RUN), name="run"):
            graph.chain(_up_to(last, config), {})

    return _pipeline(config, almanac)


def build_cluster_pipeline(config: AlmanacConfig, place: Place) -> GraphComponent:
    """The same steps for a cluster: the first task begins the run, and the last ends it.

    A run is named as its workflow; the name that people see of it may be anything, and be given twice.

    Args:
        config: The configuration.
        place: Gives each task the volume, the resources and the retries of the cluster.

    Returns:
        A pipeline with the parameters `home`, `cutoff` and `request`. Where the cutoff is empty it follows from the time for
        which the run was scheduled. The record of the run keeps the request, so that whoever submitted it finds it.
    """
    last, run = StepName.DEPLOY_MODEL, dsl.PIPELINE_JOB_RESOURCE_NAME_PLACEHOLDER

    def almanac(home: str = config.cluster.home, cutoff: str = "", request: str = "") -> None:
        # The steps read the cutoff from the record that begin_run makes, so that a repeated run has the same.
        graph = _ClusterGraph(config, home, run, "", place)
        with dsl.ExitHandler(graph.call(StepName.REPORT_RUN, ends_run=True), name="run"):
            begun = begin_run(
                config=config.model_dump_json(), home=home, run=run, cutoff=cutoff, last=last.value,
                scheduled=dsl.PIPELINE_JOB_SCHEDULE_TIME_UTC_PLACEHOLDER, request=request, retries=graph.retries,
            )  # fmt: skip
            place(begun.set_caching_options(enable_caching=False), None)
            graph.chain(_up_to(last, config), {}, begun)

    return _pipeline(config, almanac, limits_of_runs(config))


@dataclass(frozen=True)
class _Graph:
    """What the tasks of one run have in common. home, run, cutoff: values, or parameters of the pipeline."""

    config: AlmanacConfig
    home: Any
    run: Any
    cutoff: Any
    place: Place

    @property
    def retries(self) -> int:
        """How often a failed task that is no step is tried again."""
        return 0

    def call(self, step: StepName, **inputs: Any) -> dsl.PipelineTask:
        settings = self.settings(step).model_dump_json()
        task = COMPONENTS[step](settings=settings, home=self.home, run=self.run, cutoff=self.cutoff, **inputs)
        self.place(task.set_caching_options(enable_caching=False), step)
        return task

    def settings(self, step: StepName) -> StepSettings:
        return step_settings(self.config, step)

    def refuse(self, gate: StepName) -> None:
        task = record_refusal(home=self.home, run=self.run, gate=gate.value, retries=self.retries)
        self.place(task.set_caching_options(enable_caching=False), None)

    def chain(
        self, steps: Sequence[StepName], done: dict[StepName, dsl.PipelineTask], first: dsl.PipelineTask | None = None
    ) -> None:
        """Add steps one after another; what follows a gate goes into its If, the refusal into its Else."""
        if not steps:
            return
        step, rest = steps[0], steps[1:]
        parents = parents_of(step, self.config.optional_steps)
        task = self.call(step, **{parent.value: done[parent].outputs["output"] for parent in parents})
        if before := [*([first] if first is not None else []), *done.values()]:
            task.after(before[-1])
        done = {**done, step: task}
        if step not in GATES or not rest:
            self.chain(rest, done)
            return
        with dsl.If(task.outputs["Output"] == True, name=f"{step}-passed"):  # noqa: E712 - KFP compiles the comparison
            self.chain(rest, done)
        with dsl.Else(name=f"{step}-refused"):
            self.refuse(step)


class _ClusterGraph(_Graph):
    """As above; train_model is done by pods of its own where the configuration says so."""

    @property
    def retries(self) -> int:
        """As the tasks get it by their place."""
        return self.config.cluster.retries

    def settings(self, step: StepName) -> StepSettings:
        return cluster_step_settings(self.config, step)

    def call(self, step: StepName, **inputs: Any) -> dsl.PipelineTask:
        if step != StepName.TRAIN_MODEL or not self.config.cluster.training.launched:
            return super().call(step, **inputs)
        task = launch_training(
            settings=self.settings(step).model_dump_json(), home=self.home, run=self.run,
            cutoff=self.cutoff, cluster=self.config.cluster.model_dump_json(), worker_image=worker_image(), **inputs,
        )  # fmt: skip
        task.set_display_name(step.value.replace("_", "-"))
        self.place(task.set_caching_options(enable_caching=False), step)
        return task


def worker_image() -> str:
    """Image of the workers that train: that of train_model itself."""
    found: str = train_model.component_spec.implementation.container.image
    return found


def _up_to(last: StepName, config: AlmanacConfig) -> Sequence[StepName]:
    steps = steps_of(config.optional_steps)
    return steps[: steps.index(last) + 1]


def _try_again(task: dsl.PipelineTask, step: StepName | None) -> None:
    """On this machine a task has what the process has; a step whose process was killed is done once more."""
    if step is not None:
        task.set_retry(num_retries=LOCAL_RETRIES)


def limits_of_runs(config: AlmanacConfig) -> dsl.PipelineConfig:
    """How long a cluster lets a run go on, and keeps its object afterwards."""
    return dsl.PipelineConfig(
        active_deadline_seconds=duration_s(config.cluster.deadline),
        ttl_seconds_after_finished=duration_s(config.cluster.keep_finished),
    )


def _pipeline(
    config: AlmanacConfig, function: Callable[..., None], limits: dsl.PipelineConfig | None = None
) -> GraphComponent:
    return dsl.pipeline(
        name=f"almanac-{config.name}", description="Trains, judges, compresses and deploys a forecasting model.",
        pipeline_config=limits,
    )(function)  # fmt: skip
