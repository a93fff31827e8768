"""One trial of a search in a process of its own: `python -m pipelines.trial_process SPEC.json`.

The process says on its standard output, one JSON document a line, how each epoch of the first fold went, and at the end the
metric or the error. It ends when its standard input does: nobody waits for it any more.
"""

import json
import logging
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

from forecasting.backtest.blocks import BlockSpec, block_of
from forecasting.backtest.folds import FoldSpec
from forecasting.backtest.rolling import FittedModel, RollingSpec, forecast_refits, open_rolling, score_rolling
from forecasting.backtest.slices import fold_name
from forecasting.config import AlmanacConfig, parse_config
from forecasting.config.sections import BacktestConfig
from forecasting.contracts.artifacts import FEATURE_SPEC_FILE, HISTORY_FILE, REPORT_FILE, SAVED_MODEL_DIR
from forecasting.contracts.layout import HomeLayout, RunLayout
from forecasting.contracts.steps import StepName
from forecasting.contracts.vocabulary import RunStatus
from forecasting.errors import AlmanacError, DataError, RetryableError
from forecasting.features.spec import read_feature_spec
from forecasting.learning_curve import EPOCH_RECORD, read_curve
from forecasting.learning_patterns import diagnose_curve
from forecasting.runs import load_run
from forecasting.series_store import read_series_store
from forecasting.tuning_record import FoldFitRecord
from pipelines.backtests import table_spec
from pipelines.fit_process import run_fit
from pipelines.fits import FitSpec, block_config, fit_error, open_fit

ORPHAN_GRACE_S = 30.0
"""Seconds for which a fit waits where another process has it."""
_LOOK_EVERY_S = 0.5
LOOP_LOGGER = "forecasting.neural.loop"


@dataclass(frozen=True)
class TrialSpec:
    """What a trial is told.

    home: of its fits. series: the series store up to the test period. base: the configuration of the search. config: that of
    its fits. backtest: the folds. metric: what it is judged by. blocks: those of blocked cross-validation; none: folds one behind
    the other.
    """

    home: Path
    series: Path
    base: AlmanacConfig
    config: AlmanacConfig
    backtest: BacktestConfig
    metric: str
    blocks: tuple[BlockSpec, ...] = ()

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "home": str(self.home), "series": str(self.series), "base": self.base.model_dump(mode="json"),
            "config": self.config.model_dump(mode="json"), "backtest": self.backtest.model_dump(mode="json"),
            "metric": self.metric, "blocks": [asdict(block) for block in self.blocks],
        }  # fmt: skip


def parse_trial(document: dict[str, Any]) -> TrialSpec:
    """Of `TrialSpec.document`."""
    return TrialSpec(
        home=Path(document["home"]),
        series=Path(document["series"]),
        base=parse_config(document["base"], "the configuration of the search"),
        config=parse_config(document["config"], "the configuration of the trial"),
        backtest=BacktestConfig.model_validate(document["backtest"]),
        metric=document["metric"],
        blocks=tuple(BlockSpec(block["train_from"], FoldSpec(**block["fold"])) for block in document["blocks"]),
    )


class EpochTeller(logging.Handler):
    """Passes the validation loss of each epoch on; a refit has none."""

    def __init__(self, channel: TextIO) -> None:
        super().__init__()
        self._channel = channel

    def emit(self, record: logging.LogRecord) -> None:
        """Tell of an epoch, if the record is of one."""
        epoch = getattr(record, EPOCH_RECORD, None)
        if epoch is not None and math.isfinite(epoch.validation_loss):
            tell(self._channel, {"epoch": epoch.epoch, "validation_loss": epoch.validation_loss})


def tell(channel: TextIO, document: dict[str, Any]) -> None:
    """Write one message."""
    channel.write(json.dumps(document) + "\n")
    channel.flush()


def run_trial(spec: TrialSpec, channel: TextIO) -> dict[str, Any]:
    """Fit and score every fold, in order of time.

    Args:
        spec: The trial.
        channel: Where epochs of the first fold are told.

    Returns:
        value: the metric over all folds; folds: of each fit; n_parameters.

    Raises:
        AlmanacError: A fit failed, or the metric is no number.
    """
    rolling = open_trial(spec)
    cutoffs = sorted({fold.trained_at for fold in rolling.folds})
    fitted: list[Path] = []

    def load(cutoff: int) -> FittedModel:
        with _told(channel if cutoff == cutoffs[0] else None):
            model = _fit(spec, cutoff).step(StepName.TRAIN_MODEL)
        fitted.append(model)
        from forecasting.neural.predictor import SavedModelPredictor  # TensorFlow, only where it is needed

        return FittedModel(SavedModelPredictor(model / SAVED_MODEL_DIR), read_feature_spec(model / FEATURE_SPEC_FILE))

    found = score_rolling(rolling, {"trial": forecast_refits(rolling, load)}).report.models["trial"]
    value = found.overall[spec.metric]
    if not math.isfinite(value):
        raise DataError(
            f"tuning.metric {spec.metric} must be a number on the folds, and is none of this table; take another"
        )
    by_fold = [found.slices[fold_name(fold.number, len(rolling.folds))][spec.metric] for fold in rolling.folds]
    folds = [asdict(_fold_record(model, one)) for model, one in zip(fitted, by_fold, strict=True)]
    return {"value": value, "folds": folds, "n_parameters": _document(fitted[-1] / REPORT_FILE)["n_parameters"]}


def open_trial(spec: TrialSpec) -> RollingSpec:
    """The folds of a trial, all of them before the test period."""
    store = read_series_store(spec.series)
    folds = tuple(block.fold for block in spec.blocks)
    return open_rolling(store, table_spec(spec.base, store), settings=spec.backtest, folds=folds)


def _fit(spec: TrialSpec, cutoff: int) -> RunLayout:
    home, config = HomeLayout(spec.home), spec.config
    if spec.blocks:
        begin = min(series.start for series in read_series_store(spec.series))
        config = block_config(config, block_of(spec.blocks, cutoff), begin)
    layout = open_fit(config, home, FitSpec(cutoff, StepName.TRAIN_MODEL))
    code = _run_alone(spec.home, layout.name)
    record = load_run(layout)
    if record.status != RunStatus.SUCCEEDED:
        raise fit_error(layout, record, code)
    return layout


def _run_alone(home: Path, run: str) -> int:
    """Run a fit; the process of a search that was killed may need a moment to leave it."""
    deadline = time.monotonic() + ORPHAN_GRACE_S
    while True:
        try:
            return run_fit(str(home), run)
        except RetryableError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_LOOK_EVERY_S)


@contextmanager
def _told(channel: TextIO | None) -> Iterator[None]:
    logger = logging.getLogger(LOOP_LOGGER)
    teller = EpochTeller(channel) if channel is not None else logging.NullHandler()
    logger.addHandler(teller)
    try:
        yield
    finally:
        logger.removeHandler(teller)


def _fold_record(model: Path, value: float) -> FoldFitRecord:
    history, report = _document(model / HISTORY_FILE), _document(model / REPORT_FILE)
    best = history[report["best_epoch"] - 1]
    pattern = diagnose_curve(read_curve(history, n_divergences=len(report["divergences"]))).pattern
    return FoldFitRecord(
        value, best["train_loss"], best["validation_loss"], len(history), report["cpu_s"], pattern.value
    )


def _document(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def end_with_parent() -> None:
    """End this process once nobody holds the other end of its standard input any more."""
    # Not through the buffer, whose lock this thread would hold when the interpreter ends.
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def main(path: str) -> int:
    """Run the trial of a file and say what came of it; returns the exit code."""
    # What TensorFlow finds of the machine as it starts is of no interest here; its errors are exceptions.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    channel = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    threading.Thread(target=end_with_parent, daemon=True).start()
    try:
        tell(channel, {"result": run_trial(parse_trial(_document(Path(path))), channel)})
    except AlmanacError as error:
        tell(channel, {"error": str(error), "kind": type(error).__name__})
        return int(error.exit_code)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
