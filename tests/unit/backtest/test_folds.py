"""Folds of a rolling-origin backtest."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecasting.backtest.folds import fold_origins, plan_folds, rolling_split
from forecasting.errors import DataError
from forecasting.schema import SplitSpec
from tests.unit.backtest.tables import DAY_S, HOUR_S, MONDAY

SPLIT = SplitSpec(train_end=MONDAY + 20 * DAY_S, validation_end=MONDAY + 27 * DAY_S, cutoff=MONDAY + 30 * DAY_S)


def test_the_last_fold_is_the_test_period_and_the_others_lie_before_it() -> None:
    folds = plan_folds(SPLIT, n_folds=3)
    days = [((fold.start - MONDAY) // DAY_S, (fold.end - MONDAY) // DAY_S) for fold in folds]
    assert days == [(21, 24), (24, 27), (27, 30)]
    assert [fold.number for fold in folds] == [1, 2, 3]


def test_an_embargo_is_in_no_fold() -> None:
    split = SplitSpec(SPLIT.train_end, SPLIT.validation_end, SPLIT.cutoff, embargo_s=DAY_S)
    (fold,) = plan_folds(split, n_folds=1)
    assert (fold.start, fold.end) == (MONDAY + 28 * DAY_S, MONDAY + 30 * DAY_S)


def test_folds_can_be_shorter_than_the_test_period() -> None:
    folds = plan_folds(SPLIT, n_folds=2, length_s=DAY_S)
    assert [fold.start for fold in folds] == [MONDAY + 28 * DAY_S, MONDAY + 29 * DAY_S]


def test_without_a_refit_every_fold_has_the_model_of_the_first() -> None:
    folds = plan_folds(SPLIT, n_folds=3)
    assert [fold.trained_at for fold in folds] == [folds[0].start] * 3


def test_a_refit_for_every_fold_is_trained_before_that_fold() -> None:
    folds = plan_folds(SPLIT, n_folds=3, refit_every=1)
    assert [fold.trained_at for fold in folds] == [fold.start for fold in folds]


def test_a_refit_for_each_two_folds_is_trained_before_the_first_of_them() -> None:
    folds = plan_folds(SPLIT, n_folds=5, length_s=DAY_S, refit_every=2)
    assert [folds.index(next(f for f in folds if f.start == fold.trained_at)) for fold in folds] == [0, 0, 2, 2, 4]


@given(n_folds=st.integers(1, 30), refit_every=st.none() | st.integers(1, 40), days=st.none() | st.integers(1, 9))
def test_no_fold_is_asked_of_a_model_that_saw_any_of_it(
    n_folds: int, refit_every: int | None, days: int | None
) -> None:
    length = None if days is None else days * DAY_S
    folds = plan_folds(SPLIT, n_folds=n_folds, length_s=length, refit_every=refit_every)
    assert all(fold.trained_at <= fold.start < fold.end <= SPLIT.cutoff for fold in folds)
    assert all(first.end == second.start for first, second in itertools.pairwise(folds))


def test_a_number_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        plan_folds(SPLIT, n_folds=0)


def test_the_split_of_the_first_fold_keeps_the_length_of_validation() -> None:
    split = rolling_split(SPLIT, plan_folds(SPLIT, n_folds=3))
    assert (split.train_end, split.validation_end) == (MONDAY + 14 * DAY_S, MONDAY + 21 * DAY_S)
    assert split.cutoff == SPLIT.cutoff


def test_no_forecast_reaches_from_one_fold_into_the_next() -> None:
    folds = plan_folds(SPLIT, n_folds=2, length_s=36 * HOUR_S)
    planned = fold_origins(folds, HOUR_S, horizon=24, stride=6)
    hours = ((planned.origins - folds[0].start) // HOUR_S).tolist()
    assert hours == [0, 6, 12, 36, 42, 48]
    assert planned.folds.tolist() == [1, 1, 1, 2, 2, 2]


def test_a_fold_shorter_than_the_horizon_is_refused_with_both_lengths() -> None:
    folds = plan_folds(SPLIT, n_folds=2, length_s=12 * HOUR_S)
    with pytest.raises(DataError, match="one horizon of 24 steps, they have 12"):
        fold_origins(folds, HOUR_S, horizon=24, stride=24)
