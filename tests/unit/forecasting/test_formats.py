"""Numbers as people read them."""

import math

import pytest

from forecasting.formats import (
    as_bytes,
    as_duration,
    as_margin,
    as_milliseconds,
    as_number,
    as_share,
    as_signed_share,
    as_time,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (12_345.6, "12,346"), (131.24, "131.2"), (-9.876, "-9.88"), (0.0123, "0.0123"), (2e-7, "2.00e-07")],
)
def test_numbers_keep_about_four_digits(value: float, text: str) -> None:
    assert as_number(value) == text


@pytest.mark.parametrize("value", [None, math.nan, math.inf, "", True])
def test_what_is_not_known_is_a_dash(value: object) -> None:
    formats = (as_number, as_share, as_signed_share, as_bytes, as_milliseconds, as_duration, as_time)
    assert {form(value) for form in formats} == {"–"}


@pytest.mark.parametrize(
    ("value", "text"), [(0.4731, "47.3 %"), (0.00033, "0.033 %"), (2e-8, "< 0.001 %"), (0, "0.0 %")]
)
def test_shares_are_percentages_and_small_ones_keep_two_digits(value: float, text: str) -> None:
    assert as_share(value) == text


def test_margins_carry_their_sign_and_large_ones_no_decimals() -> None:
    assert (as_signed_share(0.123), as_signed_share(-0.5), as_signed_share(17.3)) == ("+12.3 %", "-50.0 %", "+1,730 %")


def test_a_margin_to_a_limit_of_zero_is_a_plain_number_with_its_sign() -> None:
    assert (as_margin(-3.0, 0.0), as_margin(0.5, 0.0), as_margin(0.0, 0.0)) == ("-3.00", "+0.5000", "0")
    assert (as_margin(-3.0, 2.0), as_margin(math.nan, 0.0)) == ("-300.0 %", "–")


@pytest.mark.parametrize(
    ("value", "text"), [(512, "512 B"), (460_000, "460 kB"), (1_573_000, "1.57 MB"), (2_500_000_000, "2.50 GB")]
)
def test_sizes_have_three_digits_and_a_unit(value: float, text: str) -> None:
    assert as_bytes(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.84, "0.8 s"),
        (41.2, "41 s"),
        (200, "3 min 20 s"),
        (120, "2 min"),
        (3_600, "1 h"),
        (7_500, "2 h 5 min"),
        (59.7, "1 min"),
    ],
)
def test_durations_have_at_most_two_units(value: float, text: str) -> None:
    assert as_duration(value) == text


def test_latencies_and_times() -> None:
    assert (as_milliseconds(0.138), as_milliseconds(24.2)) == ("0.14 ms", "24 ms")
    assert as_time(1_700_000_000) == "2023-11-14 22:13 UTC"
