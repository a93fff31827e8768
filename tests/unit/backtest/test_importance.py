"""Permutation importance of models whose use of each column is known."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from forecasting.backtest.importance import column_groups, permutation_importance
from forecasting.backtest.report import open_backtest
from forecasting.config.sections import BacktestConfig
from forecasting.features.spec import CalendarSpec, ScalerSpec
from forecasting.predictors import Predictor
from forecasting.windows import ModelInputs
from tests.unit.backtest.tables import KnownColumnPredictor, LastValuePredictor, daily_wave, hourly_spec, hourly_store

WEEKDAYS = CalendarSpec(columns=("day_of_week",), fourier=(), transitions=(), offsets_s=(0,), holidays=())
NOISE = np.random.default_rng(7).normal(size=240)
LEVELS = daily_wave(10, slope=5.0)


def backtest(*, known: dict[str, np.ndarray], stride: int = 6):
    store = hourly_store({"Demand": [LEVELS], **{name: [values] for name, values in known.items()}})
    return open_backtest(store, hourly_spec(known=tuple(known)), settings=BacktestConfig(stride=stride))


def importance(predictor: Predictor, *, known: dict[str, np.ndarray], n_forecasts: int = 1_000, n_repeats: int = 2):
    return permutation_importance(
        predictor,
        hourly_spec(known=tuple(known)),
        backtest=backtest(known=known),
        n_forecasts=n_forecasts,
        n_repeats=n_repeats,
        batch_size=4,
    )


def test_the_column_that_a_model_answers_with_is_all_that_matters() -> None:
    found = importance(KnownColumnPredictor(offset=0.5), known={"Copy": LEVELS, "Noise": NOISE})
    assert [column.name for column in found.columns] == ["Copy", "Demand", "Noise"]
    assert found.mae == pytest.approx(0.5, abs=1e-4)
    copy, demand, noise = found.columns
    assert copy.mae > 3
    assert copy.increase_ratio == pytest.approx(copy.mae / found.mae - 1)
    assert (demand.increase_ratio, noise.increase_ratio) == (0, 0)
    assert [column.role for column in found.columns] == ["known", "target", "known"]


def test_a_model_of_the_past_alone_needs_the_target_alone() -> None:
    found = importance(LastValuePredictor(), known={"Noise": NOISE})
    assert found.columns[0].name == "Demand"
    assert found.columns[0].increase_ratio > 0.01
    assert found.columns[1].increase_ratio == 0


class CalendarPredictor(Predictor):
    """The known copy of the target, plus 100 for each day that past and future of the calendar disagree about the week."""

    def predict(self, inputs: ModelInputs) -> npt.NDArray[np.float32]:
        gap = 100 * np.abs(inputs.history[:, -1:, 2] - inputs.future[:, :1, 1]) * 7
        point = inputs.future[:, :, 0] + np.where(gap > 150, gap, 0)
        return np.repeat(point[:, :, None], 3, axis=2).astype(np.float32)


def test_past_and_future_of_a_column_come_from_the_same_window() -> None:
    spec = hourly_spec(known=("Copy",), calendar=WEEKDAYS)
    found = permutation_importance(
        CalendarPredictor(),
        spec,
        backtest=backtest(known={"Copy": LEVELS}, stride=24),
        n_forecasts=100,
        n_repeats=3,
        batch_size=4,
    )
    # Sunday to Monday is the one night on which the two are not neighbours; it is in no test window.
    assert {column.name: column.increase_ratio for column in found.columns}["calendar"] == pytest.approx(0, abs=1e-6)


def test_a_model_of_the_calendar_alone_needs_the_calendar() -> None:
    class WeekdayPredictor(Predictor):
        def predict(self, inputs: ModelInputs) -> npt.NDArray[np.float32]:
            return np.repeat(135 + 30 * inputs.future[:, :, 1:2], 3, axis=2)

    found = permutation_importance(
        WeekdayPredictor(),
        hourly_spec(known=("Copy",), calendar=WEEKDAYS),
        backtest=backtest(known={"Copy": LEVELS}),
        n_forecasts=100,
        n_repeats=3,
        batch_size=4,
    )
    changed = [column.name for column in found.columns if column.mae != found.mae]
    assert changed == ["calendar"]
    assert found.columns[0].name == "calendar"
    assert found.columns[0].mae_std > 0


def test_more_columns_get_fewer_windows_so_that_the_cost_is_bounded() -> None:
    # 2 columns × 2 repeats and once as they are: 5 forecasts a window.
    assert importance(LastValuePredictor(), known={"Noise": NOISE}, n_forecasts=29).n_windows == 5
    assert importance(LastValuePredictor(), known={"Noise": NOISE}, n_forecasts=1_000).n_windows == 9


@pytest.mark.parametrize("n_forecasts", [0, 9])
def test_without_two_windows_nothing_is_measured(n_forecasts: int) -> None:
    assert importance(LastValuePredictor(), known={"Noise": NOISE}, n_forecasts=n_forecasts) is None


def test_the_same_windows_give_the_same_importance() -> None:
    first, second = (importance(LastValuePredictor(), known={"Noise": NOISE}) for _ in range(2))
    assert first == second


def test_columns_are_grouped_as_a_person_knows_them() -> None:
    spec = replace(
        hourly_spec(known=("Price", "Price_imputed", "Event=fair", "Event=match"), static=("Region",), calendar=WEEKDAYS),
        observed=("Rain",),
        scaler=ScalerSpec(location={}, scale={}, own={"Demand": {}, "Price": {}}),
    )  # fmt: skip
    groups = {group.name: group for group in column_groups(spec)}
    assert list(groups) == ["Demand", "Rain", "Price", "Event", "Region", "calendar"]
    assert (groups["Demand"].history, groups["Demand"].future, groups["Demand"].static) == ((0,), (), (1, 2))
    assert (groups["Rain"].history, groups["Rain"].role) == ((1,), "observed")
    assert (groups["Price"].history, groups["Price"].future, groups["Price"].static) == ((2, 3), (0, 1), (3, 4))
    assert (groups["Event"].history, groups["Event"].future) == ((4, 5), (2, 3))
    assert groups["Region"].static == (0,)
    assert (groups["calendar"].history, groups["calendar"].future) == ((6,), (4,))
