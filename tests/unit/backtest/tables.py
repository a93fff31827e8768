"""Small tables with known answers, and predictors simple enough to check by hand."""

import numpy as np
import numpy.typing as npt

from forecasting.features.spec import CalendarSpec, FeatureSpec, ScalerSpec
from forecasting.predictors import Predictor
from forecasting.schema import Series, SeriesSpec, SeriesStore, SplitSpec
from forecasting.windows import ModelInputs

HOUR_S = 3_600
DAY_S = 24 * HOUR_S
MONDAY = 4 * DAY_S
"""1970-01-05 00:00 UTC."""
LEVELS = (0.1, 0.5, 0.9)
NO_CALENDAR = CalendarSpec(columns=(), fourier=(), transitions=(), offsets_s=(0,), holidays=())


def hourly_spec(*, known: tuple[str, ...] = (), static: tuple[str, ...] = (), **changes: object) -> FeatureSpec:
    """Feature spec of an hourly table: context 48, horizon 24, seasons 24 and 48."""
    fields: dict[str, object] = {
        "target": "Demand",
        "observed": (),
        "known": known,
        "static": static,
        "categories": dict.fromkeys(static, ("north", "south")),
        "step_s": HOUR_S,
        "context": 48,
        "horizon": 24,
        "segment": 24,
        "seasons": (24, 48),
        "quantiles": LEVELS,
        "calendar": NO_CALENDAR,
        "derived": (),
        "scaler": ScalerSpec(location={}, scale={}),
        "target_scaling": "train",
    }
    return FeatureSpec(**{**fields, **changes})  # type: ignore[arg-type]


def hourly_store(
    columns: dict[str, list[npt.NDArray[np.float64]]], *, n_test_days: int = 3, static: tuple[str, ...] = (),
    codes: tuple[tuple[int, ...], ...] = (), starts: tuple[int, ...] = (), n_days: int = 10,
) -> SeriesStore:  # fmt: skip
    """Hourly series from 1970-01-05 over `n_days`; the first column is the target, the others are known.

    Each column is a list of one array a series. Validation is the day before the test period.
    """
    names = tuple(columns)
    cutoff = MONDAY + n_days * DAY_S
    test_start = cutoff - n_test_days * DAY_S
    spec = SeriesSpec(
        target=names[0],
        observed=(),
        known=names[1:],
        static=static,
        categories=dict.fromkeys(static, ("north", "south")),
        step_s=HOUR_S,
        split=SplitSpec(train_end=test_start - DAY_S, validation_end=test_start, cutoff=cutoff),
    )
    n_series = len(columns[names[0]])
    series = tuple(
        Series(
            id=f"s{i}",
            start=starts[i] if starts else MONDAY,
            values=np.column_stack([columns[name][i] for name in names]).astype(np.float64),
            static=codes[i] if codes else (),
        )
        for i in range(n_series)
    )
    return SeriesStore(spec, series)


def daily_wave(n_days: int = 10, *, level: float = 100.0, slope: float = 1.0) -> npt.NDArray[np.float64]:
    """A clean daily cycle that rises by `slope` a day, so the daily naive is off by exactly `slope`."""
    hours = np.arange(24 * n_days)
    return level + 10.0 * np.sin(2 * np.pi * hours / 24) + slope * (hours // 24)


class LastValuePredictor(Predictor):
    """Repeats the last known value of the target, with a band of ±`half_width`."""

    def __init__(self, half_width: float = 0.0, *, shift: float = 0.0) -> None:
        self.half_width = half_width
        self.shift = shift

    def predict(self, inputs: ModelInputs) -> npt.NDArray[np.float32]:
        last = inputs.history[:, -1, 0].astype(np.float64) + self.shift
        band = np.array([-self.half_width, 0.0, self.half_width])
        return np.tile((last[:, None] + band)[:, None, :], (1, inputs.future.shape[1], 1)).astype(np.float32)


class KnownColumnPredictor(Predictor):
    """Answers the first known covariate: perfect where it is the target itself."""

    def __init__(self, *, offset: float = 0.0, half_width: float = 0.0) -> None:
        self.offset = offset
        self.half_width = half_width

    def predict(self, inputs: ModelInputs) -> npt.NDArray[np.float32]:
        point = inputs.future[:, :, 0].astype(np.float64) + self.offset
        band = np.array([-self.half_width, 0.0, self.half_width])
        return (point[:, :, None] + band).astype(np.float32)
