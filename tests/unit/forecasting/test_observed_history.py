import numpy as np

from forecasting.observed_history import NOT_OBSERVED, ObservedSpan, lay_over, with_observations
from forecasting.schema import Series

HOUR = 3600
CUTOFF = 10 * HOUR
NAN = float("nan")


def span(numbers: list[float], known_at: list[int], start: int = 0) -> ObservedSpan:
    """One column."""
    return ObservedSpan(start, HOUR, np.array(numbers)[:, None], np.array(known_at)[:, None])


def laid(table: float, number: float, known_at: int) -> float:
    return float(lay_over(np.array([[table]]), span([number], [known_at]), cutoff=CUTOFF)[0, 0])


def test_a_value_known_after_the_cutoff_stands_before_that_of_the_table():
    assert laid(1, 2, CUTOFF + 1) == 2


def test_a_value_known_by_the_cutoff_leaves_the_table_its_own():
    assert laid(1, 2, CUTOFF) == 1


def test_a_value_known_by_the_cutoff_fills_what_the_table_has_nothing_for():
    assert laid(NAN, 2, CUTOFF) == 2


def test_where_what_was_observed_was_withdrawn_the_table_stands_again():
    assert laid(1, NAN, CUTOFF + 1) == 1
    assert np.isnan(laid(NAN, NAN, CUTOFF + 1))


def test_where_nothing_was_observed_the_table_stands():
    assert laid(1, NAN, NOT_OBSERVED) == 1
    assert np.isnan(laid(NAN, NAN, NOT_OBSERVED))


def test_many_series_are_laid_over_at_once_as_one_by_one():
    rng = np.random.default_rng(1)
    table, numbers = rng.normal(size=(2, 5, 4, 3))
    table[rng.random(table.shape) < 0.3] = np.nan
    known_at = rng.choice([NOT_OBSERVED, CUTOFF - 1, CUTOFF + 1], size=table.shape)
    many = ObservedSpan(0, HOUR, numbers, known_at)
    together = lay_over(table, many, cutoff=CUTOFF)
    for number in range(5):
        np.testing.assert_array_equal(together[number], lay_over(table[number], many.of(number), cutoff=CUTOFF))


def series(values: list[float]) -> Series:
    return Series("a", 4 * HOUR, np.array(values)[:, None], (1,))


def test_a_series_reaches_to_its_last_observation():
    found = with_observations(
        series([1, 2]), span([NAN, 8, NAN], [NOT_OBSERVED, CUTOFF + 5, NOT_OBSERVED], 6 * HOUR), cutoff=CUTOFF
    )
    np.testing.assert_array_equal(found.values[:, 0], [1, 2, NAN, 8])
    assert (found.id, found.start, found.static) == ("a", 4 * HOUR, (1,))


def test_observations_before_a_series_are_left_alone():
    found = with_observations(series([1, 2]), span([7, 8], [CUTOFF + 5] * 2, 3 * HOUR), cutoff=CUTOFF)
    assert found.values[:, 0].tolist() == [8, 2]


def test_a_span_that_misses_the_series_changes_nothing():
    before = series([1, 2])
    assert with_observations(before, span([7, 8], [CUTOFF + 5] * 2, 0), cutoff=CUTOFF) is before


def test_a_span_shorter_than_the_series_changes_its_own_steps():
    found = with_observations(series([1, 2, 3]), span([9], [CUTOFF + 5], 5 * HOUR), cutoff=CUTOFF)
    assert found.values[:, 0].tolist() == [1, 9, 3]


def test_the_series_it_was_given_is_left_as_it_was():
    before = series([1, 2])
    with_observations(before, span([9], [CUTOFF + 5], 4 * HOUR), cutoff=CUTOFF)
    assert before.values[:, 0].tolist() == [1, 2]
