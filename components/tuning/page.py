"""The page of a search: one HTML file that needs no network and no script."""

from datetime import UTC, datetime
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from components.tuning.drawings import history_svg, importance_svg, parallel_svg
from components.tuning.points import point_tables
from forecasting import formats
from forecasting.config.tuning import choice_label
from forecasting.contracts.artifacts import TRIALS_FILE, TRIALS_TABLE_FILE, TUNING_PAGE_FILE
from forecasting.manifests import write_text_atomically
from forecasting.tuning_record import TrialOutcome, TrialStage, TuningReport, write_trials, write_tuning_report

_TEMPLATES = Path(__file__).parent / "templates"
_MOST_AXES = 9
_MOST_TRIALS = 20


def write_search(report: TuningReport, folder: Path) -> None:
    """Write all that there is of a search: its document, its table of trials, its page."""
    write_tuning_report(report, folder / TRIALS_FILE)
    write_trials(report, folder / TRIALS_TABLE_FILE)
    write_tuning_page(report, folder / TUNING_PAGE_FILE)


def write_tuning_page(report: TuningReport, path: Path) -> None:
    """Write the page of a search.

    Args:
        report: All trials.
        path: The HTML file.
    """
    write_text_atomically(path, render_tuning_page(report))


def _drawn(svg: str) -> Markup:
    return Markup(svg)  # nosec B704 # drawn by charts that escape


def render_tuning_page(report: TuningReport) -> str:
    """The page as HTML."""
    environment = Environment(loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined,
                              trim_blocks=True, lstrip_blocks=True)  # fmt: skip
    environment.filters |= {"number": formats.as_number, "share": formats.as_share, "label": choice_label}
    every = sorted({path for trial in report.trials for path in trial.settings})
    paths = sorted(every, key=lambda path: -report.importance.get(path, 0.0))
    ranked = sorted(
        (trial for trial in report.trials if trial.value is not None), key=lambda trial: trial.value or 0.0,
        reverse=report.maximised,
    )  # fmt: skip
    counts = {outcome.value: sum(trial.outcome is outcome for trial in report.trials) for outcome in TrialOutcome}
    template = environment.get_template("tuning.html.j2")
    return template.render(
        r=report,
        best=report.trial(report.best) if report.best is not None else None,
        baseline=report.trial(report.baseline) if report.baseline is not None else None,
        period=tuple(
            f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M}" for at in (report.folds[0][0], report.folds[-1][1])
        ),
        counts={name: n for name, n in counts.items() if n},
        paths=paths,
        ranked=ranked[:_MOST_TRIALS],
        history=_drawn(history_svg(report)),
        importance=_drawn(importance_svg(report.importance)),
        parallel=_drawn(parallel_svg(report, paths[:_MOST_AXES])),
        one_at_a_time=point_tables(report),
        architectures=point_tables(report, TrialStage.ARCHITECTURE),
        stages=[stage for stage in TrialStage if any(trial.stage is stage for trial in report.trials)],
    )
