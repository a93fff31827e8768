"""How many of real trainings, each made to show a pattern, are named right.

`make bench-diagnose` trains the 80 runs of `diagnose_runs` (a quarter of an hour on two busy cores; it needs the tables of
../shared), keeps what the rules read of their curves in tests/unit/benchmarks/learning_curves.json, and writes
build/bench/diagnose.json with the confusion matrix. With `--kept` it judges the curves that are kept.
"""

import argparse
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from forecasting.learning_curve import CurveRecord, read_curve
from forecasting.learning_patterns import LearningPattern, diagnose_curve
from tests.benchmarks.bench_file import write_bench

_FOLDER = Path(__file__).parents[1] / "unit" / "benchmarks"
KEPT, KEPT_FRESH = _FOLDER / "learning_curves.json", _FOLDER / "learning_curves_fresh.json"
_FIELDS = ("epoch", "train_loss", "validation_loss", "gradient_norm", "gradient_norm_max")
_DIGITS, _NORM_DIGITS = 5, 3
_DRAWN = {LearningPattern.HIGH_VARIANCE.value: 2}
"""Runs that are drawn, where it is not the first."""


def kept_run(found: Mapping[str, Any]) -> dict[str, Any]:
    """What the rules read of a run, in few digits."""
    rows = [
        {
            **{name: _short(row[name]) for name in _FIELDS},
            "layer_norms": {name: [_short(norms[0], _NORM_DIGITS)] for name, norms in row["layer_norms"].items()},
        }
        for row in found["history"]
    ]
    names = ("pattern", "number", "table", "kind", "n_divergences", "lost")
    return {**{name: found[name] for name in names}, "history": rows}


def _short(value: float, n_digits: int = _DIGITS) -> float:
    return float(f"{value:.{n_digits}g}")


def curve_of(run: Mapping[str, Any]) -> CurveRecord:
    """The curve of a kept run."""
    return read_curve(run["history"], n_divergences=run["n_divergences"], lost=run["lost"])


def judge(runs: Iterable[Mapping[str, Any]]) -> Counter[tuple[str, str]]:
    """How often a run made to show one pattern was found to show another: (made, found)."""
    return Counter((run["pattern"], diagnose_curve(curve_of(run)).pattern.value) for run in runs)


def right_ratio(confusion: Counter[tuple[str, str]]) -> float:
    """Share of runs that are named right."""
    return sum(n for (made, found), n in confusion.items() if made == found) / sum(confusion.values())


def matrix_lines(confusion: Counter[tuple[str, str]]) -> list[str]:
    """The confusion matrix as a Markdown table, a row for each pattern that was made."""
    names = [pattern.value for pattern in LearningPattern if pattern is not LearningPattern.TOO_SHORT]
    lines = [f"| made \\ found | {' | '.join(names)} |", f"|---{'|---' * len(names)}|"]
    for made in names:
        cells = [str(confusion[made, found]) if confusion[made, found] else "" for found in names]
        lines.append(f"| {made} | {' | '.join(cells)} |")
    return lines


def main() -> None:
    """Train or read the runs, judge them, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--kept", action="store_true", help="judge the curves that are kept")
    parser.add_argument("--fresh", action="store_true", help="the forty runs of another table, that no rule has seen")
    parser.add_argument("--pictures", type=Path, help="draw a run of each pattern into this folder")
    arguments = parser.parse_args()
    path = KEPT_FRESH if arguments.fresh else KEPT
    runs = json.loads(path.read_text(encoding="utf-8")) if arguments.kept else train_runs(path, fresh=arguments.fresh)
    halves = {"fresh": (9, 10, 11, 12)} if arguments.fresh else {"design": (1, 2, 3, 4), "unseen": (5, 6, 7, 8)}
    figures: dict[str, Any] = {
        f"right_ratio_{name}": right_ratio(judge(run for run in runs if run["number"] in numbers))
        for name, numbers in halves.items()
    }
    confusion = judge(runs)
    figures["confusion"] = {f"{made} -> {found}": n for (made, found), n in sorted(confusion.items())}
    write_bench(arguments.out, figures=figures, peers={})
    print("\n".join(matrix_lines(confusion)))
    if arguments.pictures is not None:
        draw(runs, arguments.pictures)


def draw(runs: list[dict[str, Any]], folder: Path) -> None:
    """One picture a pattern."""
    from components.reporting.learning_picture import draw_learning_picture

    for run in runs:
        if run["number"] == _DRAWN.get(run["pattern"], 1):
            curve = curve_of(run)
            name = f"diagnose-{run['pattern'].replace(' ', '-')}.png"
            draw_learning_picture(curve, diagnose_curve(curve), folder / name)


def train_runs(path: Path, *, fresh: bool) -> list[dict[str, Any]]:
    """Train all runs, say of each what was found, and keep it at once."""
    from tests.benchmarks.diagnose_runs import cases, fresh_cases, run_case

    runs: list[dict[str, Any]] = []
    for case in fresh_cases() if fresh else cases():
        runs.append(kept_run(run_case(case)))
        write_runs(runs, path)
        print(f"{case.name}: {diagnose_curve(curve_of(runs[-1])).pattern.value}", flush=True)
    return runs


def write_runs(runs: list[dict[str, Any]], path: Path) -> None:
    """Write the runs, one a line, so that a change of one shows as one."""
    lines = ",\n".join(json.dumps(run, separators=(",", ":")) for run in runs)
    path.write_text(f"[\n{lines}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
