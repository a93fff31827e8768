"""Forecasts for tests of the store."""

import numpy as np

from forecasting.store.forecasts import ForecastBatchRecord, ForecastRole

HOUR, DAY = 3600, 86_400
NOON = 1_700_049_600
"""2023-11-15 12:00 UTC."""


def batch(**fields) -> ForecastBatchRecord:
    """Two series, three hours, two levels; answers 0, 1, 2, …"""
    n = len(fields.get("series", ("a", "b")))
    values = {
        "request": "r1",
        "created_at": NOON + 60,
        "role": ForecastRole.CHAMPION,
        "model": "load",
        "version": 3,
        "series": ("a", "b"),
        "origins": np.full(n, NOON),
        "step_s": HOUR,
        "n_steps": 3,
        "levels": (0.1, 0.5),
        "answers": np.arange(n * 6, dtype=np.float32).reshape(n, 3, 2),
    }
    return ForecastBatchRecord(**{**values, **fields})
