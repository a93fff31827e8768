"""Tables that are checked in parts: the same result however many, whole series, bounded memory, errors that name rows of the source."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typing_extensions import override

from components.validation.scanning import ScanReport, scan
from components.validation.sources.table import PartBatch, Source
from components.validation.spool import ROW, SERIES, TIME, PartedRows, PartSpec, RowSpool, plan_parts
from components.validation.validate_data import validate_data
from forecasting.config.root import ValidateDataSettings
from forecasting.errors import DataError
from forecasting.repository import ModelRepository
from forecasting.schema import Series, SeriesSpec, SeriesStore, SplitSpec
from forecasting.series_store import read_series_store
from tests.unit.forecasting.series_stores import write_series_store
from tests.unit.validation.conftest import MakeSettings
from tests.unit.validation.tables import hourly_lines, write_table

HEADER = "time,load,temperature,weather,out,site,colour"
ROLES = {
    "id_columns": ["site"],
    "static": ["colour"],
    "known": ["temperature", "weather"],
    "categorical": ["weather"],
    "censored_by": "out",
    "exclude_ranges": [{"start": "2024-01-03T00:00:00Z", "end": "2024-01-03T06:00:00Z"}],
}
VALIDATION = {
    "ranges": {"load": [0, 1000]},
    "severity": {"ranges": "quarantine", "duplicates": "warn", "order": "warn"},
    "max_quarantined_ratio": 0.5,
    "imputation": {"known": "previous", "max_gap": 3},
}


def messy_lines(n_hours: int = 240, n_series: int = 5) -> list[str]:
    """Series by turns, hour after hour: gaps, repeated rows, rows out of order, values out of range, a plan for the days ahead."""
    lines = []
    for i, line in enumerate(hourly_lines(n_hours + 24)):
        time, load, temperature = line.split(",")
        for number in range(n_series):
            if (i + number) % 37 == 0 and i > 20:
                continue
            value = "" if i >= n_hours else str(float(load) + (i * (7 + number)) % 13 + number)
            weather = "" if (i + number) % 29 == 0 else ("sun", "rain", "hail")[(i // 6 + number) % 3]
            lines.append(
                f"{time},{value},{temperature},{weather},{int(i % 50 == 3)},s{number},{('red', 'blue')[number % 2]}"
            )
    lines[300] = lines[300].replace(lines[300].split(",")[1], "-5", 1)
    lines.insert(400, lines[395])
    lines.insert(420, lines[415].replace(lines[415].split(",")[1], "77.5", 1))
    lines[500], lines[510] = lines[510], lines[500]
    return lines


def outputs(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def run(settings: ValidateDataSettings, context, output: Path) -> dict[str, bytes]:
    output.mkdir()
    validate_data(settings, {}, output, context)
    assert not list(output.glob(".scratch*"))
    return outputs(output)


@pytest.fixture
def in_parts(make_settings: MakeSettings, context, tmp_path):
    """The outputs of a table read in parts of each of some numbers of rows, in that order."""

    def outputs_by_part_rows(
        uri: str, *part_rows: int, data: dict, context=context, **validation: object
    ) -> list[dict[str, bytes]]:
        every = [make_settings(uri, data=data, validation={**validation, "part_rows": rows}) for rows in part_rows]
        return [run(one, context, tmp_path / str(rows)) for one, rows in zip(every, part_rows, strict=True)]

    return outputs_by_part_rows


def assert_same(found: dict[str, bytes], expected: dict[str, bytes]) -> None:
    assert sorted(found) == sorted(expected)
    assert [name for name in found if found[name] != expected[name]] == []


@pytest.mark.parametrize("cutoff", [None, "2024-01-10T05:00:00Z"])
def test_a_table_in_many_parts_gives_the_bytes_of_one_in_one_part(in_parts, context, tmp_path, cutoff):
    uri = write_table(tmp_path / "t.csv", messy_lines(), HEADER)
    context = replace(context, cutoff=cutoff, created=1_800_000_000.0)
    whole, parts, single = in_parts(uri, 1_000_000, 600, 1, data=ROLES, context=context, **VALIDATION)
    report = json.loads(whole["report.json"])
    assert (report["n_series"], [record["series"] for record in report["quarantined"]]) == (4, ["s0"])
    assert "quarantine/series.parquet" in whole
    assert_same(parts, whole)
    assert_same(single, whole)


def test_parts_of_a_resampled_table_meet_the_champion_as_the_whole_does(
    in_parts, make_settings: MakeSettings, context, tmp_path
):
    halves = [f"{line},s{number}" for number in range(3) for line in hourly_lines(600 - 7 * number, minutes=30)]
    header = "time,load,temperature,site"
    data = {"id_columns": ["site"], "observed": ["temperature"], "aggregation": {"load": "sum"}, "availability_lag": {"temperature": "2h"}}  # fmt: skip
    first = make_settings(write_table(tmp_path / "a.csv", halves, header), data=data)
    run(first, context, tmp_path / "champion")
    repository = ModelRepository(context.home.models)
    version = repository.publish("load", tmp_path / "champion")
    repository.keep_series("load", version, tmp_path / "champion")
    repository.promote("load", version)
    longer = [f"{line},s{number}" for number in range(3) for line in hourly_lines(900 - 5 * number, minutes=30)]
    uri = write_table(tmp_path / "b.csv", longer, header)
    whole, parts = in_parts(uri, 10_000, 500, data=data)
    assert "data_docs/learned.html" in whole
    assert_same(parts, whole)


def test_a_wide_table_in_parts_gives_the_bytes_of_the_whole(in_parts, tmp_path):
    lines = []
    for i, line in enumerate(hourly_lines(240)):
        time, load, temperature = line.split(",")
        lines.append(f"{time},{load},{50 + i % 24 if i >= 48 else ''},{(i * 31) % 17},{temperature}")
    uri = write_table(tmp_path / "t.csv", lines, "time,MT_001,MT_002,MT_003,temperature")
    wide = {"layout": "wide", "series_columns": ["MT_*"], "observed": ["temperature"]}
    whole, parts = in_parts(uri, 1_000, 1, data=wide)
    assert json.loads(whole["report.json"])["n_rows"] == 240 * 3 - 48
    assert_same(parts, whole)


def test_a_first_part_with_another_step_than_the_table_does_not_decide(in_parts, tmp_path):
    lines = [f"{line},a" for line in hourly_lines(200)[::2]]
    lines += [f"{line},s{number}" for number in range(3) for line in hourly_lines(200)]
    uri = write_table(tmp_path / "t.csv", lines, "time,load,temperature,site")
    whole, parts = in_parts(uri, 10_000, 1, data={"id_columns": ["site"]})
    assert_same(parts, whole)
    assert read_series_store(tmp_path / "1").spec.step_s == 3600


def test_a_first_part_with_one_row_does_not_decide(in_parts, tmp_path):
    lines = [f"{hourly_lines(1)[0]},a", *(f"{line},b" for line in hourly_lines(200))]
    uri = write_table(tmp_path / "t.csv", lines, "time,load,temperature,site")
    whole, parts = in_parts(uri, 10_000, 1, data={"id_columns": ["site"]})
    assert_same(parts, whole)


def test_the_first_unexpected_row_is_that_of_the_source_whichever_part_has_it(in_parts, tmp_path):
    lines = [f"{line},s{number}" for line in hourly_lines(200) for number in range(3)]
    for row, load in ((100, 2e3), (31, 9e3), (50, 4e3), (32, 5e3), (90, 1.5e3), (70, 3e3)):
        lines[row] = ",".join([lines[row].split(",")[0], str(load), "", f"s{row % 3}"])
    uri = write_table(tmp_path / "t.csv", lines, "time,load,temperature,site")
    limits = {"ranges": {"load": [0, 1000]}, "severity": {"ranges": "warn"}}
    whole, parts = in_parts(uri, 10_000, 1, data={"id_columns": ["site"]}, **limits)
    assert_same(parts, whole)
    assert b"6 of 600 rows are unexpected, the first is line 33 with 9000.0" in parts["report.json"]


def test_parts_hold_whole_series_and_at_most_their_rows():
    assert plan_parts(np.array([3, 3, 4, 20, 1, 1]), 10) == (PartSpec(0, 3), PartSpec(3, 4), PartSpec(4, 6))


def test_spooled_rows_come_back_in_the_order_of_the_source_in_the_part_of_their_series(tmp_path):
    rng = np.random.default_rng(3)
    spool = RowSpool(tmp_path, n_in_memory=100)
    series = rng.integers(0, 6, size=1_000).astype(np.int32)
    for first in range(0, 1_000, 60):
        rows = np.arange(first, min(first + 60, 1_000))
        spool.add(pa.record_batch({SERIES: series[rows], TIME: rows * 10, ROW: rows}))
    # Series 5 is left out; the others are in reverse order of id.
    numbers = np.array([4, 3, 2, 1, 0, -1])
    parted = PartedRows(spool, numbers, (PartSpec(0, 2), PartSpec(2, 5)), folder=tmp_path, end=9_000)
    assert not (tmp_path / "rows.arrow").exists()
    places = np.arange(1_000)
    for part, (first, end) in enumerate([(0, 2), (2, 5)]):
        found = parted.rows(part)
        own = (numbers[series] >= first) & (numbers[series] < end) & (places * 10 < 9_000)
        assert found.column(ROW).to_pylist() == places[own].tolist()
        assert found.column(SERIES).to_pylist() == (numbers[series][own] - first).tolist()


@dataclass(frozen=True, kw_only=True)
class RowsSource(Source):
    """Rows of text in batches of a given length."""

    rows: tuple[tuple[str, ...], ...]
    length: int

    @override
    def batches(self, columns: tuple[str, ...]) -> Iterator[PartBatch]:
        for first in range(0, len(self.rows), self.length):
            part = self.rows[first : first + self.length]
            values = {name: [row[self.columns.index(name)] for row in part] for name in columns}
            yield PartBatch(0, pa.record_batch(values))


def scan_lines(
    lines: list[str], header: str, settings: ValidateDataSettings, folder: Path, *, length: int
) -> ScanReport:
    columns = tuple(header.split(","))
    source = RowsSource(
        name="t.csv", short_name="t.csv", columns=columns, row_unit="line", first_row=2,
        rows=tuple(tuple(line.split(",")) for line in lines), length=length,
    )  # fmt: skip
    return scan(source, settings, cutoff=None, folder=folder, n_in_memory=10_000)


@pytest.mark.parametrize("length", [10, 7, 1])
def test_bad_values_of_all_batches_are_counted_and_the_first_is_named(make_settings, tmp_path, length):
    lines = hourly_lines(60)
    for i in (12, 13, 41):
        lines[i] = f"{lines[i].split(',')[0]},x{i},1"
    with pytest.raises(DataError, match=r"'load' must hold finite numbers; line 14 has 'x12' \(3 such rows\)"):
        scan_lines(lines, "time,load,temperature", make_settings(), tmp_path, length=length)


@pytest.mark.parametrize("length", [10, 7, 1])
def test_bad_values_after_the_last_target_do_not_count(make_settings, tmp_path, length):
    lines = hourly_lines(60)
    lines[50:] = [f"{line.split(',')[0]},,x" for line in lines[50:]]
    settings = make_settings(data={"observed": ["temperature"]})
    found = scan_lines(lines, "time,load,temperature", settings, tmp_path, length=length)
    assert found.last == 1_704_067_200 + 49 * 3600
    lines[20] = f"{lines[20].split(',')[0]},1,y"
    with pytest.raises(DataError, match=r"line 22 has 'y'$"):
        scan_lines(lines, "time,load,temperature", settings, tmp_path, length=length)
    known = make_settings(data={"known": ["temperature"]})
    with pytest.raises(DataError, match=r"line 52 has 'x' \(10 such rows\)"):
        scan_lines(
            lines[:20] + hourly_lines(21)[20:] + lines[21:], "time,load,temperature", known, tmp_path, length=length
        )


@pytest.mark.parametrize("length", [3, 2, 1])
def test_times_that_cannot_be_read_are_counted_over_batches(make_settings, tmp_path, length):
    lines = hourly_lines(9)
    lines[4], lines[7] = "noon,1,1", "night,1,1"
    with pytest.raises(DataError, match=r"line 6 has 'noon' \(2 such rows\)"):
        scan_lines(lines, "time,load,temperature", make_settings(), tmp_path, length=length)


@pytest.mark.parametrize("length", [4, 2])
def test_zoned_and_naive_times_do_not_mix_across_batches(make_settings, tmp_path, length):
    lines = hourly_lines(8)
    lines[4:] = [line.replace("Z,", ",") for line in lines[4:]]
    settings = make_settings(data={"time_zone": "UTC"})
    with pytest.raises(DataError, match=r"in every row or in none; line 6 has '2024-01-01T04:00:00' \(4 such rows\)"):
        scan_lines(lines, "time,load,temperature", settings, tmp_path, length=length)


@pytest.mark.parametrize("length", [10, 3, 1])
def test_the_hour_that_a_clock_repeats_is_told_apart_across_batches(make_settings, tmp_path, length):
    stamps = ["2024-10-27T01:00:00", "2024-10-27T02:00:00", "2024-10-27T02:00:00", "2024-10-27T03:00:00"]
    lines = [f"{stamp},1,{site}" for stamp in stamps for site in "ab"]
    settings = make_settings(data={"time_zone": "Europe/Berlin", "id_columns": ["site"]})
    found = scan_lines(lines, "time,load,site", settings, tmp_path, length=length)
    times = np.concatenate([batch.column(TIME).to_numpy() for batch in found.spool.batches()])
    assert ((times[::2] - times[0]) // 3600).tolist() == [0, 1, 2, 3]
    assert times[1::2].tolist() == times[::2].tolist()


def test_a_series_with_two_categories_is_refused_with_its_row_in_whichever_part(make_settings, context, tmp_path):
    lines = [f"{line},s{number},red" for line in hourly_lines(100) for number in range(3)]
    for row in (70, 45, 90):
        lines[row] = lines[row].replace("red", "blue")
    uri = write_table(tmp_path / "t.csv", lines, "time,load,temperature,site,colour")
    for rows in (1_000, 1):
        settings = make_settings(
            uri, data={"id_columns": ["site"], "static": ["colour"]}, validation={"part_rows": rows}
        )
        with pytest.raises(DataError, match=r"series 's0' has 'red' and, in line 47, 'blue'"):
            run(settings, context, tmp_path / str(rows))


def test_the_bytes_of_a_store_do_not_hang_on_how_many_series_share_a_group_of_rows(tmp_path):
    spec = SeriesSpec("y", (), (), (), {}, 3600, SplitSpec(0, 0, 0))
    values = np.random.default_rng(2).normal(size=(600_000, 1))
    store = SeriesStore(spec, (Series("a", 0, values[:1]), Series("b", 7200, values[1:])))
    write_series_store(store, tmp_path)
    file = pq.ParquetFile(tmp_path / "series.parquet")
    assert [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)] == [262_144, 262_144, 75_712]
    back = read_series_store(tmp_path)
    assert [series.id for series in back] == ["a", "b"]
    np.testing.assert_array_equal(back.series[1].values, values[1:])
    assert file.read_row_group(1)["series"].unique().to_pylist() == ["b"]


MEASURE = """
import json, resource, sys
from pathlib import Path
from forecasting.config import parse_config, step_settings
from forecasting.contracts.layout import home_layout
from forecasting.contracts.steps import StepName
from forecasting.steps import StepContext
from components.validation.validate_data import validate_data
document, folder = json.loads(sys.argv[1]), Path(sys.argv[2])
settings = step_settings(parse_config(document, source="test"), StepName.VALIDATE_DATA)
home = home_layout(folder / "home")
outcome = validate_data(settings, {}, folder, StepContext(home, home.run("run")))
assert outcome.passed, outcome.summary
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def peak_mib(n_series: int, folder: Path, document: dict) -> int:
    """Peak memory of the step on series of 2,500 hours, time after time, in MiB."""
    folder.mkdir()
    hours = np.arange(2_500)
    names = pa.array([f"s{i:04d}" for i in range(n_series)])
    schema = pa.schema([("site", pa.string()), ("time", pa.timestamp("s", tz="UTC")), ("load", pa.float64()), ("sun", pa.float64())])  # fmt: skip
    rng = np.random.default_rng(1)
    with pq.ParquetWriter(folder / "t.parquet", schema) as writer:
        for block in np.array_split(hours, 50):
            times = pa.array(np.repeat(1_577_836_800 + 3600 * block, n_series)).cast(schema.field("time").type)
            sites = pa.chunked_array([names] * len(block))
            loads, suns = rng.normal(100, 5, size=(2, len(block) * n_series))
            writer.write_table(pa.table([sites.combine_chunks(), times, loads, suns], schema=schema))
    document["data"]["uri"] = str(folder / "t.parquet")
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, json.dumps(document), str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return int(done.stdout.splitlines()[-1])


def test_four_times_the_rows_need_no_more_memory(tmp_path):
    from tests.unit.validation.conftest import GATES

    document = {
        "name": "load",
        "data": {"uri": "", "time_column": "time", "target": "load", "id_columns": ["site"], "known": ["sun"], "frequency": "1h"},
        "forecast": {"horizon": 24, "context": 48, "segment": 24, "seasons": [24]},
        "split": {"validation": "30d", "test": "30d", "embargo": False},
        "gates": GATES, "compression": {"max_accuracy_loss": 0.02},
        "validation": {"part_rows": 100_000, "data_docs": False},
    }  # fmt: skip
    few, many = peak_mib(200, tmp_path / "few", document), peak_mib(800, tmp_path / "many", document)
    # One and a half million rows more take 48 MB in each of the several forms that a table in memory would have.
    assert many - few < 80, (few, many)
