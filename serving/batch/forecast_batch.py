"""Forecast every series of a version for one cutoff, once."""

from contextlib import closing
from dataclasses import dataclass

from forecasting.contracts.vocabulary import ModelRole
from forecasting.errors import ConfigError
from forecasting.repository import ModelRepository
from forecasting.store.address import StoreAddress
from forecasting.store.opening import open_store
from serving.batch.batch_table import BatchPlace, BatchSpec, batch_table
from serving.batch.model_answers import answer_in_process, commonest_origin
from serving.gateway.answers import AnswerError
from serving.gateway.forecast_request import ForecastRequest
from serving.gateway.forecasts import ForecastsRecord
from serving.gateway.observed import ObservedRows, read_observed
from serving.gateway.served_model import ServedModel, load_served_model
from serving.missing_champion import missing_champion
from serving.model_server.backends import BackendConfig, load_backend


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


def forecast_batch(
    repository: ModelRepository, model: str, place: BatchPlace, *, version: int | None = None,
    cutoff: int | None = None, store: StoreAddress | None = None, fallback: bool = True,
) -> BatchRecord:  # fmt: skip
    """Forecast all series from a cutoff and write them, unless that batch of that version is there.

    Args:
        repository: Model repository.
        model: Model name.
        place: Where to write.
        version: Published version; none: the champion.
        cutoff: Epoch seconds, each series is forecast from its first step at or after it; none: the latest origin
            of most series.
        store: Observations; none: there are none.
        fallback: Whether the fallback may stand in for the model.

    Raises:
        ConfigError: There is no such version, or no series can be forecast from the cutoff.
        ArtifactError: The version cannot be read, or its model fails.
        RetryableError: A database cannot be used now.
    """
    version = _version(repository, model, version)
    if cutoff is not None and place.has(spec := BatchSpec(model, version, cutoff)):
        return _record(spec, place)
    served = load_served_model(repository, model, version, None)
    observed = _observed(store, served)
    try:
        spec = BatchSpec(model, version, commonest_origin(served, observed) if cutoff is None else cutoff)
        if place.has(spec):
            return _record(spec, place)
        found = _answered(repository, served, ForecastRequest(cutoff=spec.cutoff, fallback=fallback), observed)
    except AnswerError as error:
        raise ConfigError(f"version {version} of {model!r} cannot forecast from the cutoff: {error}") from error
    if not place.write(spec, batch_table(spec, found)):
        return _record(spec, place)
    skipped = tuple(one.reason for one in found.skipped)
    return _record(spec, place, is_new=True, n_series=len(found), n_degraded=len(found.degraded), skipped=skipped)


def _version(repository: ModelRepository, model: str, version: int | None) -> int:
    if version is None:
        version = repository.role(model, ModelRole.CHAMPION)
        if version is None:
            raise ConfigError(missing_champion(repository, model))
    elif version not in (found := repository.versions(model)):
        raise ConfigError(f"model {model!r} must have the version that is asked for, found {found} and not {version}")
    return version


def _observed(store: StoreAddress | None, served: ServedModel) -> ObservedRows | None:
    if store is None:
        return None
    with open_store(store) as opened:
        return read_observed(opened, served.name, served)


def _answered(
    repository: ModelRepository, served: ServedModel, request: ForecastRequest, observed: ObservedRows | None
) -> ForecastsRecord:
    # As `almanac serve` starts the model server.
    folder = repository.version_dir(served.name, served.version)
    with closing(load_backend(folder, BackendConfig(prefer_tflite=True, n_interpreters=1))) as backend:
        return answer_in_process(served, backend, request, observed)


def _record(
    spec: BatchSpec, place: BatchPlace, *, is_new: bool = False, n_series: int | None = None,
    n_degraded: int | None = None, skipped: tuple[str, ...] = (),
) -> BatchRecord:  # fmt: skip
    moment = spec.moment.isoformat().replace("+00:00", "Z")
    return BatchRecord(spec.model, spec.version, moment, place.shown(spec), is_new, n_series, n_degraded, skipped)
