"""The command line of `almanac`. Nothing heavy is imported here, so that `--help` answers at once.

Each command names the function that does it as `module:function`; the function takes the parsed
arguments and returns an exit code. Commands without one are not in this version and say so.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from forecasting.contracts.steps import StepName
from pipelines.exit_codes import EXIT_CODES

STEPS = [step.value for step in StepName]
RUN_STEPS = STEPS[:-1]


@dataclass(frozen=True)
class OptionSpec:
    """One argument: its names and what argparse is told about it."""

    names: tuple[str, ...]
    settings: dict[str, Any]


@dataclass(frozen=True)
class CommandSpec:
    """One command: what it does, its options, and where its function is; none: not in this version."""

    name: str
    summary: str
    options: tuple[OptionSpec, ...] = ()
    function: str | None = None
    children: tuple["CommandSpec", ...] = ()


def _option(*names: str, **settings: Any) -> OptionSpec:
    return OptionSpec(names, settings)


_CONFIG = _option("-c", "--config", metavar="FILE", required=True, help="configuration (YAML)")
_OWN_CONFIG = _option("-c", "--config", metavar="FILE", help="configuration (YAML); none: that of the run")
_SET = _option("--set", metavar="KEY=VALUE", action="append", default=[], dest="overrides",
               help="change one setting, such as training.max_epochs=3; may be given again")  # fmt: skip
_JSON = _option("--json", action="store_true", help="print JSON")
_RUN = _option("--run", metavar="RUN", default="latest", help="a run, the beginning of its name, or latest (default)")
_RUN_NAME = _option(
    "run", metavar="RUN", nargs="?", default="latest", help="a run, the beginning of its name, or latest (default)"
)
_MODEL = _option("model", metavar="MODEL", help="name of the model")
_VERSION = _option("version", metavar="VERSION", type=int, help="a version of it")
_REASON = _option("--reason", metavar="WHY", default="", help="why, for the audit log")
_IMAGES = (
    _option("--image", metavar="TARGET=IMAGE", action="append", default=[], dest="images",
            help="image of steps, trainer or serving, by digest; may be given again"),
    _option("--allow-tags", action="store_true", help="take images by tag, too, which may be other images tomorrow"),
)  # fmt: skip
_HOST = _option("--host", metavar="URL", help="interface of the cluster; none: cluster.api.url of the configuration")
_CLUSTER = (*_IMAGES, _HOST)
_THERE = (
    _option("-c", "--config", metavar="FILE", help="configuration (YAML) of a model: its runs on the cluster; none: the runs of this home"),
    _SET, _HOST,
)  # fmt: skip

COMMANDS: tuple[CommandSpec, ...] = (
    CommandSpec("init", "Write a commented starter configuration for your table.", (
        _option("table", metavar="FILE|URL", help="the table, as data.uri of a configuration names it"),
        _option("-o", "--output", metavar="CONFIG", help="file to write (YAML); none: the table's name with .yaml, in the working directory"),
        _option("--target", metavar="COLUMN", help="column to forecast; none: it is guessed"),
        _option("--horizon", metavar="STEPS", type=int, help="steps ahead; none: what the frequency suggests"),
        _option("--set", metavar="KEY=VALUE", action="append", default=[], dest="overrides",
                help="how the table is read, such as data.csv.delimiter=';', data.time_parts.hour=COLUMN or data.table=NAME of a database; may be given again"),
        _option("--force", action="store_true", help="write over a file that exists"),
    ), "pipelines.commands.init:init"),
    CommandSpec("run", "Run the whole pipeline on this machine.", (
        _option("-c", "--config", metavar="FILE", help="configuration (YAML)"),
        _SET,
        _option("--cutoff", metavar="T", help="use the table up to this ISO 8601 time with zone only; none: all of it"),
        _option("--resume", metavar="RUN", help="continue a run that was stopped, killed or failed; finished steps are kept"),
        _option("--from", metavar="STEP", choices=RUN_STEPS, dest="first", help="run this step and all later ones again although nothing changed"),
        _option("--to", metavar="STEP", choices=RUN_STEPS, dest="last", help="end the run after this step"),
        _option("--force", metavar="STEP", choices=RUN_STEPS, action="append", default=[], dest="forced",
                help="run this step again although nothing changed; may be given again"),
        _option("--profile", choices=["quick", "full"], help="which compressed variants to try, with the time of that profile"),
        _option("--promote", action="store_true", help="let this run replace a champion of a later cutoff, if it passes its gates"),
        _JSON,
    ), "pipelines.commands.run:run"),
    CommandSpec("compile", "Write the pipeline as a definition for a cluster.", (
        _CONFIG, _SET,
        _option("-o", "--output", metavar="OUT", required=True, help="file to write (YAML)"),
        _option("--pipeline", choices=["run", "forecast_batch"], default="run",
                help="run: from the table to the deployed model (default); forecast_batch: every series from one cutoff, to Parquet or SQL"),
        _option("--format", choices=["kfp", "kfp-crd", "argo"], default="kfp",
                help="kfp: what Kubeflow Pipelines takes (default); kfp-crd: its Pipeline and PipelineVersion, for GitOps; argo: WorkflowTemplate and CronWorkflow, for clusters without it"),
        *_IMAGES,
    ), "pipelines.commands.compile:compile_pipeline"),
    CommandSpec("submit", "Begin a run on a cluster.", (
        _CONFIG, _SET,
        _option("--cutoff", metavar="T", help="use the table up to this ISO 8601 time with zone only; none: all of it"),
        _option("--request", metavar="ID", help="names the run: the same ID a second time is the same run; none: a new one"),
        _option("--wait", action="store_true", help="wait for the end of the run, and end with its exit code"),
        *_CLUSTER, _JSON,
    ), "pipelines.commands.submit:submit"),
    CommandSpec("schedule", "Run the pipeline on a cluster by retraining.schedule.", (
        _CONFIG, _SET,
        _option("--remove", action="store_true", help="end the schedule; runs that it began go on"),
        *_CLUSTER,
    ), "pipelines.commands.submit:schedule"),
    CommandSpec("backfill", "Run the pipeline on a cluster for past cutoffs, one after another; an older cutoff is never promoted.", (
        _CONFIG, _SET,
        _option("--from", metavar="T", required=True, dest="first", help="the oldest cutoff, ISO 8601 time with zone"),
        _option("--to", metavar="T", required=True, dest="last", help="the latest cutoff"),
        _option("--every", metavar="DURATION", default="7d", help="time between two cutoffs (default: 7d)"),
        _option("--label", metavar="TEXT", default="", help="runs cutoffs again that were done under another label"),
        *_CLUSTER, _JSON,
    ), "pipelines.commands.submit:backfill"),
    CommandSpec("backtest", "Score models on the past, fold after fold, without deploying any.", (
        _CONFIG, _SET,
        _option("--model", metavar="MODEL", action="append", default=[], dest="models",
                help="candidate (trained for its folds), champion, previous or the number of a version; may be given again; "
                "none: candidate, and champion where there is one. The seasonal naive is always scored"),
        _option("--folds", metavar="N", type=int, help="periods one after another; short for --set backtest.folds=N"),
        _option("--refit-every", metavar="K", type=int,
                help="train the candidate again for each K folds; short for --set backtest.refit_every=K"),
        _option("--stride", metavar="STEPS", type=int, help="steps between origins; short for --set backtest.stride=STEPS"),
        _option("--cutoff", metavar="T", help="use the table up to this ISO 8601 time with zone only; none: all of it"),
        _option("--out", metavar="FILE.parquet", help="every forecast; the metrics go beside it as FILE.json and, by series, FILE.series.parquet; "
                "none: into the folder backtests of the state directory"),
        _JSON,
    ), "pipelines.commands.backtest:backtest"),
    CommandSpec("tune", "Search for better settings, by fits that are judged before the test period.", (
        _CONFIG, _SET,
        _option("--trials", metavar="N", type=int, help="trials in all; short for --set tuning.n_trials=N"),
        _option("--cutoff", metavar="T", help="use the table up to this ISO 8601 time with zone only; none: all of it"),
        _option("--out", metavar="FILE.yaml", help="the configuration with the best settings; none: beside FILE, as NAME.tuned.yaml"),
        _JSON,
    ), "pipelines.commands.tune:tune"),
    CommandSpec("diagnose", "Say from a learning curve what limits the model, and which settings to change.", (
        _option("training", metavar="RUN|FILE", nargs="?", default="latest",
                help="a run, the beginning of its name, or latest (default); or a history: history.json of a run, the history of Keras as .json, the .csv of its CSVLogger"),
        _option("--out", metavar="FILE.png", help="draw the curve with the pattern marked, as .png or .svg"),
        _JSON,
    ), "pipelines.commands.diagnose:diagnose"),
    CommandSpec("serve", "Serve the champion: model server and gateway, until SIGTERM.", (_CONFIG, _SET), "pipelines.commands.serve:serve"),
    CommandSpec("forecast", "Ask a running gateway for a forecast.", (
        _CONFIG, _SET,
        _option("--series", metavar="ID", action="append", default=[], help="series to forecast; none: all; may be given again"),
        _option("--all", action="store_true", help="every series, as without --series"),
        _option("--origin", metavar="T", help="first step to forecast, ISO 8601 time with zone; none: after the last target, or as late as known covariates allow"),
        _option("--known", metavar="FILE", help="known covariates of the days ahead, CSV or Parquet with the columns series, timestamp (or the table's own columns of time) and any of them; they go before those of the table"),
        _option("--out", metavar="FILE", help="write to FILE.csv, FILE.parquet or FILE.png; none: a table on the terminal"),
        _option("--endpoint", metavar="URL", help="gateway; none: the one that `almanac serve -c FILE` starts here; its token is taken from $ALMANAC_TOKEN"),
        _option("--batch", metavar="FOLDER|URL", nargs="?", const="", help="without a gateway: every series from one cutoff, to a Parquet file in FOLDER or a table of a database (sqlite:///FILE, postgresql://…), left out: batch.to of the configuration; a cutoff and version that are there are not written again"),
        _option("--cutoff", metavar="T", help="with --batch: each series from its first step at or after this ISO 8601 time with zone; none: the latest origin of most series"),
        _option("--version", metavar="VERSION", type=int, help="with --batch: a version of the model; none: the champion"),
        _JSON,
    ), "pipelines.commands.forecast:forecast"),
    CommandSpec("monitor", "Join actuals with forecasts, keep live accuracy and drift and show them to Prometheus, until SIGTERM.", (
        _CONFIG, _SET,
        _option("--once", action="store_true", help="score all forecasts of the store, measure drift, print both and end"),
        _JSON,
    ), "pipelines.commands.monitor:monitor"),
    CommandSpec("retrain", "Ask for a run of the pipeline; almanac worker runs it.", (
        _CONFIG, _SET,
        _option("--reason", metavar="WHY", default="by hand", help="why, on one line"),
        _option("--list", action="store_true", dest="listed", help="list the latest requests and what became of them, and ask for nothing"),
        _JSON,
    ), "pipelines.commands.retrain:retrain"),
    CommandSpec("worker", "Claim requests to train again and run the pipeline for them, until SIGTERM.", (
        _CONFIG, _SET,
        _option("--once", action="store_true", help="do one request, where one waits, and end; asks for what schedule and new data ask for first"),
    ), "pipelines.commands.worker:work"),
    CommandSpec("step", "Run one step of a run in this process, so that breakpoints work.", (
        _option("name", metavar="NAME", choices=STEPS, help="the step: " + ", ".join(STEPS)),
        _RUN,
    ), "pipelines.commands.step:step"),
    CommandSpec("cache", "Say what is reused and why.", children=(
        CommandSpec("explain", "Say for each step whether it would run again, and why.", (_RUN, _OWN_CONFIG, _SET, _JSON), "pipelines.commands.cache:explain"),
    )),
    CommandSpec("runs", "Look at runs.", children=(
        CommandSpec("list", "List the runs of this home, or of a model on a cluster, newest first.", (*_THERE, _JSON), "pipelines.commands.runs:list_runs"),
        CommandSpec("show", "Show one run: its steps, and what went wrong.", (_RUN_NAME, _JSON), "pipelines.commands.runs:show"),
        CommandSpec("logs", "Print the logs of a run.", (
            _RUN_NAME, _option("--step", metavar="STEP", choices=STEPS, help="only this step"), *_THERE,
        ), "pipelines.commands.runs:logs"),
        CommandSpec("stop", "Stop a run that is going; it can be resumed.", (_RUN_NAME, *_THERE), "pipelines.commands.runs:stop"),
    )),
    CommandSpec("models", "Look at the model repository and change who is champion.", children=(
        CommandSpec("list", "List models with champion, candidate and previous.", (_JSON,), "pipelines.commands.models:list_models"),
        CommandSpec("show", "Show the versions of a model.", (
            _MODEL,
            _option("--audit", action="store_true", help="show who changed its roles, when and why, instead"),
            _JSON,
        ), "pipelines.commands.models:show"),
        CommandSpec("compare", "Compare two versions of a model, on the steps that both forecast where there are any.", (
            _MODEL,
            _option("first", metavar="A", type=int, help="a version of it"),
            _option("second", metavar="B", type=int, help="another one"),
            _JSON,
        ), "pipelines.commands.compare_models:compare"),
        CommandSpec("approve", "Make the candidate that waits for approval champion.", (
            _MODEL,
            _option("--version", metavar="VERSION", type=int, help="the version that is meant; none: the one that waits"),
            _REASON, _JSON,
        ), "pipelines.commands.models:approve"),
        CommandSpec("reject", "Turn down the candidate that waits for approval.", (_MODEL, _VERSION, _REASON, _JSON), "pipelines.commands.models:reject"),
        CommandSpec("promote", "Make a version champion.", (
            _MODEL, _VERSION,
            _option("--force", action="store_true", help="also where it waits for approval, was rejected, or its cutoff lies before the champion's; needs --reason"),
            _REASON, _JSON,
        ), "pipelines.commands.models:promote"),
        CommandSpec("rollback", "Make the previous version champion again, until a run that passes its gates deploys one.", (_MODEL, _REASON, _JSON), "pipelines.commands.models:rollback"),
    )),
    CommandSpec("track", "Look at what trackers have yet to be told, and tell them.", children=(
        CommandSpec("list", "List the runs that wait in the spool, the oldest first, and why.", (_JSON,), "pipelines.commands.track:list_waiting"),
        CommandSpec("upload", "Send what waits to MLflow and the other trackers.", (
            _option("--budget", metavar="SECONDS", type=float, default=600.0, help="seconds for each tracker (default: 600)"), _JSON,
        ), "pipelines.commands.track:upload_waiting"),
    )),
    CommandSpec("tokens", "Make tokens for the gateway.", children=(
        CommandSpec("make", "Make a token: it is printed, and only its digest is kept.", (
            _option("name", metavar="NAME", help="who it is for; stands in the gateway's log"),
            _option("--scope", action="append", choices=("read", "write", "alert", "admin"), dest="scopes", help="what it allows: forecasts and state, observations, alerts of Alertmanager, all; may be given again (default: read)"),
            _option("--file", metavar="FILE", help="file to add its line to, gateway.tokens of a configuration; none: the line goes to stderr"),
        ), "pipelines.commands.tokens:make"),
    )),
    CommandSpec("store", "Look after the tables of forecasts, observations and retrain requests.", children=(
        CommandSpec("backup", "Copy the store, as it is at one moment, to a file; it may be in use.", (
            _CONFIG, _SET,
            _option("--out", metavar="FILE", required=True, help="an SQLite database, or of PostgreSQL what pg_dump writes"),
            _option("--force", action="store_true", help="write over a file that exists"),
        ), "pipelines.commands.store:back_up_store"),
        CommandSpec("restore", "Fill the store from a backup of the same kind of database.", (
            _CONFIG, _SET,
            _option("backup", metavar="FILE", help="what `almanac store backup` wrote"),
            _option("--force", action="store_true", help="replace the store that is there"),
        ), "pipelines.commands.store:restore_store"),
        CommandSpec("prune", "Remove what is older than store.keep_forecasts and store.keep_observations.", (
            _CONFIG, _SET, _JSON,
        ), "pipelines.commands.store:prune_store"),
        CommandSpec("upgrade", "Bring the tables to a version; opening the store brings them to the newest one by itself.", (
            _CONFIG, _SET,
            _option("--to", metavar="VERSION", help="an older version, before an older Almanac opens it; base: no tables; none: the newest"),
        ), "pipelines.commands.store:upgrade_store"),
    )),
    CommandSpec("gc", "Remove old runs, versions and fits of backtests, as retention of a configuration says.", (
        _CONFIG, _SET, _option("--dry-run", action="store_true", help="list what would go, with bytes, and remove nothing"), _JSON,
    ), "pipelines.commands.gc:collect_garbage"),
    CommandSpec("config", "Look at configurations.", children=(
        CommandSpec("show", "Print a configuration with all defaults.", (_CONFIG, _SET, _JSON), "pipelines.commands.config:show"),
        CommandSpec("schema", "Print the JSON Schema of configurations, for editors.", (), "pipelines.commands.config:schema"),
        CommandSpec("check", "Check a configuration.", (_CONFIG, _SET), "pipelines.commands.config:check"),
    )),
)  # fmt: skip

NOT_YET = "Not in this version."
WIDTH = 100
"""Columns of help texts, the same on every terminal so that docs/cli.md can show them."""


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=WIDTH, max_help_position=28)


def build_parser(version: str) -> argparse.ArgumentParser:
    """The parser of all commands. A parsed namespace has `command` (the words) and `function`."""
    parser = argparse.ArgumentParser(
        prog="almanac",
        description="Turns a table of time series into a forecasting service that retrains itself.",
        epilog="\n".join(["exit codes:", *(f"  {code:<4}{meaning}" for code, meaning in EXIT_CODES.items())]),
        formatter_class=_HelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"almanac {version}")
    parser.add_argument("--home", metavar="DIR", help="state directory; none: $ALMANAC_HOME, else .almanac")
    parser.add_argument("-v", "--verbose", action="store_true", help="log what happens to stderr")
    _add_commands(parser, COMMANDS, words=())
    return parser


def _add_commands(parser: argparse.ArgumentParser, commands: Sequence[CommandSpec], words: tuple[str, ...]) -> None:
    group = parser.add_subparsers(metavar="COMMAND", required=True, title="commands")
    for command in commands:
        available = command.function is not None or command.children
        summary = command.summary if available else f"{command.summary} {NOT_YET}"
        child = group.add_parser(
            command.name, help=summary, description=summary, formatter_class=_HelpFormatter, allow_abbrev=False
        )
        path = (*words, command.name)
        if command.children:
            _add_commands(child, command.children, path)
            continue
        for option in command.options:
            child.add_argument(*option.names, **option.settings)
        child.set_defaults(command=" ".join(path), function=command.function)
