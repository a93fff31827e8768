"""`almanac backtest`."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from forecasting.backtest.rolling import RollingReport, rolling_document
from forecasting.backtest.slices import bucket_names, fold_name
from forecasting.config import AlmanacConfig, load_config
from forecasting.contracts.layout import HomeLayout, home_layout
from forecasting.contracts.vocabulary import ModelRole
from forecasting.cutoffs import parse_cutoff
from forecasting.errors import ConfigError
from forecasting.formats import as_number, as_share, as_signed_share, as_time
from pipelines.backtests import SERIES_SUFFIX, BacktestRequestSpec, run_backtest
from pipelines.fits import backtest_home
from pipelines.records import table

_SETTINGS = {"folds": "backtest.folds", "refit_every": "backtest.refit_every", "stride": "backtest.stride"}
"""Options that are short for a setting."""
_SUFFIX = ".parquet"


def backtest(arguments: argparse.Namespace) -> int:
    """Score models on the past, write every forecast and all metrics, and print what matters of them."""
    home = home_layout()
    short = [f"{key}={value}" for name, key in _SETTINGS.items() if (value := getattr(arguments, name)) is not None]
    config = load_config(Path(arguments.config), [*arguments.overrides, *short])
    cutoff = int(parse_cutoff(arguments.cutoff, "--cutoff").timestamp()) if arguments.cutoff else None
    out = _output(arguments.out, home, config)
    request = BacktestRequestSpec(_models(arguments.models), cutoff, out)
    report = run_backtest(config, home, request)
    metrics = out.with_suffix(".json")
    text = json.dumps(rolling_document(report), indent=1, allow_nan=False)
    metrics.write_text(text, encoding="utf-8")
    print(text if arguments.json else "\n".join(backtest_lines(report, config)))
    for line in (*report.notes, f"wrote {out}, {out.with_suffix(SERIES_SUFFIX)} and {metrics}"):
        print(line, file=sys.stderr)
    return 0


def _output(given: str | None, home: HomeLayout, config: AlmanacConfig) -> Path:
    if given is None:
        folder = backtest_home(home).root
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{config.name}{_SUFFIX}"
    path = Path(given)
    if path.suffix != _SUFFIX:
        raise ConfigError(f"--out must end in {_SUFFIX}, found {path}; the metrics go beside it, as .json")
    if not path.resolve().parent.is_dir():
        raise ConfigError(f"--out {path}: there is no folder {path.resolve().parent}")
    return path


def _models(asked: Sequence[str]) -> tuple[str, ...]:
    roles = [role.value for role in ModelRole]
    for name in asked:
        if name not in roles and not name.isdigit():
            raise ConfigError(f"--model must be {', '.join(roles)} or the number of a version, found {name!r}")
    return tuple(dict.fromkeys(asked))


def backtest_lines(report: RollingReport, config: AlmanacConfig) -> list[str]:
    """Tables of a backtest: over everything, by part of the horizon, and by fold where there are several."""
    found, folds = report.backtest, report.folds
    last = folds[-1].end
    head = (
        f"{found.n_series} series, {found.n_origins} origins, {len(folds)} fold{'s' if len(folds) > 1 else ''} from "
        f"{as_time(folds[0].start)} to {as_time(last)}; errors in {found.unit}"
    )
    buckets = bucket_names(config.forecast.horizon, config.backtest.horizon_buckets)
    lines = [head, "", *_overall(report), "", "MAE by steps ahead", *_parts(report, buckets)]
    if len(folds) > 1:
        names = tuple(fold_name(fold.number, len(folds)) for fold in folds)
        lines += ["", "MAE by fold", *_parts(report, names), "", *_fold_lines(report)]
    return lines


def _overall(report: RollingReport) -> list[str]:
    share = as_share(report.backtest.interval)
    rows = [["", "MAE", "RMSE", "WQL", f"in {share}", "skill", "steps"]]
    for name, model in report.backtest.models.items():
        scores = model.overall
        errors = [as_number(scores[metric]) for metric in ("mae", "rmse", "wql")]
        skill = as_signed_share(report.skill[name])
        rows.append([name, *errors, as_share(scores["coverage"]), skill, f"{int(scores['n_points']):,}"])
    return table(rows, right=frozenset(range(1, len(rows[0]))))


def _parts(report: RollingReport, names: Sequence[str]) -> list[str]:
    rows = [["", *names]]
    for model, found in report.backtest.models.items():
        rows.append([model, *(as_number(found.slices[name]["mae"]) if name in found.slices else "" for name in names)])
    return table(rows, right=frozenset(range(1, len(rows[0]))))


def _fold_lines(report: RollingReport) -> list[str]:
    rows = [["FOLD", "FROM", "TO", "CANDIDATE TRAINED BEFORE"]]
    rows += [[str(fold.number), *map(as_time, (fold.start, fold.end, fold.trained_at))] for fold in report.folds]
    trained = ModelRole.CANDIDATE.value in report.backtest.models
    return table([row if trained else row[:-1] for row in rows])
