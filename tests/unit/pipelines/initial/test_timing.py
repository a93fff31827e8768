"""Times in other forms than ISO 8601, and of several columns."""

from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from components.validation.sources import SourceTable
from components.validation.sources.table import RowPlaces
from forecasting.config.source import TimePartsConfig
from pipelines.cli import main
from pipelines.initial.timing import look_at_table
from tests.unit.pipelines.initial.stores import store_of
from tests.unit.pipelines.initial.tables import wave
from tests.unit.pipelines.initial.test_init import config_of, load, write

START = datetime(2023, 1, 1)  # noqa: DTZ001


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ALMANAC_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def timing_of(**columns: list[str]):
    return look_at_table(SourceTable("t.csv", pa.table(columns), places=RowPlaces("line", 2))).timing


def hours(n: int) -> list[datetime]:
    return [START + timedelta(hours=i) for i in range(n)]


def written(form: str, n: int, *, step: timedelta, first: datetime = START) -> list[str]:
    return [f"{first + i * step:{form}}" for i in range(n)]


@pytest.mark.parametrize(
    "form", ["%d/%m/%Y", "%m/%d/%Y", "%d.%m.%y", "%d-%b-%Y", "%B %d, %Y", "%m/%d/%Y %I:%M %p", "%d/%m/%Y %H.%M.%S"]
)  # fmt: skip
def test_the_form_is_told_by_the_values(form: str):
    timing = timing_of(day=written(form, 60, step=timedelta(days=1)), y=wave(60))
    assert (timing.settings, timing.check) == ({"time_format": form}, False)


@pytest.mark.parametrize("form", ["%d/%m/%Y", "%m/%d/%Y"])
def test_where_no_value_is_over_12_the_order_that_leaves_no_gaps_is_taken(form: str):
    days = [f"{datetime(2023, month, day):{form}}" for month in range(1, 13) for day in range(1, 13)]  # noqa: DTZ001
    assert timing_of(day=days, y=wave(144)).check
    one = written(form, 12, step=timedelta(days=1), first=datetime(2023, 4, 1))  # noqa: DTZ001
    twice = written(form, 12, step=timedelta(days=1), first=datetime(2023, 5, 1))  # noqa: DTZ001
    timing = timing_of(day=one + twice, y=wave(24))
    assert (timing.settings, timing.check) == ({"time_format": form}, False)
    assert "another order of day and month would leave gaps" in timing.reason


def test_where_nothing_tells_the_day_comes_first_and_is_to_be_checked():
    timing = timing_of(day=written("%d/%m/%Y", 12, step=timedelta(days=1)), y=wave(12))
    assert (timing.settings, timing.check) == ({"time_format": "%d/%m/%Y"}, True)
    assert "may be written as %d/%m/%Y, and as %m/%d/%Y too" in timing.reason


def test_a_date_and_an_hour_are_the_time_and_no_series():
    stamps = hours(20 * 24)
    columns = {"dteday": [f"{one:%Y-%m-%d}" for one in stamps], "hr": [str(one.hour) for one in stamps], "y": wave(480)}
    timing = timing_of(**columns)
    assert (timing.settings, timing.used) == ({"time_parts": {"date": "dteday", "hour": "hr"}}, ("dteday", "hr"))
    assert timing_of(**{**columns, "hr": [str(9 + i // 24 % 3) for i in range(480)]}) is None


def test_year_month_day_and_hour_are_the_time():
    stamps = hours(20 * 24)
    columns = {key: [str(getattr(one, key)) for one in stamps] for key in ("year", "month", "day", "hour")}
    parts = {"year": "year", "month": "month", "day": "day", "hour": "hour"}
    assert timing_of(**columns, y=wave(480)).settings == {"time_parts": parts}
    columns.pop("day")
    assert timing_of(**columns, y=wave(480)) is None


def test_a_date_and_a_time_of_the_day_are_the_time():
    stamps = hours(20 * 24)
    iso = {"Date": [f"{one:%Y-%m-%d}" for one in stamps], "Time": [f"{one:%H:%M:%S}" for one in stamps]}
    assert timing_of(**iso, y=wave(480)).settings == {"time_parts": {"date": "Date", "time": "Time"}}
    points = {"Date": [f"{one:%d/%m/%Y}" for one in stamps], "Time": [f"{one:%H.%M.%S}" for one in stamps]}
    assert timing_of(**points, y=wave(480)).settings == {
        "time_parts": {"date": "Date", "time": "Time"}, "time_format": "%d/%m/%Y %H.%M.%S"
    }  # fmt: skip


def test_times_in_iso_8601_and_words_need_no_form():
    stamps = hours(20 * 24)
    hour = [str(one.hour) for one in stamps]
    assert timing_of(time=[one.isoformat() for one in stamps], hour=hour, y=wave(480)) is None
    assert timing_of(colour=["1-2 red"] * 20, y=wave(20)) is None


def test_a_date_in_another_form_beside_an_hour_becomes_a_configuration_that_validation_accepts(here, capsys):
    stamps = hours(120 * 24)
    columns = {
        "Dag": [f"{one:%d/%m/%Y}" for one in stamps], "Hour": [str(one.hour) for one in stamps], "load": load(120 * 24, 24)
    }  # fmt: skip
    config = config_of(write(here / "t.csv", columns))
    assert (config.data.time_format, config.data.time_parts) == ("%d/%m/%Y", TimePartsConfig(date="Dag", hour="Hour"))
    assert (config.data.id_columns, config.data.known, config.data.frequency) == ((), (), "1h")
    (series,) = store_of(config).series
    assert (series.start, series.n_steps) == (1_672_531_200, 120 * 24)


def ambiguous(path: Path) -> Path:
    """Rows whose days and months are all below 13, with a gap, so that the table may be of January or of a year."""
    days = [f"{i:02d}/01/2023" for i in range(1, 13)] + [f"{i:02d}/02/2023" for i in range(1, 13)]
    hours = [str(hour) for hour in range(24)]
    rows = [(day, hour) for day in days for hour in hours]
    loads = load(len(rows), 24)
    return write(path, {"when": [day for day, _ in rows], "o'clock": [hour for _, hour in rows], "load": loads})


def test_how_times_are_written_may_be_stated(here):
    words = [
        "--set",
        'data.time_format="%d/%m/%Y"',
        "--set",
        "data.time_parts.date=when",
        "--set",
        "data.time_parts.hour=o'clock",
    ]
    config = config_of(ambiguous(here / "t.csv"), *words)
    assert (config.data.time_format, config.data.time_parts) == (
        "%d/%m/%Y",
        TimePartsConfig(date="when", hour="o'clock"),
    )
    text = Path("made.yaml").read_text()
    assert text.count("\n  time_format:") == text.count("\n  time_parts:") == 1


def test_a_form_that_is_stated_finds_its_column(here):
    table = write(
        here / "t.csv",
        {"note": ["x"] * 400, "when": written("%m/%d/%y", 400, step=timedelta(days=1)), "visits": load(400, 1)},
    )
    config = config_of(table, "--set", 'data.time_format="%m/%d/%y"')
    assert (config.data.time_column, config.data.time_format) == ("when", "%m/%d/%y")


@pytest.mark.parametrize(
    ("setting", "code", "message"),
    [
        ('data.time_format="%d/%m/%Y"', 3, "column 'when' must hold times of the form %d/%m/%Y"),
        ("data.time_parts={year: y, month: m, day: d}", 2, "data.time_parts must name columns of"),
        ('data.time_format="%d"', 2, "must tell year, month and day"),
    ],
)
def test_what_is_stated_and_does_not_fit_is_refused(here, capsys, setting, code, message):
    days = written("%m/%d/%Y", 400, step=timedelta(days=1))
    table = write(here / "t.csv", {"note": ["x"] * 400, "when": days, "visits": load(400, 1)})
    assert main(["init", str(table), "-o", "made.yaml", "--set", setting]) == code
    assert message in capsys.readouterr().err
