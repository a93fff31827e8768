"""`almanac tune`."""

import argparse
import json
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from components.reporting.tracking.track_run import track_study
from components.reporting.tracking.upload import require_trackers
from components.tuning.page import write_search
from components.tuning.points import point_tables
from components.tuning.write_back import write_tuned_config
from forecasting.backtest.summary import finite_document
from forecasting.config import AlmanacConfig, load_config
from forecasting.config.tuning import choice_label
from forecasting.contracts.artifacts import TRIALS_FILE, TRIALS_TABLE_FILE, TUNING_PAGE_FILE
from forecasting.contracts.layout import home_layout
from forecasting.cutoffs import parse_cutoff
from forecasting.errors import ConfigError
from forecasting.formats import as_number, as_share, as_time
from forecasting.tuning_record import TrialOutcome, TuningReport
from pipelines.records import table
from pipelines.tuning import run_tuning, tuning_folder

_SHOWN = 10
_SUFFIXES = (".yaml", ".yml")


def tune(arguments: argparse.Namespace) -> int:
    """Search, print what was found, and write the best settings back into a configuration file."""
    home, source = home_layout(), Path(arguments.config)
    short = [] if arguments.trials is None else [f"tuning.n_trials={arguments.trials}"]
    config = load_config(source, [*arguments.overrides, *short])
    cutoff = int(parse_cutoff(arguments.cutoff, "--cutoff").timestamp()) if arguments.cutoff else None
    target = _target(arguments.out, source)
    require_trackers(config.tracking)
    report = run_tuning(config, home, cutoff)
    folder = tuning_folder(home, config.name)
    write_search(report, folder)
    best = report.trial(report.best if report.best is not None else -1)
    day = datetime.now(UTC).date().isoformat()
    why = f"almanac tune {day}: {_reached(report)}, trial {best.number} of {len(report.trials)}"
    write_tuned_config(
        source, target, best=best.settings, before=config.model_dump(), overrides=arguments.overrides, why=why
    )
    print(
        json.dumps(finite_document(asdict(report)), indent=1, allow_nan=False)
        if arguments.json
        else "\n".join(tuning_lines(report, config))
    )
    names = (TRIALS_FILE, TRIALS_TABLE_FILE, TUNING_PAGE_FILE)
    for problem in track_study(report, config.tracking, home, folder=folder):
        print(f"almanac: {problem}", file=sys.stderr)
    print(f"wrote {target}, {', '.join(str(folder / name) for name in names)}", file=sys.stderr)
    return 0


def _reached(report: TuningReport) -> str:
    """The metric of the best, as mean and standard deviation where it was trained with several seeds."""
    if report.finalists:
        winner = report.finalists[0]
        return f"{report.metric} {as_number(winner.mean)} ± {as_number(winner.std)} over {len(winner.values)} seeds"
    best = report.trial(report.best if report.best is not None else -1)
    return f"{report.metric} {as_number(best.value)}"


def _target(given: str | None, source: Path) -> Path:
    target = source.with_name(f"{source.stem}.tuned.yaml") if given is None else Path(given)
    if target.suffix not in _SUFFIXES:
        raise ConfigError(f"--out must end in .yaml, found {target}")
    if not target.resolve().parent.is_dir():
        raise ConfigError(f"--out {target}: there is no folder {target.resolve().parent}")
    if target.resolve() == source.resolve():
        raise ConfigError(f"--out must be another file than the configuration, found {target}")
    return target


def tuning_lines(report: TuningReport, config: AlmanacConfig) -> list[str]:
    """Tables of a search: the best trials, and what matters of their settings."""
    counted = {outcome: sum(trial.outcome is outcome for trial in report.trials) for outcome in TrialOutcome}
    said = ", ".join(f"{n} {outcome.value}" for outcome, n in counted.items() if n)
    head = (
        f"{len(report.trials)} trials ({said}) over {len(report.folds)} fold{'s' if len(report.folds) > 1 else ''} from "
        f"{as_time(report.folds[0][0])} to {as_time(report.folds[-1][1])}; the test period begins then, and was not read"
    )
    return [
        head,
        "",
        *_best_lines(report),
        *_point_lines(report),
        *_finalist_lines(report),
        "",
        *_setting_lines(report, config),
    ]


def _point_lines(report: TuningReport) -> list[str]:
    """The one-at-a-time tables of a staged search."""
    lines = []
    for path, points in point_tables(report).items():
        rows = [[path, report.metric.upper(), "FIT CPU S", "TRAIN LOSS", "VALIDATION LOSS", "GAP", "RISK"]]
        for point in points:
            numbers = (point.metric, point.fit_s, point.train_loss, point.validation_loss, point.gap)
            mark = " (as configured)" if point.configured else ""
            rows.append([f"{point.value}{mark}", *map(as_number, numbers), point.risk])
        lines += ["", *table(rows)]
    return lines


def _finalist_lines(report: TuningReport) -> list[str]:
    if not report.finalists:
        return []
    rows = [["FINALIST", "MEAN", "STD", "BY SEED"]]
    rows += [
        [f"trial {one.trial}", as_number(one.mean), as_number(one.std), " ".join(map(as_number, one.values))]
        for one in report.finalists
    ]
    return ["", *table(rows)]


def _best_lines(report: TuningReport) -> list[str]:
    scored = [trial for trial in report.trials if trial.value is not None]
    scored.sort(key=lambda trial: trial.value or 0.0, reverse=report.maximised)
    rows = [["TRIAL", report.metric.upper(), "BY FOLD", "VALIDATION LOSS", "TRAIN LOSS", "CPU S"]]
    for trial in scored[:_SHOWN]:
        mark = " (as configured)" if trial.number == report.baseline else ""
        columns = ("value", "validation_loss", "train_loss", "cpu_s")
        found = [" ".join(as_number(getattr(fold, column)) for fold in trial.folds) for column in columns]
        rows.append([f"{trial.number}{mark}", as_number(trial.value), *found])
    return table(rows)


def _setting_lines(report: TuningReport, config: AlmanacConfig) -> list[str]:
    from forecasting.config.search_space import setting

    best = report.trial(report.best if report.best is not None else -1)
    before = config.model_dump()
    rows = [["SETTING", "WAS", "BEST", "IMPORTANCE"]]
    order = sorted(best.settings, key=lambda path: -report.importance.get(path, 0.0))
    for path in order:
        share = as_share(report.importance[path]) if path in report.importance else ""
        rows.append([path, choice_label(setting(before, path)), _shown(best.settings[path]), share])
    return table(rows)


def _shown(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else choice_label(value)
