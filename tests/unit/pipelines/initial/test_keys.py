"""Columns that name a series."""

import numpy as np
import pytest

from forecasting.errors import DataError
from pipelines.initial.keys import guess_key
from tests.unit.pipelines.initial.tables import days, look_of, wave

DAYS = days(20)


def test_a_table_whose_times_differ_is_one_series():
    key = guess_key(look_of(time=DAYS, weather=["sun", "rain"] * 10, y=wave(20)), "time")
    assert (key.columns, key.n_series) == ((), 1)


def test_the_column_with_which_no_time_occurs_twice_names_the_series():
    look = look_of(time=DAYS * 2, shop=["a"] * 20 + ["b"] * 20, y=wave(40))
    assert guess_key(look, "time").columns == ("shop",)


def test_two_columns_name_a_series_where_neither_does_alone():
    look = look_of(
        time=DAYS * 4, product=["p"] * 20 + ["q"] * 20 + ["p"] * 20 + ["q"] * 20, shop=["a"] * 40 + ["b"] * 40, y=wave(80)
    )  # fmt: skip
    key = guess_key(look, "time")
    assert (key.columns, key.n_series, key.check) == (("product", "shop"), 4, False)


def test_of_two_columns_that_could_the_one_with_a_name_of_ids_is_taken():
    look = look_of(time=DAYS * 2, colour=["red"] * 20 + ["blue"] * 20, sensor=["1"] * 20 + ["2"] * 20, y=wave(40))
    assert guess_key(look, "time").columns == ("sensor",)


def test_whole_numbers_without_a_name_of_ids_are_to_be_checked():
    look = look_of(time=DAYS * 2, k=["1"] * 20 + ["2"] * 20, y=wave(40))
    key = guess_key(look, "time")
    assert (key.columns, key.check) == (("k",), True)


def test_a_few_repeated_times_are_faults_and_no_second_series():
    times = days(400)
    key = guess_key(look_of(time=[*times, times[7]], kind=(["a", "b"] * 201)[:401], y=wave(401)), "time")
    assert (key.columns, key.n_duplicates) == ((), 1)


def test_rows_that_nothing_tells_apart_are_refused_with_their_number():
    with pytest.raises(DataError, match=r"20 of 40 rows repeat a time of 'time'"):
        guess_key(look_of(time=DAYS * 2, y=wave(40)), "time")


def test_a_column_is_constant_where_each_series_has_one_value():
    look = look_of(
        time=DAYS * 2, shop=["a"] * 20 + ["b"] * 20, size=["big"] * 20 + ["small"] * 20, sky=["sun", "rain"] * 20
    )
    key = guess_key(look, "time")
    assert key.is_constant(look.column("size").codes)
    assert not key.is_constant(look.column("sky").codes)


def test_columns_that_leave_a_series_hardly_any_rows_are_no_name():
    kind, size, part = ([f"k{i // n % 4}" for i in range(40)] for n in (2, 8, 32))
    look = look_of(time=["2024-01-01", "2024-01-02"] * 20, kind=kind, size=size, part=part, y=wave(40))
    with pytest.raises(DataError, match="no 3 columns or fewer tell them apart"):
        guess_key(look, "time")


def weathers(n_days: int) -> tuple[list[str], list[str], list[str]]:
    """Days, of which every fifth is there twice, each with a word for its weather and a count."""
    rows = [(day, word) for i, day in enumerate(days(n_days)) for word in (["rain", "mist"] if i % 5 == 0 else ["sun"])]
    counts = {day: str(100 + 7 * i % 90) for i, day in enumerate(days(n_days))}
    return [day for day, _ in rows], [word for _, word in rows], [counts[day] for day, _ in rows]


def test_rows_that_repeat_the_target_of_their_time_are_one_series_and_their_words_no_names():
    time, word, count = weathers(200)
    key = guess_key(look_of(time=time, weather=word, count=count), "time", target="count")
    assert (key.columns, key.n_series, key.n_duplicates, key.same_ratio) == ((), 1, 40, 1.0)


def test_rows_that_repeat_a_time_with_another_target_are_of_several_series():
    time, word, count = weathers(200)
    other = [str(int(value) + i % 50) for i, value in enumerate(count)]
    key = guess_key(look_of(time=time, weather=word, count=other), "time", target="count")
    assert (key.columns, key.check) == (("weather",), True)


def test_zeros_on_both_of_two_rows_do_not_make_them_one_series():
    time, word, _ = weathers(200)
    count = ["0"] * 230 + [str(i) for i in range(10)]
    assert guess_key(look_of(time=time, weather=word, count=count), "time", target="count").columns == ("weather",)


def test_series_that_have_their_own_steps_are_preferred_to_such_as_are_there_now_and_then():
    pairs = np.random.default_rng(0).integers(0, 4, 100)
    colour = [f"c{pair}" for pair in pairs] + [f"d{pair}" for pair in pairs]
    look = look_of(time=days(100) * 2, colour=colour, maker=["x"] * 100 + ["y"] * 100, y=wave(200))
    assert (guess_key(look, "time").columns, guess_key(look, "time").check) == (("maker",), False)
    alone = guess_key(look, "time", without=("maker",))
    assert (alone.columns, alone.n_series, alone.check) == (("colour",), 8, True)
