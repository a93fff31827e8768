"""Tables with one column a series, covariates that are words, and columns that are published late."""

from pathlib import Path

import numpy as np
import pytest

from pipelines.cli import main
from pipelines.initial.look import read_times
from pipelines.initial.publication import LagGuess, guess_lags
from pipelines.initial.roles import guess_roles
from pipelines.initial.wide import guess_wide
from tests.unit.pipelines.initial.stores import store_of
from tests.unit.pipelines.initial.tables import days, look_of, wave
from tests.unit.pipelines.initial.test_init import config_of, load, stamps, write

DAYS = days(20)
N = 60 * 24


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ALMANAC_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def many(*names: str, factor: float = 1.0) -> dict[str, list[str]]:
    return {name: [str(float(value) * factor**i) for value in wave(20)] for i, name in enumerate(names)}


def wide(**columns):
    return guess_wide(look_of(time=DAYS, **columns), "time")


def test_columns_whose_names_differ_by_a_number_are_series():
    guess = wide(**many("MT_001", "MT_002", "MT_010"), Temperature=wave(20))
    assert (guess.columns, guess.patterns) == (("MT_001", "MT_002", "MT_010"), ("MT_*",))


def test_a_pattern_that_would_take_other_columns_too_gives_way_to_names():
    guess = wide(**many("MT_1", "MT_2", "MT_3"), MT_total=["north"] * 10 + ["south"] * 10)
    assert guess.patterns == ("MT_1", "MT_2", "MT_3")


def test_many_columns_of_like_size_are_series():
    guess = wide(**many(*"ABCDEFGH", factor=1.2))
    assert guess.columns == tuple("ABCDEFGH")
    assert "8 columns of numbers of like size" in guess.reason


@pytest.mark.parametrize(
    "columns",
    [
        many(*"ABCDEFG"),
        many(*"ABCDEFGH", factor=3.0),
        many(*"ABCDEFG", "demand"),
        many("x1", "x2", "x3", "sales"),
        many("price_1", "price_2", "price_3"),
        many("x1", "x2", "x3", "alpha", "beta", "gamma", "delta"),
        many("x1", "x2"),
    ],
    ids=["too few", "unlike sizes", "a target by its name", "features of a target", "plans", "few of many", "two"],
)
def test_columns_that_measure_different_things_are_no_series(columns):
    assert wide(**columns) is None


def test_a_series_that_ended_long_ago_may_have_the_name_of_a_target():
    columns = {**many(*"ABCDEFGH", factor=1.2), "Total_load": [*wave(20)[:8], *[""] * 12]}
    assert wide(**columns).columns == (*"ABCDEFGH", "Total_load")


def test_times_that_occur_twice_are_of_several_series_below_each_other():
    look = look_of(time=DAYS * 2, shop=["a"] * 20 + ["b"] * 20, **{name: wave(40) for name in ("x1", "x2", "x3")})
    assert guess_wide(look, "time") is None


def test_an_hour_that_a_clock_shows_twice_makes_no_long_table():
    times = [*days(200), days(200)[70]]
    look = look_of(time=times, **{name: wave(201) for name in ("MT_1", "MT_2", "MT_3")})
    assert guess_wide(look, "time").columns == ("MT_1", "MT_2", "MT_3")


def test_a_named_target_makes_the_other_columns_covariates():
    roles = guess_roles(look_of(time=DAYS, **many("MT_1", "MT_2", "MT_3")), "MT_2")
    assert roles.wide is None
    assert [one.name for one in roles.observed] == ["MT_1", "MT_3"]


def test_a_wide_table_becomes_a_configuration_that_validation_accepts(here, capsys):
    columns = {f"MT_{i:03d}": load(N, 24, seed=i) for i in range(4)}
    columns["MT_003"] = [""] * 240 + columns["MT_003"][240:]
    table = write(
        here / "meters.csv",
        {"time": stamps(N, 60), "is_holiday": [str(int(i // 24 in (3, 17, 40))) for i in range(N)], **columns},
    )
    config = config_of(table)
    assert (config.data.layout, config.data.series_columns, config.data.id_columns) == ("wide", ("MT_*",), ())
    assert (config.data.target, config.data.known) == ("value", ("is_holiday",))
    assert "check data.layout: 4 columns of numbers whose names differ by a number only" in capsys.readouterr().err
    assert [series.id for series in store_of(config)] == ["MT_000", "MT_001", "MT_002", "MT_003"]


def test_words_that_change_over_time_become_categorical(here, capsys):
    rng = np.random.default_rng(0)
    weather = rng.choice(["sunny", "cloudy", "rain"], N).tolist()
    tariff = [["night", "day"][i // 24 in (3, 17, 40)] for i in range(N)]
    note = [f"line {i}" for i in range(N)]
    rows = {"time": stamps(N, 60), "load": load(N, 24), "weather": weather, "tariff_plan": tariff, "note": note}
    config = config_of(write(here / "t.csv", rows))
    assert config.data.categorical == ("weather", "tariff_plan")
    assert (config.data.observed, config.data.known) == (("weather",), ("tariff_plan",))
    text = Path("made.yaml").read_text()
    assert "3 different words: each becomes a column of 0 and 1" in text
    assert "not used: note (text that changes over time (1,440 different)" in " ".join(text.replace("#", " ").split())
    store = store_of(config)
    assert store.spec.observed == ("weather=cloudy", "weather=rain", "weather=sunny")
    assert store.spec.known == ("tariff_plan=day", "tariff_plan=night")


def test_words_that_are_there_after_the_last_target_are_known():
    shifts = ["early", "late"] * 10
    roles = guess_roles(look_of(time=DAYS, load=[*wave(15), *[None] * 5], shift=shifts))
    assert [one.name for one in roles.known] == ["shift"]
    assert [one.name for one in roles.categorical] == ["shift"]


@pytest.mark.parametrize("n_words", [3, 21])
def test_words_that_are_too_many_for_their_rows_are_not_used(n_words):
    words = [f"word {chr(97 + i % n_words)}" for i in range(20)]
    roles = guess_roles(look_of(time=DAYS, load=wave(20), words=words))
    assert roles.categorical == ()
    assert [one.name for one in roles.unused] == ["words"]


def test_an_observed_column_whose_last_values_are_missing_is_published_late(here, capsys):
    rows = {"time": stamps(N, 60), "load": load(N, 24), "generation_mix": load(N, 24, seed=8), "wind": load(N, 24, 9)}
    rows["generation_mix"][-3:] = ["", "", ""]
    config = config_of(write(here / "t.csv", rows), "--target", "load")
    assert config.data.availability_lag == {"generation_mix": "3h"}
    assert "check data.availability_lag: the last values of generation_mix are missing" in capsys.readouterr().err
    (series,) = store_of(config).series
    place = 1 + config.data.observed.index("generation_mix")
    assert np.isnan(series.values[:3, place]).all()
    assert series.values[-1, place] == float(rows["generation_mix"][-4])


def lags(**columns):
    look = look_of(time=DAYS * 2, shop=["a"] * 20 + ["b"] * 20, sales=wave(40), **columns)
    return guess_lags(guess_roles(look), look, read_times(look.source, "time")[0])


def tail(n: int, *, of: int = 20) -> list[str | None]:
    return [*wave(of)[: of - n], *[None] * n]


def test_a_lag_is_that_of_most_series():
    assert lags(stock=[*tail(1), *tail(1)]) == (LagGuess("stock", 86_400),)


def test_a_column_that_some_series_have_up_to_the_end_has_no_lag():
    assert lags(stock=[*tail(1), *tail(0)]) == ()


def test_a_column_that_ended_long_ago_has_no_lag():
    assert lags(stock=[*tail(9), *tail(9)]) == ()


def test_a_column_that_has_a_value_now_and_then_has_no_lag():
    weekly = [value if i % 6 == 0 else None for i, value in enumerate(wave(20))]
    assert lags(stock=weekly * 2) == ()


def test_a_wide_table_with_a_column_for_all_that_ends_earlier_gets_its_lag(here):
    columns = {f"MT_{i:03d}": load(N, 24, seed=i) for i in range(3)}
    temperature = [*load(N, 24, seed=7)[:-6], *[""] * 6]
    config = config_of(write(here / "t.csv", {"time": stamps(N, 60), **columns, "temperature": temperature}))
    assert (config.data.observed, config.data.availability_lag) == (("temperature",), {"temperature": "6h"})


def test_the_proposal_for_a_wide_table_is_told_on_the_terminal(here, capsys):
    columns = {name: load(N, 24, seed=i) for i, name in enumerate(("AT", "BE", "CH", "DE", "ES", "FR", "IT", "NL"))}
    write(here / "countries.csv", {"date": stamps(N, 60), **columns})
    assert main(["init", "countries.csv"]) == 0
    assert "8 series of 1h steps, target value" in capsys.readouterr().err
