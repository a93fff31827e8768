"""The Apache Beam job: a thin shell over `planes.py` that moves descriptions of chunks, not rows.

Two passes over the series: moments of the train cut, then features and histograms with what those
fixed. Workers read the rows of their chunks from the series store and write planes to their place in
one file, so a retried bundle writes the same bytes again. What is combined is kept by chunk and merged
in the order of chunks at the end, so that every runner gives the same bytes.
"""

import logging
import os
import pickle
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import numpy.typing as npt
from apache_beam.metrics import Metrics
from apache_beam.options.pipeline_options import PipelineOptions

from components.features.chunks import ChunkSpec, PartRows, plan_chunks, read_chunk
from components.features.planes import ColumnHistogram, column_histogram, plane_pieces
from forecasting.errors import ConfigError
from forecasting.feature_store import PlaneFile
from forecasting.features.spec import FeatureSpec
from forecasting.scaling import ColumnMoments, column_moments
from forecasting.schema import SeriesReader

logger = logging.getLogger(__name__)

_NAMESPACE = "features"


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
    return PipelineOptions(flags)


def run_moments(job: FeatureJob, scratch: Path) -> ColumnMoments:
    """First pass: moments of the value columns over the train cut of all series."""
    results = _run(job, partial(_chunk_moments, series=str(job.series)), scratch / "moments.pickle")
    merged: ColumnMoments = results[0]
    for moments in results[1:]:
        merged = merged.merge(moments)
    return merged


def run_planes(
    job: FeatureJob, spec: FeatureSpec, moments: ColumnMoments, planes: Path, scratch: Path
) -> ColumnHistogram:
    """Second pass: features of all series into a plane file, and histograms of the train cut."""
    work = partial(_chunk_planes, series=str(job.series), spec=spec, moments=moments, planes=str(planes))
    results = _run(job, work, scratch / "histogram.pickle")
    merged: ColumnHistogram = results[0]
    for histogram in results[1:]:
        merged = merged.merge(histogram)
    return merged


def _run(job: FeatureJob, work: Any, result: Path) -> list[Any]:
    pipeline = beam.Pipeline(options=beam_options(job.runner, job.options))
    _ = (
        pipeline
        | "Chunks" >> beam.Create(list(job.chunks()))
        | "Work" >> beam.Map(work)
        | "Keep" >> beam.CombineGlobally(KeepByChunk())
        | "Write" >> beam.Map(partial(_write_result, path=str(result)))
    )
    finished = pipeline.run()
    finished.wait_until_finish()
    counted = {counter.key.metric.name: counter.committed for counter in finished.metrics().query()["counters"]}
    logger.info("Beam %s: %s", job.runner, ", ".join(f"{value:,} {name}" for name, value in sorted(counted.items())))
    # Our own file, in a directory that this step has just made.
    kept: list[Any] = pickle.loads(result.read_bytes())
    result.unlink()
    return kept


def _write_result(results: list[Any], *, path: str) -> None:
    place = Path(path)
    temporary = place.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_bytes(pickle.dumps(results))
    temporary.replace(place)


@lru_cache(maxsize=2)
def _reader(directory: str) -> SeriesReader:
    return SeriesReader(Path(directory))


def _chunk_moments(chunk: ChunkSpec, *, series: str) -> tuple[int, ColumnMoments]:
    reader = _reader(series)
    rows = [_train_rows(part, reader) for part in read_chunk(reader, chunk, halo=0)]
    Metrics.counter(_NAMESPACE, "rows read").inc(chunk.n_rows)
    return chunk.number, column_moments(np.concatenate(rows))


def _chunk_planes(
    chunk: ChunkSpec, *, series: str, spec: FeatureSpec, moments: ColumnMoments, planes: str
) -> tuple[int, ColumnHistogram]:
    reader, file = _reader(series), PlaneFile(Path(planes))
    halo = spec.history_length - spec.context
    train = []
    for part in read_chunk(reader, chunk, halo=halo):
        _write_part(part, reader, spec, file)
        train.append(_train_rows(part, reader))
    Metrics.counter(_NAMESPACE, "rows written").inc(chunk.n_rows)
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
    for piece in plane_pieces(values, start, spec, n_before=n_before):
        file.write(row, piece)
        row += len(piece)


def _train_rows(rows: PartRows, reader: SeriesReader) -> npt.NDArray[np.float64]:
    """Rows of a part, without those before it, that lie before the end of the train cut."""
    spec, part = reader.spec, rows.part
    n_train = (spec.split.train_end - int(reader.index.start[part.series])) // spec.step_s
    return rows.values[rows.n_before : rows.n_before + max(0, min(part.end, n_train) - part.first)]
