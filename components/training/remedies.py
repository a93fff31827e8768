"""`training.auto_remedy`: while a training shows a pattern that has a remedy, train again with it; keep what helps."""

import logging
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from forecasting.config.root import TrainModelSettings
from forecasting.config.search_space import setting, with_settings
from forecasting.errors import ConfigError, ModelRefusedError
from forecasting.formats import as_number
from forecasting.learning_curve import CurveRecord, read_curve
from forecasting.learning_patterns import diagnose_curve
from forecasting.learning_remedies import REMEDIES

if TYPE_CHECKING:
    from forecasting.neural.fit_plan import FitReport
    from forecasting.neural.models import AnyForecaster

logger = logging.getLogger(__name__)

MOST_REMEDIES = 5
"""Trainings after the first one at most."""
_BATCH = "training.batch_size"
_BETTER_RATIO = 0.002
"""By which share of itself the validation loss must fall for a remedy to be kept."""


@dataclass(frozen=True)
class RemedyRecord:
    """A remedy that was tried. settings: what it set, by path. before, after: best validation losses; none where it was lost."""

    pattern: str
    change: str
    settings: Mapping[str, Any]
    before: float | None
    after: float | None
    kept: bool


@dataclass(frozen=True)
class FittedNetwork:
    """A network after its first fit, the settings of that, and the remedies that led to them."""

    settings: TrainModelSettings
    network: "AnyForecaster"
    fit: "FitReport"
    remedies: tuple[RemedyRecord, ...] = field(default=())

    @property
    def loss(self) -> float:
        """Validation loss of the best epoch."""
        return self.fit.history[self.fit.best_epoch - 1].validation_loss


Fit = Callable[[TrainModelSettings, int], FittedNetwork]
"""Trains with some settings; the number, from 0, tells the trainings of a run apart."""


def fit_with_remedies(settings: TrainModelSettings, fit: Fit, *, n_replicas: int = 1) -> FittedNetwork:
    """Train, and again with one remedy at a time for as long as validation gets better.

    What is decided follows from the losses alone, which are the same on every worker.

    Args:
        settings: To begin with.
        fit: One training.
        n_replicas: Of which a batch that a remedy sets must be a multiple.

    Raises:
        ModelRefusedError: The loss was lost, and with every remedy again.
    """
    best, refused = _attempt(settings, fit, 0)
    tried: list[RemedyRecord] = []
    while len(tried) < MOST_REMEDIES:
        pattern = diagnose_curve(_curve(best)).pattern
        now = best.settings if best is not None else settings
        found = next(_changes(now, pattern.value, tried, n_replicas), None)
        if found is None:
            break
        change, values = found
        candidate, _ = _attempt(_with(now, values), fit, len(tried) + 1)
        kept = candidate is not None and (best is None or candidate.loss < best.loss * (1 - _BETTER_RATIO))
        record = RemedyRecord(pattern.value, change, values, _loss(best), _loss(candidate), kept)
        logger.info("%s: %s; validation loss %s, was %s: %s", pattern.value, change, as_number(record.after),
                    as_number(record.before), "kept" if kept else "dropped")  # fmt: skip
        tried.append(record)
        best = candidate if kept else best
    if best is None:
        raise refused or ModelRefusedError("the training was lost with every remedy")
    return FittedNetwork(best.settings, best.network, best.fit, tuple(tried))


def _attempt(
    settings: TrainModelSettings, fit: Fit, number: int
) -> tuple[FittedNetwork | None, ModelRefusedError | None]:
    try:
        return fit(settings, number), None
    except ModelRefusedError as error:
        logger.warning("training %d was lost: %s", number + 1, error)
        return None, error


def _curve(fitted: FittedNetwork | None) -> CurveRecord:
    if fitted is None:
        return CurveRecord((), (), (), lost=True)
    rows = [asdict(row) for row in fitted.fit.history]
    return read_curve(rows, n_divergences=len(fitted.fit.divergences))


def _changes(
    settings: TrainModelSettings, pattern: str, tried: list[RemedyRecord], n_replicas: int
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Remedies of a pattern that would change something and were not dropped before, the likeliest first."""
    document = settings.model_dump()
    dropped = [record.settings for record in tried if not record.kept]
    for remedies in (found for name, found in REMEDIES.items() if name.value == pattern):
        for remedy in remedies:
            values = {}
            for change in remedy.automatic:
                try:
                    before = setting(document, change.path)
                except KeyError:
                    continue
                after = change.changed(before)
                if change.path == _BATCH:
                    after -= after % n_replicas
                if after != (list(before) if isinstance(before, tuple) else before):
                    values[change.path] = after
            if values and values not in dropped and _valid(settings, values):
                yield remedy.change, values


def _valid(settings: TrainModelSettings, values: Mapping[str, Any]) -> bool:
    try:
        _with(settings, values)
    except (ValueError, ConfigError):
        return False
    return True


def _with(settings: TrainModelSettings, values: Mapping[str, Any]) -> TrainModelSettings:
    return type(settings).model_validate(with_settings(settings.model_dump(), values))


def _loss(fitted: FittedNetwork | None) -> float | None:
    return fitted.loss if fitted is not None and math.isfinite(fitted.loss) else None
