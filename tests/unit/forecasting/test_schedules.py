from datetime import UTC, datetime

import pytest

from forecasting.errors import ConfigError
from forecasting.schedules import check_schedule, last_time


def seconds(text):
    return int(datetime.fromisoformat(text).timestamp())


@pytest.mark.parametrize(
    ("expression", "zone", "now", "found"),
    [
        ("0 3 * * 1", "UTC", "2026-11-22T01:00:00Z", "2026-11-16T03:00:00Z"),
        ("0 3 * * *", "UTC", "2026-11-22T03:00:00Z", "2026-11-22T03:00:00Z"),
        ("0 3 * * *", "UTC", "2026-11-22T03:00:59Z", "2026-11-22T03:00:00Z"),
        ("0 3 * * *", "UTC", "2026-11-22T02:59:59Z", "2026-11-21T03:00:00Z"),
        ("0 3 * * *", "Australia/Melbourne", "2026-11-22T00:00:00Z", "2026-11-21T16:00:00Z"),
        # The clock jumps from 2 to 3 at 01:00Z: there is no half past two.
        ("30 2 * * *", "Europe/Berlin", "2026-03-29T12:00:00Z", "2026-03-29T01:00:00Z"),
        # Half past two comes twice; the first counts.
        ("30 2 * * *", "Europe/Berlin", "2026-10-25T12:00:00Z", "2026-10-25T00:30:00Z"),
        # In the hour that comes again the quarters of an hour come again.
        ("*/15 * * * *", "Europe/Berlin", "2026-10-25T01:31:00Z", "2026-10-25T01:30:00Z"),
    ],
)
def test_the_latest_time_of_a_schedule_is_that_of_its_zone(expression, zone, now, found):
    assert datetime.fromtimestamp(last_time(expression, zone, now=seconds(now)), UTC) == datetime.fromisoformat(found)


@pytest.mark.parametrize("expression", ["", "x", "0 3 * *", "0 0 3 * * *", "61 * * * *", "0 3 31 2 *"])
def test_what_is_no_schedule_is_refused_with_what_was_found(expression):
    with pytest.raises(ConfigError, match="must be minute, hour, day of the month") as caught:
        check_schedule(expression)
    assert f"found {expression!r}" in str(caught.value)
