"""The Apache Beam job: a thin shell over pure functions that moves descriptions of chunks, not rows.

Passes over the series: statistics of the train cut, then features and histograms with what those
fixed. Workers read the rows of their chunks from the series store and write planes to their place in
one file, so a retried bundle writes the same bytes again. What is combined is kept by chunk and merged
in the order of chunks at the end, so that every runner gives the same bytes.
"""

import logging
import os
import pickle  # nosec B403 # for what a pass of Beam has counted
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import apache_beam as beam
import grpc
import numpy as np
import numpy.typing as npt
from apache_beam.metrics import Metrics, MetricsFilter
from apache_beam.options.pipeline_options import PipelineOptions, PortableOptions
from apache_beam.runners.runner import PipelineResult

from components.features.chunks import ChunkSpec, PartRows, SeriesBatch, plan_chunks, read_chunk, series_batches
from components.features.horizons import horizon_pieces
from components.features.planes import ColumnHistogram, column_histogram, plane_pieces
from forecasting.contracts.artifacts import HORIZON_PLANES_FILE, PLANES_FILE
from forecasting.errors import ConfigError, RemoteError, RetryableError
from forecasting.feature_store import PlaneFile
from forecasting.features.spec import FeatureSpec
from forecasting.order_statistics import lower_counts, ordered_keys, upper_counts
from forecasting.scaling import ColumnMoments, Scale, column_moments, log_one_plus, own_scales
from forecasting.scaling_methods import Method
from forecasting.schema import Series
from forecasting.series_store import SeriesReader

logger = logging.getLogger(__name__)

_NAMESPACE = "features"
_JOB_SERVER_TIMEOUT_S = 60
_CAUSE = re.compile(r"(\w+\.)*\w*(Error|Exception): ")
"""The line of a traceback that says what happened."""


@dataclass(frozen=True)
class FeatureJob:
    """What both passes read, and how they run."""

    series: Path
    runner: str
    chunk_rows: int
    options: tuple[str, ...] = ()

    @property
    def reader(self) -> SeriesReader:
        """The series store."""
        return _reader(str(self.series))

    def chunks(self) -> tuple[ChunkSpec, ...]:
        """Elements of the pipelines."""
        return plan_chunks(self.reader.index, chunk_rows=self.chunk_rows)


class KeepByChunk(beam.CombineFn):
    """Keeps one result a chunk; the order in which results arrive leaves no trace."""

    def create_accumulator(self) -> dict[int, Any]:
        """Nothing yet."""
        return {}

    def add_input(self, accumulator: dict[int, Any], element: tuple[int, Any]) -> dict[int, Any]:
        """Keep one result."""
        accumulator[element[0]] = element[1]
        return accumulator

    def merge_accumulators(self, accumulators: Iterable[dict[int, Any]]) -> dict[int, Any]:
        """Keep all."""
        return {number: result for accumulator in accumulators for number, result in accumulator.items()}

    def extract_output(self, accumulator: dict[int, Any]) -> list[Any]:
        """Results in the order of chunks."""
        return [accumulator[number] for number in sorted(accumulator)]


def beam_options(runner: str, extra: tuple[str, ...]) -> PipelineOptions:
    """Pipeline options; the direct runner works in this process unless told otherwise.

    Raises:
        ConfigError: An option names another runner than the setting.
    """
    if any(flag.split("=")[0] == "--runner" for flag in extra):
        raise ConfigError("features.beam_options must not name a runner; set features.beam_runner")
    flags = [f"--runner={runner}", *extra]
    if runner == "DirectRunner" and not any(flag.startswith("--direct_") for flag in extra):
        flags += ["--direct_running_mode=in_memory", "--direct_num_workers=1"]
    if runner == "PortableRunner":
        flags.insert(1, f"--job_server_timeout={_JOB_SERVER_TIMEOUT_S}")
    return PipelineOptions(flags)


class AddCounts(beam.CombineFn):
    """Adds arrays of whole numbers, which any order leaves exact."""

    def create_accumulator(self) -> npt.NDArray[np.int64] | int:
        """Nothing yet."""
        return 0

    def add_input(
        self, accumulator: npt.NDArray[np.int64] | int, element: tuple[int, npt.NDArray[np.int64]]
    ) -> npt.NDArray[np.int64]:
        """Add one."""
        return accumulator + element[1]

    def merge_accumulators(self, accumulators: Iterable[npt.NDArray[np.int64] | int]) -> npt.NDArray[np.int64] | int:
        """Add all."""
        return sum(accumulators)

    def extract_output(self, accumulator: npt.NDArray[np.int64] | int) -> npt.NDArray[np.int64] | int:
        """The sum."""
        return accumulator


def run_moments(job: FeatureJob, logarithmic: tuple[int, ...], scratch: Path) -> ColumnMoments:
    """Moments over the train cut of all series: of every value column, then of log(1 + value) of some of them."""
    work = partial(_chunk_moments, series=str(job.series), logarithmic=logarithmic)
    results = _run(job, job.chunks(), work, KeepByChunk(), scratch)
    merged: ColumnMoments = results[0]
    for moments in results[1:]:
        merged = merged.merge(moments)
    return merged


def run_upper_counts(job: FeatureJob, columns: tuple[int, ...], scratch: Path) -> npt.NDArray[np.int64]:
    """`forecasting.order_statistics.upper_counts` of the train cut `[columns,65536]`."""
    work = partial(_chunk_upper_counts, series=str(job.series), columns=columns)
    counts: npt.NDArray[np.int64] = _run(job, job.chunks(), work, AddCounts(), scratch)
    return counts


def run_lower_counts(
    job: FeatureJob, wanted: tuple[tuple[int, tuple[int, ...]], ...], scratch: Path
) -> npt.NDArray[np.int64]:
    """`lower_counts` of the train cut, for each column of `wanted` those of its upper halves, one after another."""
    work = partial(_chunk_lower_counts, series=str(job.series), wanted=wanted)
    counts: npt.NDArray[np.int64] = _run(job, job.chunks(), work, AddCounts(), scratch)
    return counts


def run_series_scales(job: FeatureJob, methods: tuple[tuple[int, Method], ...], scratch: Path) -> list[list[Scale]]:
    """Location and scale of some columns in each series, from its own train cut: by series, then by column."""
    work = partial(_series_scales, series=str(job.series), methods=methods)
    batches = series_batches(job.reader.index, chunk_rows=job.chunk_rows)
    results: list[list[list[Scale]]] = _run(job, batches, work, KeepByChunk(), scratch)
    return [scales for batch in results for scales in batch]


def run_planes(
    job: FeatureJob, spec: FeatureSpec, moments: ColumnMoments, output: Path, scratch: Path
) -> ColumnHistogram:
    """Features of all series into the plane files of `output`, and histograms of the train cut."""
    work = partial(_chunk_planes, series=str(job.series), spec=spec, moments=moments, output=str(output))
    results = _run(job, job.chunks(), work, KeepByChunk(), scratch)
    merged: ColumnHistogram = results[0]
    for histogram in results[1:]:
        merged = merged.merge(histogram)
    return merged


def _run(job: FeatureJob, elements: Sequence[Any], work: Any, combine: beam.CombineFn, scratch: Path) -> Any:
    result = scratch / "result.pickle"
    pipeline = beam.Pipeline(options=beam_options(job.runner, job.options))
    _ = (
        pipeline
        | "Chunks" >> beam.Create(list(elements))
        | "Work" >> beam.Map(work)
        | "Keep" >> beam.CombineGlobally(combine)
        | "Write" >> beam.Map(partial(_write_result, path=str(result)))
    )
    finished = _finish(pipeline, job) if job.runner == "PortableRunner" else pipeline.run()
    finished.wait_until_finish()
    counters = finished.metrics().query(MetricsFilter().with_namespace(_NAMESPACE))["counters"]
    # Spark knows what was attempted only; `result` is what was committed, where a runner knows that.
    counted = sorted((counter.key.metric.name, counter.result) for counter in counters)
    logger.info("Beam %s: %s", job.runner, ", ".join(f"{value:,} {name}" for name, value in counted))
    # Our own file, in a directory that this step has just made.
    kept = pickle.loads(result.read_bytes())  # nosec B301
    result.unlink()
    return kept


def _finish(pipeline: beam.Pipeline, job: FeatureJob) -> PipelineResult:
    """Run on a job server until the end; what goes wrong there is an error of another system."""
    try:
        finished = pipeline.run()
    except grpc.FutureTimeoutError as error:
        endpoint = pipeline.options.view_as(PortableOptions).job_endpoint
        raise RetryableError(
            f"Beam's job server must answer at {endpoint} (--job_endpoint of features.beam_options); it did not. "
            "Start it, or open the way to it, and run the same command again"
        ) from error
    try:
        finished.wait_until_finish()
    except RuntimeError as error:
        causes = [line for line in str(error).splitlines() if _CAUSE.match(line)]
        raise RemoteError(
            f"the Beam job must end well; its job server says {' … '.join(str(error).splitlines()[:1] + causes[-1:])}. Workers need this code "
            f"and the same files under the same paths as this process ({job.series}); their logs are those of the engine"
        ) from error
    return finished


def _write_result(results: Any, *, path: str) -> None:
    place = Path(path)
    temporary = place.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_bytes(pickle.dumps(results))
    temporary.replace(place)


@lru_cache(maxsize=2)
def _reader(directory: str) -> SeriesReader:
    return SeriesReader(Path(directory))


def _chunk_moments(chunk: ChunkSpec, *, series: str, logarithmic: tuple[int, ...]) -> tuple[int, ColumnMoments]:
    rows = _train_chunk(chunk, series)
    return chunk.number, column_moments(np.concatenate([rows, log_one_plus(rows[:, list(logarithmic)])], axis=1))


def _chunk_upper_counts(
    chunk: ChunkSpec, *, series: str, columns: tuple[int, ...]
) -> tuple[int, npt.NDArray[np.int64]]:
    rows = _train_chunk(chunk, series)
    return chunk.number, np.stack([upper_counts(ordered_keys(rows[:, i])) for i in columns])


def _chunk_lower_counts(
    chunk: ChunkSpec, *, series: str, wanted: tuple[tuple[int, tuple[int, ...]], ...]
) -> tuple[int, npt.NDArray[np.int64]]:
    rows = _train_chunk(chunk, series)
    return chunk.number, np.concatenate([lower_counts(ordered_keys(rows[:, i]), uppers) for i, uppers in wanted])


def _series_scales(
    batch: SeriesBatch, *, series: str, methods: tuple[tuple[int, Method], ...]
) -> tuple[int, list[list[Scale]]]:
    reader = _reader(series)
    scales = [own_scales(reader.train_values(n), methods) for n in range(batch.first, batch.end)]
    return batch.number, scales


def _train_chunk(chunk: ChunkSpec, series: str) -> npt.NDArray[np.float64]:
    reader = _reader(series)
    rows = [_train_rows(part, reader) for part in read_chunk(reader, chunk, halo=0)]
    Metrics.counter(_NAMESPACE, "rows read").inc(chunk.n_rows)
    return np.concatenate(rows)


def _chunk_planes(
    chunk: ChunkSpec, *, series: str, spec: FeatureSpec, moments: ColumnMoments, output: str
) -> tuple[int, ColumnHistogram]:
    reader, file = _reader(series), PlaneFile(Path(output) / PLANES_FILE)
    horizons = PlaneFile(Path(output) / HORIZON_PLANES_FILE) if spec.vintages else None
    halo = spec.history_length - spec.context
    train = []
    for part in read_chunk(reader, chunk, halo=halo):
        _write_part(part, reader, spec, file)
        if horizons is not None:
            _write_horizons(part, reader, spec, horizons)
        train.append(_train_rows(part, reader))
    Metrics.counter(_NAMESPACE, "rows written").inc(chunk.n_rows)
    logger.info("chunk %d: %d rows", chunk.number + 1, chunk.n_rows)
    return chunk.number, column_histogram(np.concatenate(train), moments)


def _write_part(rows: PartRows, reader: SeriesReader, spec: FeatureSpec, file: PlaneFile) -> None:
    part, values, n_before = rows.part, rows.values, rows.n_before
    first = part.first - n_before
    row = int(reader.index.offset[part.series]) + spec.context * (part.series + 1) + part.first
    if part.first == 0:
        # The first part of a series also makes the lead of missing steps before it.
        values = np.concatenate([np.full((spec.context, values.shape[1]), np.nan), values])
        first, row = -spec.context, row - spec.context
    start = int(reader.index.start[part.series]) + first * spec.step_s
    for piece in plane_pieces(values, reader.index.ids[part.series], start, spec, n_before=n_before):
        file.write(row, piece)
        row += len(piece)


def _write_horizons(rows: PartRows, reader: SeriesReader, spec: FeatureSpec, file: PlaneFile) -> None:
    part, number = rows.part, rows.part.series
    series = Series(
        id=reader.index.ids[number],
        start=int(reader.index.start[number]) + (part.first - rows.n_before) * spec.step_s,
        values=rows.values,
        vintages=reader.vintages(number),
    )
    row = int(reader.index.offset[number]) + spec.context * (number + 1) + part.first
    for piece in horizon_pieces(series, spec, n_before=rows.n_before):
        file.write(row, piece)
        row += len(piece)


def _train_rows(rows: PartRows, reader: SeriesReader) -> npt.NDArray[np.float64]:
    """Rows of a part, without those before it, that lie before the end of the train cut."""
    spec, part = reader.spec, rows.part
    n_train = (spec.split.train_end - int(reader.index.start[part.series])) // spec.step_s
    return rows.values[rows.n_before : rows.n_before + max(0, min(part.end, n_train) - part.first)]
