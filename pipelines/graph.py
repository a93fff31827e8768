"""The pipeline as Kubeflow Pipelines sees it. One graph for the local run, the cluster and the golden file.

Every gate is an If and an Else on a single unnamed bool, because that is what every backend honours;
`report_run` is the exit handler, so that it tells of refused and failed runs too.
"""

from collections.abc import Callable, Sequence
from typing import Any

from kfp import dsl
from kfp.dsl.base_component import BaseComponent
from kfp.dsl.graph_component import GraphComponent

from components.compression.component import compress_model
from components.deployment.component import deploy_model, validate_serving
from components.evaluation.component import evaluate_compressed, evaluate_model
from components.features.component import build_features
from components.reporting.component import record_refusal, report_run
from components.training.component import train_model
from components.validation.component import validate_data
from forecasting.config import AlmanacConfig, step_settings
from forecasting.contracts.steps import GATES, PARENTS, StepName

COMPONENTS: dict[StepName, BaseComponent] = {
    StepName.VALIDATE_DATA: validate_data,
    StepName.BUILD_FEATURES: build_features,
    StepName.TRAIN_MODEL: train_model,
    StepName.EVALUATE_MODEL: evaluate_model,
    StepName.COMPRESS_MODEL: compress_model,
    StepName.EVALUATE_COMPRESSED: evaluate_compressed,
    StepName.VALIDATE_SERVING: validate_serving,
    StepName.DEPLOY_MODEL: deploy_model,
    StepName.REPORT_RUN: report_run,
}

Call = Callable[..., dsl.PipelineTask]


def build_pipeline(config: AlmanacConfig, last: StepName = StepName.DEPLOY_MODEL) -> GraphComponent:
    """The pipeline of one configuration.

    Args:
        config: The configuration; each step gets its own sections as a JSON constant.
        last: The last step before the report.

    Returns:
        A pipeline with the parameters `home`, `run` and `cutoff`.
    """
    steps = list(StepName)
    chain = steps[: steps.index(last) + 1]

    def almanac(home: str, run: str, cutoff: str = "") -> None:
        def call(step: StepName, **inputs: Any) -> dsl.PipelineTask:
            settings = step_settings(config, step).model_dump_json()
            task = COMPONENTS[step](settings=settings, home=home, run=run, cutoff=cutoff, **inputs)
            return task.set_caching_options(enable_caching=False)

        def refuse(gate: StepName) -> None:
            record_refusal(home=home, run=run, gate=gate.value).set_caching_options(enable_caching=False)

        with dsl.ExitHandler(call(StepName.REPORT_RUN), name="run"):
            _chain(chain, {}, call, refuse)

    return dsl.pipeline(
        name=f"almanac-{config.name}", description="Trains, judges, compresses and deploys a forecasting model."
    )(almanac)


def _chain(
    steps: Sequence[StepName], done: dict[StepName, dsl.PipelineTask], call: Call, refuse: Callable[[StepName], None]
) -> None:
    """Add steps one after another; what follows a gate goes into its If, the refusal into its Else."""
    if not steps:
        return
    step, rest = steps[0], steps[1:]
    task = call(step, **{parent.value: done[parent].outputs["output"] for parent in PARENTS[step]})
    if done:
        task.after(list(done.values())[-1])
    done = {**done, step: task}
    if step not in GATES or not rest:
        _chain(rest, done, call, refuse)
        return
    with dsl.If(task.outputs["Output"] == True, name=f"{step}-passed"):  # noqa: E712 - KFP compiles the comparison
        _chain(rest, done, call, refuse)
    with dsl.Else(name=f"{step}-refused"):
        refuse(step)
