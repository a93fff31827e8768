from datetime import UTC, datetime

import pytest

from forecasting.config.sections import ForecastConfig, SplitConfig
from forecasting.errors import ConfigError, DataError
from forecasting.schema import SplitSpec
from forecasting.splits import split_spec

HOUR_S, DAY_S = 3_600, 86_400
FORECAST = ForecastConfig(horizon=24, context=168, segment=24)
FIRST = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp())


def cuts(n_days: int, **split: object) -> SplitSpec:
    return split_spec(SplitConfig(**split), FORECAST, first=FIRST, cutoff=FIRST + n_days * DAY_S, step_s=HOUR_S)


def test_shares_are_counted_back_in_whole_segments():
    found = cuts(101)
    assert [(at - FIRST) // DAY_S for at in (found.train_end, found.validation_end, found.cutoff)] == [71, 91, 101]


def test_shares_keep_the_time_of_day_of_the_cutoff():
    found = split_spec(SplitConfig(), FORECAST, first=FIRST + 5 * HOUR_S, cutoff=FIRST + 1_001 * HOUR_S, step_s=HOUR_S)
    assert {(at - FIRST) % DAY_S for at in (found.train_end, found.validation_end)} == {1_001 * HOUR_S % DAY_S}


def test_lengths_are_counted_back_from_the_cutoff():
    found = cuts(100, validation="10d", test="20d")
    assert [(at - FIRST) // DAY_S for at in (found.train_end, found.validation_end)] == [70, 80]


def test_dates_are_taken_as_they_are_in_any_zone():
    found = cuts(100, train_until="2024-02-01T11:00:00+11:00", validation_until="2024-03-01T00:00:00Z")
    assert [(at - FIRST) // DAY_S for at in (found.train_end, found.validation_end)] == [31, 60]


def test_a_date_between_two_steps_becomes_the_earlier_one():
    found = cuts(100, train_until="2024-02-01T00:20:00Z", validation_until="2024-03-01T00:00:00Z")
    assert found.train_end == FIRST + 31 * DAY_S


def test_an_embargo_of_one_horizon_lies_before_validation_and_test():
    found = cuts(100)
    assert (found.validation_start - found.train_end, found.test_start - found.validation_end) == (DAY_S, DAY_S)
    free = cuts(100, embargo=False)
    assert (free.validation_start, free.test_start) == (free.train_end, free.validation_end)


def test_a_period_without_room_for_a_forecast_is_refused_with_its_length():
    with pytest.raises(
        DataError, match="the test period must hold a forecast of 24 steps behind an embargo of 24, and has 0"
    ):
        cuts(10)


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ({"fractions": (0.7, 0.2, 0.2)}, "must make 1"),
        ({"fractions": (1.0, 0.0, 0.0)}, "above 0"),
        ({"validation": "10d"}, "validation and test must be given together"),
        ({"train_until": "2024-02-01T00:00:00Z"}, "must be given together"),
        (
            {"validation": "1d", "test": "1d", "train_until": "2024-02-01T00:00:00Z", "validation_until": "2024-03-01T00:00:00Z"},
            "by lengths or by dates, not both",
        ),
    ],
)  # fmt: skip
def test_a_split_that_contradicts_itself_is_refused(split, message):
    with pytest.raises(ValueError, match=message):
        SplitConfig(**split)


def test_a_date_without_a_zone_is_refused_by_its_key():
    with pytest.raises(ConfigError, match=r"split\.train_until must carry a time zone"):
        cuts(100, train_until="2024-02-01T00:00", validation_until="2024-03-01T00:00:00Z")
