"""Roles of columns, each guessed with its reason."""

import pytest

from forecasting.errors import ConfigError, DataError
from pipelines.initial.roles import RolesGuess, guess_roles, guess_target, guess_time
from tests.unit.pipelines.initial.tables import days, look_of, wave

DAYS = days(20)
OTHER = [f"{3 + (i * 5) % 11}.5" for i in range(20)]


def names(guesses) -> list[str]:
    return [guess.name for guess in guesses]


def panel(**columns: list[str]) -> RolesGuess:
    shops = ["a"] * 20 + ["b"] * 20 + ["c"] * 20
    return guess_roles(look_of(day=DAYS * 3, shop=shops, sales=wave(60), **columns))


def test_of_two_columns_of_times_the_finer_one_is_the_time():
    look = look_of(Date=["2024-01-01"] * 20, Stamp=[f"2024-01-01T{i:02d}:00:00Z" for i in range(20)], y=wave(20))
    assert guess_time(look).name == "Stamp"


def test_of_equally_fine_times_the_one_with_a_name_of_times_is_taken_and_checked():
    guess = guess_time(look_of(created=days(20, "2024-03-01"), date=DAYS, y=wave(20)))
    assert (guess.name, guess.check) == ("date", True)


def test_a_table_without_times_is_refused_and_says_what_may_be_meant():
    with pytest.raises(DataError, match=r"ISO 8601.*'Date' may be meant, but it holds values such as '31.12.2024'"):
        guess_time(look_of(Date=["31.12.2024", "1.1.2025"], y=["1", "2"]))


@pytest.mark.parametrize(
    ("columns", "target", "check"),
    [
        (("temperature", "demand"), "demand", False),
        (("sales", "temperature"), "sales", False),
        (("value", "target"), "target", True),
        (("SalesPrice", "Quantity"), "Quantity", False),
        (("price", "aa"), "aa", False),
        (("price",), "price", False),
        (("aa", "bb"), "bb", True),
    ],
)
def test_the_target_is_told_by_its_name_else_it_is_the_last_that_varies(columns, target, check):
    guess = guess_target(look_of(time=DAYS, **dict.fromkeys(columns, OTHER)))
    assert (guess.name, guess.check) == (target, check)


def test_flags_constants_and_row_numbers_are_no_targets():
    look = look_of(n=[str(i) for i in range(20)], time=DAYS, on=["0", "1"] * 10, c=["7"] * 20, aa=OTHER)
    assert guess_target(look).name == "aa"


def test_a_table_without_numbers_is_refused():
    with pytest.raises(DataError, match="must have a column of numbers to forecast"):
        guess_target(look_of(time=DAYS, colour=["red", "blue"] * 10))


def test_a_named_target_is_taken_whatever_the_names_say():
    roles = guess_roles(look_of(time=DAYS, demand=wave(20), temperature=OTHER), "temperature")
    assert (roles.target.name, names(roles.observed)) == ("temperature", ["demand"])


@pytest.mark.parametrize(
    ("target", "message"), [("dem", "must name a column"), ("colour", "must name a column of numbers")]
)
def test_a_named_target_must_be_a_column_of_numbers(target, message):
    with pytest.raises(ConfigError, match=message):
        guess_roles(look_of(time=DAYS, demand=wave(20), colour=["red", "blue"] * 10), target)


def test_values_after_the_last_target_make_a_covariate_known():
    demand = [*wave(18), "", ""]
    roles = guess_roles(look_of(time=DAYS, demand=demand, temperature=OTHER, wind=[*OTHER[:18], "", ""]))
    assert (names(roles.known), names(roles.observed)) == (["temperature"], ["wind"])
    assert roles.known[0].reason == "known ahead: 2 values after the last target"


def test_plans_and_flags_are_known_and_to_be_checked():
    roles = guess_roles(look_of(time=DAYS, demand=wave(20), UnitPrice=OTHER, weekendsale=["0", "1"] * 10, wind=OTHER))
    assert (names(roles.known), names(roles.observed)) == (["UnitPrice", "weekendsale"], ["wind"])
    assert [guess.check for guess in roles.known] == [True, True]


def test_a_flag_of_failures_is_observed():
    roles = guess_roles(look_of(time=DAYS, demand=wave(20), alarm=["0", "1"] * 10))
    assert (names(roles.known), names(roles.observed)) == ([], ["alarm"])


def test_a_stock_out_hides_the_target_and_is_to_be_checked():
    roles = guess_roles(look_of(time=DAYS, sales=wave(20), StockOut=["0", "1"] * 10))
    assert names(roles.observed) == ["StockOut"]
    assert roles.censored_by is not None
    assert (roles.censored_by.name, roles.censored_by.check) == ("StockOut", True)


def test_what_is_constant_within_series_is_static():
    roles = panel(kind=["x"] * 40 + ["y"] * 20, size=["1"] * 20 + ["2"] * 40)
    assert names(roles.static) == ["kind", "size"]


def test_another_name_of_the_series_is_not_used():
    roles = panel(title=["Alpha"] * 20 + ["Beta"] * 20 + ["Gamma"] * 20)
    assert [(guess.name, guess.reason) for guess in roles.unused] == [
        ("title", "as many values as series (3): another name of the series")
    ]


def test_what_tells_nothing_is_listed_with_the_reason():
    look = look_of(
        row=[str(i) for i in range(20)],
        time=DAYS,
        demand=wave(20),
        unit=["MW"] * 20,
        empty=[""] * 20,
        sky=[f"sky {i % 7}" for i in range(20)],
    )
    reasons = {guess.name: guess.reason for guess in guess_roles(look).unused}
    assert reasons["row"] == "the number of the row"
    assert reasons["unit"] == "constant"
    assert reasons["empty"] == "has no values"
    assert reasons["sky"].startswith("text that changes over time (7 different)")


def test_a_target_without_values_is_refused():
    with pytest.raises(ConfigError, match="must name a column of numbers"):
        guess_roles(look_of(time=DAYS, demand=[""] * 20, wind=OTHER), "demand")


@pytest.mark.parametrize("name", ["issued_at", "issue_time", "forecast_reference_time"])
def test_the_time_of_an_issue_is_not_the_time_and_is_sent_to_the_vintages(name):
    issued = [day for day in days(10) for _ in (1, 2)]
    roles = guess_roles(look_of(**{name: issued, "at": DAYS, "demand": wave(20), "wind": OTHER}))
    assert roles.time.name == "at"
    (unused,) = roles.unused
    assert unused.name == name
    assert unused.reason.startswith("when a row was issued, by its name: put")
    assert "data.vintages" in unused.reason


def test_a_table_with_several_issues_of_a_time_is_sent_to_the_vintages():
    look = look_of(time=DAYS * 2, issued_at=days(20, "2023-01-01") + days(20, "2023-06-01"), wind=OTHER * 2)
    with pytest.raises(DataError, match=r"20 of 40 rows repeat a time of 'time', and 'issued_at' tells them apart"):
        guess_roles(look)


def test_a_column_that_ended_long_ago_is_no_target_and_other_columns_are_no_plans_of_it():
    load = [*wave(30), *[""] * 70]
    columns = {"time": days(100), "aa": wave(100), "load": load}
    roles = guess_roles(look_of(**columns))
    assert (roles.target.name, names(roles.observed)) == ("aa", ["load"])
    asked = guess_roles(look_of(**columns), "load")
    assert (names(asked.known), names(asked.observed), asked.observed[0].check) == ([], ["aa"], True)
    assert "70 values after the last target, too many for a plan" in asked.observed[0].reason


def test_of_columns_without_a_name_one_that_is_mostly_zero_is_no_target():
    rain = ["0"] * 40 + [str(i) for i in range(20)]
    assert guess_target(look_of(time=days(60), aa=wave(60), rain=rain)).name == "aa"
    assert guess_target(look_of(time=days(60), rain=rain)).name == "rain"
