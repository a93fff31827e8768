"""What a pod of an Argo workflow runs: begin a run, do one step of it, record a refusal, report and end it; or make a batch.

A gate that says no ends with 0 and writes `false` where Argo reads it; what went wrong ends with its exit code.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from components.launching.launch_training import launched_step
from forecasting.cluster_runs import begin_cluster_run, end_cluster_run, refuse_cluster_run
from forecasting.code_closure import step_function
from forecasting.config import AlmanacConfig, load_config
from forecasting.config.launched import cluster_step_settings
from forecasting.config.root import forecast_batch_settings
from forecasting.contracts.codes import ExitCode
from forecasting.contracts.layout import home_layout
from forecasting.contracts.steps import StepName, parents_of
from forecasting.errors import AlmanacError
from forecasting.execution import run_component
from forecasting.full_disk import full_disk_passes
from pipelines.run import make_example

logger = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    parsed = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    try:
        with full_disk_passes():
            parsed.function(parsed)
    except AlmanacError as error:
        print(f"almanac: {error}", file=sys.stderr, flush=True)
        return int(error.exit_code)
    return int(ExitCode.DONE)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="workflow_step", description=__doc__)
    every = argparse.ArgumentParser(add_help=False)
    every.add_argument("--config", type=Path, required=True, help="the configuration of the workflow")
    every.add_argument("--passed", type=Path, required=True, help="file that gets true or false")
    common = argparse.ArgumentParser(add_help=False, parents=[every])
    common.add_argument("--run", required=True, help="name of the run: that of the workflow")
    commands = parser.add_subparsers(required=True)
    begin = commands.add_parser("begin", parents=[common], help="make the record of the run")
    begin.add_argument("--cutoff", default="", help="use the table up to this time only")
    begin.add_argument("--scheduled", default="", help="when the run was due")
    begin.add_argument("--request", default="", help="names who asked for the run")
    begin.set_defaults(function=_begin)
    step = commands.add_parser("step", parents=[common], help="do one step")
    step.add_argument("name", type=StepName, choices=list(StepName))
    step.add_argument("--worker-image", default="", help="image of the pods that do the step; none: this one does it")
    step.set_defaults(function=_step)
    refuse = commands.add_parser("refuse", parents=[common], help="record that a gate said no")
    refuse.add_argument("gate", type=StepName, choices=list(StepName))
    refuse.set_defaults(function=_refuse)
    report = commands.add_parser("report", parents=[common], help="write the report, and what became of the run")
    report.set_defaults(function=_report)
    batch = commands.add_parser("batch", parents=[every], help="forecast every series from one cutoff, once")
    batch.add_argument("--to", required=True, help="as almanac forecast --batch; a relative folder lies in the home")
    batch.add_argument("--cutoff", default="", help="empty: the latest origin of most series")
    batch.add_argument("--version", type=int, default=0, help="published version; 0: the champion")
    batch.set_defaults(function=_batch)
    return parser


def _begin(parsed: argparse.Namespace) -> None:
    config, home = load_config(parsed.config), home_layout()
    make_example(config, home)
    begin_cluster_run(
        config, home, parsed.run, cutoff=parsed.cutoff, scheduled=parsed.scheduled, request=parsed.request
    )


def _step(parsed: argparse.Namespace) -> None:
    passed = _run_step(load_config(parsed.config), parsed.run, parsed.name, parsed.worker_image)
    parsed.passed.write_text(str(passed).lower(), encoding="utf-8")


def _refuse(parsed: argparse.Namespace) -> None:
    refuse_cluster_run(home_layout(), parsed.run, parsed.gate)


def _report(parsed: argparse.Namespace) -> None:
    try:
        _run_step(load_config(parsed.config), parsed.run, StepName.REPORT_RUN)
    finally:
        end_cluster_run(home_layout(), parsed.run)


def _batch(parsed: argparse.Namespace) -> None:
    from components.batch.forecast_batch import forecast_batch, placed

    settings, home = forecast_batch_settings(load_config(parsed.config)), home_layout()
    made = forecast_batch(settings, home, placed(parsed.to, home), cutoff=parsed.cutoff, version=parsed.version or None)
    what = "wrote" if made.is_new else "nothing is written, there is already"
    logger.info("%s %s: version %d from %s, %s series", what, made.place, made.version, made.cutoff, made.n_series)


def _run_step(config: AlmanacConfig, run: str, step: StepName, worker_image: str = "") -> bool:
    home = home_layout()
    launched = launched_step(config.cluster.model_dump_json(), worker_image) if worker_image else None
    return run_component(
        step.value,
        launched or step_function(step),
        cluster_step_settings(config, step).model_dump_json(),
        {parent.value: str(home.run(run).step(parent)) for parent in parents_of(step, config.optional_steps)},
        home=str(home.root),
        run=run,
        cutoff="",
    )


if __name__ == "__main__":
    sys.exit(main())
