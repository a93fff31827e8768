"""Small feature specs and series with everything that makes features hard: gaps, holidays, DST."""

import numpy as np

from forecasting.config.features import FeaturesConfig, FourierConfig
from forecasting.features.spec import FeatureSpec, ScalerSpec
from forecasting.features.terms import RollingTerm
from forecasting.features.zones import calendar_spec
from forecasting.schema import Series

HOUR_S = 3_600
START = 1_380_000_000 - 1_380_000_000 % HOUR_S
"""2013-09-24: two weeks before daylight saving begins in Melbourne."""


def melbourne_spec(n_steps: int = 400, *, context: int = 48, horizon: int = 24, **changes: object) -> FeatureSpec:
    features = FeaturesConfig(
        calendar_time_zone="Australia/Melbourne",
        holidays="AU-VIC",
        calendar=(
            "hour_of_day",
            "day_of_week",
            "day_of_month",
            "day_of_year",
            "is_holiday",
            "is_day_off",
            "is_day_off_tomorrow",
        ),
        fourier=(FourierConfig(period="24h", order=2), FourierConfig(period="7d", order=1)),
    )
    statistics = [RollingTerm("load", window, name) for window in (24, 30) for name in ("mean", "std", "min", "max")]
    values = {
        "target": "load",
        "observed": ("wind",),
        "known": ("temperature",),
        "static": (),
        "categories": {},
        "step_s": HOUR_S,
        "context": context,
        "horizon": horizon,
        "segment": 24,
        "seasons": (24,),
        "quantiles": (0.1, 0.5, 0.9),
        "calendar": calendar_spec(features, START, START + n_steps * HOUR_S),
        "derived": (*statistics, RollingTerm("temperature", 24, "mean")),
        "scaler": ScalerSpec(
            {"load": 100.0, "wind": 5.0, "temperature": 15.0}, {"load": 20.0, "wind": 2.0, "temperature": 6.0}
        ),
        "target_scaling": "train",
    }
    return FeatureSpec(**{**values, **changes})


def gappy_series(n_steps: int = 400, *, seed: int = 0, static: tuple[int, ...] = ()) -> Series:
    rng = np.random.default_rng(seed)
    hours = np.arange(n_steps)
    load = 100 + 20 * np.sin(2 * np.pi * hours / 24) + rng.normal(0, 3, n_steps)
    values = np.column_stack([load, rng.gamma(2.0, 2.0, n_steps), 15 + 6 * np.cos(2 * np.pi * hours / 24)])
    values[rng.random(values.shape) < 0.03] = np.nan
    values[100:140, 0] = np.nan
    return Series("a", START, values, static)
