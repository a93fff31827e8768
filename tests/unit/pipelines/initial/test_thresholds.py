"""What the seasonal naive does on the test period, and the thresholds that follow."""

import numpy as np
import pytest

from forecasting.errors import DataError
from forecasting.schema import Series, SeriesSpec, SeriesStore, SplitSpec
from pipelines.initial.thresholds import score_naive, threshold

HOUR = 3_600


def store_of(*targets: list[float], cutoff: int, test: int) -> SeriesStore:
    split = SplitSpec((cutoff - test) * HOUR - HOUR, (cutoff - test) * HOUR, cutoff * HOUR)
    spec = SeriesSpec(target="y", observed=(), known=(), static=(), categories={}, step_s=HOUR, split=split)
    series = tuple(Series(f"s{i}", 0, np.array(values)[:, None], ()) for i, values in enumerate(targets))
    return SeriesStore(spec, series)


def test_errors_of_two_seasons_by_hand():
    # The last four values are forecast from the value before (season 1) or from the last two (season 2).
    store = store_of([1, 5, 1, 5, 1, 5, 2, 7], cutoff=8, test=4)
    best, other = score_naive(store, (1, 2), horizon=2, history=4, stride=2)
    assert (best.season, best.mae, best.n_windows) == (2, pytest.approx((0 + 0 + 1 + 2) / 4), 2)
    assert best.rmse == pytest.approx(np.sqrt(5 / 4))
    assert (other.season, other.mae) == (1, pytest.approx((4 + 0 + 3 + 2) / 4))


def test_nothing_after_the_origin_is_read():
    known = [1.0, 5, 1, 5, 1, 5, 2, 7]
    (before,) = score_naive(store_of(known, cutoff=8, test=2), (2,), horizon=2, history=4, stride=2)
    (after,) = score_naive(store_of([*known, 900.0, 900.0], cutoff=8, test=2), (2,), horizon=2, history=4, stride=2)
    assert before == after


def test_a_series_that_ended_before_the_origin_repeats_its_last_values():
    ended = [3.0, 4, 3, 4]
    going = [1.0, 5, 1, 5, 1, 5, 2, 7]
    (report,) = score_naive(store_of(going, ended, cutoff=8, test=2), (2,), horizon=2, history=4, stride=2)
    assert report.n_windows == 1


@pytest.mark.parametrize(
    ("error", "limit"), [(315.46, 283.0), (8.25, 7.42), (0.4241, 0.381), (123_456.0, 111_000.0), (10.0, 9.0)]
)
def test_a_threshold_has_three_digits_and_never_exceeds_the_share(error, limit):
    assert threshold(error, 0.9) == pytest.approx(limit, rel=1e-12)
    assert threshold(error, 0.9) <= 0.9 * error * (1 + 1e-9)


@pytest.mark.parametrize("error", [0.0, float("nan")])
def test_no_error_gives_no_threshold(error):
    with pytest.raises(DataError, match="must have an error on the test period"):
        threshold(error, 0.9)
