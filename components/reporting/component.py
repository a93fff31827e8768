"""Kubeflow Pipelines adapters of the step report_run, of a refusal, and of the beginning of a run on a cluster.

No `from __future__ import annotations` here: it breaks the compilation of components.
"""

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("steps"), install_kfp_package=False)
def report_run(
    settings: str,
    home: str,
    run: str,
    cutoff: str,
    status: dsl.PipelineTaskFinalStatus,  # noqa: ARG001 - its presence makes KFP run the task at the end
    output: dsl.Output[dsl.Artifact],
    page: dsl.Output[dsl.HTML],
    ends_run: bool = False,
) -> None:
    """See `components.reporting.report_run`; `page` is its report.html, as Kubeflow's own interface shows it.

    ends_run: whether nobody else writes what became of the run, as on a cluster.
    """
    from components.reporting.page_artifact import copy_page
    from forecasting.cluster_runs import end_cluster_run
    from forecasting.contracts.layout import home_layout
    from forecasting.execution import run_component

    try:
        run_component(
            "report_run",
            "components.reporting.report_run:report_run",
            settings,
            {},
            home=home,
            run=run,
            cutoff=cutoff,
            output=output,
        )
        copy_page(home, run, page.path)
    finally:
        if ends_run:
            end_cluster_run(home_layout(home), run)


@dsl.component(base_image=image("steps"), install_kfp_package=False)
def begin_run(
    config: str, home: str, run: str, cutoff: str, scheduled: str, request: str, last: str, retries: int
) -> None:
    """See `components.reporting.begin_run`."""
    from components.reporting.begin_run import begin_run_component

    begin_run_component(
        config, home=home, run=run, cutoff=cutoff, scheduled=scheduled, request=request, last=last, retries=retries
    )


@dsl.component(base_image=image("steps"), install_kfp_package=False)
def record_refusal(home: str, run: str, gate: str, retries: int) -> None:
    """Write into the run record that a gate said no; the process ends with the exit code of what is in the way."""
    from forecasting.cluster_runs import refuse_cluster_run
    from forecasting.contracts.layout import home_layout
    from forecasting.contracts.steps import StepName
    from forecasting.task_attempts import TaskAttempt

    layout = home_layout(home)
    with TaskAttempt(layout, f"record_refusal {gate}", run, retries):
        refuse_cluster_run(layout, run, StepName(gate))
