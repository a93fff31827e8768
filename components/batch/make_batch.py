"""Forecast every series of a version for one cutoff, once."""

from collections import Counter
from dataclasses import dataclass

from components.batch.batch_table import BatchPlace, BatchSpec, DraftWriter
from components.batch.chunks import SERIES_AT_ONCE, SeriesChunks
from components.batch.model_answers import answer_in_process
from forecasting.answering.answer_error import AnswerError, NoForecastError
from forecasting.answering.plan import SkippedRecord
from forecasting.answering.request import ForecastRequest
from forecasting.answering.version_series import VersionSeries
from forecasting.contracts.vocabulary import ModelRole
from forecasting.errors import ConfigError
from forecasting.missing_champion import missing_champion
from forecasting.repository import ModelRepository
from forecasting.runtimes.version_model import VersionModel
from forecasting.store.opening import Store


@dataclass(frozen=True)
class BatchRecord:
    """What a batch came to. is_new: whether this call wrote it; the counts are none where it was there before."""

    model: str
    version: int
    cutoff: str
    place: str
    is_new: bool
    n_series: int | None = None
    n_degraded: int | None = None
    skipped: tuple[str, ...] = ()


@dataclass(frozen=True)
class _MadeRecord:
    """What a draft holds: series, of which so many are degraded; and the series without a forecast."""

    n_series: int
    n_degraded: int
    skipped: tuple[SkippedRecord, ...]


def make_batch(
    repository: ModelRepository, model: str, place: BatchPlace, *, version: int | None = None,
    cutoff: int | None = None, store: Store | None = None, fallback: bool = True,
    at_once: int = SERIES_AT_ONCE,
) -> BatchRecord:  # fmt: skip
    """Forecast all series from a cutoff and write them, unless that batch of that version is there.

    Series are read, forecast and put into a draft chunk by chunk; the batch is there when all of it is.

    Args:
        repository: Model repository.
        model: Model name.
        place: Where to write.
        version: Published version; none: the champion.
        cutoff: Epoch seconds, each series is forecast from its first step at or after it; none: the latest origin
            of most series.
        store: Observations; none: there are none.
        fallback: Whether the fallback may stand in for the model.
        at_once: Series in memory at most.

    Raises:
        ConfigError: There is no such version, or no series can be forecast from the cutoff.
        ArtifactError: The version cannot be read, or its model fails.
        RetryableError: A database cannot be used now.
    """
    version = _version(repository, model, version)
    if cutoff is not None and place.has(spec := BatchSpec(model, version, cutoff)):
        return _record(spec, place)
    chunks = SeriesChunks(VersionSeries(repository, model, version), store, at_once=at_once)
    try:
        spec = BatchSpec(model, version, chunks.commonest_origin() if cutoff is None else cutoff)
        if place.has(spec):
            return _record(spec, place)
        with place.draft(spec) as draft:
            with VersionModel(repository.version_dir(model, version)) as loaded, DraftWriter(spec, draft) as writer:
                made = _make(chunks, loaded, writer, ForecastRequest(cutoff=spec.cutoff, fallback=fallback))
            is_new = place.write(spec, draft)
    except AnswerError as error:
        raise ConfigError(f"version {version} of {model!r} cannot forecast from the cutoff: {error}") from error
    return _record(spec, place, made) if is_new else _record(spec, place)


def _make(chunks: SeriesChunks, model: VersionModel, writer: DraftWriter, request: ForecastRequest) -> _MadeRecord:
    counts: Counter[str] = Counter()
    skipped: list[SkippedRecord] = []
    for chunk in chunks:
        try:
            found = answer_in_process(chunks.plan(chunk, request), model, request)
        except NoForecastError as error:
            skipped += [SkippedRecord(one, reason) for one, reason in error.skipped.items()]
            continue
        writer.add(found)
        skipped += found.skipped
        counts.update(series=len(found), degraded=len(found.degraded))
    skipped.sort(key=lambda one: one.series)
    if not counts["series"]:
        why = f"; {skipped[0].reason}" if skipped else ""
        raise NoForecastError(400, f"none of the {len(skipped)} series can be forecast{why}", {})
    writer.finish(skipped)
    return _MadeRecord(counts["series"], counts["degraded"], tuple(skipped))


def _version(repository: ModelRepository, model: str, version: int | None) -> int:
    if version is None:
        version = repository.role(model, ModelRole.CHAMPION)
        if version is None:
            raise ConfigError(missing_champion(repository, model))
    elif version not in (found := repository.versions(model)):
        raise ConfigError(f"model {model!r} must have the version that is asked for, found {found} and not {version}")
    return version


def _record(spec: BatchSpec, place: BatchPlace, made: _MadeRecord | None = None) -> BatchRecord:
    moment = spec.moment.isoformat().replace("+00:00", "Z")
    if made is None:
        return BatchRecord(spec.model, spec.version, moment, place.shown(spec), is_new=False)
    reasons = tuple(one.reason for one in made.skipped)
    return BatchRecord(
        spec.model, spec.version, moment, place.shown(spec), is_new=True,
        n_series=made.n_series, n_degraded=made.n_degraded, skipped=reasons,
    )  # fmt: skip
