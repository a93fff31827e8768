"""The Apache Beam job: a thin shell over `planes.py` that moves whole series as arrays.

Two passes over the series: moments of the train cut, combined over all series, then features and
histograms with those moments as side input. Every worker writes the rows of its series to a part
file, renamed into place, so that a retried bundle leaves the same file.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import apache_beam as beam
import numpy as np
from apache_beam.options.pipeline_options import PipelineOptions

from components.features.planes import ColumnHistogram, feature_planes, train_histogram, train_moments
from forecasting.features.spec import FeatureSpec
from forecasting.scaling import ColumnMoments
from forecasting.schema import Series, SeriesStore


@dataclass(frozen=True)
class NumberedSeries:
    """A series and its place in the store."""

    number: int
    series: Series


class MergeMoments(beam.CombineFn):
    """Combines `ColumnMoments`."""

    def create_accumulator(self) -> ColumnMoments | None:
        """Nothing seen."""
        return None

    def add_input(self, accumulator: ColumnMoments | None, element: ColumnMoments) -> ColumnMoments:
        """Add the moments of one series."""
        return element if accumulator is None else accumulator.merge(element)

    def merge_accumulators(self, accumulators: Iterator[ColumnMoments | None]) -> ColumnMoments | None:
        """Merge partial results."""
        merged = None
        for accumulator in accumulators:
            if accumulator is not None:
                merged = accumulator if merged is None else merged.merge(accumulator)
        return merged

    def extract_output(self, accumulator: ColumnMoments | None) -> ColumnMoments | None:
        """The result."""
        return accumulator


class MergeHistograms(MergeMoments):
    """Combines `ColumnHistogram`, which merges the same way."""


def beam_options(runner: str, extra: tuple[str, ...]) -> PipelineOptions:
    """Pipeline options; the direct runner works in this process."""
    flags = [f"--runner={runner}", *extra]
    if runner == "DirectRunner":
        flags += ["--direct_running_mode=in_memory", "--direct_num_workers=1"]
    return PipelineOptions(flags)


def run_moments(store: SeriesStore, output: Path, options: PipelineOptions) -> ColumnMoments:
    """First pass: moments of the value columns over the train cut of all series."""
    spec = store.spec
    path = output / "moments.npz"
    with beam.Pipeline(options=options) as pipeline:
        _ = (
            pipeline
            | "Series" >> beam.Create(list(store.series))
            | "TrainMoments" >> beam.Map(train_moments, spec.step_s, spec.split.train_end)
            | "Merge" >> beam.CombineGlobally(MergeMoments())
            | "Write" >> beam.Map(partial(_save_moments, path=str(path)))
        )
    with np.load(path) as arrays:
        moments = ColumnMoments(**{name: arrays[name] for name in arrays.files})
    path.unlink()
    return moments


def run_planes(
    store: SeriesStore, spec: FeatureSpec, moments: ColumnMoments, parts: Path, options: PipelineOptions
) -> ColumnHistogram:
    """Second pass: features of every series into `parts/<number>.npy`, and histograms of the train cut."""
    path = parts / "histogram.npz"
    numbered = [NumberedSeries(n, series) for n, series in enumerate(store.series)]
    with beam.Pipeline(options=options) as pipeline:
        series = pipeline | "Series" >> beam.Create(numbered)
        _ = series | "Planes" >> beam.Map(partial(_save_planes, spec=spec, parts=str(parts)))
        _ = (
            series
            | "Histogram"
            >> beam.Map(partial(_histogram, step_s=spec.step_s, train_end=store.spec.split.train_end, moments=moments))
            | "Merge" >> beam.CombineGlobally(MergeHistograms())
            | "Write" >> beam.Map(partial(_save_histogram, path=str(path)))
        )
    with np.load(path) as arrays:
        histogram = ColumnHistogram(**{name: arrays[name] for name in arrays.files})
    path.unlink()
    return histogram


def _histogram(element: NumberedSeries, *, step_s: int, train_end: int, moments: ColumnMoments) -> ColumnHistogram:
    return train_histogram(element.series, step_s, train_end, moments)


def _save_planes(element: NumberedSeries, *, spec: FeatureSpec, parts: str) -> int:
    planes = feature_planes(element.series, spec)
    path = Path(parts) / f"{element.number}.npy"
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    with temporary.open("wb") as stream:
        np.save(stream, planes)
    temporary.replace(path)
    return len(planes)


def _save_moments(moments: ColumnMoments, *, path: str) -> None:
    np.savez(path, **vars(moments))


def _save_histogram(histogram: ColumnHistogram, *, path: str) -> None:
    np.savez(path, **vars(histogram))
