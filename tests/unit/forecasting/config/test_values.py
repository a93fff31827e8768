"""Values that cannot work are refused when the configuration is read, in one line that names the key."""

import pytest
import yaml

from forecasting.config import AlmanacConfig, load_config
from forecasting.errors import ConfigError

GATES = {
    "model": {"max_mae": 1, "max_rmse": 1, "max_naive_ratio": 1, "max_champion_ratio": 1},
    "compressed": {"max_mae": 1, "max_rmse": 1},
    "serving": {"max_latency_ms": 50, "max_difference_ratio": 0.001},
}


@pytest.fixture
def read(tmp_path):
    """Read a configuration with one setting as the command line reads it."""

    def read_with(override: str) -> AlmanacConfig:
        path = tmp_path / "toy.yaml"
        path.write_text(
            yaml.safe_dump({"gates": GATES, "compression": {"max_accuracy_loss": 0.02}, "data": {"uri": "t.csv"}})
        )
        return load_config(path, [override])

    return read_with


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("features.derived=[{kind: rolling, windows: [-1, 24]}]", r"features.derived.0.rolling.windows.0: .* greater than 0 \(found -1\)"),
        ("features.derived=[{kind: rolling, windows: [0]}]", r"features.derived.0.rolling.windows.0: .* greater than 0 \(found 0\)"),
        ("forecast.seasons=[0]", r"forecast.seasons.0: .* greater than 0 \(found 0\)"),
        ("features.derived=[{kind: rolling, windows: [24, 24]}]", r"features.derived.0.rolling.windows: .* 24 occurs 2 times"),
        ("forecast.seasons=[24, 168, 24]", r"forecast.seasons: .* 24 occurs 2 times"),
        ("features.calendar=[day_of_week, day_of_week]", r"features.calendar: .* day_of_week occurs 2 times"),
        ("features.fourier=[{period: 24h}, {period: 1d}]", r"features: fourier names a period twice"),
        ("features={lower_bound: 3, upper_bound: 3}", r"lower_bound \(3\) must be below features.upper_bound \(3\)"),
        ("features.derived=[{kind: rolling, windows: [24]}, {kind: rolling, windows: [24]}]", r"features.derived makes 'target_max_24' twice"),
        ("validation.ranges={target: [5, 1]}", r"validation.ranges.target: .* \(5\) must not be above the largest \(1\)"),
        ("validation.ranges={target: [.nan, 1]}", r"validation.ranges.target: a bound must be a number or null"),
        ("features.calendar_time_zone=Mars/Olympus", r"features.calendar_time_zone: .* IANA name .* 'Mars/Olympus'"),
        ("data.time_zone=AEST", r"data.time_zone: .* IANA name .* 'AEST'"),
        ("features.holidays=AU-XXX", r"features.holidays: .* found 'AU-XXX'"),
        ("data.frequency=00h", r"data.frequency: '00h' must be a duration such as 30min"),
        ("split.test=8 weeks", r"split.test: '8 weeks' must be a duration"),
        ("split.validation=0d", r"split.validation: '0d' must be a duration"),
        ("validation.max_age=soon", r"validation.max_age: 'soon' must be a duration"),
        ("backtest.cold_start_below=1y", r"backtest.cold_start_below: '1y' must be a duration"),
        ("features.fourier=[{period: 1.5h}]", r"features.fourier.0.period: '1.5h' must be a duration"),
    ],
)  # fmt: skip
def test_a_value_that_cannot_work_is_refused_by_its_key(read, override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as refused:
        read(override)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "override",
    ["validation.ranges={target: [0, null]}", "validation.ranges={target: [3, 3]}", "features.holidays=AU-VIC",
     "features.holidays=DE", "data.time_zone=Europe/Berlin", "forecast.seasons=[168, 24]", "validation.max_age=90min"],
)  # fmt: skip
def test_values_at_the_edge_of_what_works_are_accepted(read, override: str) -> None:
    assert read(override).name == "forecast"
