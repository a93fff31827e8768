import pytest

from forecasting.durations import duration_s, duration_steps
from forecasting.errors import ConfigError


def test_units_are_seconds_minutes_hours_days_weeks():
    assert [duration_s(text) for text in ("30s", "30min", "24h", "28d", "2w", "h")] == [
        30,
        1_800,
        86_400,
        2_419_200,
        1_209_600,
        3_600,
    ]


@pytest.mark.parametrize("text", ["", "24", "1 month", "-3d", "0h", "1.5h"])
def test_anything_else_is_refused(text: str):
    with pytest.raises(ConfigError, match="duration"):
        duration_s(text)


def test_a_fraction_of_a_step_is_refused():
    with pytest.raises(ConfigError, match="whole number of steps"):
        duration_steps("90min", 3_600)
