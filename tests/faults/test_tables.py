"""Tables that no good source would write."""

import json
import random
from pathlib import Path

import pytest

from components.validation.validate_data import validate_data
from forecasting.errors import DataError
from forecasting.series_store import read_series_store
from forecasting.steps import StepContext, StepOutcome
from tests.unit.validation.tables import hourly_lines, write_table

N_HOURS = 200


def run_step(settings, context: StepContext, output: Path) -> StepOutcome:
    output.mkdir()
    return validate_data(settings, {}, output, context)


def test_a_table_without_rows_is_refused_in_one_line(make_settings, context, tmp_path):
    (tmp_path / "t.csv").write_text("time,load\n")
    expected = r"t\.csv must have rows, and it has none; it has the columns time, load$"
    with pytest.raises(DataError, match=expected):
        run_step(make_settings(str(tmp_path / "t.csv")), context, tmp_path / "out")


@pytest.mark.parametrize("seed", range(5))
def test_rows_in_any_order_make_the_same_store(make_settings, context, tmp_path, seed):
    lines = hourly_lines(N_HOURS)
    run_step(make_settings(write_table(tmp_path / "sorted.csv", lines)), context, tmp_path / "sorted")
    random.Random(seed).shuffle(lines)
    outcome = run_step(make_settings(write_table(tmp_path / "mixed.csv", lines)), context, tmp_path / "mixed")
    assert outcome.passed
    for name in ("series.parquet", "index.parquet", "schema.json"):
        assert (tmp_path / "sorted" / name).read_bytes() == (tmp_path / "mixed" / name).read_bytes()
    assert read_series_store(tmp_path / "mixed").series[0].n_steps == N_HOURS


@pytest.mark.parametrize(
    ("time", "message"),
    [
        ("2999-12-31T00:00:00Z", "has line 201 at 2024-01-09T07:00:00Z and next line 202 at 2999-12-31T00:00:00Z"),
        ("1200-01-01T00:00:00Z", "has line 202 at 1200-01-01T00:00:00Z and next line 2 at 2024-01-01T00:00:00Z"),
    ],
)
def test_a_row_of_another_century_is_named_before_it_takes_memory(make_settings, context, tmp_path, time, message):
    uri = write_table(tmp_path / "t.csv", [*hourly_lines(N_HOURS), f"{time},5,5"])
    with pytest.raises(DataError, match=f"series 'load' {message}, with 1h for data.frequency"):
        run_step(make_settings(uri), context, tmp_path / "out")


def test_a_row_of_1970_is_a_gap_that_the_rules_refuse(make_settings, context, tmp_path):
    uri = write_table(tmp_path / "t.csv", [*hourly_lines(N_HOURS), "1970-01-01T00:00:00Z,5,5"])
    outcome = run_step(make_settings(uri), context, tmp_path / "out")
    assert not outcome.passed
    assert "missing_target: 99.96% of the steps are without a target" in outcome.summary


def test_a_second_of_60_is_refused_with_its_row(make_settings, context, tmp_path):
    uri = write_table(tmp_path / "t.csv", [*hourly_lines(N_HOURS), "2016-12-31T23:59:60Z,5,5"])
    with pytest.raises(DataError, match=r"line 202 has '2016-12-31T23:59:60Z'"):
        run_step(make_settings(uri), context, tmp_path / "out")


def test_a_series_without_a_value_is_put_aside_by_name(make_settings, context, tmp_path):
    rows = hourly_lines(N_HOURS)
    lines = [f"full,{row}" for row in rows] + [f"empty,{row.split(',')[0]},,1" for row in rows]
    uri = write_table(tmp_path / "t.csv", lines, header="site,time,load,temperature")
    settings = make_settings(
        uri,
        data={"id_columns": ["site"]},
        validation={"max_quarantined_ratio": 0.5, "severity": {"missing_target": "warn"}},
    )
    assert run_step(settings, context, tmp_path / "out").passed
    (put_aside,) = json.loads((tmp_path / "out" / "report.json").read_text())["quarantined"]
    assert (put_aside["series"], put_aside["rules"]) == ("empty", ["all_missing"])
    assert [series.id for series in read_series_store(tmp_path / "out").series] == ["full"]


HOSTILE = [
    "../../x",
    "..",
    ".hidden",
    "a/b",
    "/etc/x",
    "x" * 5_000,
    "=cmd()",
    "\u202eabc",
    "good\nERROR forged: all is lost",
]


def test_an_id_is_no_path_and_no_line_of_the_log(make_settings, context, tmp_path, caplog):
    rows = hourly_lines(N_HOURS)
    lines = [f'"{name}",{row}' for name in HOSTILE[:-1] for row in rows]
    lines += [f'"{HOSTILE[-1]}",{row.split(",")[0]},5,5' for row in rows]
    uri = write_table(tmp_path / "t.csv", lines, header="site,time,load,temperature")
    before = set(tmp_path.rglob("*"))
    assert run_step(make_settings(uri, data={"id_columns": ["site"]}), context, tmp_path / "out").passed
    made = {path for path in set(tmp_path.rglob("*")) - before if not path.is_relative_to(tmp_path / "out")}
    assert made == set()
    named = [
        path for path in (tmp_path / "out").rglob("*") if any(name in path.name for name in ("hidden", "xxxx", "cmd"))
    ]
    assert named == []
    assert [series.id for series in read_series_store(tmp_path / "out").series] == sorted(HOSTILE[:-1])
    said = [record.getMessage() for record in caplog.records if "forged" in record.getMessage()]
    assert said
    assert [message for message in said if "\n" in message] == []
