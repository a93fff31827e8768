"""`almanac diagnose`."""

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from forecasting.backtest.summary import finite_document
from forecasting.config import load_config
from forecasting.config.tuning import choice_label
from forecasting.contracts.artifacts import HISTORY_FILE, REPORT_FILE
from forecasting.contracts.codes import ExitCode
from forecasting.contracts.layout import RunLayout, home_layout
from forecasting.contracts.steps import StepName
from forecasting.errors import ConfigError
from forecasting.formats import as_number
from forecasting.learning_curve import CurveRecord, read_curve
from forecasting.learning_files import SUFFIXES, read_history_file
from forecasting.learning_patterns import DiagnosisReport, diagnose_curve
from forecasting.learning_remedies import REMEDIES
from forecasting.runs import find_run, load_step

_PICTURES = (".png", ".svg")


def diagnose(arguments: argparse.Namespace) -> int:
    """Name the pattern of a training, with the numbers that speak for it and the settings to change."""
    out = _picture(arguments.out)
    path = Path(arguments.training)
    settings: Mapping[str, Any] = {}
    if path.suffix.lower() in SUFFIXES:
        curve = read_curve(read_history_file(path))
    else:
        layout = find_run(home_layout(), arguments.training)
        curve = curve_of_run(layout)
        settings = load_config(layout.config).model_dump(mode="json")
    report = diagnose_curve(curve)
    print(
        json.dumps(finite_document(_document(report, settings)), indent=1, allow_nan=False)
        if arguments.json
        else "\n".join(diagnosis_lines(report, settings))
    )
    if out is not None:
        from components.reporting.learning_picture import draw_learning_picture

        draw_learning_picture(curve, report, out)
        print(f"wrote {out}", file=sys.stderr)
    return 0


def _picture(given: str | None) -> Path | None:
    if given is None:
        return None
    out = Path(given)
    if out.suffix.lower() not in _PICTURES:
        raise ConfigError(f"--out must end in .png or .svg, found {out}")
    if not out.resolve().parent.is_dir():
        raise ConfigError(f"--out {out}: there is no folder {out.resolve().parent}")
    return out


def curve_of_run(layout: RunLayout) -> CurveRecord:
    """The curve of a run's training, of one that was lost or still goes on too.

    Raises:
        ConfigError: The run has no training that came to the end of an epoch.
    """
    output = layout.step(StepName.TRAIN_MODEL)
    if (output / HISTORY_FILE).is_file():
        report = json.loads((output / REPORT_FILE).read_text(encoding="utf-8"))
        rows = json.loads((output / HISTORY_FILE).read_text(encoding="utf-8"))
        return read_curve(rows, n_divergences=len(report.get("divergences", ())))
    from forecasting.neural.checkpoint import read_unfinished

    folder = layout.checkpoint(StepName.TRAIN_MODEL)
    states = [found for part in sorted(folder.glob("**/fit")) if (found := read_unfinished(part)) is not None]
    step = load_step(layout, StepName.TRAIN_MODEL)
    lost = step is not None and step.exit_code == ExitCode.MODEL_REFUSED
    if not states and not lost:
        raise ConfigError(
            f"run {layout.name} must have trained a network for an epoch, and has not; `almanac runs show {layout.name}` says how far it came"
        )
    if not states:
        return CurveRecord((), (), (), lost=True)
    # Members of an ensemble are trained one after another: the last one is where it stands.
    rows = [asdict(row) for row in states[-1].history]
    return read_curve(rows, n_divergences=len(states[-1].divergences), lost=lost)


def diagnosis_lines(report: DiagnosisReport, settings: Mapping[str, Any]) -> list[str]:
    """The diagnosis for a terminal."""
    lines = [report.pattern.value, "", report.finding, ""]
    for found in report.evidence:
        limit = f" (limit {as_number(found.limit)})" if found.limit is not None else ""
        lines.append(f"  {found.measure}: {as_number(found.value)}{limit}")
    lines += ["", "what to change:"]
    for remedy in REMEDIES[report.pattern]:
        paths = ", ".join(_with_value(path, settings) for path in remedy.paths)
        lines.append(f"  - {remedy.change}: {paths}")
    return lines


def _with_value(path: str, settings: Mapping[str, Any]) -> str:
    """A path, with the value that the run had where it is a plain one."""
    value: Any = settings
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    plain = isinstance(value, bool | int | float | str) or (
        isinstance(value, list) and value and not isinstance(value[0], dict)
    )
    return f"{path} ({choice_label(value)})" if plain else path


def _document(report: DiagnosisReport, settings: Mapping[str, Any]) -> dict[str, Any]:
    remedies = [
        {"change": remedy.change, "paths": list(remedy.paths), "automatic": bool(remedy.automatic)}
        for remedy in REMEDIES[report.pattern]
    ]
    return {**asdict(report), "remedies": remedies, "from_run": bool(settings)}
