"""`almanac init`: from a file to a configuration that validation accepts, or one line that says why not."""

import csv
import math
import sqlite3
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import yaml

from forecasting.config import AlmanacConfig, load_config
from pipelines.cli import main
from pipelines.commands.init import uri_from
from pipelines.initial.propose import model_name

Rows = dict[str, list[str]]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ALMANAC_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path: Path, columns: Rows) -> Path:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return path


def stamps(n: int, minutes: int, *, form: str = "%Y-%m-%dT%H:%M:%SZ") -> list[str]:
    return [f"{datetime(2023, 1, 1) + timedelta(minutes=i * minutes):{form}}" for i in range(n)]  # noqa: DTZ001


def load(n: int, per_day: int, seed: int = 5) -> list[str]:
    steps = np.arange(n)
    noise = np.random.default_rng(seed).normal(0, 5, n)
    week = np.where(steps // per_day % 7 >= 5, 0.6, 1.0)
    return [f"{value:.2f}" for value in 200 + 50 * week * (1 + np.sin(2 * np.pi * steps / max(per_day, 2))) + noise]


def hourly(n: int = 120 * 24) -> Rows:
    return {"time": stamps(n, 60), "load": load(n, 24), "temperature": load(n, 24, seed=6)}


def config_of(table: Path, *words: str) -> AlmanacConfig:
    assert main(["init", str(table), "-o", "made.yaml", *words]) == 0
    return load_config(Path("made.yaml"))


def refusal(capsys: pytest.CaptureFixture[str], table: Path, *words: str, code: int = 3) -> str:
    assert main(["init", str(table), "-o", "made.yaml", *words]) == code
    assert not Path("made.yaml").exists()
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_a_table_of_hours_is_understood(here, capsys):
    config = config_of(write(here / "load.csv", hourly()))
    assert (config.name, config.data.target, config.data.observed) == ("load", "load", ("temperature",))
    assert (config.data.frequency, config.data.time_zone) == ("1h", None)
    assert (config.forecast.horizon, config.forecast.context, config.forecast.seasons) == (24, 336, (24, 168))
    assert config.features.lower_bound == 0
    assert config.gates.model.max_mae == config.gates.compressed.max_mae
    assert "check features.calendar_time_zone" in capsys.readouterr().err


def test_the_address_of_the_table_starts_at_the_configuration(here):
    write(here / "load.csv", hourly())
    (here / "configs").mkdir()
    assert main(["init", "load.csv", "-o", "configs/made.yaml"]) == 0
    assert yaml.safe_load(Path("configs/made.yaml").read_text())["data"]["uri"] == "../load.csv"
    assert load_config(Path("configs/made.yaml")).data.uri == str(here / "load.csv")


def test_without_an_output_the_file_has_the_name_of_the_table(here):
    write(here / "My Load.csv", hourly())
    assert main(["init", "My Load.csv"]) == 0
    assert load_config(Path("my-load.yaml")).name == "my-load"


def test_a_named_target_and_horizon_are_taken(here):
    config = config_of(write(here / "load.csv", hourly()), "--target", "temperature", "--horizon", "48")
    assert (config.data.target, config.data.observed, config.forecast.horizon) == ("temperature", ("load",), 48)


def test_days_without_a_zone_are_days_of_utc(here, capsys):
    table = write(here / "t.csv", {"day": stamps(700, 1440, form="%Y-%m-%d"), "visits": load(700, 1)})
    config = config_of(table)
    assert (config.data.time_zone, config.data.frequency, config.forecast.seasons) == ("UTC", "1d", (7,))
    assert "check data.time_zone" not in capsys.readouterr().err


def test_hours_without_a_zone_are_to_be_checked(here, capsys):
    table = write(here / "t.csv", {**hourly(), "time": stamps(120 * 24, 60, form="%Y-%m-%d %H:%M:%S")})
    assert config_of(table).data.time_zone == "UTC"
    assert "check data.time_zone: the times carry no zone" in capsys.readouterr().err
    assert "CHECK: the times carry no zone" in Path("made.yaml").read_text()


def test_minutes_of_a_long_table_are_brought_to_quarters_of_an_hour(here, capsys):
    config = config_of(write(here / "t.csv", {"time": stamps(20_160, 1), "load": load(20_160, 1440)}))
    assert (config.data.frequency, config.data.aggregation) == ("15min", {"load": "mean"})
    assert "check data.aggregation" in capsys.readouterr().err


def test_series_of_different_size_are_scaled_by_window(here):
    n = 300
    small = [f"{float(value) / 100:.3f}" for value in load(n, 1)]
    table = {"day": stamps(n, 1440) * 2, "shop": ["a"] * n + ["b"] * n, "sales": [*load(n, 1), *small]}
    config = config_of(write(here / "t.csv", table))
    assert (config.data.id_columns, config.features.target_scaling) == (("shop",), "window")


@pytest.mark.parametrize(("warmest", "base"), [(30.0, 20), (86.0, 68), (303.0, 293)])
def test_a_temperature_brings_the_heat_of_the_last_days_and_its_distance_from_comfort(here, warmest, base):
    n = 120 * 24
    air = [f"{warmest - 15 * abs(math.sin(i / 70)):.1f}" for i in range(n)]
    config = config_of(write(here / "t.csv", {"time": stamps(n, 60), "load": load(n, 24), "air_temp": air}))
    of_air = [one.model_dump(mode="json") for one in config.features.derived if one.column == "air_temp"]
    assert [(one["kind"], one["windows"], one.get("base")) for one in of_air] == [
        ("rolling", [24, 72], None), ("degree_days", [1, 24, 72], base),
    ]  # fmt: skip


def test_a_temperature_that_was_scaled_has_no_degree_days(here):
    n = 120 * 24
    air = [f"{abs(math.sin(i / 70)):.3f}" for i in range(n)]
    config = config_of(write(here / "t.csv", {"time": stamps(n, 60), "load": load(n, 24), "temp": air}))
    assert [one.kind for one in config.features.derived if one.column == "temp"] == ["rolling"]


@pytest.mark.parametrize(("high", "methods"), [(900, {"target": "log1p"}), (200, {})])
def test_counts_of_a_wide_range_are_scaled_by_their_logarithm(here, high, methods):
    n = 120 * 24
    counts = [str(high + i % 7 if i % 24 in (8, 17) else 90 + i % 24) for i in range(n)]
    config = config_of(write(here / "t.csv", {"time": stamps(n, 60), "rides": counts}))
    assert config.features.scaling.columns == methods


def test_a_short_history_is_learnt_for_more_epochs(here):
    config = config_of(write(here / "t.csv", {"day": stamps(270, 1440), "sales": load(270, 7)}))
    n_batches = 4
    assert config.training.batch_size * n_batches >= 100
    training = config.training
    assert (training.max_epochs, training.patience, training.warmup_steps, training.learning_rate) == (
        60,
        10,
        30,
        0.001,
    )


def test_a_target_that_can_be_negative_has_no_bound(here):
    values = [f"{float(value) - 250:.2f}" for value in load(120 * 24, 24)]
    config = config_of(write(here / "t.csv", {"time": stamps(120 * 24, 60), "flow": values}))
    assert (config.features.lower_bound, dict(config.validation.ranges)) == (None, {})


def test_weekends_without_rows_raise_the_allowed_share_of_missing_steps(here, capsys):
    table = {"day": stamps(900, 1440), "orders": load(900, 1)}
    kept = [i for i in range(900) if i % 7 < 5]
    config = config_of(write(here / "t.csv", {name: [values[i] for i in kept] for name, values in table.items()}))
    assert 0.28 < config.validation.max_missing_ratio < 0.31
    assert "check validation.max_missing_ratio" in capsys.readouterr().err


def test_rows_that_differ_at_one_time_are_merged_and_to_be_checked(here, capsys):
    rows = hourly()
    table = write(
        here / "t.csv", {name: [*values, values[7 if name == "time" else 9]] for name, values in rows.items()}
    )
    assert config_of(table).validation.duplicates == "first"
    assert "check validation.duplicates: 1 rows repeat a time of their series" in capsys.readouterr().err


def test_a_row_that_is_there_twice_needs_no_setting(here):
    table = write(here / "t.csv", {name: [*values, values[7]] for name, values in hourly().items()})
    assert config_of(table).validation.duplicates == "refuse"


def panel(n_shops: int, n_days: int = 300) -> Rows:
    return {
        "day": stamps(n_days, 1440) * n_shops,
        "shop": [f"s{i:02d}" for i in range(n_shops) for _ in range(n_days)],
        "sales": [value for i in range(n_shops) for value in load(n_days, 1, seed=i)],
    }


def test_series_that_end_at_different_times_are_measured_on_their_own_steps(here):
    shorter = {name: values[:150] + values[300:] for name, values in panel(4).items()}
    config = config_of(write(here / "t.csv", shorter))
    assert config.data.id_columns == ("shop",)
    assert config.validation.max_missing_ratio == 0.1


def test_a_series_that_breaks_a_rule_is_left_out_and_to_be_checked(here, capsys):
    rows = panel(12)
    rows["sales"][:300] = ["250"] * 300
    config = config_of(write(here / "t.csv", rows))
    assert config.data.id_columns == ("shop",)
    assert (
        "check validation: 1 series are left out of training, the first is 's00': constant_target"
        in capsys.readouterr().err
    )


def test_one_series_with_many_gaps_raises_no_limit(here, capsys):
    rows = panel(12)
    rows["sales"] = ["" if i < 300 and i % 3 == 0 else value for i, value in enumerate(rows["sales"])]
    assert config_of(write(here / "t.csv", rows)).validation.max_missing_ratio == 0.1
    assert "1 of 12 series lack more of their steps" in capsys.readouterr().err


def test_a_known_copy_of_the_target_is_left_out(here):
    rows = hourly()
    config = config_of(write(here / "t.csv", {**rows, "load plan": [f"{2 * float(v):.2f}" for v in rows["load"]]}))
    assert config.data.known == ()
    assert "not used: load plan (its changes are those of the target" in Path("made.yaml").read_text()


def test_thresholds_are_nine_tenths_of_the_naive_error(here):
    config_of(write(here / "load.csv", hourly()))
    lines = Path("made.yaml").read_text().splitlines()
    (line,) = [line for line in lines if "max_mae" in line and "×" in line]
    limit, naive = float(line.split()[1]), float(line.split()[-1])
    assert limit == pytest.approx(0.9 * naive, rel=0.01)


def test_an_existing_file_is_kept_without_force(here, capsys):
    table = write(here / "load.csv", hourly())
    Path("made.yaml").write_text("mine")
    assert main(["init", str(table), "-o", "made.yaml"]) == 2
    assert "made.yaml exists already" in capsys.readouterr().err
    assert Path("made.yaml").read_text() == "mine"
    assert main(["init", str(table), "-o", "made.yaml", "--force"]) == 0
    assert load_config(Path("made.yaml")).name == "load"


def test_a_folder_is_no_output(here, capsys):
    table = write(here / "load.csv", hourly())
    assert main(["init", str(table), "-o", ".", "--force"]) == 2
    assert "is a folder" in capsys.readouterr().err


def test_the_head_says_how_it_was_asked_for(here):
    config_of(write(here / "load.csv", hourly()), "--horizon", "12")
    assert "--horizon 12`" in Path("made.yaml").read_text()


def test_a_folder_that_does_not_exist_is_refused(here, capsys):
    table = write(here / "load.csv", hourly())
    assert main(["init", str(table), "-o", "gone/made.yaml"]) == 2
    assert "there is no gone" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"name": ["a", "b"], "x": ["1", "2"]}, "must have a column of times in ISO 8601"),
        ({"time": ["2024-01-01", "2024-01-02"], "name": ["a", "b"]}, "must have a column of numbers"),
        ({"time": [], "x": []}, "must have rows, and it has none"),
        ({"time": stamps(40, 60), "x": load(40, 24)}, "a series must have at least"),
        ({"time": stamps(300, 60), "x": ["5"] * 300}, "must have a column of numbers"),
        ({"time": [f"20{y:02d}-{m:02d}-01" for y in range(10) for m in range(1, 13)], "x": load(120, 12)}, "months, quarters and years are not in this version"),
        ({"time": [*stamps(300, 60), "2023-03-01T00:17:00Z"], "x": load(301, 24)}, "1 of 301 are off this grid, the first is line 302"),
    ],
)  # fmt: skip
def test_a_table_that_cannot_be_forecast_is_refused_in_one_line(here, capsys, columns, message):
    assert message in refusal(capsys, write(here / "t.csv", columns))


def test_a_missing_file_and_a_broken_one_are_refused(here, capsys):
    assert "there is none at" in refusal(capsys, here / "gone.csv")
    (here / "t.parquet").write_bytes(b"no parquet")
    assert "cannot be read as Parquet" in refusal(capsys, here / "t.parquet")
    assert "must name a file that ends in" in refusal(capsys, here / "t.xlsx", code=2)


def test_a_horizon_below_one_step_is_refused(here, capsys):
    assert "--horizon must be at least 1" in refusal(capsys, write(here / "t.csv", hourly()), "--horizon", "0", code=2)


@pytest.mark.parametrize(
    ("uri", "name"),
    [("a/My Load.csv", "my-load"), ("example://retail", "retail"), ("2024.csv", "series-2024"), ("x-candidate.csv", "x"), ("--.csv", "forecast")],
)  # fmt: skip
def test_a_model_has_the_name_of_its_table(uri, name):
    assert model_name(uri) == name


def test_a_table_far_from_the_configuration_is_named_by_its_whole_path(here):
    assert uri_from(str(here / "t.csv"), here) == "t.csv"
    assert uri_from(str(here / "t.csv"), here / "a" / "b") == str(here / "t.csv")
    assert uri_from("example://retail", here) == "example://retail"


def test_how_a_table_is_read_is_said_by_set_and_written_down(here):
    rows = hourly()
    path = here / "t.csv"
    lines = zip(rows["time"], (value.replace(".", ",") for value in rows["load"]), strict=True)
    path.write_text("time;load\n" + "".join(f"{time};{value}\n" for time, value in lines))
    config = config_of(path, "--set", 'data.csv.delimiter=";"', "--set", 'data.csv.decimal=","')
    assert (config.data.csv.delimiter, config.data.csv.decimal, config.data.target) == (";", ",", "load")


def test_a_table_of_a_database_is_read(here):
    rows = hourly()
    with closing(sqlite3.connect(here / "t.db")) as base:
        base.execute("create table loads (time text, load real)")
        base.executemany("insert into loads values (?, ?)", zip(rows["time"], map(float, rows["load"]), strict=True))
        base.commit()
    assert main(["init", "sqlite:///t.db", "-o", "made.yaml", "--set", "data.table=loads"]) == 0
    config = load_config(Path("made.yaml"))
    assert (config.name, config.data.table, config.data.target) == ("t", "loads", "load")


@pytest.mark.parametrize("words", ["model.units=3", "data.target=load", "data=3"])
def test_set_says_nothing_but_how_the_table_is_read(here, capsys, words):
    assert "--set" in refusal(capsys, write(here / "t.csv", hourly()), "--set", words, code=2)


def test_a_target_that_repeats_itself_exactly_is_refused(here, capsys):
    table = write(here / "t.csv", {"day": stamps(400, 1440), "x": [f"{i % 7 + 2}.5" for i in range(400)]})
    line = refusal(capsys, table)
    assert "t.csv: the seasonal naive forecast must have an error" in line


def test_targets_of_the_future_are_refused_as_a_run_would(here, capsys):
    days = [f"{datetime(2999, 1, 1) + timedelta(days=i):%Y-%m-%d}" for i in range(400)]  # noqa: DTZ001
    assert "future_rows" in refusal(capsys, write(here / "t.csv", {"day": days, "visits": load(400, 1)}))
