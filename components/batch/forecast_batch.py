"""A batch as settings say it, for the command and for the component of a pipeline."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path

from pydantic import ValidationError

from components.batch.batch_table import BatchPlace
from components.batch.make_batch import BatchRecord, make_batch
from components.batch.parquet_folder import ParquetFolder
from components.batch.sql_table import SqlTable
from forecasting.config.root import ForecastBatchSettings
from forecasting.contracts.layout import HomeLayout, home_layout
from forecasting.cutoffs import parse_cutoff
from forecasting.errors import ConfigError
from forecasting.execution import OutputArtifact
from forecasting.manifests import write_text_atomically
from forecasting.repository import ModelRepository
from forecasting.stopping import stop_signals
from forecasting.store.address import store_address
from forecasting.store.opening import open_store
from forecasting.task_attempts import TaskAttempt


def forecast_batch_component(
    settings: str, to: str, *, home: str, cutoff: str, version: int, run: str, retries: int, output: OutputArtifact,
    metrics: OutputArtifact,
) -> None:  # fmt: skip
    """Make a batch as a component of a pipeline: as `forecast_batch`, but the process ends with the exit code.

    Args:
        settings: `ForecastBatchSettings` as JSON.
        to: As for `forecast_batch`; a relative folder is taken from the state directory.
        home: State directory.
        cutoff: As for `forecast_batch`, empty for the latest origin.
        version: Published version, 0 for the champion.
        run: Names the run of the pipeline.
        retries: How often the pipeline tries this task again.
        output: The artifact that is filled with the record of the batch, as JSON.
        metrics: The artifact that is told how many series it has.

    Raises:
        SystemExit: The batch cannot be made, or could not for good at an earlier attempt; what must change is on stderr.
    """
    layout = home_layout(home)
    with TaskAttempt(layout, "forecast_batch", run, retries):
        found = forecast_batch(_parsed(settings), layout, placed(to, layout), cutoff=cutoff, version=version or None)
    path = Path(output.path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text_atomically(path, json.dumps(asdict(found), indent=1))
    counts = {"series": found.n_series, "degraded": found.n_degraded, "skipped": len(found.skipped)}
    metrics.metadata.update({name: count for name, count in counts.items() if count is not None})
    metrics.metadata["is_new"] = float(found.is_new)


def placed(to: str, home: HomeLayout) -> str:
    """A place of the configuration: a relative folder is taken from the state directory."""
    return to if "://" in to else str(home.root / to)


def _parsed(text: str) -> ForecastBatchSettings:
    try:
        return ForecastBatchSettings.model_validate_json(text)
    except ValidationError as error:
        raise ConfigError(
            f"the settings of forecast_batch do not fit this version: {error.errors()[0]['msg']}"
        ) from error


def forecast_batch(
    settings: ForecastBatchSettings, home: HomeLayout, to: str, *, cutoff: str | None = None, version: int | None = None
) -> BatchRecord:
    """Make the batch of a cutoff and version, unless it is there.

    Args:
        settings: Model, store and fallback.
        home: State directory.
        to: A folder, or a database as `sqlite:///FILE` or `postgresql://…`.
        cutoff: ISO 8601 time with a zone; none: the latest origin of most series.
        version: Published version; none: the champion.

    Raises:
        ConfigError: An argument is wrong; see `make_batch` for it and other errors.
        StoppedError: The process was told to end; nothing of the batch is written.
    """
    with ExitStack() as stack:
        stack.enter_context(stop_signals("the same command makes the batch, of which nothing is written"))
        seconds = None if not cutoff else parse_cutoff(cutoff, "the cutoff").timestamp()
        if seconds is not None and seconds % 1:
            raise ConfigError(f"the cutoff must be a whole second, found {cutoff!r}")
        place = stack.enter_context(open_place(to))
        address = store_address(settings.store.url, home.serving_database)
        # A file that nobody has written has no observations, and is not made for that.
        has_store = address.file is None or address.file.is_file()
        return make_batch(
            ModelRepository(home.models),
            settings.name,
            place,
            version=version,
            cutoff=None if seconds is None else int(seconds),
            store=stack.enter_context(open_store(address)) if has_store else None,
            fallback=settings.serving.fallback,
        )


@contextmanager
def open_place(to: str) -> Iterator[BatchPlace]:
    """Where batches go: a database where it is a URL, else a folder.

    Raises:
        ConfigError: It is neither.
    """
    if "://" not in to:
        yield ParquetFolder(Path(to))
        return
    table = SqlTable(store_address(to, Path(), setting="the place of batches"))
    try:
        yield table
    finally:
        table.close()
