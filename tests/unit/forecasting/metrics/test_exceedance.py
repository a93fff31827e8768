"""Probabilities of exceeding a threshold, and their scores against scikit-learn."""

import math
from dataclasses import asdict

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as reference

from forecasting.metrics import ExceedanceSums, exceedance_probability, exceedance_scores
from forecasting.metrics.exceedance import area_under_curve

LEVELS = (0.1, 0.5, 0.9)


def probability_of(row: list[float], threshold: float) -> float:
    return float(exceedance_probability(np.array([row]), LEVELS, threshold)[0])


@pytest.mark.parametrize(
    ("threshold", "expected"),
    [
        (10.0, 0.9),
        (15.0, 0.7),
        (20.0, 0.5),
        (30.0, 0.3),
        (40.0, 0.1),
        (8.0, 0.98),
        (7.0, 1.0),
        (43.0, 0.04),
        (99.0, 0.0),
    ],
)
def test_probability_is_read_off_straight_lines_between_quantiles_and_beyond_them(
    threshold: float, expected: float
) -> None:
    assert probability_of([10.0, 20.0, 40.0], threshold) == pytest.approx(expected)


def test_quantiles_that_coincide_are_a_jump_that_lies_at_or_below_the_threshold() -> None:
    assert probability_of([0.0, 0.0, 5.0], 0.0) == pytest.approx(0.5)
    assert probability_of([0.0, 0.0, 5.0], -0.1) == pytest.approx(1.0)
    assert probability_of([0.0, 5.0, 5.0], 5.0) == pytest.approx(0.1)
    assert probability_of([0.0, 5.0, 5.0], 5.1) == pytest.approx(0.0)


def test_probability_of_many_quantiles_tends_to_that_of_the_distribution() -> None:
    levels = tuple(np.linspace(0.005, 0.995, 199))
    quantiles = stats.norm.ppf(levels, 100.0, 10.0)[None]
    for threshold in (85.0, 97.0, 110.0, 118.0):
        exact = stats.norm.sf(threshold, 100.0, 10.0)
        assert exceedance_probability(quantiles, levels, threshold)[0] == pytest.approx(exact, abs=2e-3)


def test_quantile_that_is_not_finite_has_no_probability() -> None:
    assert math.isnan(probability_of([1.0, math.nan, 3.0], 2.0))


def test_one_quantile_is_no_distribution() -> None:
    with pytest.raises(ValueError, match="at least two quantile levels, found 1"):
        exceedance_probability(np.ones((2, 1)), (0.5,), 1.0)


def test_scores_equal_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(3)
    centre = rng.normal(50, 10, size=(60, 8))
    actual = centre + rng.normal(0, 6, size=centre.shape)
    actual[rng.random(actual.shape) < 0.1] = np.nan
    quantiles = np.round(centre[..., None] + np.array([-8.0, 0.0, 8.0]))  # rounded, so that probabilities tie
    known = np.isfinite(actual)
    event = actual[known] > 58.0
    probability = exceedance_probability(quantiles[known], LEVELS, 58.0)
    said = probability >= 0.5
    found = exceedance_scores(actual, quantiles, LEVELS, threshold=58.0)
    assert (found.n_points, found.n_events) == (int(known.sum()), int(event.sum()))
    assert found.accuracy == pytest.approx(reference.accuracy_score(event, said))
    assert found.precision == pytest.approx(reference.precision_score(event, said))
    assert found.recall == pytest.approx(reference.recall_score(event, said))
    assert found.f1 == pytest.approx(reference.f1_score(event, said))
    assert found.auc == pytest.approx(reference.roc_auc_score(event, probability))
    assert found.brier == pytest.approx(reference.brier_score_loss(event, probability))
    rate = np.full(event.shape, event.mean())
    assert found.base_rate_brier == pytest.approx(reference.brier_score_loss(event, rate))


def test_scores_without_an_event_are_not_known_where_there_is_nothing_to_count() -> None:
    found = exceedance_scores(np.ones(4), np.tile([0.0, 1.0, 2.0], (4, 1)), LEVELS, threshold=10.0)
    assert found.accuracy == 1.0
    assert math.isnan(found.recall)
    assert math.isnan(found.precision)
    assert math.isnan(found.auc)


def test_scores_of_a_forecast_with_a_hole_are_not_finite() -> None:
    quantiles = np.tile([0.0, 1.0, 2.0], (4, 1))
    quantiles[2, 1] = np.nan
    found = exceedance_scores(np.array([0.0, 1.0, 2.0, 3.0]), quantiles, LEVELS, threshold=1.5)
    assert not any(
        map(math.isfinite, (found.accuracy, found.precision, found.recall, found.f1, found.auc, found.brier))
    )


def test_area_under_the_curve_is_a_half_where_all_probabilities_tie() -> None:
    assert area_under_curve(np.array([0, 2, 0]), np.array([0, 1, 0])) == pytest.approx(0.5)


def test_area_under_the_curve_of_many_distinct_probabilities_equals_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(4)
    centre = rng.normal(50, 10, size=20_000)
    actual = centre + rng.normal(0, 6, size=centre.shape)
    quantiles = centre[:, None] + np.array([-8.0, 0.0, 8.0])
    expected = reference.roc_auc_score(actual > 58.0, exceedance_probability(quantiles, LEVELS, 58.0))
    found = exceedance_scores(actual, quantiles, LEVELS, threshold=58.0)
    assert found.auc == pytest.approx(expected, abs=1e-6)


def test_scores_of_blocks_are_those_of_all_steps_at_once() -> None:
    rng = np.random.default_rng(5)
    actual = rng.normal(50, 10, size=(30, 4))
    quantiles = np.sort(rng.normal(50, 10, size=(30, 4, 3)), axis=2)
    sums = ExceedanceSums(52.0)
    for first in range(0, 30, 7):
        sums.add(actual[first : first + 7], quantiles[first : first + 7], LEVELS)
    whole = exceedance_scores(actual, quantiles, LEVELS, threshold=52.0)
    assert asdict(sums.report()) == pytest.approx(asdict(whole))
